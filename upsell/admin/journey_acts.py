"""What is done to a journey: publish, pause, go on, let run out, stop. Each asks first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from upsell import clock
from upsell.exceptions import UpsellError
from upsell.models import Journey, OutboxMessage
from upsell.queries import journeys as counted
from upsell.services import journey_publishing, journey_states


class ResumeForm(forms.Form):
    """What becomes of those who waited through the pause."""

    how = forms.ChoiceField(
        label=gettext_lazy("Whoever waited"),
        choices=[
            ("run_now", gettext_lazy("goes on now where the time has come")),
            ("shift", gettext_lazy("waits longer, by as long as the pause was")),
            ("drop_stale", gettext_lazy("leaves where the time has passed")),
        ],
        widget=forms.RadioSelect,
        initial="run_now",
    )


STATES: dict[str, frozenset[str]] = {
    "publish": frozenset({"DRAFT", "LIVE", "PAUSED", "SUNSET"}),
    "pause": frozenset({"LIVE"}),
    "resume": frozenset({"PAUSED"}),
    "sunset": frozenset({"LIVE"}),
    "stop": frozenset({"LIVE", "PAUSED", "SUNSET"}),
}
"""What may be done, and as the journey stands when."""


def publish(page: Any, request: HttpRequest, row: Journey) -> HttpResponse:
    """Make the draft what buyers enter from now on."""
    draft = row.state == Journey.State.DRAFT
    first = (
        _("From then on every buyer whom it fits enters it.")
        if draft
        else _("Buyers who enter from then on go through it as it stands; whoever is in it goes on"
               " as it was.")
    )  # fmt: skip

    def done(_form: Any) -> str:
        if draft:
            journey_states.go_live(row, user=request.user, now=clock.database_now())
            return _("It is live.")
        version = journey_publishing.publish(row, user=request.user, now=clock.database_now())
        return _("Version %d is published.") % version.number

    return _ask(
        page, request, row, done,
        title=_("Publish the journey"), about=[first], button=_("Publish it"), check=True,
    )  # fmt: skip


def pause(page: Any, request: HttpRequest, row: Journey) -> HttpResponse:
    """Let nobody enter and nobody move."""

    def done(_form: Any) -> str:
        journey_states.pause(row, now=clock.database_now())
        return _("It is paused.")

    return _ask(
        page, request, row, done,
        title=_("Pause the journey"),
        about=[_("Nobody enters, and nobody moves. Whoever has a reason to leave still leaves."),
               _in_it(page, request, row)],
        button=_("Pause it"),
    )  # fmt: skip


def resume(page: Any, request: HttpRequest, row: Journey) -> HttpResponse:
    """Go on after a pause."""

    def done(form: Any) -> str:
        touched = journey_states.resume(row, form.cleaned_data["how"], now=clock.database_now())
        text = ngettext(
            "It goes on; %d buyer's time was changed.",
            "It goes on; %d buyers' times were changed.",
            touched,
        )  # fmt: skip
        return text % touched if touched else _("It goes on.")

    return _ask(
        page, request, row, done,
        title=_("Go on with the journey"),
        about=[_in_it(page, request, row)],
        button=_("Go on"),
        form=ResumeForm(request.POST if request.POST.get("confirmed") else None),
    )  # fmt: skip


def sunset(page: Any, request: HttpRequest, row: Journey) -> HttpResponse:
    """Let nobody enter any more."""

    def done(_form: Any) -> str:
        journey_states.sunset(row, now=clock.database_now())
        return _("Nobody enters it any more.")

    return _ask(
        page, request, row, done,
        title=_("Let the journey run out"),
        about=[_("Nobody enters any more. Whoever is in it goes on to the end."),
               _in_it(page, request, row)],
        button=_("Let it run out"),
    )  # fmt: skip


def stop(page: Any, request: HttpRequest, row: Journey) -> HttpResponse:
    """End it for good."""
    waiting = OutboxMessage.objects.filter(run__journey=row, state="PENDING").count()
    text = ngettext(
        "%d message that was not sent yet is cancelled.",
        "%d messages that were not sent yet are cancelled.",
        waiting,
    )

    def done(_form: Any) -> str:
        ended = journey_states.stop(row, now=clock.database_now())
        text = ngettext("Stopped; %d buyer left it.", "Stopped; %d buyers left it.", ended)
        return text % ended

    return _ask(
        page, request, row, done,
        title=_("Stop the journey"),
        about=[_("Every run ends at once, for good: a stopped journey cannot be started again, only"
                 " copied."),
               _in_it(page, request, row), text % waiting],
        button=_("Stop it"),
    )  # fmt: skip


ACTS: dict[str, Callable[[Any, HttpRequest, Journey], HttpResponse]] = {
    "publish": publish, "pause": pause, "resume": resume, "sunset": sunset, "stop": stop,
}  # fmt: skip


def _in_it(page: Any, request: HttpRequest, row: Journey) -> str:
    # All of them, whatever sales channels are theirs: what is done is done to all.
    count = counted.numbers_of([row.pk]).get(row.pk, counted.Numbers()).active
    text = ngettext("%d buyer is in it now.", "%d buyers are in it now.", count)
    return text % count


def _ask(
    page: Any,
    request: HttpRequest,
    row: Journey,
    done: Callable[[Any], str],
    *,
    title: str,
    about: list[str],
    button: str,
    form: forms.Form | None = None,
    check: bool = False,
) -> HttpResponse:
    """Ask first, with what it will do; then do it once it is confirmed."""
    found = request.resolver_match
    name = (found.url_name or "").rpartition("_")[2] if found is not None else ""
    fits = row.state in STATES.get(name, frozenset())
    problems: list[str] = []
    confirmed = request.method == "POST" and request.POST.get("confirmed") == "yes"
    context: dict[str, Any] = page.findings(row) if check else {}
    if not fits:
        problems = [_("It is %s: that cannot be done now.") % row.get_state_display()]
    elif confirmed and (form is None or form.is_valid()):
        try:
            told = done(form)
        except journey_publishing.JourneyFaults:
            row.refresh_from_db()
            context = page.findings(row)
        except (UpsellError, ValueError) as error:
            problems = [str(error)]
        else:
            messages.success(request, told)
            return redirect("admin:upsell_journey_change", row.pk)
    fits = fits and not context.get("faults")
    answer: HttpResponse = page.show(
        request, "act.html", title, row,
        about=about, button=button, form=form, problems=problems, fits=fits, **context,
    )  # fmt: skip
    return answer
