"""May a buyer be written to: what stands here, what the shop says, and which of them wins."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.signals import pre_save

from example_shop.models import Order
from tests.factories import catalogue, order
from tests.letters import ANN, T0
from upsell import conf, hooks, signals, snapshots
from upsell.models import Consent, Reachability, Suppression
from upsell.ports import Agreed, Contact, Customer, Who
from upsell.services import consenting, erasing, linking, suppressing
from upsell.services.consenting import may_write

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

DAY = timedelta(days=1)
ADDRESS = "ann@example.org"
CONTACT = Contact(address=ADDRESS)
WHO = Who(customer_key=ANN, user_ref="ann")
PHONE = Contact(address="+49 170 1234567")


@pytest.fixture
def says(monkeypatch):
    """Let the shop say something of every buyer's consent; nothing until it is told."""

    def say(agreed: Agreed) -> None:
        monkeypatch.setattr(conf.shop(), "consent", lambda who, medium, purpose: agreed)

    say(Agreed.UNKNOWN)
    return say


def asked(medium="email", category="marketing", contact=CONTACT, who=WHO, now=T0) -> str:
    """Return ``ok``, or the reason and what it was."""
    reach = may_write(who, medium, category, contact=contact, now=now)
    assert reach.ok is (not reach.reason)
    return "ok" if reach.ok else f"{reach.reason}: {reach.detail}"


def grant(at=T0 - 10 * DAY, medium="email", key=ANN, **options: Any) -> Consent:
    return consenting.grant(customer_key=key, medium=medium, source="checkout", now=at, **options)


def withdraw(at=T0 - DAY, medium="email", key=ANN) -> bool:
    return consenting.withdraw(key, medium, how="link", now=at)


OURS = {
    "none": lambda: None,
    "granted": grant,
    "withdrawn": lambda: (grant(), withdraw()),
    "objected": withdraw,
}
# Ours, then what the shop says: GRANTED, REFUSED, UNKNOWN.
SIDES = """
none        ok                     no_consent:refused    no_consent:not_asked
granted     ok                     no_consent:refused    ok
withdrawn   no_consent:withdrawn   no_consent:withdrawn  no_consent:withdrawn
objected    no_consent:withdrawn   no_consent:withdrawn  no_consent:withdrawn
"""


@pytest.mark.parametrize("line", SIDES.strip().splitlines())
def test_a_refusal_wins_and_a_grant_is_enough_on_either_side(line, says) -> None:
    ours, *wanted = line.split()
    OURS[ours]()
    for agreed, outcome in zip(("GRANTED", "REFUSED", "UNKNOWN"), wanted, strict=True):
        before = list(Consent.objects.values())
        says(Agreed(agreed))

        assert asked().replace(" ", "") == outcome, agreed

        if (ours, agreed) != ("none", "GRANTED"):
            assert list(Consent.objects.values()) == before
        else:
            Consent.objects.all().delete()


def test_a_grant_of_the_shop_s_is_written_down_before_it_is_used(says) -> None:
    says(Agreed.GRANTED)

    assert asked() == "ok"

    row = Consent.objects.get()
    assert (row.customer_key, row.medium, row.purpose) == (ANN, "email", "marketing")
    assert (row.basis, row.source, row.at) == ("explicit", consenting.SHOP, T0)
    assert asked(now=T0 + DAY) == "ok"
    assert Consent.objects.get().at == T0  # the first use says it all


def test_a_grant_that_is_taken_back_at_the_same_moment_is_taken_back(says, monkeypatch) -> None:
    """The buyer leaves between the look and the note."""
    says(Agreed.GRANTED)
    real = consenting._note

    def note(lookup, told):
        withdraw()
        return real(lookup, told)

    monkeypatch.setattr(consenting, "_note", note)

    assert asked() == "no_consent: withdrawn"


@pytest.mark.parametrize(
    ("medium", "contact", "wanted"),
    [
        pytest.param("email", None, "unreachable: no_address", id="no contact"),
        pytest.param("email", Contact(address=""), "unreachable: no_address", id="an empty one"),
        pytest.param("onsite", None, "ok", id="a page needs none"),
    ],
)
@pytest.mark.parametrize("category", ["marketing", "transactional"])
def test_without_an_address(medium, contact, wanted, category, says) -> None:
    grant()

    assert asked(medium, category, contact) == wanted


def test_on_the_pages_of_the_shop_only_an_objection_counts(says) -> None:
    assert asked("onsite", contact=None) == "ok"

    withdraw(medium="onsite")

    assert asked("onsite", contact=None) == "no_consent: withdrawn"


def test_transactional_needs_no_consent(says) -> None:
    withdraw(medium="*")
    consenting.suppress(medium="email", address=ADDRESS, reason="complained", now=T0)
    says(Agreed.REFUSED)

    assert asked(category="transactional") == "ok"


@pytest.mark.parametrize("category", ["marketing", "transactional"])
def test_what_cannot_be_reached_gets_nothing(category, says) -> None:
    grant()
    row = Reachability.objects.create(customer_key=ANN, medium="email", hard=True)
    assert asked(category=category) == "unreachable: bounced"

    row.hard, row.unreachable_why = False, "soft_bounces"
    row.unreachable_until = T0 + DAY
    row.save()
    assert asked(category=category) == "unreachable: soft_bounces"
    assert asked(category=category, now=T0 + DAY) == "ok"
    row.delete()

    consenting.suppress(medium="email", address=ADDRESS, scope="all", reason="hard", now=T0)
    assert asked(category=category) == "unreachable: hard"
    assert asked(category=category, contact=Contact(address="new@example.org")) == "ok"


def test_an_unknown_category_counts_as_marketing(says) -> None:
    assert asked(category="service") == "no_consent: not_asked"


@pytest.mark.parametrize("as_told", ["Ann@Example.org", " ann@example.org ", "ａnn@example.org"])
def test_an_address_is_the_same_however_it_is_written(as_told, says) -> None:
    grant()
    consenting.suppress(medium="email", address=as_told, reason="complained", now=T0)

    assert asked() == "no_consent: complained"
    assert ADDRESS not in str(list(Suppression.objects.values()))


def test_a_number_is_the_same_however_it_is_written() -> None:
    consenting.suppress(medium="sms", address="+49 (170) 123-4567", reason="complained", now=T0)

    assert consenting.is_suppressed("sms", "+491701234567")
    assert not consenting.is_suppressed("email", "+491701234567")
    assert not consenting.is_suppressed("sms", "+491701234568")
    assert not consenting.is_suppressed("sms", "")


def test_scopes() -> None:
    consenting.suppress(medium="email", address=ADDRESS, reason="spam", now=T0)
    assert consenting.is_suppressed("email", ADDRESS)
    assert not consenting.is_suppressed("email", ADDRESS, scope="all")

    consenting.suppress(medium="email", address="gone@example.org", scope="all", reason="hard",
                        now=T0)  # fmt: skip
    assert consenting.is_suppressed("email", "gone@example.org")


def test_suppressed_twice_is_suppressed_once_since_the_later_time() -> None:
    for at in (T0, T0 + DAY, T0 - DAY):
        consenting.suppress(medium="email", address=ADDRESS, reason="spam", now=at)

    assert Suppression.objects.get().at == T0 + DAY


def test_every_fallback_of_the_key_is_asked(settings, says) -> None:
    """A key is changed, and who objected under the old one is still not written to."""
    grant()
    consenting.suppress(medium="email", address=ADDRESS, reason="complained", now=T0)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "the new one"

    assert asked() == "ok"  # a control: without the fallback nobody knows it
    settings.SECRET_KEY_FALLBACKS = ["another", old]
    assert asked() == "no_consent: complained"
    assert consenting.is_suppressed("email", ADDRESS)


# ------------------------------------------------------------------ agreeing anew


def test_only_a_newer_explicit_consent_lifts_a_complaint(says) -> None:
    grant(T0 - 10 * DAY)
    consenting.suppress(medium="email", address=ADDRESS, reason="complained", now=T0 - 5 * DAY)
    says(Agreed.GRANTED)
    assert asked() == "no_consent: complained"
    grant(T0 - 5 * DAY)  # at the same instant it is not newer
    assert asked() == "no_consent: complained"

    grant(T0 - 4 * DAY)

    assert asked() == "ok"
    assert may_write(WHO, "sms", "marketing", contact=PHONE, now=T0).ok  # as the shop says


def test_what_the_shop_said_once_lifts_nothing(says) -> None:
    """Its note is as old as its first use, and says not when the buyer agreed."""
    says(Agreed.GRANTED)
    assert asked(now=T0) == "ok"
    linking.link(old="u:older", new=ANN, now=T0)

    withdraw(key="u:older", at=T0 - DAY)

    assert asked() == "no_consent: withdrawn"


def test_a_purchase_lifts_nothing(says, settings) -> None:
    """A recorded objection wins even over a later purchase."""
    settings.UPSELL_SOFT_OPT_IN = True
    withdraw()

    row = grant(T0, basis=Consent.Basis.SOFT_OPT_IN)

    assert row.withdrawn_at is not None
    assert asked() == "no_consent: withdrawn"


def test_a_weaker_basis_leaves_the_stronger_one_alone() -> None:
    grant(T0 - DAY, text_version="newsletter 3")

    row = grant(T0, basis=Consent.Basis.CONTRACT)

    assert (row.basis, row.at, row.text_version) == ("explicit", T0 - DAY, "newsletter 3")


def test_of_all_media_at_once(says) -> None:
    withdraw(medium="*", at=T0 - DAY)
    assert asked("sms", contact=PHONE) == "no_consent: withdrawn"

    grant(T0, medium="sms")

    assert asked("sms", contact=PHONE) == "ok"
    assert asked() == "no_consent: withdrawn"


@pytest.mark.parametrize(
    ("key", "medium", "source"), [("", "email", "x"), (ANN, "mail", "x"), (ANN, "email", "")]
)
def test_what_proves_nothing_is_refused(key, medium, source) -> None:
    with pytest.raises(ValueError, match="wanted is"):
        consenting.grant(customer_key=key, medium=medium, source=source, now=T0)


# ------------------------------------------------------------------ one buyer, many keys


def test_a_guest_s_objection_holds_for_the_account(says) -> None:
    guest = snapshots.customer_key(Customer(email="someone@else.example"))
    grant()
    withdraw(key=guest)
    assert asked() == "ok"

    linking.link(old=guest, new=ANN, now=T0)

    assert asked() == "no_consent: withdrawn"


def test_who_left_by_the_same_address_as_a_guest_has_left(says) -> None:
    """Nobody linked them; the address says that it is the same reader."""
    grant()
    withdraw(key=snapshots.customer_key(Customer(email=ADDRESS)))

    assert asked() == "no_consent: withdrawn"


# ------------------------------------------------------------------ soft opt-in


@pytest.fixture
def bought() -> tuple[Who, Order]:
    made = order(catalogue(), email=ADDRESS)
    return Who(customer_key=ANN, order_ref=str(made.pk)), made


def test_soft_opt_in_is_off(bought, says) -> None:
    assert asked(who=bought[0]) == "no_consent: not_asked"


def test_who_bought_may_be_written_to_where_the_shop_says_so(bought, says, settings) -> None:
    who, made = bought
    settings.UPSELL_SOFT_OPT_IN = True

    assert asked(who=who) == "ok"

    row = Consent.objects.get()
    assert (row.basis, row.source, row.at) == ("soft_opt_in", f"order {made.pk}", T0)
    assert asked(who=WHO) == "ok"  # it holds for the buyer, not for that order alone
    settings.UPSELL_SOFT_OPT_IN = False
    assert asked(who=who) == "no_consent: not_asked"


@pytest.mark.parametrize(
    ("options", "address"),
    [
        pytest.param({"cancelled": True}, ADDRESS, id="cancelled"),
        pytest.param({}, "other@example.org", id="another address than the order's"),
    ],
)
def test_an_order_that_is_no_basis(options, address, says, settings) -> None:
    settings.UPSELL_SOFT_OPT_IN = True
    made = order(catalogue(), email=ADDRESS, **options)
    who = Who(customer_key=ANN, order_ref=str(made.pk))

    assert asked(who=who, contact=Contact(address=address)) == "no_consent: not_asked"
    assert asked(who=Who(customer_key=ANN, order_ref="999")) == "no_consent: not_asked"
    assert asked() == "no_consent: not_asked"
    assert not Consent.objects.exists()


def test_a_refusal_at_the_order_is_no_soft_opt_in(bought, says, settings) -> None:
    settings.UPSELL_SOFT_OPT_IN = True
    says(Agreed.REFUSED)

    assert asked(who=bought[0]) == "no_consent: refused"


def test_the_shop_s_yes_replaces_the_weaker_basis(bought, says, settings) -> None:
    settings.UPSELL_SOFT_OPT_IN = True
    assert asked(who=bought[0]) == "ok"
    says(Agreed.GRANTED)

    assert asked(who=bought[0], now=T0 + DAY) == "ok"

    assert Consent.objects.get().basis == "explicit"


# ------------------------------------------------------------------ erased


def test_t41_nobody_writes_to_who_was_erased(says) -> None:
    grant()
    assert asked() == "ok"

    erasing.erase(customer_keys=[ANN], now=T0)
    erasing.erase(customer_keys=[ANN], now=T0)

    assert asked(who=Who(customer_key="", order_ref="1")) == "erased: erased"
    assert asked(who=Who(), category="transactional") == "erased: erased"
    # A run that comes back with a backup has its key, and the shop's word.
    says(Agreed.GRANTED)
    assert asked() == "no_consent: erased"
    assert ANN not in str(list(Suppression.objects.values()))
    assert Suppression.objects.count() == 1


def test_t41_of_a_guest_it_is_the_address(says) -> None:
    guest = snapshots.customer_key(Customer(email=ADDRESS))
    says(Agreed.GRANTED)

    erasing.erase(customer_keys=[guest], now=T0)

    assert asked() == "no_consent: erased"  # by an account with that address, too
    grant(T0 + DAY)
    assert asked(now=T0 + DAY) == "ok"


# ------------------------------------------------------------------ the step, the signal, the hooks


def test_reachable_says_by_which_media_in_their_order(monkeypatch, says) -> None:
    has = {"email": CONTACT, "sms": PHONE}
    monkeypatch.setattr(conf.shop(), "contact", lambda who, medium: has.get(medium))
    grant(medium="email")
    withdraw(medium="sms")
    media = ["push", "sms", "onsite", "email"]

    assert consenting.reachable(WHO, media, "marketing", now=T0) == ["onsite", "email"]
    assert consenting.reachable(WHO, media, "transactional", now=T0) == ["sms", "onsite", "email"]


def test_the_signal_tells_once(django_capture_on_commit_callbacks) -> None:
    told: list[Any] = []

    def hear(sender, signal, **arguments: Any) -> None:
        told.append(arguments)

    signals.consent_withdrawn.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            first = [withdraw(at=T0), withdraw(at=T0), withdraw(at=T0 + DAY)]
    finally:
        signals.consent_withdrawn.disconnect(hear)

    assert first == [True, False, False]
    assert told == [
        {"customer_key": ANN, "medium": "email", "purpose": "marketing", "at": T0}
    ]  # fmt: skip
    assert Consent.objects.get().withdrawn_at == T0


def test_the_hooks(says) -> None:
    buyer = Customer(ref="ann")

    hooks.grant_consent(customer=buyer, medium="email", source="account", text_version="v2")
    row = Consent.objects.get()
    assert (row.customer_key, row.source, row.text_version) == (ANN, "account", "v2")
    assert asked() == "ok"
    hooks.withdraw_consent(customer=buyer)
    assert asked() == "no_consent: withdrawn"
    with pytest.raises(ValueError, match="customer key"):
        hooks.grant_consent(customer=Customer(), medium="email", source="account")


# ------------------------------------------------------------------ another use


def handed(contact=CONTACT, who=WHO, now=T0) -> str:
    reach = consenting.may_hand_over(who, contact=contact, now=now)
    assert reach.ok is (not reach.reason)
    return "ok" if reach.ok else f"{reach.reason}: {reach.detail}"


def grant_ads(at=T0 - 10 * DAY, **options: Any) -> Consent:
    return grant(at=at, purpose="ads", **options)


def withdraw_ads(at=T0 - DAY) -> bool:
    return consenting.withdraw(ANN, "email", "ads", how="account", now=at)


USES = {
    "none": lambda: None,
    "mails": grant,
    "granted": grant_ads,
    "withdrawn": lambda: (grant_ads(), withdraw_ads()),
    "left": lambda: (grant_ads(), withdraw()),
    "anew": lambda: (withdraw(), grant_ads(at=T0)),
    "soft": lambda: grant_ads(basis="soft_opt_in"),
}
# Ours, then what the shop says of this use: GRANTED, REFUSED, UNKNOWN.
OF_ADS = """
none        ok                     no_consent:refused    no_consent:not_asked
mails       ok                     no_consent:refused    no_consent:not_asked
granted     ok                     no_consent:refused    ok
withdrawn   no_consent:withdrawn   no_consent:withdrawn  no_consent:withdrawn
left        no_consent:withdrawn   no_consent:withdrawn  no_consent:withdrawn
anew        ok                     no_consent:refused    ok
soft        ok                     no_consent:refused    no_consent:not_asked
"""


@pytest.mark.parametrize("line", OF_ADS.strip().splitlines())
def test_an_address_is_handed_over_only_for_who_agreed_to_that(line, monkeypatch, settings) -> None:
    settings.UPSELL_SOFT_OPT_IN = True
    ours, *wanted = line.split()
    for agreed, outcome in zip(("GRANTED", "REFUSED", "UNKNOWN"), wanted, strict=True):
        Consent.objects.all().delete()
        USES[ours]()
        told = {"ads": Agreed(agreed), "marketing": Agreed.GRANTED}
        monkeypatch.setattr(conf.shop(), "consent", lambda who, medium, use, told=told: told[use])

        assert handed().replace(" ", "") == outcome, agreed

        noted = Consent.objects.filter(purpose="ads", basis="explicit", withdrawn_at=None)
        assert noted.exists() or outcome != "ok", "it is written down before it is used"


@pytest.mark.parametrize(
    ("contact", "who", "wanted"),
    [
        pytest.param(None, WHO, "unreachable: no_address", id="no contact"),
        pytest.param(Contact(address=""), WHO, "unreachable: no_address", id="no address"),
        pytest.param(CONTACT, Who(customer_key=""), "erased: erased", id="erased"),
    ],
)
def test_nobody_is_handed_over_without(contact, who, wanted, says) -> None:
    says(Agreed.GRANTED)

    assert handed(contact, who) == wanted


@pytest.mark.parametrize(
    ("scope", "reason", "wanted"),
    [("all", "hard", "unreachable: hard"), ("marketing", "complained", "no_consent: complained")],
)
def test_an_address_that_is_suppressed_is_not_handed_over(scope, reason, wanted, says) -> None:
    grant_ads()
    suppressing.suppress(medium="email", address=ADDRESS, scope=scope, reason=reason, now=T0 - DAY)

    assert handed() == wanted


def test_whoever_was_erased_is_not_handed_over(says) -> None:
    suppressing.tombstones([ANN], now=T0 - DAY)
    says(Agreed.GRANTED)

    assert handed() == "no_consent: erased"


def test_the_hooks_know_the_two_uses_apart(says) -> None:
    buyer = Customer(ref="ann")
    hooks.grant_consent(customer=buyer, medium="email", source="account", purpose="ads")
    assert (handed(), asked()) == ("ok", "no_consent: not_asked")
    hooks.grant_consent(customer=buyer, medium="email", source="account")

    hooks.withdraw_consent(customer=buyer, medium="email", purpose="ads")

    assert (handed(), asked()) == ("no_consent: withdrawn", "ok")
    with pytest.raises(ValueError, match="marketing or ads"):
        hooks.grant_consent(customer=buyer, medium="email", source="account", purpose="all")
    with pytest.raises(ValueError, match="marketing or ads"):
        hooks.withdraw_consent(customer=buyer, purpose="")


def test_nothing_is_written_by_only_looking(says) -> None:
    says(Agreed.GRANTED)
    wrote: list[object] = []
    pre_save.connect(lambda **told: wrote.append(told), weak=False, dispatch_uid="looking")
    try:
        assert consenting.wants(WHO, "email", contact=CONTACT).ok
    finally:
        pre_save.disconnect(dispatch_uid="looking")

    assert wrote == []
    assert not Consent.objects.exists()
    assert suppressing.address_hashes("email", "") == []
