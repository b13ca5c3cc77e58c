"""All due work as a task of Django's own (``django.tasks``, from Django 6.0).

It enqueues nothing by itself: call ``run_due.enqueue()`` from whatever your shop schedules with.
Nothing of ours imports this module; on an older Django it cannot be imported.
"""

from __future__ import annotations

from django.tasks import task

from upsell.services import running


@task()
def run_due() -> dict[str, int]:
    """Do what is due and return how many of each. Safe twice, at the same time, or late."""
    return running.run_due()
