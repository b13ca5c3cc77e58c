"""What happens in the other project: run in a process of its own by ``test_other_host``."""

from __future__ import annotations

import io
import logging
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.core.management import call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from tests.other_host.boutique.adapter import Card
from tests.other_host.boutique.middleware import POLICY
from tests.other_host.boutique.models import Item, Order, Person, Visit
from upsell import conf, hooks, snapshots
from upsell.models import (
    Attempt,
    Campaign,
    CampaignRevision,
    ChannelAccess,
    Decision,
    Offer,
    OutboxMessage,
    Refund,
)
from upsell.services import messaging, running

pytestmark = pytest.mark.django_db(transaction=True)

MOUNT = "/store"


class Browser(Client):
    """A browser that checks its forms, and a server that takes its own mount off each path."""

    def __init__(self, **options: Any) -> None:
        options = {"enforce_csrf_checks": True, "headers": {"Accept-Language": "en"}} | options
        super().__init__(SERVER_NAME="boutique.example", **options)

    def generic(self, method: str, path: str, *args: Any, **options: Any) -> Any:
        assert not path.startswith("/") or path.startswith(MOUNT), f"{path} is not ours"
        options["secure"] = True
        options.setdefault("HTTP_REFERER", "https://boutique.example/store/")
        return super().generic(method, path.removeprefix(MOUNT), *args, **options)

    def press(self, page: str, name: str) -> Any:
        """Send the form of a page that posts to an address of this name, as it stands."""
        form = re.search(rf'<form[^>]*action="([^"]*/{name}/)".*?</form>', page, re.DOTALL)
        assert form, f"no form posts to {name}: {page}"
        fields = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', form[0]))
        return self.post(form[1], fields)


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("UPSELL_TEST_LEDGER", str(tmp_path / "ledger.sqlite3"))
    monkeypatch.setattr(Card, "called", [])
    for cache in (snapshots.forget, conf.shop.cache_clear, conf.gateways.cache_clear):
        cache()
    translation.activate("en")


@pytest.fixture
def lamp() -> Item:
    """A lamp, and a bulb that is offered with it."""
    made = Item.objects.create(title="Lamp", price="40.00")
    bulb = Item.objects.create(title="Bulb", price="1200.00")
    # A key past a thousand: this project writes numbers with a separator.
    Campaign.objects.create(id=123_456, slug="bulb", name="bulb", kind="CROSS_SELL")
    hooks.save_campaign(
        slug="bulb",
        kind="CROSS_SELL",
        status="LIVE",
        channels=["boutique"],
        product_ref=str(bulb.pk),
        triggers=[{"kind": "PRODUCT", "ref": str(made.pk)}],
    )
    return made


def buys(browser: Browser, item: Item, **options: str) -> Order:
    browser.post(reverse("buy", args=[item.pk]), options)
    return Order.objects.latest("placed_at")


def thanks(browser: Browser) -> str:
    answer = browser.get(reverse("thanks"))
    assert answer.status_code == 200
    return answer.content.decode()


def outside() -> list[str]:
    """Return what the gateway was asked; it was never inside a transaction."""
    assert [name for name, inside in Card.called if inside] == []
    return [name for name, _inside in Card.called]


# ------------------------------------------------------------------ a buyer


def test_buy_accept_and_undo(lamp):
    browser = Browser()
    order = buys(browser, lamp)
    page = thanks(browser)
    assert 'data-upsell-state="open"' in page
    assert "€1,200.00" in page
    assert "NO SUCH VARIABLE" not in page
    assert f'action="{MOUNT}/en/shop/offers-app/offers/' in page

    answer = browser.press(page, "accept")
    assert answer.status_code == 303
    done = browser.get(answer["Location"]).content.decode()
    order.refresh_from_db()
    assert 'data-upsell-state="accepted"' in done
    assert "NO SUCH VARIABLE" not in done
    assert order.total == 1240
    assert Card().charged(str(order.pk)) == 1200

    undone = browser.press(done, "undo")
    order.refresh_from_db()
    assert 'data-upsell-state="undone"' in browser.get(undone["Location"]).content.decode()
    assert order.total == 40
    assert Card().charged(str(order.pk)) == 0
    assert outside() == ["charge", "refund"]


def test_decline(lamp):
    browser = Browser()
    buys(browser, lamp)

    answer = browser.press(thanks(browser), "decline")

    assert answer.status_code == 303
    assert "data-upsell-offer" not in thanks(browser)
    assert Offer.objects.get().state == "DECLINED"


def test_a_challenge_comes_back_under_the_mount(lamp):
    browser = Browser()
    order = buys(browser, lamp, card="card_challenge")
    answer = browser.press(thanks(browser), "accept")
    asked = browser.get(answer["Location"]).content.decode()
    reference = Card().charges(str(order.pk))[0]["reference"]

    back = Card().back_from(reference)
    Card().answer_challenge(reference, paid=True)
    Card.called.clear()
    page = browser.get(back.removeprefix("https://boutique.example")).content.decode()
    browser.press(page, "return")

    assert f'href="/store/bank/{reference}/"' in asked
    assert back.startswith("https://boutique.example/store/en/shop/offers-app/offers/")
    assert Offer.objects.get().state == "ACCEPTED"
    assert set(outside()) == {"resume"}


def test_an_answer_that_was_lost_is_asked_for_outside_a_transaction(lamp):
    browser = Browser()
    buys(browser, lamp, card="card_hang")
    browser.press(thanks(browser), "accept")

    Attempt.objects.update(next_look_at=timezone.now() - timedelta(minutes=1))
    running.run_due()

    assert "find" in outside()


@pytest.mark.parametrize("way", ["owner", "somebody else", "nobody"])
def test_a_signed_in_person_acts_for_their_own_orders_alone(way, lamp):
    owner, other = (Person.objects.create_user(f"{name}@boutique.example") for name in "ab")
    first = Browser()
    first.force_login(owner)
    buys(first, lamp)
    page = thanks(first)
    second = Browser(enforce_csrf_checks=False)
    if way != "nobody":
        second.force_login(owner if way == "owner" else other)

    answer = second.press(page, "accept")

    assert answer.status_code == (303 if way == "owner" else 403)
    assert Offer.objects.get().state == ("ACCEPTED" if way == "owner" else "SHOWN")
    assert Offer.objects.get().customer_key == f"u:{owner.pk}"


def test_a_page_out_of_a_cache_fetches_the_offer(lamp):
    browser = Browser()
    buys(browser, lamp)
    kept = browser.get(reverse("kept")).content.decode()
    (address,) = re.findall(r'data-upsell-lazy="([^"]+)"', kept)

    found = browser.get(address).content.decode()

    assert address == f"{MOUNT}/en/shop/offers-app/fragment/"
    assert browser.press(found, "accept").status_code == 303


def test_f13_a_form_without_its_secret_leads_back_under_the_mount(lamp):
    browser = Browser()
    buys(browser, lamp)
    (accept,) = re.findall(r'action="([^"]+/accept/)"', thanks(browser))

    answer = browser.post(accept, {"quote": "1"})

    assert answer.status_code == 403
    assert f'href="{accept.removesuffix("accept/")}"' in answer.content.decode()
    assert outside() == []


# ------------------------------------------------------------------ the host's own transaction


@pytest.mark.parametrize(
    "where",
    ["upsell.services.offering.decide", "upsell.services.offering._write_offer",
     "upsell.services.offering.quote_row", "upsell.presenting.offers.copy_for",
     "upsell.queries.look"],
)  # fmt: skip
def test_f3_an_error_of_ours_leaves_the_host_s_transaction_whole(where, lamp, monkeypatch, caplog):
    """The page is whole, what the host wrote before and after is kept, and one line says why."""

    def broken(*args: object, **options: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT missing FROM no_such_table")

    browser = Browser()
    buys(browser, lamp)
    monkeypatch.setattr(where, broken)

    page = thanks(browser)

    assert "<h1>Thank you</h1>" in page
    assert "data-upsell-offer" not in page
    assert sorted(Visit.objects.values_list("when", flat=True)) == ["after", "before"]
    assert Decision.objects.count() == 0
    assert len([row for row in caplog.records if row.levelno >= logging.ERROR]) == 1
    monkeypatch.undo()
    assert "data-upsell-offer" in thanks(browser), "the next look decides"


def test_f3_without_a_savepoint_the_same_error_would_poison_it(lamp):
    """The control, where the database knows poison: PostgreSQL refuses what comes after."""
    order = buys(Browser(), lamp)

    def careless() -> None:
        with transaction.atomic():
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT missing FROM no_such_table")
            except DatabaseError:
                pass
            Visit.objects.create(order=order, when="after")

    if connection.vendor == "postgresql":
        with pytest.raises(DatabaseError):
            careless()
    else:
        careless()
    assert Visit.objects.count() == (0 if connection.vendor == "postgresql" else 1)


@pytest.mark.parametrize("fails", [False, True])
def test_f2_what_the_host_tells_and_takes_back_never_happened(fails, lamp):
    """An order that was cancelled in a request that failed is not cancelled."""
    browser = Browser(raise_request_exception=False)
    order = buys(browser, lamp)
    browser.press(thanks(browser), "accept")
    Card.called.clear()

    browser.post(reverse("cancel"), {"fail": "yes"} if fails else {})

    assert Offer.objects.get().state == ("ACCEPTED" if fails else "REVERSED")
    assert Card().charged(str(order.pk)) == (1200 if fails else 0)
    assert outside() == ([] if fails else ["refund"])
    assert Refund.objects.count() == (0 if fails else 1)


def test_an_error_of_ours_after_the_commit_does_not_reach_the_host(lamp, monkeypatch, caplog):
    """The order is cancelled and committed; the buyer reads that, and one line says what failed."""

    def broken(**arguments: object) -> None:
        raise RuntimeError("on fire")

    browser = Browser()
    buys(browser, lamp)
    monkeypatch.setattr("upsell.services.revoking.order_changed", broken)

    answer = browser.post(reverse("cancel"))

    assert answer.content == b"cancelled"
    assert Order.objects.get().cancelled
    assert len([row for row in caplog.records if row.levelno >= logging.ERROR]) == 1


def test_the_host_may_ask_for_an_offer_inside_its_transaction(lamp):
    order = buys(Browser(), lamp)

    with transaction.atomic():
        page = hooks.offer_for(order_ref=str(order.pk))
        Visit.objects.create(order=order, when="after")

    assert page.offer.order_ref == str(order.pk)
    assert Visit.objects.count() == 1


# ------------------------------------------------------------------ policies, mails, links


class Inline(HTMLParser):
    """What a strict policy would not run or show."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            away = name in {"src", "href", "action"} and not (value or "").startswith(("/", "#"))
            if name.startswith("on") or name == "style" or away:
                self.found.append((tag, name, value))
        if tag in {"style", "base", "iframe", "object"} or (
            tag == "script" and not dict(attrs).get("src")
        ):
            self.found.append(tag)


def test_our_pages_live_under_the_host_s_own_policy(lamp):
    """Whatever they answer: the policy is the host's, and nothing on them needs more than it."""
    browser = Browser()
    buys(browser, lamp)
    page = thanks(browser)
    (accept,) = re.findall(r'action="([^"]+/accept/)"', page)
    offer = accept.removesuffix("accept/")
    answers = [
        browser.get(offer),
        browser.get(f"{offer}return/"),
        browser.get(f"{offer}undo/"),
        browser.get(accept),
        browser.post(accept),
        browser.get(f"{MOUNT}/en/shop/offers-app/offers/no-such/"),
        browser.get(browser.press(page, "accept")["Location"]),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 405, 403, 404, 200]
    for answer in answers:
        assert answer["Content-Security-Policy"] == POLICY
        parser = Inline()
        parser.feed(answer.content.decode())
        assert parser.found == []
    for answer in answers[:5]:
        assert answer["X-Frame-Options"] == "DENY"
        assert "no-store" in answer["Cache-Control"]


def test_the_link_of_a_mail_opens_in_a_language_that_the_shop_has(lamp):
    """The buyer's locale is one it has not: a link below ``/fr/`` would lead nowhere."""
    browser = Browser()
    buys(browser, lamp)
    browser.press(thanks(browser), "accept")

    assert messaging.send_due() == 1

    (sent,) = mail.outbox
    assert sent.from_email == "shop@boutique.example"
    assert "1.200,00" in sent.body
    (link,) = re.findall(r"https://\S+", sent.body)
    assert link.startswith("https://boutique.example/store/de/shop/offers-app/offers/")
    stranger = Browser(headers={"Accept-Language": "de"})
    page = stranger.get(link.removeprefix("https://boutique.example"))
    assert page.status_code == 200
    assert stranger.press(page.content.decode(), "undo").status_code == 303
    assert Offer.objects.get().state == "REVERSED"


@pytest.mark.parametrize("ref", ["abc", "1", "", "0" * 32, "é", "x" * 300])
def test_a_reference_that_is_no_key_of_the_shop_is_no_order(ref, lamp):
    hooks.order_cancelled(order_ref=ref)
    with pytest.raises(Exception, match="no order"):
        hooks.offer_for(order_ref=ref)
    assert OutboxMessage.objects.count() == 0


# ------------------------------------------------------------------ staff


@pytest.fixture
def boss() -> Person:
    person = Person.objects.create_user("boss@boutique.example", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(content_type__app_label="upsell"))
    return person


@pytest.fixture
def office(boss) -> Browser:
    browser = Browser(enforce_csrf_checks=False)
    browser.force_login(boss)
    return browser


def test_staff_of_another_user_model_write_campaigns(office, boss, lamp):
    campaign = Campaign.objects.get()
    lists = {f"{name}-{kind}_FORMS": "0" for name in ("triggers", "exclusions", "copies")
             for kind in ("TOTAL", "INITIAL")}  # fmt: skip
    data = {
        "name": "Bulb", "slug": "bulb", "status": "OFF", "kind": "CROSS_SELL", "match": "ANY",
        "offer_by": "PRODUCT", "product_ref": campaign.product_ref, "channels": ["boutique"],
        "rule": "LIST", "percent": "0", "quantity_rule": "FIXED", "quantity": "1",
        "shipping": "FREE", "documents": "ADD_AND_NOTIFY", "priority": "1000", "weight": "1",
        "default_language": "de", "note": "changed", **lists,
    }  # fmt: skip
    change = reverse("office:upsell_campaign_change", args=[campaign.pk])

    answer = office.post(change, data)

    assert answer.status_code == 302, answer.context["errors"]
    campaign.refresh_from_db()
    assert (campaign.note, campaign.priority) == ("changed", 1000)
    assert CampaignRevision.objects.latest("number").by == boss


def test_every_screen_works_where_the_admin_has_another_name(office, boss, lamp):
    for name in ("changelist", "add", "import", "why", "choices"):
        page = office.get(reverse(f"office:upsell_campaign_{name}"))
        assert page.status_code == 200, name
    for name in ("change", "history", "preview", "delete"):
        address = reverse(f"office:upsell_campaign_{name}", args=[123_456])
        assert office.get(address).status_code == 200, name
    change = office.get(reverse("office:upsell_campaign_change", args=[123_456]))
    preview = reverse("office:upsell_campaign_preview", args=[123_456])
    assert f'href="{preview}"' in change.content.decode()
    assert (
        f'data-ajax--url="{reverse("office:upsell_campaign_choices")}"' in change.content.decode()
    )
    order = buys(Browser(), lamp)
    hooks.offer_for(order_ref=str(order.pk))
    for name in ("offer", "decision", "channelsettings", "channelaccess"):
        assert office.get(reverse(f"office:upsell_{name}_changelist")).status_code == 200
    why = office.get(reverse("office:upsell_campaign_why"), {"order": str(order.pk)})
    assert "verdicts" in why.context
    for asked in ("abc", "1", "\x00", str(order.pk)[:8]):
        answer = office.get(reverse("office:upsell_campaign_why"), {"order": asked})
        assert answer.context["error"]


def test_a_whole_list_of_campaigns_is_withdrawn_by_keys_past_a_thousand(office, lamp):
    browser = Browser()
    buys(browser, lamp)
    thanks(browser)
    data = {"action": "withdraw_outstanding", "_selected_action": [Campaign.objects.get().pk]}
    address = reverse("office:upsell_campaign_changelist")
    asked = office.post(address, data).content.decode()
    fields = dict(re.findall(r'name="(\w+)" value="(\w+)"', asked))

    office.post(address, fields)

    assert Offer.objects.get().state == "REVOKED"


def test_staff_limited_to_a_channel_are_known_by_their_uuid(office, boss, lamp):
    ChannelAccess.objects.create(user=boss, channel="another")

    page = office.get(reverse("office:upsell_campaign_changelist")).content.decode()

    assert ">bulb<" not in page


def test_a_trial_is_for_staff_alone(boss, lamp):
    hooks.save_campaign(slug="bulb", status="STAFF_ONLY")
    guest, staff = Browser(), Browser()
    staff.force_login(boss)
    buys(guest, lamp)
    assert "data-upsell-offer" not in thanks(guest)

    buys(staff, lamp)

    assert "Only staff see this trial" in thanks(staff)


# ------------------------------------------------------------------ the project itself


def test_the_project_has_nothing_to_complain_about():
    """Whatever its settings are, they write no migration into our package."""
    call_command("check", fail_level="WARNING")
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_the_commands_work(lamp):
    browser = Browser()
    order = buys(browser, lamp)
    browser.press(thanks(browser), "accept")
    told = io.StringIO()

    call_command("upsell_run", once=True, stdout=told)
    call_command("upsell_explain", str(order.pk), stdout=told)
    call_command("upsell_audit", stdout=told)
    call_command("upsell_purge", stdout=told)

    assert "bulb" in told.getvalue()
