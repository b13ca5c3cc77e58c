"""A buyer at a browser: what happens behind a page is quick, what happens on it is clicked."""

from __future__ import annotations

from typing import Any

from django.test import Client

from example_shop.models import Order, Product
from tests.example_shop.shop import bought, put

_TELL_OF_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error("policy:", event.violatedDirective, event.blockedURI, event.sourceFile));
"""


class Shopper:
    """One browser window, and the session that it shares with a quick client."""

    def __init__(
        self,
        browser: Any,
        url: str,
        products: dict[str, Product],
        *,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        script: bool = True,
        language: str = "en",
        **options: Any,
    ) -> None:
        self.url = url
        self.products = products
        self.client = Client(HTTP_USER_AGENT="Mozilla/5.0")
        self.complaints: list[str] = []
        self.order: Order | None = None
        self._asked_for: set[str] = set()
        self._context = browser.new_context(
            base_url=url,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=script,
            locale=language,
            reduced_motion="reduce",
            **options,
        )
        self._context.set_default_timeout(10_000)
        self._context.add_init_script(_TELL_OF_VIOLATIONS)
        self.page = self._context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("response", self._note)

    def leaves(self) -> None:
        self._context.close()

    def _hear(self, message: Any) -> None:
        # A page that is answered with 402 is no fault of the page.
        answered = message.location.get("url") in self._asked_for
        if message.type in {"error", "warning"} and not answered:
            self.complaints.append(f"{message.type}: {message.text} ({message.location})")

    def _note(self, response: Any) -> None:
        if response.request.resource_type == "document":
            self._asked_for.add(response.url)

    # ------------------------------------------------------------ what is quick

    def buys(self, sku: str, quantity: int = 1, **options: str) -> Order:
        """Place an order, and carry its session into the browser."""
        put(self.client, self.products[sku], quantity)
        self.order = bought(self.client, **options)
        self._context.add_cookies(
            [
                {"name": name, "value": morsel.value, "url": self.url}
                for name, morsel in self.client.cookies.items()
            ]
        )
        return self.order

    @property
    def total(self) -> Any:
        """The order's total as the shop knows it now."""
        self.order.refresh_from_db()
        return self.order.total_gross

    # ------------------------------------------------------------ what is seen

    def opens(self, path: str) -> None:
        self.page.goto(path)

    def thanks(self) -> None:
        """Look at the thank-you page."""
        self.opens(f"/order/{self.order.pk}/thanks/")

    @property
    def offer(self) -> Any:
        """The block of the offer."""
        return self.page.locator("[data-upsell-offer]")

    def accepts(self) -> None:
        self.offer.locator("button[value=accept]").click()

    def declines(self) -> None:
        self.offer.locator("button[value=decline]").click()

    def presses(self, words: str) -> None:
        self.page.get_by_role("button", name=words).or_(
            self.page.get_by_role("link", name=words)
        ).first.click()

    # ------------------------------------------------------------ keys alone

    def tabs_to(self, selector: str) -> None:
        """Press Tab until the element has the focus, and see that the focus can be seen."""
        for _ in range(60):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("css => document.activeElement.matches(css)", selector):
                ring = self.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
                assert ring == "3px", f"the ring around {selector} is {ring} wide"
                return
        raise AssertionError(f"Tab never comes to {selector}")

    def focused(self) -> str:
        """Return the words of the element that has the focus."""
        return str(self.page.evaluate("document.activeElement.innerText.replace(/\\s+/g, ' ')"))
