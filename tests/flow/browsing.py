"""A buyer's browser: cookies, pages and the forms on them. It knows HTTP and HTML, no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from urllib.parse import urlencode

SHOP = "http://shop.example"
"""Where the shop is, whatever port its process listens on: as behind a proxy."""
PATIENCE = 30
"""Seconds until a page that does not come fails the test."""


class _Reader(HTMLParser):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.state = ""
        self.forms: dict[str, dict[str, str]] = {}
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.state = values.get("data-upsell-state", self.state)
        if tag == "a":
            self.links.append(values.get("href", ""))
        elif tag == "form":
            self.forms[values.get("action") or self.path] = {}
        elif tag in {"input", "button"} and values.get("name") and self.forms:
            list(self.forms.values())[-1].setdefault(values["name"], values.get("value", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What came back."""

    path: str
    code: int
    text: str
    state: str = ""
    """Of the offer on the page; empty where there is none."""
    forms: dict[str, dict[str, str]] = field(default_factory=dict)
    """Address to fields."""
    links: tuple[str, ...] = ()

    def address(self, name: str) -> str:
        """Return the address that a button posts to, by its last part; empty without a button."""
        return next((action for action in self.forms if action.endswith(f"/{name}/")), "")

    def link(self, part: str) -> str:
        """Return the first link with this in its address; empty without one."""
        return next((link for link in self.links if part in link), "")


class Browser:
    """One buyer's browser. It follows redirections, and keeps the page that came last."""

    def __init__(self, session_key: str) -> None:
        self.session_key = session_key
        self.port = 0
        self.page = Page(path="", code=0, text="")
        self._cookies = {"sessionid": session_key}

    def get(self, path: str) -> Page:
        return self._ask("GET", path)

    def press(self, name: str, /, **values: str) -> Page:
        """Press a button of the page as it was when it came; ``name`` ends its address."""
        action = self.page.address(name)
        assert action, f"no {name!r} on {self.page.path} ({self.page.code}, {self.page.state!r})"
        return self._ask("POST", action, self.page.forms[action] | values)

    def _ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> Page:
        headers = {
            "Host": SHOP.removeprefix("http://"),
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
        }
        if fields is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": SHOP}
        link = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            link.request(method, path, None if fields is None else urlencode(fields), headers)
            response = link.getresponse()
            text = response.read().decode()
        finally:
            link.close()
        for header in response.headers.get_all("Set-Cookie", []):
            self._cookies |= {name: crumb.value for name, crumb in SimpleCookie(header).items()}
        target = response.headers.get("Location", "").removeprefix(SHOP)
        if target:
            return self.get(target)
        reader = _Reader(path)
        reader.feed(text)
        self.page = Page(
            path=path,
            code=response.status,
            text=text,
            state=reader.state,
            forms=reader.forms,
            links=tuple(reader.links),
        )
        return self.page
