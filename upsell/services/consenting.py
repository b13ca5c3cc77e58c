"""May this buyer be written to: what they agreed to, here or in the shop, and what they took back.

A refusal wins wherever it stands. Everything that is asked is of all keys of the buyer: a guest's
objection holds for the account that the guest became.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from upsell import conf, signals, snapshots
from upsell.engine.caps import ADS, ANY, MARKETING, TRANSACTIONAL
from upsell.engine.journeys.definition import MEDIA
from upsell.exceptions import NotFound
from upsell.models import Consent, Reachability, Suppression
from upsell.ports import Agreed, Contact, Customer, Occasion, Who
from upsell.services import linking, suppressing
from upsell.services.suppressing import ALL, ERASED

SHOP = "Shop.consent"
"""The source of a consent that the shop told of when it was asked."""
EMAIL = "email"
ONSITE = "onsite"
"""Shown on the shop's own pages: it needs no address and no consent, and an objection stops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whether a message may be written, and why not."""

    ok: bool
    reason: str = ""
    """``unreachable``, ``no_consent`` or ``erased``; empty where it may."""
    detail: str = ""
    """What it was: ``no_address``, ``bounced``, ``withdrawn``, ``refused``, ``complained``, ..."""


_MAY = Reach(ok=True)


def may_write(
    who: Who, medium: str, category: str, *, contact: Contact | None, now: datetime
) -> Reach:
    """Return whether this buyer may be written to, by this medium, in this category, now.

    A consent that the shop tells of, or that a purchase is the basis of, is written to ``Consent``
    before the answer is yes: what was sent has a basis that is older than it.

    Args:
        who: The buyer, as a run has them. Without a key they were erased: nobody writes.
        medium: ``email``, ``sms``, ``onsite`` or ``push``.
        category: ``transactional``, or ``marketing``, as which everything else counts.
        contact: What ``Shop.contact`` said just now; none = there is no address.
        now: The database's.

    Cost: up to five statements, and for marketing one call of the shop, two where soft opt-in is
    asked. A port of the shop that raises is not caught.
    """
    if not who.customer_key:
        return Reach(ok=False, reason=ERASED, detail=ERASED)
    address = contact.address if contact is not None else ""
    if medium != ONSITE and not address:
        return Reach(ok=False, reason="unreachable", detail="no_address")
    keys = keys_of(who.customer_key, medium, address)
    if medium != ONSITE and (why := _unreachable(keys, medium, address, now)):
        return Reach(ok=False, reason="unreachable", detail=why)
    stopped = _suppressions(keys, medium, address)
    for row in stopped:
        if row.scope == ALL:
            return Reach(ok=False, reason="unreachable", detail=row.reason)
    if category == TRANSACTIONAL:
        return _MAY
    answer = _asked(who, medium, address, keys, stopped)
    return _noted(who, medium, MARKETING, answer, now) if answer.basis else answer.reach


def may_hand_over(who: Who, *, contact: Contact | None, now: datetime) -> Reach:
    """Return whether this buyer's e-mail address may be handed to who shows advertising, now.

    That is a use of its own: a consent to mails is none to it. Both sides are asked, as for mails,
    and what the shop grants is written down before the answer is yes. Whoever took marketing back,
    complained, or has no such address any more, is not handed over; a consent to this use that is
    explicit and newer stands against the first two.

    Args:
        contact: What ``Shop.contact`` said of e-mail just now.

    Cost: up to six statements and one call of the shop. A port of the shop that raises is not
    caught.
    """
    if not who.customer_key:
        return Reach(ok=False, reason=ERASED, detail=ERASED)
    address = contact.address if contact is not None else ""
    if not address:
        return Reach(ok=False, reason="unreachable", detail="no_address")
    keys = keys_of(who.customer_key, EMAIL, address)
    stopped = _suppressions(keys, EMAIL, address)
    for row in stopped:
        if row.scope == ALL:
            return Reach(ok=False, reason="unreachable", detail=row.reason)
    answer = _asked(who, EMAIL, address, keys, stopped, ADS)
    return _noted(who, EMAIL, ADS, answer, now) if answer.basis else answer.reach


def reachable(who: Who, media: Sequence[str], category: str, *, now: datetime) -> list[str]:
    """Return by which of these media the buyer may be written to now, in their order.

    Cost: one call of the shop a medium, and what ``may_write`` costs.
    """
    found: list[str] = []
    for medium in media:
        contact = None if medium == ONSITE else conf.shop().contact(who, medium)
        if may_write(who, medium, category, contact=contact, now=now).ok:
            found.append(medium)
    return found


def keys_of(customer_key: str, medium: str = "", address: str = "") -> list[str]:
    """Return every key of a buyer; with an e-mail address, also of a guest who has it."""
    guest = snapshots.customer_keys(Customer(email=address)) if medium == "email" else []
    return linking.family([customer_key, *guest])


# ------------------------------------------------------------------ agreeing, and taking it back


def grant(
    *,
    customer_key: str,
    medium: str,
    purpose: str = MARKETING,
    basis: str = Consent.Basis.EXPLICIT,
    source: str,
    text_version: str = "",
    now: datetime,
) -> Consent:
    """Note what a buyer agreed to, with its proof; return the row.

    One that is explicit holds from now on, whatever was taken back or complained of before. Any
    other basis changes nothing where there is an explicit one, or where one was taken back.

    Args:
        medium: One of the media; ``*`` = all of them.
        source: Where they agreed, such as ``checkout`` or ``account``.
        text_version: Which words they agreed to.
        now: When.
    """
    _checked(customer_key, medium)
    if not source:
        raise ValueError("wanted is where the buyer agreed, and there was nothing")
    lookup: dict[str, Any] = {
        "customer_key": customer_key,
        "medium": medium,
        "purpose": purpose,
    }
    told: dict[str, Any] = {"basis": str(basis), "at": now, "source": source[:120]}
    told["text_version"] = text_version[:190]
    if basis != Consent.Basis.EXPLICIT:
        return _note(lookup, told)
    anew = told | {"withdrawn_at": None, "withdrawn_by": ""}
    row, _made = Consent.objects.update_or_create(defaults=anew, **lookup)
    return row


def withdraw(
    customer_key: str, medium: str, purpose: str = MARKETING, *, how: str, now: datetime
) -> bool:
    """Note that a buyer does not want to be written to, whether they ever agreed or not.

    From then on the last look before each message finds it. Twice is the same as once: the first
    time stays. Journeys go on, and skip what may not be sent; ``leaving.unsubscribe`` ends them.

    Args:
        medium: One of the media; ``*`` = all of them.
        how: ``link``, ``preferences``, ``complained``, ``shop``, ...

    Returns:
        Whether it was not noted before.
    """
    _checked(customer_key, medium)
    lookup = {"customer_key": customer_key, "medium": medium, "purpose": purpose}
    taken_back = {"withdrawn_at": now, "withdrawn_by": how[:120]}
    with transaction.atomic():
        # Without a basis: they never agreed, and object all the same.
        never = {"basis": "", "at": now, **taken_back}
        _row, new = Consent.objects.get_or_create(**lookup, defaults=never)
        stood = Consent.objects.filter(**lookup, withdrawn_at=None)
        if not new and not stood.update(**taken_back):
            return False
        transaction.on_commit(
            partial(
                signals.consent_withdrawn.send_robust,
                sender=Consent,
                customer_key=customer_key,
                medium=medium,
                purpose=purpose,
                at=now,
            )
        )
    return True


def _checked(customer_key: str, medium: str) -> None:
    if not customer_key:
        raise ValueError("wanted is a customer key, and there was none")
    if medium not in {*MEDIA, ANY}:
        raise ValueError(f"wanted is one of {', '.join(MEDIA)} or {ANY}, and there was {medium!r}")


# ------------------------------------------------------------------ what stands against it


def _unreachable(keys: Sequence[str], medium: str, address: str, now: datetime) -> str:
    """Return why providers cannot reach the buyer; empty = nothing says so.

    That an address does not exist says nothing of another one that the buyer has since.
    """
    gone = {"", *suppressing.address_hashes(medium, address)}
    rows = Reachability.objects.filter(customer_key__in=keys, medium=medium)
    for row in rows.order_by("pk"):
        if row.hard and row.hard_hash in gone:
            return "bounced"
        if row.unreachable_until is not None and row.unreachable_until > now:
            return "soft_bounces"
    return ""


def _suppressions(keys: Sequence[str], medium: str, address: str) -> list[Suppression]:
    """Return what stops messages to the address, or, after erasing, to any key of the buyer."""
    hashes = suppressing.address_hashes(medium, address)
    for key in keys:
        hashes += suppressing.key_hashes(key)
    return list(
        Suppression.objects.filter(
            address_hash__in=hashes, medium__in=[medium, ANY]
        ).order_by("-at", "pk")
    )  # fmt: skip


def wants(who: Who, medium: str, *, contact: Contact | None) -> Reach:
    """Return whether the buyer agreed to marketing by a medium, and write nothing down.

    Whether they can be reached by it is another matter.
    """
    address = contact.address if contact is not None else ""
    keys = keys_of(who.customer_key, medium, address)
    return _asked(who, medium, address, keys, _suppressions(keys, medium, address)).reach


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    reach: Reach
    basis: str = ""
    """What is to be noted before it is used; empty = it stands in ``Consent`` already."""
    source: str = ""


def _asked(
    who: Who,
    medium: str,
    address: str,
    keys: Sequence[str],
    stopped: Sequence[Suppression],
    purpose: str = MARKETING,
) -> _Answer:
    rows = consents(keys, medium, purpose)
    taken_back = [] if purpose == MARKETING else consents(keys, medium, MARKETING)
    if why := objection([*rows, *(row for row in taken_back if row.withdrawn_at)], stopped):
        return _Answer(reach=Reach(ok=False, reason="no_consent", detail=why))
    said = conf.shop().consent(who, medium, purpose)
    if said is Agreed.REFUSED:
        return _Answer(reach=Reach(ok=False, reason="no_consent", detail="refused"))
    held = {row.basis for row in rows if row.withdrawn_at is None}
    if medium == ONSITE or Consent.Basis.EXPLICIT in held:
        return _Answer(reach=_MAY)
    if said is Agreed.GRANTED:
        return _Answer(reach=_MAY, basis=Consent.Basis.EXPLICIT, source=SHOP)
    if purpose == MARKETING and conf.get("UPSELL_SOFT_OPT_IN"):
        if Consent.Basis.SOFT_OPT_IN in held:
            return _Answer(reach=_MAY)
        if _bought_with(who, medium, address):
            source = f"order {who.order_ref}"
            return _Answer(reach=_MAY, basis=Consent.Basis.SOFT_OPT_IN, source=source)
    return _Answer(reach=Reach(ok=False, reason="no_consent", detail="not_asked"))


def consents(keys: Sequence[str], medium: str, purpose: str = MARKETING) -> list[Consent]:
    """Return what the buyer of these keys said of a purpose by a medium, here."""
    return list(
        Consent.objects.filter(
            customer_key__in=keys, medium__in=[medium, ANY], purpose=purpose
        ).order_by("pk")
    )  # fmt: skip


def objection(rows: Sequence[Consent], stopped: Sequence[Suppression]) -> str:
    """Return the newest thing that stands against a purpose; empty where there is none.

    Only an explicit consent that is newer than it stands against that. The shop's word is none:
    nobody knows when it was given.
    """
    against = [(row.withdrawn_at, "withdrawn") for row in rows if row.withdrawn_at is not None]
    against += [(row.at, row.reason) for row in stopped if row.scope != ALL]
    if not against:
        return ""
    when, why = max(against)
    anew = [row.at for row in rows if row.withdrawn_at is None and _is_explicit(row)]
    return "" if any(at > when for at in anew) else why


def _is_explicit(row: Consent) -> bool:
    return row.basis == Consent.Basis.EXPLICIT and row.source != SHOP


def _noted(who: Who, medium: str, purpose: str, answer: _Answer, now: datetime) -> Reach:
    """Write a consent down before it is first used. One taken back meanwhile wins."""
    lookup = {"customer_key": who.customer_key, "medium": medium, "purpose": purpose}
    told = {"basis": str(answer.basis), "at": now, "source": answer.source[:120]}
    if _note(lookup, told).withdrawn_at is not None:
        return Reach(ok=False, reason="no_consent", detail="withdrawn")
    return answer.reach


def _note(lookup: Mapping[str, str], told: Mapping[str, Any]) -> Consent:
    """Note a consent that somebody tells of; what the buyer took back, or said here, stays."""
    with transaction.atomic():
        Consent.objects.bulk_create([Consent(**lookup, **told)], ignore_conflicts=True)
        stands = Consent.objects.filter(**lookup, withdrawn_at=None)
        stands.exclude(basis__in=[told["basis"], Consent.Basis.EXPLICIT]).update(**told)
        return Consent.objects.get(**lookup)


def _bought_with(who: Who, medium: str, address: str) -> bool:
    """Whether the address was told with an order that stands: the basis of a soft opt-in."""
    if not who.order_ref:
        return False
    try:
        occasion: Occasion = conf.shop().order(who.order_ref)
    except NotFound:
        return False
    if snapshots.gone(occasion) or occasion.is_draft or occasion.is_test or occasion.payment_failed:
        return False
    customer = occasion.customer
    told = {"email": customer.email, "sms": customer.phone}.get(medium, "")
    return bool(told) and _same(medium, told, address)


def _same(medium: str, one: str, other: str) -> bool:
    hashed = suppressing.address_hashes
    return hashed(medium, one) == hashed(medium, other)


suppress = suppressing.suppress
is_suppressed = suppressing.is_suppressed
