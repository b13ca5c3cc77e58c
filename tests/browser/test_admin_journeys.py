"""Journeys, messages' runs and segments in a real browser: for everybody, on a phone too."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests import factories
from tests.browser.admin_pages import findings
from tests.services.journeys import END, MAIL, T0, WAIT_3H, journey, move, tell
from upsell.models import EntryRefused, Journey, JourneyRun
from upsell.services import (
    backfilling,
    consenting,
    contact_lists,
    journey_publishing,
    ready_journeys,
    segments,
)

pytestmark = pytest.mark.usefixtures("addressed")


@pytest.fixture
def rows(shop) -> dict[str, int]:
    """A ready-made journey as a draft; one that is live, with a run that waits and one stuck."""
    draft = ready_journeys.copy("flight")
    placed = factories.order(shop, email="emily@example.org")
    goals = [{"id": "bought", "event": "order.changed", "within": "P5D"}]
    live = journey({"wait": WAIT_3H, "mail": MAIL, "end": END}, goals=goals)
    tell(order_ref=str(placed.pk), key="u:1")
    tell(order_ref=str(placed.pk), key="u:2")
    move(T0 + timedelta(hours=3))
    first, second = JourneyRun.objects.order_by("pk")
    JourneyRun.objects.filter(pk=second.pk).update(state="STUCK", error="ShopDown", due_at=None)
    live.steps.filter(name="wait").update(name="pause", told={"for": "PT1H"})
    live.steps.filter(name="pause").update(to={"next": "mail"})
    journey_publishing.publish(live, now=T0)
    JourneyRun.objects.filter(pk=first.pk).update(step="wait")
    EntryRefused.objects.create(
        journey=live, customer_key="u:3", event_key="HOST:x", reason="cap:all", at=T0
    )
    segments.copy_ready("new-visitor")
    for number in range(51):
        key = f"u:{number}"
        member = contact_lists.member("Summer sale", JourneyRun(customer_key=key), now=T0)
        contact_lists.join([member])
        consenting.grant(customer_key=key, medium="email", purpose="ads", source="account", now=T0)
    backfilling.start(live, since=T0, until=T0 + timedelta(days=9), per_minute=5)
    return {"draft": draft.pk, "live": live.pk, "run": first.pk, "stuck": second.pk}


PAGES = {
    "list": ("journey_changelist", ""),
    "a new one": ("journey_add", ""),
    "a draft": ("journey_edit", "draft"),
    "a draft, looked at": ("journey_change", "draft"),
    "live": ("journey_change", "live"),
    "live, its draft": ("journey_edit", "live"),
    "ready-made": ("journey_ready", ""),
    "to import": ("journey_import", ""),
    "walked through": ("journey_walk", "live"),
    "entries refused": ("journey_refused", "live"),
    "to stop": ("journey_stop", "live"),
    "past events": ("journey_backfill", "live"),
    "to move": ("journey_move", "live"),
    "runs": ("journeyrun_changelist", ""),
    "a run": ("journeyrun_change", "run"),
    "a run that is stuck": ("journeyrun_change", "stuck"),
    "to skip": ("journeyrun_skip", "stuck"),
    "segments": ("segment_changelist", ""),
    "a new segment": ("segment_add", ""),
    "contact lists": ("listmember_changelist", ""),
    "a contact list": ("listmember_changelist", "?list=Summer+sale"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody_at_every_width(staff, axe, rows, name):
    """axe finds nothing, a phone shows it without sideways scroll, and no console complains."""
    page, key = PAGES[name]
    told = {}
    for width, scheme in ((1280, "light"), (390, "dark")):
        one = staff(width=width, scheme=scheme)
        query = key if key.startswith("?") else ""
        one.opens(page, *([rows[key]] if key in rows else []), query=query)
        for summary in one.page.locator(".upsell-page details > summary").all():
            summary.click()
        told[width, scheme] = findings(axe, one.page)
        assert one.scrolls_sideways() == 0, (width, scheme)
    assert told == {key: [] for key in told}


def test_a_ready_made_journey_is_copied_and_published(staff, shop):
    """From nothing to live, by what the pages offer."""
    one = staff()
    one.opens("journey_ready")
    one.page.get_by_role("button").filter(has_text="Copy").first.click()
    one.page.wait_for_load_state()

    assert Journey.objects.get().state == "DRAFT"
