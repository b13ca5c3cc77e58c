"""Lists and searches over what passed through the proxy, newest first, a page at a time."""

from __future__ import annotations

import re
from typing import Any

from tests.stripe.errors import wrong_parameter

Objects = list[dict[str, Any]]
FILTERS = {"customer", "charge", "payment_intent", "status", "type"}
PAGING = {"limit", "starting_after", "ending_before", "created", "expand"}
COMPARED = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}
CLAUSE = re.compile(
    r"(?:metadata\[['\"](?P<key>[^'\"]+)['\"]\]|(?P<field>\w+))"
    r"(?P<sign>:|>=|<=|>|<)['\"]?(?P<value>[^'\"]*)['\"]?"
)


def page(url: str, objects: Objects, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return one page of a list. ``objects`` come newest first."""
    for name in parameters:
        if name not in FILTERS | PAGING:
            raise wrong_parameter(name, f"Received unknown parameter: {name}", "parameter_unknown")
    limit = _limit(parameters)
    found = [item for item in objects if _matches(item, parameters)]
    ids = [item["id"] for item in found]
    if after := parameters.get("starting_after"):
        found = found[_place(ids, after, "starting_after") + 1 :]
    elif before := parameters.get("ending_before"):
        found = found[: _place(ids, before, "ending_before")]
        return _list(url, found[-limit:], has_more=len(found) > limit)
    return _list(url, found[:limit], has_more=len(found) > limit)


def search(url: str, objects: Objects, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return one page of a search: ``metadata['key']:'value'``, fields, joined by AND."""
    query = parameters.get("query", "")
    clauses = [_clause(part.strip()) for part in query.split(" AND ")]
    limit = _limit(parameters)
    found = [item for item in objects if all(_holds(item, clause) for clause in clauses)]
    start = int(parameters.get("page", "0"))
    more = len(found) > start + limit
    return {
        "object": "search_result",
        "url": url,
        "data": found[start : start + limit],
        "has_more": more,
        "next_page": str(start + limit) if more else None,
    }


def _list(url: str, data: Objects, *, has_more: bool) -> dict[str, Any]:
    return {"object": "list", "url": url, "data": data, "has_more": has_more}


def _limit(parameters: dict[str, Any]) -> int:
    limit = int(parameters.get("limit", "10"))
    if not 1 <= limit <= 100:
        raise wrong_parameter("limit", "A limit is from 1 to 100.")
    return limit


def _place(ids: list[str], wanted: str, parameter: str) -> int:
    if wanted not in ids:
        raise wrong_parameter(parameter, f"No such object: '{wanted}'", "resource_missing")
    return ids.index(wanted)


def _matches(item: dict[str, Any], parameters: dict[str, Any]) -> bool:
    for name in FILTERS & parameters.keys():
        if item.get(name) != parameters[name]:
            return False
    created = parameters.get("created", {})
    if isinstance(created, str):
        return bool(item["created"] == int(created))
    return all(COMPARED[name](item["created"], int(bound)) for name, bound in created.items())


def _clause(part: str) -> re.Match[str]:
    clause = CLAUSE.fullmatch(part)
    if clause is None:
        raise wrong_parameter("query", f"We were unable to parse your search query: {part}")
    return clause


def _holds(item: dict[str, Any], clause: re.Match[str]) -> bool:
    if clause["key"]:
        return bool(item["metadata"].get(clause["key"]) == clause["value"])
    value = item.get(clause["field"])
    if clause["sign"] == ":":
        return str(value) == clause["value"]
    sign = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}[clause["sign"]]
    return bool(COMPARED[sign](int(value or 0), int(clause["value"])))
