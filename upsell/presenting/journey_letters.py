"""A message of a journey as the e-mail or text message that goes out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.urls import reverse

from upsell import conf, snapshots
from upsell.media.email import Letter
from upsell.media.push import Notice
from upsell.models import JourneyRun, Offer, OutboxMessage, TemplateVersion
from upsell.models.tokens import offer_token
from upsell.ports import Contact, Who
from upsell.presenting import clicks, message_links, messages, preferences
from upsell.presenting.mails import absolute, one_line

LONGEST_HELD = timedelta(days=1)
"""A message that has no end of its own waits no longer for a device that is off."""


def letter(message: OutboxMessage, run: JourneyRun, contact: Contact) -> Letter:
    """Return what is sent. The same row gives the same letter, whenever it is made.

    Raises:
        Unresolved: Something it says is not known of this buyer.
    """
    terms = snapshots.policy(run.channel)
    made = _rendered(message, run, contact, terms)
    if message.medium == "sms" and len(made.text) > messages.LONGEST_SMS:
        made = _rendered(message, run, contact, terms, counted=False)  # its links are shorter
    return Letter(
        to=contact.address,
        subject=one_line(made.subject),
        text=made.text,
        html=made.html,
        sender=terms.sender,
        headers={"Message-ID": message_id(message), **_list_headers(message)},
        category=message.category,
        tags={"upsell_run": str(run.pk), "upsell_message": str(message.pk)},
    )


def notice(message: OutboxMessage, run: JourneyRun, contact: Contact, *, now: datetime) -> Notice:
    """Return what a device shows. The same row gives the same words, whenever it is made.

    Raises:
        Unresolved: Something it says is not known of this buyer.
    """
    made = _rendered(message, run, contact, snapshots.policy(run.channel))
    until = message.expires_at or now + LONGEST_HELD
    return Notice(
        to=contact.address,
        title=one_line(made.subject),
        body=made.words,
        url=made.link,
        language=made.language,
        idempotency_key=message.key,
        seconds=max(int((until - now).total_seconds()), 0),
    )


def sent(key: str) -> OutboxMessage | None:
    """Return a mail that went out, or perhaps did, by its key; none of a buyer who was erased."""
    rows = OutboxMessage.objects.filter(
        key=key, kind="JOURNEY", medium="email", state__in=["SENT", "UNKNOWN"]
    ).exclude(customer_key="")
    return rows.select_related("run__journey", "template__template").first()


def page(message: OutboxMessage) -> str:
    """Return a mail that went out as a page: the words and figures it had, in the version it had.

    Raises:
        Unresolved: Something it says is not known of this buyer any more.
        Exception: Whatever the shop's ports raise.

    Cost: the buyer's contact, asked of the shop, the statements of ``links_of``, and one.
    """
    run = message.run
    if run is None:
        raise LookupError(f"message {message.pk} has no run")
    contact = conf.shop().contact(_who(run), message.medium) or Contact(address="")
    return _rendered(message, run, contact, snapshots.policy(run.channel)).html


def on_page(message: OutboxMessage, run: JourneyRun, *, language: str) -> messages.Shown:
    """Return a message as one of the shop's pages shows it, in the page's language if it has it.

    Raises:
        Unresolved: Something it says is not known of this buyer.
        Exception: Whatever the shop's ports raise.

    Cost: the buyer's contact, asked of the shop, and the statements of ``links_of``.
    """
    contact = conf.shop().contact(_who(run), "email") or Contact(address="")
    return messages.shown(
        _version(message),
        message.variables,
        locale=language or contact.locale,
        links=links_of(message, run) | messages.of_person(contact),
    )


def _who(run: JourneyRun) -> Who:
    return Who(
        customer_key=run.customer_key,
        user_ref=run.user_ref,
        order_ref=run.order_ref,
        cart_ref=run.cart_ref,
    )


def _version(message: OutboxMessage) -> TemplateVersion:
    version = message.template
    if version is None:
        raise LookupError(f"message {message.pk} has no template")
    return version


def _rendered(
    message: OutboxMessage,
    run: JourneyRun,
    contact: Contact,
    terms: snapshots.ChannelTerms,
    *,
    counted: bool = True,
) -> messages.Rendered:
    links = links_of(message, run)
    return messages.render(
        _version(message),
        message.variables,
        locale=contact.locale,
        links=links | messages.of_person(contact),
        postal_address=terms.postal_address if _is_marketing_mail(message) else "",
        way=_way_of(message, links) if counted and conf.click_links() else None,
    )


_AS_THEY_ARE = ("links.unsubscribe", "links.preferences", "links.view_online", "links.rating")
"""Links that are never counted as followed. An answer to a rating says by itself who came."""


def _way_of(message: OutboxMessage, links: Mapping[str, str]) -> messages.Way:
    kept = {links.get(name, "") for name in _AS_THEY_ARE}

    def way(address: str) -> str:
        return address if address in kept else clicks.by_way_of_us(message.key, address)

    return way


def message_id(message: OutboxMessage) -> str:
    """Return the Message-ID: the same for the same message, so that servers know it again."""
    return f"<{message.key.replace(':', '.')}.{message.pk}@upsell>"


def links_of(message: OutboxMessage, run: JourneyRun) -> dict[str, str]:
    """Return where a message leads. Links are made when it is sent, and never stored."""
    links = {"links.order": absolute(conf.shop().order_url(run.order_ref)) if run.order_ref else ""}
    offer = Offer.objects.filter(pk=run.found.get("offer") or 0).first()
    if offer is not None and offer.token_hash is not None:
        links["offer.link"] = absolute(reverse("upsell:offer", args=[offer_token(offer)]))
    base = str(conf.get("UPSELL_BASE_URL"))
    links["links.unsubscribe"] = preferences.unsubscribe_url(
        message.customer_key, message.medium, message.category, base
    )
    links["links.preferences"] = preferences.preferences_url(
        message.customer_key, message.medium, message.category, base
    )
    rated = message_links.Rated(
        customer_key=message.customer_key, order_ref=run.order_ref, message=message.key
    )
    links["links.rating"] = absolute(message_links.feedback_path(rated))
    if message.medium == "email":  # a text message is all there is of itself
        links["links.view_online"] = absolute(message_links.view_path(message.key))
    return links


def _list_headers(message: OutboxMessage) -> dict[str, str]:
    if not _is_marketing_mail(message):
        return {}
    base = str(conf.get("UPSELL_BASE_URL"))
    return preferences.list_headers(message.customer_key, message.medium, message.category, base)


def _is_marketing_mail(message: OutboxMessage) -> bool:
    return message.category == "marketing" and message.medium == "email"
