"""What is held of a person, for how long, and how it goes (P3, I24, I25, section 13)."""

from __future__ import annotations

import io
import json
import logging
from datetime import timedelta
from unittest import mock

import pytest
from django.apps import apps
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.utils import timezone

from example_shop.models import Order
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from upsell.exceptions import OfferNotAcceptable
from upsell.models import Decision, Offer, OfferEvent, OutboxMessage
from upsell.models.tokens import offer_token, undo_token
from upsell.services import auditing, erasing, messaging, undoing
from upsell.services.purging import purge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

CANARY = {
    "email": "canary.bird@example.org",
    "name": "Kanarienvogel Quittengelb",
    "street": "Zitronengasse 77",
}
OURS = [
    model
    for model in apps.get_models()
    if model._meta.app_label == "upsell" and not model._meta.proxy  # which has no rows of its own
]


@pytest.fixture
def placed() -> Order:
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    return order(products, **CANARY)


def dump() -> str:
    """Every column of every table of ours, as text."""
    rows = []
    for model in OURS:
        table = connection.ops.quote_name(model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")  # noqa: S608 - the name is the model's
            rows += [repr(row) for row in cursor.fetchall()]
    return "\n".join(rows)


def a_whole_life(placed: Order) -> Offer:
    """Shown, accepted, told, undone, told again."""
    offer = accept(offered(placed), return_url="https://shop.example/back/")
    messaging.send_due()
    undoing.undo(token=undo_token(offer), trusted=False)
    messaging.send_due()
    return offer


def test_p3_and_i24_no_table_and_no_log_holds_a_person_or_a_token(placed, caplog):
    caplog.set_level(logging.DEBUG)
    offer = a_whole_life(placed)

    held = dump()

    secrets = [*CANARY.values(), offer_token(offer), undo_token(offer)]
    assert len(mail.outbox) == 2
    assert [secret for secret in secrets if secret in held] == []
    assert [secret for secret in secrets if secret in caplog.text] == []


def test_p3_a_challenge_leaves_no_token_behind(placed):
    Order.objects.update(card="card_challenge")
    offer = offered(placed)
    token = offer_token(offer)

    accept(offer, return_url=f"https://shop.example/upsell/offers/{token}/return/")

    assert Offer.objects.get().state == "ACTION_REQUIRED"
    assert token not in dump()


NOT_PERSONAL = {
    "alarm",
    "arm",
    "backfill",
    "backtestrun",
    "belief",
    "campaign",
    "campaigncopy",
    "campaignexclusion",
    "campaignrevision",
    "campaignset",
    "campaigntrigger",
    "channelaccess",
    "channelsettings",
    "dailymetric",
    "decisioncount",
    "experiment",
    "gatewayevent",
    "gatewayhealth",
    "heartbeat",
    "journey",
    "journeystep",
    "journeyversion",
    "look",
    "messagetemplate",
    "ordernote",
    "shopnumber",
    "phase",
    "progress",
    "segment",
    "suppression",
    "templateversion",
}
"""Written by staff, about products and channels; of a provider, with ids and amounts; or sums.

A suppressed address is a keyed hash that stays: who objected would be written to again.
"""


def test_every_model_is_in_the_table_of_erasing_or_said_to_be_of_staff():
    names = {model._meta.model_name for model in OURS}
    table = {model._meta.model_name for model in erasing.TABLE}

    assert names == table | NOT_PERSONAL
    for model in OURS:
        fields = {field.name for field in model._meta.concrete_fields}
        if "customer_key" in fields:
            change = erasing.TABLE[model][1]
            assert change is not None
            # A key that must be unique becomes one that nobody has.
            assert change(_blank(model), timezone.now())["customer_key"] in {"", "x:None"}


def _blank(model: type[models.Model]) -> models.Model:
    return model()


def test_i25_after_erasing_nothing_says_whose_it_was(placed):
    offer = a_whole_life(placed)
    key = offer.customer_key
    mark(placed)
    assert "engraved for Quittengelb" in dump()

    changed = erasing.erase(customer_keys=[key])

    held = dump()
    assert changed["offer"] == 1
    for secret in (*CANARY.values(), key, "engraved for Quittengelb", "card ending 4242"):
        assert secret not in held
    assert Decision.objects.get().facts["currency"] == "EUR"
    assert OfferEvent.objects.filter(kind="erased").count() == 1
    assert [str(row) for audited in auditing.audit() for row in audited.breaches] == []


def mark(placed: Order) -> None:
    """Put what a host may have put there: the dump of a personalised line, a card's label."""
    offer = Offer.objects.get()
    acceptance = offer.acceptance
    acceptance.removed = [{"options": "engraved for Quittengelb"}]
    acceptance.save()
    offer.quotes.update(collection_label="card ending 4242")


def test_erasing_twice_is_erasing_once(placed):
    key = a_whole_life(placed).customer_key
    erasing.erase(customer_keys=[key])
    before = dump()

    assert erasing.erase(customer_keys=[key]) == {}
    assert dump() == before


def test_erasing_waits_for_money_that_is_under_way(placed):
    Order.objects.update(card="card_hang")
    offer = accept(offered(placed))

    with pytest.raises(OfferNotAcceptable):
        erasing.erase(customer_keys=[offer.customer_key])

    assert Offer.objects.get().customer_key


def test_an_open_offer_of_an_erased_buyer_is_taken_back_and_no_mail_follows(placed):
    offer = offered(placed)
    other = accept(offered(order({"W1": placed.lines.get().product}, **CANARY)))

    erasing.erase(customer_keys=[offer.customer_key])
    messaging.send_due()

    assert Offer.objects.get(pk=offer.pk).state == "REVOKED"
    assert Offer.objects.get(pk=other.pk).state == "ACCEPTED"
    assert OutboxMessage.objects.get(kind="CONFIRMATION").state == "CANCELLED"
    assert mail.outbox == []


def test_export_tells_everything_that_is_held(placed):
    offer = a_whole_life(placed)
    out = io.StringIO()

    call_command("upsell_export", "--email", CANARY["email"].upper(), stdout=out)

    told = json.loads(out.getvalue())
    assert {name: len(rows) for name, rows in told.items()} == {
        "decision": 1,
        "offer": 1,
        "offerlink": 0,
        "offerquote": 1,
        "acceptance": 1,
        "attempt": 1,
        "refund": 1,
        "outboxmessage": 2,
        "offerevent": OfferEvent.objects.count(),
        "orderfact": 0,
        "orderlinefact": 0,
        "exposure": 0,
        "eventinbox": 0,
        "steplog": 0,
        "goalhit": 0,
        "messageevent": 0,
        "listener": 0,
        "listmember": 0,
        "entryrefused": 0,
        "consent": 0,
        "reachability": 0,
        "journeyrun": 0,
        "keylink": 0,
    }
    assert told["offer"][0]["order_ref"] == offer.order_ref
    assert "token_hash" not in told["offer"][0]


@pytest.mark.parametrize(("answer", "left"), [("no", True), ("", True), ("yes", False)])
def test_the_command_asks_before_it_erases(answer, left, placed):
    a_whole_life(placed)

    with mock.patch("builtins.input", return_value=answer):
        if left:
            with pytest.raises(CommandError, match=r"Nothing was erased"):
                call_command("upsell_erase", "--email", CANARY["email"])
        else:
            call_command("upsell_erase", "--email", CANARY["email"])

    assert bool(Offer.objects.get().customer_key) is left


def test_a_buyer_of_whom_nothing_is_held_is_told_so(capsys):
    call_command("upsell_erase", "--user", "4711", "--yes")

    assert "Nothing is held" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("days", "gone"),
    [
        pytest.param(6, [], id="links open for a week"),
        pytest.param(8, ["links"], id="then they do not"),
        pytest.param(91, ["decisions", "links"], id="decisions go after 90 days"),
        pytest.param(366, ["decisions", "links", "offers"], id="everything after a year"),
    ],
)
def test_what_was_kept_long_enough_goes(days, gone, placed):
    a_whole_life(placed)
    open_one = offered(order({"W1": placed.lines.get().product}))
    later = timezone.now() + timedelta(days=days)

    would = sorted(name for name, count in purge(now=later, dry_run=True) if count)
    assert would == gone
    assert Offer.objects.count() == 2
    removed = dict(purge(now=later))

    assert sorted(removed) == [name for name in gone if name in removed]
    assert Offer.objects.filter(pk=open_one.pk).exists(), "what is open stays"
    first = Offer.objects.exclude(pk=open_one.pk).first()
    assert (first is None) == ("offers" in gone)
    assert first is None or (first.token_hash is None) == ("links" in gone)
    assert Decision.objects.filter(order_ref=str(placed.pk)).exists() == ("decisions" not in gone)
    assert dict(purge(now=later)) == {}


def test_the_purge_command_says_what_it_did(placed, capsys, settings):
    a_whole_life(placed)
    call_command("upsell_purge")
    settings.UPSELL_LINK_RETENTION = timedelta(0)
    call_command("upsell_purge", "--dry-run")
    call_command("upsell_purge")

    assert capsys.readouterr().out.splitlines() == [
        "nothing is old enough",
        "would remove links 1",
        "removed links 1",
    ]


def test_explain_says_who_won_and_why_the_others_did_not(placed, capsys):
    products = {row.product.sku: row.product for row in placed.lines.all()}
    campaign(products["W1"], priority=50, name="The machine again")
    offered(placed)

    call_command("upsell_explain", str(placed.pk))
    told = capsys.readouterr().out
    call_command("upsell_explain", str(placed.pk), "--json", "--at", "2026-06-10T12:00")
    plain = json.loads(capsys.readouterr().out)

    assert "The machine again: " in told
    assert "This one wins." in told
    assert "goods_net: 500" in told
    assert plain["campaigns"][0]["reason"] == "already_in_order"
    assert plain["winner"] == Offer.objects.get().campaign_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuchorder"], "does not know order 'nosuchorder'"),
        (["1", "--at", "noon"], "wants a time such as"),
    ],
)
def test_explain_says_what_was_wanted(arguments, message):
    with pytest.raises(CommandError, match=message):
        call_command("upsell_explain", *arguments)
