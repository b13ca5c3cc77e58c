"""Text that wants to be more than text, and the shape of a page that lets nothing through."""

from __future__ import annotations

import re
from html.parser import HTMLParser

HARMLESS = "word"

XSS = [
    "<script>alert(1)</script>", "<SCRIPT SRC=//evil.example/x.js></SCRIPT>", "<script>",
    "</script><script>alert(1)</script>", "<script/x>alert(1)</script>", "<scr<script>ipt>alert(1)",
    "<img src=x onerror=alert(1)>", "<img/src/onerror=alert(1)>", "<svg onload=alert(1)>",
    "<svg/onload=alert(1)//", "<svg><script>alert&#40;1&#41;</script></svg>",
    "<body onload=alert(1)>", "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=alert(1)>",
    "<details open ontoggle=alert(1)>", "<object data=data:text/html,x></object>",
    "<embed src=//evil.example>", "<base href=//evil.example/>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<link rel=stylesheet href=//evil.example>", "<form action=//evil.example><input type=submit>",
    "<input autofocus onfocus=alert(1)>", "<button formaction=//evil.example>",
    "<textarea></textarea><script>alert(1)</script>", "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>", "</style><script>x</script>",
    "</section></main></body><script>alert(1)</script>",
    "</option></select><img src=x onerror=alert(1)>", "<style>@import'//evil.example'</style>",
    "<a href=javascript:alert(1)>x</a>", "<x onclick=alert(1)>x", "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)", "` onmouseover=`alert(1)", "\"><script>x</script>",
    "'><script>alert(1)</script>", "\" autofocus onfocus=alert(1) x=\"",
    "\" style=\"x:expression(alert(1))", "\"/><img src=x onerror=alert(1)>",
    "x\" data-upsell-auto=\"", "x\" data-upsell-state=\"open", "--><script>alert(1)</script>",
    "<!--<script>", "]]><script>alert(1)</script>", "<![CDATA[<script>]]>",
    "<?xml version='1.0'?><script/>", "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;script&#62;",
    "&#x3c;script>", "\\u003cscript\\u003ealert(1)", "%3Cscript%3Ealert(1)%3C/script%3E",
    "\\x3cscript\\x3e", "＜script＞alert(1)＜/script＞", "‹script›",
    "<\x00script>alert(1)</script>",
    "<scr\x00ipt>alert(1)</script>", "javascript:alert(1)", "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)",
    " javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:msgbox(1)",
    "//evil.example/x.js", "{{ 7|add:7 }}", "{% load upsell %}{{ 7 }}", "${7*7}", "#{7*7}",
    "%(title)s %s %d", "{0.__class__}", "{settings.SECRET_KEY}", "\u202egnp.exe", "\u2028alert(1)",
    "a\r\nBcc: e@x.y",
]  # fmt: skip
"""Each of them in every text of staff and of buyers."""

_ADDRESSES = {"href", "src", "action", "formaction", "data", "poster", "srcset", "background"}


class _Shape(HTMLParser):
    """Elements with the names of their attributes, in order; and where their addresses lead."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[tuple[str, ...]] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, *sorted(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in _ADDRESSES]

    handle_startendtag = handle_starttag

    def handle_comment(self, data: str) -> None:
        self.shape.append(("a comment",))

    def handle_decl(self, decl: str) -> None:
        self.shape.append(("a declaration", decl))

    def unknown_decl(self, data: str) -> None:
        self.shape.append(("a section",))

    def handle_pi(self, data: str) -> None:
        self.shape.append(("an instruction",))


def shape_of(html: str) -> list[tuple[str, ...]]:
    """Return what a page is made of: elements, their attributes' names, comments."""
    return _parsed(html).shape


def led_away(html: str) -> list[str]:
    """Return the addresses on a page that a browser would run instead of open."""
    return [
        value
        for value in _parsed(html).addresses
        # As browsers read it: blanks and control characters are not there.
        if re.match(r"(?!https?:)[a-z][a-z0-9+.-]*:", re.sub(r"[\x00-\x20]", "", value.lower()))
    ]


def _parsed(html: str) -> _Shape:
    parser = _Shape()
    parser.feed(html)
    parser.close()
    return parser
