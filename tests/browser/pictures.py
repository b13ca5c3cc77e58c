"""Takes the README's pictures of the offer anew: ``pytest tests/browser/pictures.py``."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from example_shop.models import Order
from tests.browser.shopper import Shopper

try:
    from PIL import Image
except ImportError:
    Image = None

IMAGES = Path(__file__).parents[2] / "docs" / "images"
NOON = datetime(2026, 3, 2, 12, 1, tzinfo=UTC)
MARGIN = 24


def noon() -> datetime:
    """The time on the pictures."""
    return NOON


def take(buyer: Shopper, name: str) -> None:
    """Photograph the card with a little of the page around it, in few colours."""
    buyer.page.evaluate("document.fonts.ready")
    box = buyer.offer.bounding_box()
    clip = {
        "x": box["x"] - MARGIN,
        "y": box["y"] - MARGIN,
        "width": box["width"] + 2 * MARGIN,
        "height": box["height"] + 2 * MARGIN,
    }
    taken = buyer.page.screenshot(full_page=True, clip=clip, animations="disabled")
    if Image is not None:
        small = io.BytesIO()
        few = Image.open(io.BytesIO(taken)).convert("RGB").quantize(128, dither=Image.Dither.NONE)
        few.save(small, "PNG", optimize=True)
        taken = small.getvalue()
    (IMAGES / name).write_bytes(taken)
    assert len(taken) < 200_000, name


@pytest.mark.parametrize(
    ("sku", "answered", "name"),
    [
        ("wash7", False, "offer-upsell.png"),
        ("cam", False, "offer-cross-sell.png"),
        ("wash7", True, "accepted.png"),
    ],
)
def test_a_picture(shopper, settings, sku, answered, name):
    settings.UPSELL_CLOCK = "tests.browser.pictures.noon"
    buyer = shopper(width=800, device_scale_factor=2)
    buyer.buys(sku)
    Order.objects.update(number="1042", placed_at=NOON)
    buyer.thanks()
    if answered:
        buyer.accepts()
        buyer.offer.get_by_role("heading").wait_for()

    take(buyer, name)
