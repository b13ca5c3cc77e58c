"""Campaigns to a file and back, by slug, as JSON or as CSV that no spreadsheet executes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from upsell.models import Campaign
from upsell.presenting.campaigns import field_name
from upsell.services import campaigns
from upsell.services.campaign_shapes import decimal_of
from upsell.services.documents import ensure_storable

Row = dict[str, Any]
"""What a file says of one campaign: any of ``COLUMNS``, and the slug in any case."""

COLUMNS = (*campaigns.FIELDS, "triggers", "exclusions", "copy")
MOST_ROWS = 1_000
"""Each row is compared with every campaign there is; more than this is no work for a page."""

_NOT_BARE = re.compile(r'[\x00-\x1f;]|^"')
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MAY_BE_EMPTY = frozenset({"not_bought_days", "not_seen_days", "valid_from", "valid_until"})
_TEXT = frozenset(
    {"name", "slug", "product_ref", "note", "motivation", "default_language", "percent"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one row of a file does, or would do."""

    slug: str
    new: bool
    changes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    """The whole campaign, as it would be saved; empty where it is refused or stays as it is."""


def export_(rows: Iterable[Campaign]) -> list[Row]:
    """Return campaigns as plain JSON values, in the order given."""
    return [campaigns.dump(row) for row in rows]


def as_json(rows: Iterable[Campaign]) -> str:
    """Return campaigns as a JSON document."""
    return json.dumps(export_(rows), indent=2, ensure_ascii=False)


def as_csv(rows: Iterable[Campaign]) -> str:
    """Return campaigns as CSV; a cell that a spreadsheet would run begins with an apostrophe.

    A text with a semicolon, a tab or a line end is written as JSON, where all three are escaped:
    whatever a spreadsheet takes for the separator, it finds no other beginning of a cell.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for values in export_(rows):
        writer.writerow([_cell(values[name]) for name in COLUMNS])
    return out.getvalue()


def read(text: str) -> list[Row]:
    """Return the rows of a JSON or CSV document made here.

    A spreadsheet may have put semicolons in place of commas, and TRUE in place of true.

    Raises:
        ValidationError: It is neither, has columns nobody knows, names a slug twice, or holds
            what cannot be kept, or too much.
    """
    try:
        rows = _from_json(text) if text.lstrip().startswith(("[", "{")) else _from_csv(text)
        ensure_storable(rows)
    except RecursionError as error:
        raise ValidationError(_("The file cannot be read: it is nested too deeply.")) from error
    except (ValueError, csv.Error) as error:
        raise ValidationError(_("The file cannot be read: %s") % error) from error
    if not rows or not all(isinstance(row, dict) and _slug(row) for row in rows):
        raise ValidationError(_("The file holds no campaigns: each needs a slug."))
    if len(rows) > MOST_ROWS:
        told = _("The file holds %(n)s campaigns; at most %(most)s are taken at once.")
        raise ValidationError(told % {"n": f"{len(rows):,}", "most": f"{MOST_ROWS:,}"})
    seen: set[str] = set()
    for slug in map(_slug, rows):
        if slug in seen:
            raise ValidationError(_("“%s” is in the file twice: one row for each slug.") % slug)
        seen.add(slug)
    return rows


def _slug(row: Mapping[str, Any]) -> str:
    slug = row.get("slug")
    return slug if isinstance(slug, str) else ""


def import_(
    rows: Sequence[Mapping[str, Any]], *, commit: bool = False, user: Any = None
) -> list[Outcome]:
    """Save all rows or none; without ``commit`` only say what would come of it."""
    with transaction.atomic():
        outcomes = [_imported(row, user) for row in rows]
        if not commit or any(outcome.errors for outcome in outcomes):
            transaction.set_rollback(True)
    return outcomes


def _from_json(text: str) -> list[Row]:
    found = json.loads(text)
    return found if isinstance(found, list) else [found]


def _from_csv(text: str) -> list[Row]:
    head = text.lstrip().partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
    unknown = sorted({str(name) for row in rows for name in row if name not in COLUMNS})
    if unknown:
        told = _("A campaign has no column %s. The first line names the columns.")
        raise ValidationError(told % ", ".join(f"“{name}”" for name in unknown)[:200])
    return [{name: _value(name, cell) for name, cell in row.items()} for row in rows]


def _imported(row: Mapping[str, Any], user: Any) -> Outcome:
    slug = _slug(row)
    stored = Campaign.objects.filter(slug=slug).first()
    before = campaigns.dump(stored) if stored else {}
    fields = {name: value for name, value in row.items() if name != "slug"}
    percent = decimal_of(fields.get("percent"))
    if percent is not None:
        fields["percent"] = f"{percent:.2f}"
    if stored and not any(before.get(name) != value for name, value in fields.items()):
        return Outcome(slug=slug, new=False)
    try:
        with transaction.atomic():
            saved = campaigns.save_campaign(user=user, slug=slug, **fields)
    except ValidationError as error:
        return Outcome(slug=slug, new=stored is None, errors=_named(error))
    except (TypeError, ValueError, AttributeError, KeyError):
        text = _("This row has a value of the wrong kind.")
        return Outcome(slug=slug, new=stored is None, errors=(text,))
    after = campaigns.dump(Campaign.objects.get(pk=saved.pk))
    return Outcome(
        slug=slug,
        new=stored is None,
        changes=tuple(name for name in after if before.get(name) != after[name]),
        before=before or campaigns.defaults(),
        after=after,
    )


def _named(error: ValidationError) -> tuple[str, ...]:
    """Return what is wrong, each with the field it is wrong in."""
    if not hasattr(error, "error_dict"):
        return tuple(error.messages)
    return tuple(
        message if name == NON_FIELD_ERRORS else f"{field_name(name)}: {message}"
        for name, messages in error.message_dict.items()
        for message in messages
    )


def _cell(value: Any) -> str:
    bare = isinstance(value, str) and not _NOT_BARE.search(value)
    text = value if bare else json.dumps(value, ensure_ascii=False).replace(";", "\\u003b")
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _value(name: str, cell: str | None) -> Any:
    text = cell or ""
    if text.startswith("'"):
        text = text[1:]
    if name in _TEXT and not text.startswith('"'):
        return text
    if not text and name in _MAY_BE_EMPTY:
        return None
    if text in ("TRUE", "FALSE"):  # as spreadsheets write them
        return text == "TRUE"
    try:
        return json.loads(text) if text else ""
    except json.JSONDecodeError:
        return text
