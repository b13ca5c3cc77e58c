"""A Celery application as a host has one, on the broker that the test names."""

from __future__ import annotations

import os

import django
from celery import Celery

from upsell.celery import BEAT_SCHEDULE

django.setup()

app = Celery("tests", broker=os.environ["UPSELL_TEST_BROKER"])
app.conf.beat_schedule = {**BEAT_SCHEDULE}
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = os.environ["UPSELL_TEST_QUEUE"]
app.autodiscover_tasks(["upsell"], force=True)
