"""A Celery application as a host has one, on the broker that the test names."""

from __future__ import annotations

import os

import django
from celery import Celery
from django.conf import settings

from tests.flow.mailing import mails_over
from upsell.celery import BEAT_SCHEDULE

django.setup()
if "UPSELL_TEST_MAILS" in os.environ:
    settings.UPSELL_BASE_URL = "https://shop.example"
    for name, value in mails_over(int(os.environ["UPSELL_TEST_MAILS"])).items():
        setattr(settings, name, value)

app = Celery("tests", broker=os.environ["UPSELL_TEST_BROKER"])
app.conf.beat_schedule = {**BEAT_SCHEDULE}
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = os.environ["UPSELL_TEST_QUEUE"]
app.autodiscover_tasks(["upsell"], force=True)
