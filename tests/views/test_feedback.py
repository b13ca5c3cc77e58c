"""The page of a message's question, and a mail as a page: by their links, and by nobody else."""

from __future__ import annotations

import logging
import re

import pytest
from django.core import mail
from django.core.signing import Signer
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from tests.factories import catalogue, order
from tests.services.journeys import END, KEY, T0, D, go, journey, template, way
from tests.services.journeys import message as message_of
from tests.services.journeys import tell as told
from tests.tables import unchanged
from upsell import conf
from upsell.models import EventInbox, GoalHit, JourneyRun, OutboxMessage
from upsell.ports import Contact
from upsell.presenting import journey_letters
from upsell.presenting.message_links import (
    Rated,
    feedback_opened,
    feedback_path,
    view_opened,
    view_path,
)
from upsell.services import events, feedback, templates
from upsell.services.erasing import erase

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
MINE = Rated(customer_key=KEY, order_ref="A1", message="j:1")


@pytest.fixture(autouse=True)
def _addresses(settings):
    settings.UPSELL_BASE_URL = "https://shop.example"


def link(rated: Rated = MINE) -> str:
    return feedback_path(rated)


def answer(score: object, *, browser: Client | None = None, rated: Rated = MINE):
    return (browser or Client()).post(link(rated), {"score": score})


def scores() -> list[int]:
    rows = EventInbox.objects.filter(name="feedback.given").order_by("pk")
    return [row.parameters["score"] for row in rows]


def chosen(page: str) -> list[str]:
    return re.findall(r'value="(\d)" required checked', page)


# ------------------------------------------------------------------ looking


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", [], id="none"),
        pytest.param("?score=4", ["4"], id="as the mail says"),
        pytest.param("?score=0", [], id="below"),
        pytest.param("?score=6", [], id="above"),
        pytest.param("?score=٤", [], id="another script's digit"),
        pytest.param("?score=04", [], id="not as we write it"),
        pytest.param("?score=4&score=5", [], id="two"),
        pytest.param("?score=<script>", [], id="no number"),
    ],
)
def test_looking_chooses_and_changes_nothing(query, expected) -> None:
    """Scanners open every link of a mail: an answer is what somebody sent."""
    browser = Client(enforce_csrf_checks=True)

    with unchanged():
        browser.head(link() + query)
        response = browser.get(link() + query)

    page = response.content.decode()
    assert chosen(page) == expected
    assert not response.cookies
    assert re.findall(r'<input type="radio" name="score" value="(\d)"', page) == list("12345")
    for words in ("1, very poor", "5, very good", "<fieldset><legend>How satisfied are you with"):
        assert words in page
    assert not re.search(r"<script|<style|\son\w+=|\sstyle=|https?://", page)


def test_a_message_about_no_order_asks_about_none() -> None:
    page = Client().get(link(Rated(customer_key=KEY, order_ref="", message="j:2")))

    assert "<legend>How satisfied are you?</legend>" in page.content.decode()


def test_headers_are_those_of_the_other_pages() -> None:
    for response in (Client().get(link()), answer(4), answer("")):
        assert response["Cache-Control"] == "private, no-store"
        assert response["Referrer-Policy"] == "same-origin"
        assert response["X-Robots-Tag"] == "noindex"
        assert response["X-Frame-Options"] == "DENY"
        assert response["Content-Security-Policy"] == "frame-ancestors 'none'"


# ------------------------------------------------------------------ answering


def test_an_answer_needs_no_account_no_cookie_and_no_form() -> None:
    browser = Client(enforce_csrf_checks=True, headers={"Origin": "null"})

    response = answer(4, browser=browser)

    page = response.content.decode()
    row = EventInbox.objects.get()
    assert response.status_code == 200
    assert not response.cookies
    assert "Thank you for your answer" in page
    assert "You said: 4, good." in page
    assert (row.name, row.source, row.customer_key, row.order_ref) == (
        "feedback.given", "OURS", KEY, "A1",
    )  # fmt: skip
    assert row.parameters == {"order_ref": "A1", "kind": "journey", "score": 4}
    assert row.processed_at is None, "no journey is known: due work looks whether one is"


@pytest.mark.parametrize(
    ("presses", "kept"),
    [
        pytest.param([4, 4], [4], id="twice"),
        pytest.param([5, 1], [1], id="changed"),
        pytest.param([4, 5, 4], [4], id="and back"),
    ],
)
def test_one_answer_a_message_and_the_last_is_kept(presses, kept) -> None:
    for score in presses:
        answer(score)

    assert scores() == kept
    assert chosen(Client().get(link()).content.decode()) == [str(kept[0])]


def test_each_message_has_an_answer_of_its_own() -> None:
    answer(4)
    answer(2, rated=Rated(customer_key=KEY, order_ref="A1", message="j:2"))

    assert scores() == [4, 2]


@pytest.mark.parametrize("body", ["", "score=", "score=6", "score=4.0", "score=4&score=5"])
def test_what_is_no_answer_is_asked_again(body) -> None:
    with unchanged():
        response = Client().post(link(), body, content_type=FORM)

    assert response.status_code == 400
    assert re.search(r'role="alert">Please choose one of the five', response.content.decode())


@pytest.mark.django_db(transaction=True)
def test_nobody_is_thanked_for_what_was_not_kept(monkeypatch, caplog) -> None:
    def broken(*args, **options):
        raise OperationalError("down")

    monkeypatch.setattr(events.EventInbox, "save", broken)
    with caplog.at_level(logging.CRITICAL):
        response = answer(4)

    assert response.status_code == 503
    assert scores() == []


def test_a_score_is_one_of_five() -> None:
    with pytest.raises(ValueError, match="from 1 to 5"):
        feedback.give(MINE, score=6, now=T0)


# ------------------------------------------------------------------ links


def test_a_link_says_whose_it_is_under_an_old_key_too(settings) -> None:
    path = link()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"

    token = path.rstrip("/").rpartition("/")[2]
    assert feedback_opened(token) == MINE
    settings.SECRET_KEY_FALLBACKS = []
    assert feedback_opened(token) is None
    assert Client().get(path).status_code == 404


def test_a_link_of_one_page_never_opens_another() -> None:
    rating = link().rstrip("/").rpartition("/")[2]
    view = view_path("j:1").rstrip("/").rpartition("/")[2]

    assert feedback_opened(view) is None
    assert view_opened(rating) is None
    assert view_opened(view) == "j:1"
    for name, token in (("unsubscribe", rating), ("preferences", view), ("feedback", view)):
        assert Client().get(reverse(f"upsell:{name}", args=[token])).status_code == 404


@pytest.mark.parametrize("told_", [{"a": 1}, ["one"], "text", 7, [1, 2, 3, 4]])
def test_a_token_of_another_shape_opens_nothing(told_) -> None:
    token = Signer(salt="upsell.feedback").sign_object(told_)

    assert feedback_opened(token) is None


# ------------------------------------------------------------------ a journey that asks

ASKS = {
    "mail": {
        "type": "send", "medium": "email", "template": "ask",
        "to": {"sent": "wait", "skipped": "end", "failed": "end"},
    },
    "wait": {
        "type": "wait_for_event", "event": "feedback.given", "timeout": "P10D",
        "match_starter": ["order_ref"], "to": {"matched": "end", "timeout": "end"},
    },
    "end": END,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch) -> OutboxMessage:
    """A buyer who got a mail that asks, with the journey waiting for the answer."""
    contact = Contact(address="ann@example.org", first_name="Ann", locale="en")
    monkeypatch.setattr(conf.shop(), "contact", lambda who, medium: contact)
    placed = order(catalogue(), ("DT", 1))
    row = template("ask", text="Hello {subject.first_name|there}")
    row.content["en"]["blocks"] += [
        {"kind": "rating", "text": "How was it?", "link": "links.rating"},
        {"kind": "button", "label": "Your order {order.number}", "link": "links.order"},
    ]
    row.save()
    templates.publish(row, user=None, now=T0)
    journey(dict(ASKS), goals=[{"id": "rated", "event": "feedback.given", "within": "P5D"}])
    told(order_ref=str(placed.pk))
    go(T0)
    return message_of(JourneyRun.objects.get())


def in_mail(name: str) -> str:
    """Return the path of a link as the mail has it."""
    (row,) = OutboxMessage.objects.all()
    return journey_letters.links_of(row, row.run)[name].removeprefix("https://shop.example")


def test_a_mail_asks_and_the_journey_hears_the_first_answer(asked, monkeypatch) -> None:
    monkeypatch.setattr("upsell.clock.database_now", lambda: T0 + D)
    path = in_mail("links.rating")
    assert path == link(Rated(customer_key=KEY, order_ref=asked.run.order_ref, message=asked.key))

    for score in (2, 5):
        assert Client().post(path, {"score": score}).status_code == 200
    go(T0 + D)

    run = JourneyRun.objects.get()
    assert way(run) == "mail:sent wait:matched"
    assert scores() == [5]
    hit = GoalHit.objects.get()
    assert (hit.goal, hit.message, hit.at) == ("rated", asked, T0 + D)


def test_a_buyer_who_was_erased_is_asked_nothing_more(asked) -> None:
    rating, view = in_mail("links.rating"), in_mail("links.view_online")
    answer(4, rated=feedback_opened(rating.rstrip("/").rpartition("/")[2]))
    erase(customer_keys=[KEY])

    with unchanged():
        for path in (rating, view):
            assert Client().get(path).status_code == 404
        assert Client().post(rating, {"score": 5}).status_code == 404
    # Nor once the message is deleted with its run.
    JourneyRun.objects.all().delete()
    assert Client().get(rating).status_code == 404


def test_a_link_works_on_when_the_message_is_gone() -> None:
    assert Client().get(link()).status_code == 200


# ------------------------------------------------------------------ the mail as a page


def test_a_mail_is_shown_as_it_was_sent(asked) -> None:
    (letter,) = mail.outbox
    html = letter.alternatives[0].content
    with unchanged():
        response = Client().get(in_mail("links.view_online"))

    assert response.content.decode() == html
    assert "Hello Ann" in html
    assert in_mail("links.view_online") in html
    policy = response["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert response["X-Robots-Tag"] == "noindex"
    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("values", "status"),
    [
        pytest.param({"state": "UNKNOWN"}, 200, id="perhaps sent"),
        pytest.param({"state": "SENDING"}, 404, id="on its way"),
        pytest.param({"state": "PENDING"}, 404, id="not yet"),
        pytest.param({"state": "SKIPPED"}, 404, id="never"),
        pytest.param({"state": "DRY_RUN"}, 404, id="for show"),
        pytest.param({"medium": "sms"}, 404, id="no mail"),
        pytest.param({"customer_key": ""}, 404, id="erased"),
        pytest.param({"variables": {}}, 404, id="what it says is gone"),
    ],
)
def test_only_what_went_out_is_shown(asked, values, status) -> None:
    path = view_path(asked.key)
    OutboxMessage.objects.update(**values)
    if "variables" in values:
        asked.template.content["en"]["blocks"][0]["text"] = "{order.number}"
        type(asked.template).objects.filter(pk=asked.template_id).update(
            content=asked.template.content
        )

    assert Client().get(path).status_code == status


def test_a_shop_that_cannot_be_asked_is_asked_again_later(asked, monkeypatch, caplog) -> None:
    def broken(who, medium):
        raise RuntimeError("down")

    path = view_path(asked.key)
    monkeypatch.setattr(conf.shop(), "contact", broken)
    with caplog.at_level(logging.CRITICAL):
        response = Client().get(path)

    assert (response.status_code, response["Retry-After"]) == (503, "10")


def test_a_text_message_has_no_page(asked) -> None:
    asked.medium = "sms"

    links = journey_letters.links_of(asked, asked.run)

    assert "links.view_online" not in links
    assert "links.rating" in links
