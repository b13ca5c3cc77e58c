"""A look at a product arrives from a real browser, after a yes and not before."""

from __future__ import annotations

import pytest

from upsell.models import EventInbox

TOLD = "**/upsell/track/"


def looks_at(one, sku: str) -> None:
    """Open a product's page, and wait until it has told of it."""
    with one.page.expect_response(TOLD) as answer:
        one.opens(f"/product/{one.products[sku].pk}/")
    assert answer.value.status == 204


def agrees(one) -> None:
    one.opens("/terms/")
    one.presses("Allow it")
    one.page.get_by_role("button", name="No longer").wait_for()


def rows() -> list[tuple[str, str, str]]:
    found = EventInbox.objects.order_by("pk").values_list("name", "customer_key", "parameters")
    return [(name, key[:2], told.get("product_ref")) for name, key, told in found]


def cookies(one) -> dict[str, dict]:
    return {row["name"]: row for row in one.page.context.cookies()}


def test_without_a_yes_a_look_leaves_nothing(shopper):
    one = shopper()

    looks_at(one, "wash7")

    assert rows() == []
    assert "upsell_visitor" not in cookies(one)
    assert one.page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_with_a_yes_a_look_arrives_under_one_key(shopper):
    one = shopper()
    agrees(one)

    looks_at(one, "wash7")
    looks_at(one, "soft")

    refs = [str(one.products[sku].pk) for sku in ("wash7", "soft")]
    assert rows() == [("product.viewed", "v:", ref) for ref in refs]
    assert EventInbox.objects.values("customer_key").distinct().count() == 1
    cookie = cookies(one)["upsell_visitor"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert "upsell_visitor" not in one.page.evaluate("document.cookie")


def test_who_takes_it_back_is_forgotten(shopper):
    one = shopper()
    agrees(one)
    looks_at(one, "wash7")

    one.presses("No longer")
    one.page.get_by_role("button", name="Allow it").wait_for()

    assert "upsell_visitor" not in cookies(one)
    with one.page.expect_response(TOLD):
        one.page.reload()
    assert rows() == []


def test_in_the_background_it_waits_until_it_is_looked_at(shopper):
    one = shopper()
    agrees(one)
    one.page.add_init_script(
        "Object.defineProperty(document, 'visibilityState', "
        "{ configurable: true, get: () => window.looking ? 'visible' : 'hidden' })"
    )
    one.opens(f"/product/{one.products['wash7'].pk}/")
    one.page.wait_for_load_state("networkidle")
    assert rows() == []

    with one.page.expect_response(TOLD):
        one.page.evaluate(
            "window.looking = true; document.dispatchEvent(new Event('visibilitychange'))"
        )

    assert len(rows()) == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_without_a_script_the_page_is_the_same_and_tells_nothing(shopper, width):
    one = shopper(script=False, width=width)
    one.opens("/terms/")
    one.presses("Allow it")
    one.opens(f"/product/{one.products['wash7'].pk}/")

    one.page.get_by_role("button", name="Put in basket").wait_for()
    assert rows() == []
