"""What health measures, in words: what it is, what is fine, and what to do when it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

NOTHING = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One measure in words."""

    title: str | Promise
    is_about: str | Promise
    to_do: str | Promise


WORDS: Mapping[str, Words] = {
    "stuck_attempt": Words(
        title=gettext_lazy("Payments under way"),
        is_about=gettext_lazy("Payments whose outcome is not known yet; the oldest should be done "
                              "within five minutes."),
        to_do=gettext_lazy("See below whether the loop runs and the provider answers. After an "
                           "hour the offer asks for your attention by itself."),
    ),
    "outbox": Words(
        title=gettext_lazy("Mails and notices to send"),
        is_about=gettext_lazy("What must still be told: confirmations to buyers, holds to your "
                              "fulfilment."),
        to_do=gettext_lazy("See below whether the loop runs; then look at your mail server. The "
                           "offer's page names the error."),
    ),
    "refund": Words(
        title=gettext_lazy("Refunds under way"),
        is_about=gettext_lazy("Money on its way back that the provider has not confirmed yet."),
        to_do=gettext_lazy("It is asked for again by itself. Look the payment up at the provider "
                           "if it lasts."),
    ),
    "needs_attention": Words(
        title=gettext_lazy("Offers that need attention"),
        is_about=gettext_lazy("Money may have moved, and nobody but a person can decide."),
        to_do=gettext_lazy("Open the list; each offer's page offers what can be done."),
    ),
    "breaker": Words(
        title=gettext_lazy("Payment providers left alone"),
        is_about=gettext_lazy("A provider that does not answer several times in a row is not asked "
                              "for a while; buyers read that payment is unavailable."),
        to_do=gettext_lazy("Look at the provider's status page, and at the log for the error."),
    ),
    "parked_report": Words(
        title=gettext_lazy("Reports about payments we do not know"),
        is_about=gettext_lazy("The provider reports on a key of ours that is not in our books."),
        to_do=gettext_lazy("After a restored backup, look these payments up at the provider. Else "
                           "another installation may use the same account."),
    ),
    "lock_out": Words(
        title=gettext_lazy("Buyers kept from trying again"),
        is_about=gettext_lazy("Too many tries to pay, or refused cards, of one buyer or from one "
                              "network address. A few are usual."),
        to_do=gettext_lazy("Many at once is somebody who tests stolen cards. Tell the payment "
                           "provider; block the address before your shop."),
    ),
    "due_work": Words(
        title=gettext_lazy("The loop that does due work"),
        is_about=gettext_lazy("upsell_run, or the task upsell.run_due: nothing above gets finished "
                              "without it."),
        to_do=gettext_lazy("Start upsell_run, or the worker and its beat. If you schedule only "
                           "its parts, they leave no trace here."),
    ),
    "webhook": Words(
        title=gettext_lazy("Webhooks that nobody takes"),
        is_about=gettext_lazy("Events that a receiver has not taken for an hour, or that were "
                              "given up after a day."),
        to_do=gettext_lazy("Look at the receiver; the offer's page names the answer. Those that "
                           "were given up are in the log of the offer."),
    ),
    "overdue_run": Words(
        title=gettext_lazy("Journeys that are late"),
        is_about=gettext_lazy("Buyers whose next step should have happened; a few seconds are "
                              "usual, half an hour says that nothing moves."),
        to_do=gettext_lazy("See above whether the loop runs; then look at the log for the error. "
                           "Nothing is lost: each goes on from where it stands."),
    ),
    "stuck_run": Words(
        title=gettext_lazy("Runs of journeys that are stuck"),
        is_about=gettext_lazy("A step failed six times, and is not tried again by itself."),
        to_do=gettext_lazy("Open the list of stuck runs: each can be tried again, go on without "
                           "its step, or end."),
    ),
    "overdue_letter": Words(
        title=gettext_lazy("Messages of journeys to send"),
        is_about=gettext_lazy("Messages and calls whose time has come and that have not left."),
        to_do=gettext_lazy("See above whether the loop runs; then look at your mail server or "
                           "provider. The run's page names the error."),
    ),
    "unknown_letter": Words(
        title=gettext_lazy("Messages that perhaps arrived"),
        is_about=gettext_lazy("Of the last day. A process ended while it handed them over; they "
                              "are not sent again. A few are usual after a restart."),
        to_do=gettext_lazy("Many at once is a worker that keeps being killed: look at its memory "
                           "and its log. The provider's list says which arrived."),
    ),
    "sends_held": Words(
        title=gettext_lazy("Messages of journeys that are held"),
        is_about=gettext_lazy("The clock leapt, or nothing ran for over an hour, and more than a "
                              "thousand messages were due at once."),
        to_do=gettext_lazy("Look at the clock and at the journeys. Pause or stop what should not "
                           "go out; then let the rest go by upsell_run --send-held."),
    ),
}  # fmt: skip
"""Measure to its words, by the names of ``upsell.services.health``."""


def number_in_words(name: str, count: int | None, age: timedelta | None) -> str:
    """Return what a measure found: how many, and how old the oldest is."""
    if name == "due_work":
        return _("never seen") if age is None else _("seen %s ago") % age_in_words(age)
    if not count:
        return _("none")
    if age is None:
        return str(count)
    return _("%(count)d, the oldest for %(age)s") % {"count": count, "age": age_in_words(age)}


def age_in_words(age: timedelta) -> str:
    """Return a length of time by its largest unit, as people say it.

    >>> age_in_words(timedelta(seconds=59)), age_in_words(timedelta(hours=30))
    ('59 seconds', '30 hours')
    """
    seconds = int(age.total_seconds())
    if seconds < 120:
        return ngettext("%d second", "%d seconds", seconds) % seconds
    minutes = seconds // 60
    if minutes < 120:
        return ngettext("%d minute", "%d minutes", minutes) % minutes
    hours = minutes // 60
    if hours < 48:
        return ngettext("%d hour", "%d hours", hours) % hours
    return ngettext("%d day", "%d days", hours // 24) % (hours // 24)
