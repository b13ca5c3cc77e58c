"""The form of a message: a subject and blocks in their order. It works without a script.

A block has a kind from the moment it is added, and shows the fields of that kind alone. Buttons
add, move and remove blocks by sending the form: what is typed comes back, and nothing is saved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.admin.fields import choose_language, site_language
from upsell.engine.blocks import LONGEST_SUBJECT, MOST_BLOCKS, BlockKind
from upsell.engine.journeys.definition import Fault
from upsell.engine.variables import LINKS, MOST_ITEMS
from upsell.models import MessageTemplate
from upsell.services import ready_messages

KINDS: Mapping[BlockKind, tuple[Any, Any]] = {
    BlockKind.HEADING: (gettext_lazy("Heading"), ""),
    BlockKind.TEXT: (gettext_lazy("Text"), ""),
    BlockKind.IMAGE: (gettext_lazy("Picture"), ""),
    BlockKind.BUTTON: (gettext_lazy("Button"), ""),
    BlockKind.ITEM_ROW: (
        gettext_lazy("What was bought"),
        gettext_lazy("The items of the order, with what was paid for them."),
    ),
    BlockKind.OFFER_CARD: (
        gettext_lazy("The offer"),
        gettext_lazy(
            "The order's own offer with its price and its button. Left out where there is none."
        ),
    ),
    BlockKind.SUGGESTION_ROW: (
        gettext_lazy("Suggestions"),
        gettext_lazy("Products with their price of today, that promise nothing."),
    ),
    BlockKind.RATING: (
        gettext_lazy("Rating"),
        gettext_lazy("Five buttons, 1 to 5. Each opens the page below with its number as “score”."),
    ),
}  # fmt: skip
"""What each kind is called, and what it shows by itself."""

ADDRESS = "https"
_LINK_WORDS = {
    "offer.link": gettext_lazy("the page of the offer"),
    "links.order": gettext_lazy("the order in the shop"),
    "links.rating": gettext_lazy("our page that takes a rating"),
    "links.view_online": gettext_lazy("this message as a page"),
    "links.preferences": gettext_lazy("what the buyer wants to get"),
    "links.unsubscribe": gettext_lazy("unsubscribe"),
    "offer.url": gettext_lazy("the offered product in the shop"),
    "starter.product_url": gettext_lazy("the product that the journey began with"),
    "last.product_url": gettext_lazy("the product bought last"),
    "purchased.1.url": gettext_lazy("the first item of the order"),
    "suggestion.1.url": gettext_lazy("the first suggestion"),
    "shop.url": gettext_lazy("the shop's front page"),
}


def _links(empty: str) -> list[tuple[str, Any]]:
    return [
        ("", empty),
        *((name, _LINK_WORDS[name]) for name in LINKS),
        (ADDRESS, _("the address beside it")),
    ]


def _line(label: Any, length: int, help_text: Any = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        max_length=length,
        help_text=help_text,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


_ALT = gettext_lazy("What it shows, for who does not see it.")
_PICTURE = gettext_lazy(
    "https://… of a PNG or JPEG, 1104 pixels wide; or {offer.image}, {starter.product_image}, "
    "{purchased.1.image}."
)


class BlockForm(forms.Form):
    """One block. ``kept`` carries a condition that was set elsewhere."""

    kind = forms.CharField(widget=forms.HiddenInput)
    kept = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, kind: BlockKind, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.block_kind = kind
        self.fields |= _fields(kind)
        self.initial.setdefault("kind", kind.value)

    @property
    def called(self) -> Any:
        """The kind, in words."""
        return KINDS[self.block_kind][0]

    @property
    def about(self) -> Any:
        """What it shows by itself."""
        return KINDS[self.block_kind][1]

    @property
    def is_conditional(self) -> bool:
        """Whether it is shown to some only."""
        return bool(self["kept"].value())

    def block(self) -> dict[str, Any]:
        """Return the block as it is stored; what is wrong with it is the engine's to say."""
        told = self.cleaned_data
        made: dict[str, Any] = {"kind": self.block_kind.value}
        for name in ("text", "label", "url", "alt", "most"):
            if told.get(name) not in (None, ""):
                made[name] = told[name]
        if "link" in self.fields:
            link = told.get("address") if told.get("link") == ADDRESS else told.get("link")
            if link:
                made["link"] = link
        try:
            kept = json.loads(told.get("kept") or "null")
        except ValueError:
            kept = told["kept"]  # the engine says that it is no condition
        return made | ({"show_if": kept} if kept else {})


def _fields(kind: BlockKind) -> dict[str, forms.Field]:
    match kind:
        case BlockKind.HEADING:
            return {"text": _line(gettext_lazy("Heading"), 120)}
        case BlockKind.TEXT:
            area = forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField"})
            words = gettext_lazy("An empty line begins a new paragraph.")
            return {
                "text": forms.CharField(
                    label=gettext_lazy("Text"),
                    required=False,
                    max_length=4000,
                    widget=area,
                    help_text=words,
                )
            }
        case BlockKind.IMAGE:
            return {
                "url": _line(gettext_lazy("Picture"), 1000, _PICTURE),
                "alt": _line(gettext_lazy("Description"), 200, _ALT),
                **_link(gettext_lazy("Leads to"), _("nowhere")),
            }
        case BlockKind.BUTTON:
            return {
                "label": _line(gettext_lazy("Words on it"), 60),
                **_link(gettext_lazy("Leads to"), _("choose")),
            }
        case BlockKind.OFFER_CARD:
            words = gettext_lazy("Empty: “Look at the offer”.")
            return {"label": _line(gettext_lazy("Words on its button"), 60, words)}
        case BlockKind.SUGGESTION_ROW:
            return {
                "text": _line(gettext_lazy("Heading above"), 120),
                "most": forms.IntegerField(
                    label=gettext_lazy("At most"),
                    required=False,
                    min_value=1,
                    max_value=MOST_ITEMS,
                    help_text=gettext_lazy("Empty: three."),
                ),
            }
        case BlockKind.RATING:
            return {
                "text": _line(gettext_lazy("Question"), 200),
                **_link(gettext_lazy("Opens"), _("choose")),
            }
    return {}


def _link(label: Any, empty: str) -> dict[str, forms.Field]:
    address = forms.CharField(
        label=gettext_lazy("Address"),
        required=False,
        max_length=1000,
        widget=forms.TextInput(attrs={"class": "vTextField", "placeholder": "https://"}),
        help_text=gettext_lazy("Read only where it leads to “the address beside it”."),
    )
    return {
        "link": forms.ChoiceField(label=label, required=False, choices=_links(empty)),
        "address": address,
    }


class LetterForm(forms.Form):
    """A message in one language, but for its blocks."""

    subject = _line(gettext_lazy("Subject"), LONGEST_SUBJECT)
    preheader = _line(
        gettext_lazy("Preview line"),
        200,
        gettext_lazy("Beside the subject in a list of mails. Empty: the first words of the text."),
    )


class Letter:
    """Both together: shown, changed by its buttons, and read."""

    def __init__(self, *, data: Any = None, stored: Mapping[str, Any] | None = None) -> None:
        told = stored or {}
        self.form = LetterForm(
            data,
            initial={name: told.get(name, "") for name in ("subject", "preheader")},
            prefix="letter",
        )
        self.blocks = (
            _sent_blocks(data) if data is not None else _forms_of(told.get("blocks") or [])
        )

    @property
    def is_valid(self) -> bool:
        return all([self.form.is_valid(), *[block.is_valid() for block in self.blocks]])

    @property
    def has_errors(self) -> bool:
        return bool(self.form.errors) or any(block.errors for block in self.blocks)

    def values(self) -> dict[str, Any]:
        """Return the language as it is stored."""
        told = self.form.cleaned_data
        return {
            "subject": told["subject"],
            "preheader": told["preheader"],
            "blocks": [block.block() for block in self.blocks],
        }

    def refuse(self, faults: Sequence[Fault]) -> None:
        """Show what is wrong at the field where it is; places are ``de.blocks.2.text``."""
        for fault in faults:
            _language, *path = fault.path.split(".")
            form: forms.Form = self.form
            if path[:1] == ["blocks"] and len(path) > 1:
                form, path = self.blocks[int(path[1])], path[2:]
            name = path[0] if path else ""
            if name == "link" and form["link"].value() == ADDRESS:
                name = "address"
            form.add_error(name if name in form.fields else None, fault.message)

    def changed_by(self, button: str) -> Letter:
        """Return it as typed, with a block more, fewer, or in another place."""
        rows = [_raw(block) for block in self.blocks]
        action, _sep, rest = button.partition(":")
        if action == "add" and rest in tuple(BlockKind) and len(rows) < MOST_BLOCKS:
            rows.append({"kind": rest})
        place = int(rest) if rest.isascii() and rest.isdigit() and len(rest) < 4 else -1
        if 0 <= place < len(rows):
            row = rows.pop(place)
            if action == "up":
                rows.insert(max(place - 1, 0), row)
            elif action == "down":
                rows.insert(place + 1, row)
            elif action != "remove":
                rows.insert(place, row)
        made = Letter()
        made.form.initial = {name: self.form[name].value() for name in self.form.fields}
        made.blocks = [
            BlockForm(kind=BlockKind(row["kind"]), initial=row, prefix=f"block-{number}")
            for number, row in enumerate(rows)
        ]
        return made


def _sent_blocks(data: Any) -> list[BlockForm]:
    typed = data.get("count", "")
    count = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 4 else 0
    found = []
    for number in range(min(count, MOST_BLOCKS)):
        prefix = f"block-{number}"
        kind = data.get(f"{prefix}-kind", "")
        if kind in tuple(BlockKind):
            found.append(BlockForm(data, kind=BlockKind(kind), prefix=prefix))
    return found


def _forms_of(rows: Sequence[Mapping[str, Any]]) -> list[BlockForm]:
    """Return stored blocks as the form shows them; what no block is any more is left out."""
    found: list[BlockForm] = []
    for row in rows:
        if not isinstance(row, Mapping) or row.get("kind") not in tuple(BlockKind):
            continue
        link = row.get("link", "")
        initial = {
            **row,
            "link": link if link in (*LINKS, "") else ADDRESS,
            "address": "" if link in LINKS else link,
            "kept": json.dumps(row["show_if"]) if row.get("show_if") else "",
        }
        prefix = f"block-{len(found)}"
        found.append(BlockForm(kind=BlockKind(row["kind"]), initial=initial, prefix=prefix))
    return found


def _raw(block: BlockForm) -> dict[str, Any]:
    return {name: block[name].value() for name in block.fields} | {"kind": block.block_kind.value}


class NewForm(forms.ModelForm):
    """The first steps of a message: its name, how it goes out, and what it starts from."""

    start = forms.ChoiceField(
        label=gettext_lazy("start from"),
        required=False,
        help_text=gettext_lazy("A ready-made message is a copy: change what you like."),
    )

    class Meta:
        model = MessageTemplate
        fields = ("name", "slug", "medium", "default_language")
        widgets = {"name": forms.TextInput(attrs={"class": "vTextField"})}
        help_texts = {
            "slug": gettext_lazy("Its name in journeys. It never changes."),
            "default_language": gettext_lazy(
                "Who reads none of its languages is written to in this one."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language = self.fields["default_language"]
        choose_language(language, site_language())
        language.initial = site_language()
        start = self.fields["start"]
        start.choices = [  # type: ignore[attr-defined]
            ("", _("nothing")),
            *((one.slug, one.name) for one in ready_messages.READY),
        ]


def languages_left(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the site's languages that a message does not speak yet."""
    return [(code, str(name)) for code, name in settings.LANGUAGES if code not in content]
