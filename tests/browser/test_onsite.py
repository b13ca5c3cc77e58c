"""A buyer comes back to the shop, and finds one message there: looked at, followed, closed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.browser.test_looks import LEAST, LOOKS, looked_at
from tests.example_shop.shop import put
from tests.services.journeys import END, MAIL, journey
from upsell.models import (
    ChannelSettings,
    EventInbox,
    JourneyRun,
    MessageTemplate,
    Offer,
    OutboxMessage,
)
from upsell.services import (
    journey_hearing,
    journey_running,
    journey_sending,
    order_facts,
    templates,
)

STEPS: dict[str, dict[str, Any]] = {
    "offer": {
        "type": "offer",
        "suggestions": 3,
        "to": {"offer": "show", "suggestions": "show", "none": "end"},
    },
    "show": MAIL | {"medium": "onsite", "template": "before-you-fly"},
    "end": END,
}
WORDS = {
    "subject": "For your flight",
    "blocks": [
        {"kind": "heading", "text": "Before you fly, {subject.first_name|traveller}"},
        {
            "kind": "text",
            "text": "One thing for {starter.product_name|your flight}, if you have none yet. Your "
            "booking stands as it is. Nothing is added unless you say so.",
        },
        {"kind": "offer_card"},
        {"kind": "suggestion_row", "text": "Others took along", "most": 3},
    ],
}
REST = [
    {"kind": "heading", "text": "Your order so far"},
    {"kind": "text", "text": "This is what you have.\n\nIt is on its way."},
    {"kind": "item_row"},
    {"kind": "image", "url": "https://shop.example/seat.png", "alt": "A seat by the window"},
    {"kind": "button", "label": "Look at your order", "link": "links.order"},
    {"kind": "heading", "text": "One question"},
    {"kind": "rating", "text": "How was it so far?", "link": "links.rating"},
]


AHEAD = """() => {
  const link = document.createElement("link");
  link.rel = "prefetch";
  link.href = "/shop/wayfare/";
  document.head.append(link);
}"""


@pytest.fixture
def returns(settings, server, shopper):
    """Make a guest who booked a flight, left its offer unanswered, and now comes back."""
    settings.UPSELL_BASE_URL = server.url

    def comes(words: dict[str, Any] = WORDS, **options):
        row = MessageTemplate.objects.create(
            slug="before-you-fly", name="x", medium="onsite", content={"en": words}
        )
        templates.publish(row, user=None, now=timezone.now())
        journey(STEPS, channels=["wayfare"])
        one = shopper(**options)
        one.buys("ber", email="emily@example.org")
        one.thanks()
        assert one.offer.count() == 1
        looked_at_extras(one)
        passes()
        assert OutboxMessage.objects.filter(medium="onsite", state="PENDING").count() == 1
        return one

    return comes


def looked_at_extras(one) -> None:
    """Let the buyer have looked at what goes along with a flight."""
    extras = [one.products[sku] for sku in ("insur", "taxi", "bag")]
    ChannelSettings.objects.update_or_create(
        channel="wayfare", defaults={"ancillary_categories": [str(extras[0].category_id)]}
    )
    now = timezone.now()
    EventInbox.objects.bulk_create(
        EventInbox(
            source="TAG",
            event_id=f"look-{product.pk}",
            name="product.viewed",
            customer_key=Offer.objects.get().customer_key,
            parameters={"product_ref": str(product.pk)},
            occurred_at=now,
            received_at=now,
        )
        for product in extras
    )


def passes() -> None:
    """Do what is due."""
    order_facts.sweep_due()
    now = timezone.now()
    journey_hearing.work(now=now)
    for _round in range(3):
        journey_running.advance_due(now=now)
        journey_sending.send_due(now=now)


def state() -> str:
    return str(OutboxMessage.objects.get(medium="onsite").state)


def message(one) -> Any:
    return one.page.locator("[data-upsell-message]")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_offer_is_found_again_at_the_next_visit_and_taken(returns, width):
    one = returns(width=width, height=900)
    before = one.total

    one.opens("/shop/wayfare/")
    assert message(one).count() == 1
    assert state() == "SENT"
    assert message(one).get_by_role("heading", name="Before you fly").is_visible()

    message(one).get_by_role("link", name="Look at the offer").click()
    assert message(one).count() == 0, "the page that it leads to is quiet"
    one.accepts()
    one.page.get_by_role("heading", name="is in your order").wait_for()

    assert Offer.objects.get().state == "ACCEPTED"
    assert one.total > before
    passes()
    assert JourneyRun.objects.get().state in {"COMPLETED", "EXITED"}


def test_it_is_there_once(returns):
    one = returns()

    one.opens("/shop/wayfare/")
    assert message(one).count() == 1
    one.page.reload()
    assert message(one).count() == 0


def test_a_suggestion_leads_to_its_product(returns):
    one = returns()
    one.opens("/shop/wayfare/")
    link = message(one).locator(".upsell-message-suggestions a").first
    name = link.inner_text().strip()

    link.click()

    one.page.get_by_role("heading", name=name).first.wait_for()


@pytest.mark.parametrize("script", [True, False])
def test_it_is_closed_with_and_without_a_script_and_the_page_stays(returns, script):
    one = returns(script=script)
    one.opens("/shop/wayfare/?sort=price")

    message(one).get_by_role("button", name="Close this message").click()
    one.page.wait_for_load_state()

    assert one.page.url.endswith("/shop/wayfare/?sort=price")
    assert message(one).count() == 0
    assert OutboxMessage.objects.get(medium="onsite").reason == "dismissed"


def test_a_browser_that_fetches_ahead_uses_nothing_up(returns):
    one = returns()
    one.thanks()
    with one.page.expect_response("**/shop/wayfare/") as fetched:
        one.page.evaluate(AHEAD)
    assert fetched.value.request.all_headers()["sec-purpose"].startswith("prefetch")

    assert state() == "PENDING"


def test_the_checkout_is_left_in_peace(returns):
    one = returns()
    put(one.client, one.products["ber"])

    for path in ("/checkout/", f"/order/{one.order.pk}/thanks/"):
        one.opens(path)
        assert one.page.url.endswith(path)
        assert message(one).count() == 0
    assert state() == "PENDING"


def test_after_its_time_it_is_gone(returns):
    one = returns()
    OutboxMessage.objects.filter(medium="onsite").update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )

    one.opens("/shop/wayfare/")
    assert message(one).count() == 0
    passes()
    assert state() == "EXPIRED"


@pytest.mark.parametrize("words", [WORDS, WORDS | {"blocks": REST}], ids=["offer", "rest"])
def test_it_is_for_everybody(returns, axe, words):
    one = returns(words)
    one.page.route("https://shop.example/**", lambda route: route.abort())
    one.opens("/shop/wayfare/")

    wrong = [line for look in LOOKS for line in looked_at(one, axe, *look)]

    assert wrong == []
    pressed = "a.upsell-message-go, button, .upsell-message-scores a, .upsell-message-leave a"
    heights = (
        message(one)
        .locator(pressed)
        .evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    )
    assert len(heights) >= 4
    assert min(heights) >= LEAST
    if words is not WORDS:  # the picture of a shop that is not there
        one.complaints = [line for line in one.complaints if "shop.example" not in line]
