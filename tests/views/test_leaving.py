"""Leaving, and choosing what to get: by a link that a mail carries, and by nobody else (T28)."""

from __future__ import annotations

import logging
import random
import re
import uuid
from typing import Any

import django
import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMultiAlternatives
from django.db import DatabaseError, OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests.letters import T0, message, run
from tests.tables import changes, dump, unchanged
from upsell import conf
from upsell.media.mail import Mail
from upsell.models import Consent, JourneyRun, Listener, OutboxMessage, Suppression
from upsell.models.tokens import make_token
from upsell.ports import Agreed, Contact
from upsell.presenting.preferences import (
    PREFERENCES,
    UNSUBSCRIBE,
    Link,
    list_headers,
    made,
    opened,
    path_of,
    preferences_url,
    unsubscribe_url,
)
from upsell.services import consenting, leaving, linking

pytestmark = pytest.mark.django_db

BASE = "https://shop.example"
GUEST = "e:" + "0123456789abcdef" * 4
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def key(ann) -> str:
    return f"u:{ann.pk}"


@pytest.fixture
def reached(monkeypatch) -> None:
    """A shop that has an address and a number of everybody, and asked nobody."""
    has = {"email": Contact(address="ann@example.org"), "sms": Contact(address="+491701234567")}
    monkeypatch.setattr(conf.shop(), "contact", lambda who, medium: has.get(medium))


def link(key: str, what: str = UNSUBSCRIBE, medium: str = "email") -> str:
    return path_of(what, Link(customer_key=key, medium=medium, purpose="marketing"))


def agreed(key: str, *media: str) -> None:
    for medium in media or ("email",):
        consenting.grant(customer_key=key, medium=medium, source="checkout", now=T0)


def states(model: type[Any]) -> list[str]:
    return list(model.objects.order_by("pk").values_list("state", flat=True))


# ------------------------------------------------------------------ leaving


def test_a_scanner_that_opens_the_link_changes_nothing(key) -> None:
    agreed(key)
    message(run(key))
    browser = Client(enforce_csrf_checks=True)

    with unchanged():
        for ask in (browser.get, browser.head, browser.options, browser.put, browser.delete):
            answer = ask(link(key))
            assert answer.status_code in {200, 405}
            assert not answer.cookies
    page = browser.get(link(key)).content.decode()
    assert re.search(r'<form method="post"><button class="upsell-yes" type="submit">', page)


BODIES = [
    pytest.param("", id="the button"),
    pytest.param(ONE_CLICK, id="RFC 8058"),
    pytest.param("List-Unsubscribe=Other&next=https://evil.example", id="anything else"),
]


@pytest.mark.parametrize("body", BODIES)
def test_a_post_needs_no_account_no_cookie_and_no_form(body, key) -> None:
    """A mail program sends it from a server of its own, with an origin of its own."""
    agreed(key)
    letter = message(run(key))
    browser = Client(enforce_csrf_checks=True, headers={"Origin": "https://mail.example"})

    answers = [browser.post(link(key), body, content_type=FORM) for _ in range(2)]

    for answer in answers:
        assert answer.status_code == 200  # no redirect
        assert not answer.cookies  # nobody is signed in by it
        assert answer["Cache-Control"] == "private, no-store"
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["X-Robots-Tag"] == "noindex"
    consent = Consent.objects.get()
    assert consent.withdrawn_at is not None
    assert consent.withdrawn_by == ("one_click" if body == ONE_CLICK else "link")
    letter.refresh_from_db()
    assert (letter.state, letter.reason) == ("CANCELLED", "exit:unsubscribed")
    ended = JourneyRun.objects.get()
    assert (ended.state, ended.end_reason, ended.active_key, ended.lease_token) == (
        "EXITED", "exit:unsubscribed", None, "",
    )  # fmt: skip
    assert ended.ended_at is not None


def test_rfc_8058_a_body_with_boundaries_is_read_too(key) -> None:
    """Mail programs send it as multipart/form-data or as application/x-www-form-urlencoded."""
    answer = Client().post(link(key), {"List-Unsubscribe": "One-Click"})

    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain")
    assert Consent.objects.get().withdrawn_by == "one_click"


def test_twice_is_the_same_as_once(key) -> None:
    agreed(key)
    message(run(key))
    Client().post(link(key))
    before = dump("upsell_")

    Client().post(link(key))

    assert changes(before, dump("upsell_")) == {}


WAITING = [
    pytest.param({"state": "PENDING"}, "CANCELLED", id="it waits"),
    pytest.param({"state": "PENDING", "lease_until": T0}, "CANCELLED", id="claimed, not yet sent"),
    pytest.param({"state": "SENDING"}, "SENDING", id="on the line"),
    pytest.param({"state": "SENT"}, "SENT", id="sent"),
    pytest.param({"category": "transactional"}, "PENDING", id="transactional"),
    pytest.param({"customer_key": "u:bob"}, "PENDING", id="of somebody else"),
    pytest.param({"medium": "sms"}, "CANCELLED", id="by another medium: the journeys end"),
]


@pytest.mark.parametrize(("options", "after"), WAITING)
def test_what_waits_is_not_sent(options, after, key) -> None:
    letter = message(**{"customer_key": key} | options)

    Client().post(link(key))

    letter.refresh_from_db()
    assert letter.state == after


def test_between_the_claim_and_the_connection_the_no_is_heard(key) -> None:
    """The sender claims, looks, and only then says SENDING, of a row that is still PENDING."""
    letter = message(run(key), lease_until=T0)
    Client().post(link(key))

    may_go_on = OutboxMessage.objects.filter(pk=letter.pk, state="PENDING").update(state="SENDING")

    assert may_go_on == 0


RUNS = [
    pytest.param({}, "EXITED", id="it waits"),
    pytest.param({"state": "RUNNING", "lease_token": "x"}, "EXITED", id="it is being moved"),
    pytest.param({"state": "STUCK"}, "EXITED", id="it is stuck"),
    pytest.param({"category": "transactional", "slug": "notice"}, "WAITING", id="transactional"),
    pytest.param({"customer_key": "u:bob"}, "WAITING", id="of somebody else"),
    pytest.param({"state": "COMPLETED", "ended_at": T0}, "COMPLETED", id="over already"),
]


@pytest.mark.parametrize(("options", "after"), RUNS)
def test_marketing_journeys_end(options, after, key) -> None:
    theirs = run(**{"customer_key": key, "active_key": "x"} | options)

    Client().post(link(key))

    theirs.refresh_from_db()
    assert theirs.state == after
    listens = set(Listener.objects.values_list("purpose", flat=True))
    assert listens == ({"GOAL"} if after == "EXITED" else {"EXIT", "WAKE", "GOAL"})
    assert (theirs.lease_token, theirs.active_key) == ("", None if after == "EXITED" else "x")


def test_every_key_of_the_buyer_leaves(key) -> None:
    linking.link(old=GUEST, new=key, now=T0)
    run(key)
    run(GUEST)

    Client().post(link(GUEST))

    assert states(JourneyRun) == ["EXITED", "EXITED"]


def test_all_or_nothing(key, monkeypatch) -> None:
    """A database that gives up in the middle leaves nothing half done, and is asked again."""
    agreed(key)
    message(run(key))

    def broken(*args: Any, **options: Any) -> int:
        raise DatabaseError("gave up")

    monkeypatch.setattr(leaving, "leave", broken)
    with unchanged(), pytest.raises(DatabaseError):
        Client().post(link(key))


def test_a_database_that_is_down_asks_the_provider_to_come_again(key, monkeypatch) -> None:
    def down(**options: Any) -> bool:
        raise OperationalError("no connection")

    monkeypatch.setattr(leaving, "unsubscribe", down)

    answer = Client().post(link(key), ONE_CLICK, content_type=FORM)

    assert (answer.status_code, answer["Retry-After"]) == (503, "10")


@pytest.mark.parametrize("medium", ["email", "sms", "onsite", "push", "*", "pigeon"])
def test_the_page_says_what_of(medium, key) -> None:
    answer = Client().get(link(key, medium=medium))

    assert answer.status_code == 200
    assert 'href="/upsell/preferences/' in answer.content.decode()


# ------------------------------------------------------------------ links


def forged(key: str) -> list[str]:
    right = made(UNSUBSCRIBE, Link(customer_key=key, medium="email", purpose="marketing"))
    body, _colon, signature = right.rpartition(":")
    other = made(UNSUBSCRIBE, Link(customer_key="u:bob", medium="email", purpose="marketing"))
    chance = random.Random(7)
    bent = [right[:at] + chance.choice("AZaz09_-") + right[at + 1 :] for at in range(len(right))]
    return [
        key, body, signature, f"{body}:", f":{signature}", f"{body}:{other.rpartition(':')[2]}",
        right[:-1], right[1:], right + "A", right[::-1], right.upper(), other[::-1],
        made(PREFERENCES, Link(customer_key=key, medium="email", purpose="marketing")),
        made("offer", Link(customer_key=key, medium="email", purpose="marketing")),
        made("", Link(customer_key=key, medium="email", purpose="marketing")),
        make_token("unsubscribe", uuid.UUID(int=1), 1),
        *(text for text in bent if text != right),
        "A" * 43, "A" * 5000, "💩", "%00", "..", "a:b:c", "W10:x",
    ]  # fmt: skip


def test_t28_nobody_unsubscribes_others_by_a_link_of_their_own(key) -> None:
    agreed(key)
    message(run(key))

    with unchanged():
        for token in forged(key):
            assert opened(UNSUBSCRIBE, token) is None, token
        for token in [*forged(key)[:20], "A" * 43]:
            for name in ("unsubscribe", "preferences"):
                if name == "preferences" and opened(PREFERENCES, token):
                    continue
                path = reverse(f"upsell:{name}", args=[token.replace("/", "_") or "x"])
                answers = [Client().post(path), Client().get(path)]
                assert [answer.status_code for answer in answers] == [404, 404]


def test_t28_a_token_is_good_for_one_thing(key) -> None:
    told = Link(customer_key=key, medium="email", purpose="marketing")

    assert opened(UNSUBSCRIBE, made(UNSUBSCRIBE, told)) == told
    assert opened(PREFERENCES, made(PREFERENCES, told)) == told
    assert opened(UNSUBSCRIBE, made(PREFERENCES, told)) is None
    assert opened(PREFERENCES, made(UNSUBSCRIBE, told)) is None


def test_every_key_that_is_kept_verifies_and_no_other(key, settings) -> None:
    old = link(key)
    settings.SECRET_KEY, kept = "the new one", settings.SECRET_KEY

    assert Client().get(old).status_code == 404
    settings.SECRET_KEY_FALLBACKS = ["another", kept]
    assert Client().get(old).status_code == 200
    assert Client().post(old).status_code == 200
    assert link(key) != old
    settings.SECRET_KEY_FALLBACKS = []
    assert Client().get(link(key)).status_code == 200


def test_it_never_expires(key) -> None:
    """No time is in it: the same buyer has the same link for ever."""
    assert link(key) == link(key)


@pytest.mark.parametrize("what", [UNSUBSCRIBE, PREFERENCES])
def test_no_token_in_a_log(what, key, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    path = link(key, what)
    token = path.rstrip("/").rpartition("/")[2]

    for browser in (Client(), Client(enforce_csrf_checks=True)):
        browser.get(path)
        browser.post(path)
        browser.delete(path)
        browser.get(path[:-2] + "/")

    assert token[:-1] not in caplog.text
    assert token not in str(dump("upsell_"))


# ------------------------------------------------------------------ headers


def test_j63_what_a_marketing_mail_carries(key) -> None:
    headers = list_headers(key, "email", "marketing", BASE)

    assert headers == {
        "List-Unsubscribe": f"<{unsubscribe_url(key, 'email', 'marketing', BASE)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    path = headers["List-Unsubscribe"].strip("<>").removeprefix(BASE)
    assert Client().post(path, ONE_CLICK, content_type=FORM).status_code == 200
    assert Consent.objects.get().customer_key == key


def test_a_mail_address_comes_second() -> None:
    headers = list_headers(GUEST, "email", "marketing", f"{BASE}/", mailto="leave@shop.example")

    link, by_mail = headers["List-Unsubscribe"].split(", ")
    assert link.startswith(f"<{BASE}/upsell/unsubscribe/")
    assert by_mail == "<mailto:leave@shop.example?subject=unsubscribe>"


def test_one_click_is_for_https() -> None:
    assert list(list_headers(GUEST, "email", "marketing", "http://127.0.0.1:8000")) == [
        "List-Unsubscribe"
    ]


@pytest.mark.parametrize("made_by", [Mail, EmailMultiAlternatives])
def test_the_link_stays_whole_in_the_mail(made_by) -> None:
    """Django 6 writes a long word of a header as encoded words, which no mail program opens."""
    if django.VERSION >= (6, 0) and made_by is EmailMultiAlternatives:
        pytest.skip("that is what Mail is for")
    headers = list_headers(GUEST, "email", "marketing", BASE, mailto="leave@shop.example")

    sent = made_by("s", "b", "a@shop.example", ["ann@example.org"], headers=headers)
    written = sent.message().as_bytes().decode().replace("\r\n", "\n").replace("\n ", " ")

    told = re.search(r"^List-Unsubscribe:\s*(.*)$", written, re.MULTILINE)[1]
    assert told == headers["List-Unsubscribe"]
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in written
    assert max(map(len, sent.message().as_bytes().splitlines())) < 998


# ------------------------------------------------------------------ choosing


def signed_in(user: User | None, **options: Any) -> Client:
    browser = Client(**options)
    if user is not None:
        browser.force_login(user)
    return browser


def boxes(page: str) -> dict[str, str]:
    """Return what each box says: on, off, or off for good as far as this page goes."""
    found = re.findall(r'name="medium" value="(\w+)"( checked)?( disabled)?', page)
    return {name: "on" if on else "shut" if shut else "off" for name, on, shut in found}


def chosen(key: str, *media: str, user: User | None = None, medium: str = "email") -> str:
    path = link(key, PREFERENCES, medium)
    answer = signed_in(user).post(path, {"medium": list(media)})
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_says_what_the_buyer_gets(key, reached) -> None:
    agreed(key, "email")

    page = Client().get(link(key, PREFERENCES)).content.decode()

    assert boxes(page) == {"email": "on", "sms": "shut"}
    assert "To turn it on, sign in first." in page


def test_looking_changes_nothing(key, reached, monkeypatch) -> None:
    """Not even the note of a consent that the shop tells of."""
    monkeypatch.setattr(conf.shop(), "consent", lambda who, medium, purpose: Agreed.GRANTED)

    with unchanged():
        page = Client().get(link(key, PREFERENCES)).content.decode()

    assert boxes(page) == {"email": "on", "sms": "on"}


def test_one_is_turned_off_and_the_journeys_go_on_by_the_other(key, reached) -> None:
    agreed(key, "email", "sms")
    message(run(key), medium="sms")

    page = chosen(key, "sms")

    assert boxes(page) == {"email": "shut", "sms": "on"}
    assert "Your choices are saved." in page
    assert states(JourneyRun) == ["WAITING"]
    assert states(OutboxMessage) == ["PENDING"]
    row = Consent.objects.get(medium="email")
    assert (row.withdrawn_by, row.withdrawn_at is not None) == ("preferences", True)


def test_all_are_turned_off_and_the_journeys_end(key, reached) -> None:
    agreed(key, "email", "sms")
    message(run(key))

    for _twice in range(2):
        page = chosen(key)

        assert boxes(page) == {"email": "shut", "sms": "shut"}
        assert '<button class="upsell-yes"' not in page
    assert states(JourneyRun) == ["EXITED"]
    assert states(OutboxMessage) == ["CANCELLED"]


def test_t28_a_link_resubscribes_nobody(key, reached) -> None:
    agreed(key, "email")
    Client().post(link(key))

    for user in (None, User.objects.create_user("bob")):
        assert boxes(chosen(key, "email", "sms", user=user)) == {"email": "shut", "sms": "shut"}
    assert not Consent.objects.filter(withdrawn_at=None).exists()


def test_who_is_signed_in_agrees_anew(key, ann, reached) -> None:
    Client().post(link(key))
    browser = signed_in(ann)
    assert boxes(browser.get(link(key, PREFERENCES)).content.decode()) == {
        "email": "off",
        "sms": "off",
    }

    page = chosen(key, "email", user=ann)

    assert boxes(page) == {"email": "on", "sms": "off"}
    row = Consent.objects.get(medium="email")
    assert (row.basis, row.source, row.withdrawn_at) == ("explicit", "preferences", None)
    assert row.text_version == "Offers and news that fit your orders, by e-mail"


def test_the_account_s_owner_agrees_for_the_guest_they_were(key, ann, reached) -> None:
    linking.link(old=GUEST, new=key, now=T0)

    assert boxes(chosen(GUEST, "email", user=ann))["email"] == "on"


def test_a_no_in_the_account_is_changed_there(key, ann, reached, monkeypatch) -> None:
    monkeypatch.setattr(conf.shop(), "consent", lambda who, medium, purpose: Agreed.REFUSED)

    page = chosen(key, "email", "sms", user=ann)

    assert boxes(page) == {"email": "shut", "sms": "shut"}
    assert page.count("You said no to this in your account.") == 2
    assert not Consent.objects.exists()


@pytest.mark.parametrize("told", [["pigeon"], ["email", "email"], ["*"], ["<script>"], ["\x00"]])
def test_what_was_not_offered_is_not_taken(told, key, ann, reached) -> None:
    chosen(key, *told, user=ann)

    assert set(Consent.objects.values_list("medium", flat=True)) <= {"email"}


def test_a_form_that_is_not_ours_changes_nothing(key, ann, reached) -> None:
    """T9: another site cannot make a signed-in buyer agree."""
    browser = signed_in(ann, enforce_csrf_checks=True, headers={"Origin": "https://evil.example"})

    with unchanged():
        answer = browser.post(link(key, PREFERENCES), {"medium": ["email"]})

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "Back to your choices" in page
    assert f'href="{link(key, PREFERENCES)}"' in page


def test_the_form_itself_works_with_the_check(key, reached) -> None:
    agreed(key, "email")
    browser, path = Client(enforce_csrf_checks=True), link(key, PREFERENCES)
    page = browser.get(path).content.decode()
    field = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]

    assert browser.post(path, {"csrfmiddlewaretoken": field}).status_code == 200
    assert Consent.objects.get().withdrawn_at is not None


def test_the_medium_of_the_link_is_there_without_an_address(key) -> None:
    """Of a guest the shop may know nothing any more; they can leave all the same."""
    agreed(GUEST, "sms")

    page = chosen(GUEST, medium="sms")

    assert boxes(page) == {"sms": "shut"}


def test_a_shop_that_cannot_say_breaks_no_page(key, monkeypatch) -> None:
    def broken(who, medium):
        raise RuntimeError("the shop is closed")

    monkeypatch.setattr(conf.shop(), "contact", broken)

    assert boxes(Client().get(link(key, PREFERENCES)).content.decode()) == {"email": "shut"}


def test_after_a_complaint_the_page_says_off(key, reached) -> None:
    agreed(key, "email")
    Suppression.objects.create(
        medium="email",
        address_hash=consenting.suppressing.address_hashes("email", "ann@example.org")[0],
        reason="complained",
        at=T0,
    )

    assert boxes(Client().get(link(key, PREFERENCES)).content.decode())["email"] == "shut"


@pytest.mark.parametrize("what", [UNSUBSCRIBE, PREFERENCES])
def test_nothing_on_the_page_is_inline(what, key, reached) -> None:
    """A strict content policy lets it pass: no script, no style, nothing of a third party."""
    page = Client().get(link(key, what)).content.decode()

    assert not re.search(r"<script|<style|\son\w+=|\sstyle=|https?://", page)


def test_base_addresses_are_configured_ones() -> None:
    assert preferences_url(GUEST, "email", "marketing", BASE).startswith(f"{BASE}/upsell/pref")
    with translation.override("de"):
        assert unsubscribe_url(GUEST, "email", "marketing", BASE).startswith(f"{BASE}/upsell/uns")
