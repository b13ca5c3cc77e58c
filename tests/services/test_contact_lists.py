"""Contact lists: who is put on one, and who of them is handed over."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from tests.services.journeys import END, KEY, T0, D, H, go, journey, tell
from upsell import conf
from upsell.models import Consent, JourneyRun, ListMember
from upsell.ports import Agreed, Contact
from upsell.services import consenting, contact_lists, erasing, suppressing
from upsell.services.purging import purge

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

STEPS = {"tag": {"type": "tag", "tag": "Summer sale", "to": {"next": "end"}}, "end": END}


def member(key: str = KEY, slug: str = "sale", **options) -> ListMember:
    told = {"user_ref": key.removeprefix("u:"), "channel": "web", "joined_at": T0} | options
    return ListMember.objects.create(slug=slug, customer_key=key, **told)


def agrees(key: str = KEY, **options) -> None:
    told = {"medium": "email", "purpose": "ads", "source": "account", "now": T0 - D} | options
    consenting.grant(customer_key=key, **told)


@pytest.fixture
def addresses(monkeypatch) -> dict[str, str]:
    """What the shop says where somebody is, by their reference."""
    told: dict[str, str] = {}

    def contact(who, medium):
        address = told.get(who.user_ref)
        return None if address is None else Contact(address=address)

    monkeypatch.setattr(conf.shop(), "contact", contact)
    return told


def handed(slug: str = "sale", channels=None) -> list[str]:
    rows = contact_lists.members(slug, channels=channels)
    return [row.address for row in contact_lists.handed_over(rows, clock=lambda: T0)]


# ------------------------------------------------------------------ who is put on one


def test_a_step_puts_the_buyer_on_a_list_once():
    row = journey(STEPS)
    tell(order_ref="A1")
    go(T0)
    tell(order_ref="A2", at=T0 + H)
    go(T0 + H)

    found = ListMember.objects.get()
    assert JourneyRun.objects.filter(state="COMPLETED").count() == 2
    assert (found.slug, found.customer_key, found.order_ref) == ("Summer sale", KEY, "A2")
    assert (found.channel, found.journey, found.joined_at) == ("web", row, T0 + H)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"mode": "DRY_RUN"}, id="for show"),
        pytest.param({"is_control": True}, id="left alone to compare with"),
    ],
)
def test_who_is_not_to_be_reached_is_put_on_none(values):
    journey(STEPS)
    tell(order_ref="A1")
    JourneyRun.objects.update(**values)

    go(T0)

    assert JourneyRun.objects.get().state == "COMPLETED"
    assert not ListMember.objects.exists()


# ------------------------------------------------------------------ what lists there are


def test_lists_are_counted():
    for number in range(3):
        member(f"u:{number}", joined_at=T0 + number * H)
    member(slug="Winter")
    member("u:9", channel="other")

    def told(**options):
        found = contact_lists.counted(**{"channels": None} | options)
        return [(row.slug, row.members, row.newest) for row in found]

    assert sorted(told()) == [("Winter", 1, T0), ("sale", 4, T0 + 2 * H)]
    assert told(holding="WIN") == [("Winter", 1, T0)]
    assert told(holding="none") == []
    assert told(channels=["other"]) == [("sale", 1, T0)]
    assert told(channels=[]) == []


def test_of_whom_a_consent_is_noted():
    for name in ("yes", "all", "mails", "back", "bought", "none"):
        member(f"u:{name}")
    agrees("u:yes")
    agrees("u:all", medium="*")
    agrees("u:mails", purpose="marketing")
    agrees("u:back")
    consenting.withdraw("u:back", "email", "ads", how="account", now=T0)
    agrees("u:bought", basis="soft_opt_in")

    rows = contact_lists.agreed(contact_lists.members("sale", channels=None))

    assert sorted(rows.values_list("user_ref", flat=True)) == ["all", "yes"]
    assert {row.agreed_at for row in rows} == {T0 - D}


# ------------------------------------------------------------------ handing over


def test_only_who_agreed_is_handed_over(addresses, monkeypatch):
    says = {"shop": Agreed.GRANTED, "refused": Agreed.REFUSED}
    monkeypatch.setattr(
        conf.shop(), "consent", lambda who, medium, use: says.get(who.user_ref, Agreed.UNKNOWN)
    )
    for name in ("ours", "shop", "refused", "nobody", "away", "left", "stopped", "odd"):
        member(f"u:{name}")
        addresses[name] = f" {name.title()}@Example.org "
    for name in ("ours", "refused", "away", "left", "stopped", "odd"):
        agrees(f"u:{name}")
    del addresses["away"]
    addresses["odd"] = "not an address"
    consenting.withdraw("u:left", "email", how="link", now=T0)
    suppressing.suppress(medium="email", address="stopped@example.org", reason="spam", now=T0)

    assert handed() == ["Ours@Example.org", "Shop@Example.org"]
    noted = Consent.objects.get(customer_key="u:shop")
    assert (noted.purpose, noted.source, noted.at) == ("ads", consenting.SHOP, T0)


def test_what_a_platform_gets_is_the_hash_of_the_plain_address(addresses):
    member()
    agrees()
    addresses["42"] = "  Emily@EXAMPLE.org\n"

    (row,) = contact_lists.handed_over(
        contact_lists.members("sale", channels=None), clock=lambda: T0
    )

    assert row.sha256 == hashlib.sha256(b"emily@example.org").hexdigest()
    assert row.address == "Emily@EXAMPLE.org"


def test_one_address_is_handed_over_once(addresses):
    for name in ("a", "b"):
        member(f"u:{name}")
        agrees(f"u:{name}")
    addresses |= {"a": "emily@example.org", "b": "EMILY@example.org"}

    assert handed() == ["emily@example.org"]


def test_a_member_of_whom_the_shop_cannot_be_asked_costs_no_other(addresses, monkeypatch, caplog):
    for name in ("a", "b"):
        member(f"u:{name}")
        agrees(f"u:{name}")
        addresses[name] = f"{name}@example.org"
    well = conf.shop().contact

    def contact(who, medium):
        if who.user_ref == "a":
            raise RuntimeError("down")
        return well(who, medium)

    monkeypatch.setattr(conf.shop(), "contact", contact)

    assert handed() == ["b@example.org"]
    assert "could not be asked" in caplog.text
    assert "example.org" not in caplog.text


def test_long_lists_are_walked_in_parts(addresses, monkeypatch):
    monkeypatch.setattr(contact_lists, "BATCH", 2)
    for number in range(5):
        member(f"u:{number}", channel="web" if number else "other")
        agrees(f"u:{number}")
        addresses[str(number)] = f"{number}@example.org"

    assert handed() == [f"{number}@example.org" for number in range(5)]
    assert handed(channels={"other"}) == ["0@example.org"]
    assert handed(slug="none") == []


# ------------------------------------------------------------------ forgetting


def test_whoever_is_erased_is_on_no_list(addresses):
    for key in (KEY, "u:7"):
        member(key, order_ref="A1", cart_ref="C1")
        agrees(key)
        addresses[key.removeprefix("u:")] = f"{key[2:]}@example.org"
    assert erasing.export(customer_keys=[KEY])["listmember"][0]["slug"] == "sale"

    for _time in range(2):
        erasing.erase(customer_keys=[KEY], now=T0)

    assert handed() == ["7@example.org"]
    assert [row.members for row in contact_lists.counted(channels=None)] == [1]
    gone = ListMember.objects.exclude(customer_key="u:7").get()
    assert (gone.customer_key, gone.user_ref, gone.order_ref, gone.cart_ref) == (
        f"x:{gone.pk}", "", "", "",
    )  # fmt: skip


@pytest.mark.parametrize(("days", "left"), [(365, True), (366, False)])
def test_a_place_is_kept_as_long_as_a_run(days, left):
    member()

    done = dict(purge(now=T0 + timedelta(days=days)))

    assert ListMember.objects.exists() is left
    assert done.get("members", 0) == (0 if left else 1)
