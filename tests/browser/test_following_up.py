"""Emily books a flight and leaves the offer unanswered: the whole story, mailbox included."""

from __future__ import annotations

from datetime import datetime, timedelta

import django
import pytest
from django.utils import timezone

from upsell import hooks
from upsell.models import Consent, JourneyRun, MessageEvent, Offer, OutboxMessage
from upsell.presenting.clicks import by_way_of_us
from upsell.services import journey_hearing, journey_running, journey_sending, order_facts

SECONDS = timedelta(seconds=1)
"""A day is a minute: three hours are seven and a half seconds."""


@pytest.fixture
def post(settings, tmp_path, server):
    """Mails are files, which the mailbox shows."""
    backend = "django.core.mail.backends.filebased.EmailBackend"
    settings.MAIL_FOLDER = tmp_path
    settings.UPSELL_BASE_URL = server.url
    if django.VERSION >= (6, 1):
        options = {"file_path": tmp_path}
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
    else:
        settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = backend, str(tmp_path)


@pytest.fixture
def emily(post, shopper):
    hooks.start_journey("flight", channels=["wayfare"], testers=["*"], compressed=True)

    def books(**options):
        one = shopper(**options)
        one.buys("ber", email="emily@example.org", wants_mail="on")
        one.thanks()
        assert one.offer.count() == 1
        return one

    return books


def passes(at: datetime) -> None:
    """Do what is due at a time."""
    order_facts.sweep_due()
    journey_hearing.work(now=at)
    for _round in range(4):
        journey_running.advance_due(now=at)
        journey_sending.send_due(now=at)


def newest(one):
    """Open the mailbox, and return the newest letter as a mail program shows it."""
    one.opens("/mailbox/")
    return one.page.frame_locator("iframe.letter").first


def sent() -> list[str]:
    rows = OutboxMessage.objects.filter(kind="JOURNEY", state="SENT").order_by("pk")
    return list(rows.values_list("step", flat=True))


def clicks() -> list[str]:
    return list(MessageEvent.objects.filter(kind="clicked").values_list("message__step", flat=True))


@pytest.mark.parametrize("agreed", [True, False])
def test_the_page_of_a_product_says_which_mail_led_there(emily, server, agreed):
    one = emily()
    now = timezone.now()
    passes(now)
    passes(now + 8 * SECONDS)
    page = f"/product/{one.products['soft'].pk}/"
    link = by_way_of_us(OutboxMessage.objects.get(step="mail_1").key, f"{server.url}{page}?a=1#b")
    if agreed:
        one.opens("/terms/")
        one.presses("Allow it")
        one.page.get_by_role("button", name="No longer").wait_for()

    with one.page.expect_response("**/upsell/track/"):
        one.opens(link)
    with one.page.expect_response("**/upsell/track/"):
        one.page.reload()

    assert one.page.url == f"{server.url}{page}?a=1#b", "the mark is gone once it was said"
    assert clicks() == ["mail_1"] * agreed


def test_one_mail_one_click_and_no_reminder(emily):
    one = emily()
    before = one.total
    now = timezone.now()
    passes(now)
    passes(now + 8 * SECONDS)
    assert sent() == ["mail_1"]

    link = newest(one).get_by_role("link").filter(has_text="Look").first
    one.opens(link.get_attribute("href"))
    one.accepts()
    one.page.get_by_role("heading", name="is in your order").wait_for()
    assert Offer.objects.get().state == "ACCEPTED"
    assert one.total > before
    assert clicks() == ["mail_1"]

    passes(now + 200 * SECONDS)
    assert sent() == ["mail_1"]
    assert JourneyRun.objects.get().state in {"COMPLETED", "EXITED"}


def test_who_does_not_answer_is_reminded_once_and_may_leave(emily):
    one = emily(width=390, height=844)
    now = timezone.now()
    passes(now)
    passes(now + 8 * SECONDS)
    passes(now + 69 * SECONDS)
    assert sent() == ["mail_1", "mail_2"]

    link = newest(one).get_by_role("link", name="Unsubscribe").first
    one.opens(link.get_attribute("href"))
    assert not Consent.objects.filter(withdrawn_at__isnull=False).exists(), "a look changes nothing"
    one.page.locator("form button").first.click()
    one.page.wait_for_load_state()

    assert Consent.objects.filter(withdrawn_at__isnull=False).exists()
    passes(now + 300 * SECONDS)
    assert sent() == ["mail_1", "mail_2"]


def test_who_leaves_after_the_first_mail_gets_no_second(emily):
    one = emily(scheme="dark")
    now = timezone.now()
    passes(now)
    passes(now + 8 * SECONDS)

    link = newest(one).get_by_role("link", name="Unsubscribe").first
    one.opens(link.get_attribute("href"))
    one.page.locator("form button").first.click()
    one.page.wait_for_load_state()

    passes(now + 69 * SECONDS)
    assert sent() == ["mail_1"]
    assert JourneyRun.objects.get().end_reason == "exit:unsubscribed"
