"""A member of staff at a browser, before the admin under the strict policy of a real shop."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

SHOP = {
    "MIDDLEWARE": ["example_shop.middleware.content_security_policy", *settings.MIDDLEWARE],
    "UPSELL_BASE_URL": "https://shop.example",
    "UPSELL_TIME_BUDGET": timedelta(seconds=10),  # a machine with browsers on it is busy
}
_TELL_OF_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error("policy:", event.violatedDirective, event.blockedURI, event.sourceFile));
"""


# What stock Django's own admin has on its pages: (axe's rule, part of the element, why it stays).
STOCK = (
    ("aria-input-field-name", "select2", "its select2 does not name the box it draws"),
    ("label", "select2-search__field", "nor the text field in the box"),
    ("label", "vDateField", "the words beside the halves of a date and time are no labels"),
    ("label", "vTimeField", "the same for the time"),
    ("label", "-DELETE", "in a tabular inline the head of the column says what the box means"),
    ("empty-table-header", 'class="original"', "a tabular inline's column for the row's own name"),
    ("label-title-only", "searchbar", "the search of a list is described, and labelled by a lens"),
    ("link-in-text-block", ".breadcrumbs >", "its own breadcrumbs; ours are underlined"),
    ("link-in-text-block", ".small >", "the link to show all rows, beside their number"),
)


class Staff:
    """One window that is signed in."""

    def __init__(
        self,
        browser: Any,
        url: str,
        user: User,
        *,
        width: int = 1280,
        scheme: str = "light",
        script: bool = True,
    ) -> None:
        self.url = url
        self.width = width
        self.complaints: list[str] = []
        session = Client()
        session.force_login(user)
        self._context = browser.new_context(
            base_url=url,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
            locale="en",
            reduced_motion="reduce",
        )
        self._context.set_default_timeout(10_000)
        self._context.add_init_script(_TELL_OF_VIOLATIONS)
        cookie = {"name": "sessionid", "value": session.cookies["sessionid"].value, "url": url}
        self._context.add_cookies([cookie])
        self.page = self._context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{error}"))

    def leaves(self) -> None:
        self._context.close()

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def opens(self, name: str, *args: object, query: str = "") -> None:
        self.page.goto(reverse(f"admin:upsell_{name}", args=args) + query)

    def scrolls_sideways(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        told: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return told

    def picks(self, select: str, typed: str, label: str) -> None:
        """Type into a picker as staff do, and choose what it finds."""
        # The box that select2 draws stands right after the list it stands for.
        self.page.locator(f"{select} + .select2").click()
        self.page.locator(".select2-container--open .select2-search__field").fill(typed)
        self.page.locator(".select2-results__option", has_text=label).first.click()


def findings(axe: Any, page: Any) -> list[str]:
    """Return what axe finds that stock Django has not: rule, element, and what is wrong.

    Preloading would have it write style elements, which the page's policy refuses.
    """
    told = []
    for violation in axe.run(page, options={"preload": False}).response["violations"]:
        for node in violation["nodes"]:
            target, html = " ".join(map(str, node["target"])), node["html"]
            if any(rule == violation["id"] and part in target + html
                   for rule, part, _why in STOCK):  # fmt: skip
                continue
            told.append(f"{violation['id']} at {target}: {html[:120]}")
    return told
