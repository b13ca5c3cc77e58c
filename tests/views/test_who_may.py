"""Every address of ours, for everybody who may come, by every method: one table."""

from __future__ import annotations

import re
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.test import Client, RequestFactory
from django.urls import get_resolver, reverse

from example_shop.models import Product
from tests.factories import campaign, catalogue, order
from tests.letters import T0, message, run
from tests.standing import offer_in
from tests.tables import unchanged
from upsell.models import (
    ChannelAccess,
    ChannelSettings,
    MessageTemplate,
    Offer,
    OutboxMessage,
    TemplateVersion,
)
from upsell.models.tokens import offer_token, undo_token
from upsell.presenting.clicks import by_way_of_us
from upsell.presenting.message_links import Rated, dismiss_path, feedback_path, view_path
from upsell.presenting.preferences import Link, path_of
from upsell.presenting.visitors import sees_trials

pytestmark = pytest.mark.django_db

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

# stranger: has a link that nobody made. holder: has the link and nothing else. placing: the session
# that placed the order. owner: signed in to its account. other: signed in, with an order of their
# own. staff: every kind of them; staff who look at a buyer's page are people with a link.
# What is not in the table is 405.
TABLE = """
                          stranger holder placing owner other staff
offer          GET HEAD   404      200    200     200   200   200
accept         POST       404      403    303     303   403   403
decline        POST       404      303    303     303   303   303
rate           POST       404      410    410     410   410   410
rate:answered  POST       404      303    303     303   303   303
undo           GET HEAD   404      200    200     200   200   200
undo           POST       404      403    410     410   403   403
undo:accepted  POST       404      403    303     303   403   403
undo:link      GET HEAD   404      200    200     200   200   200
undo:link      POST       404      303    303     303   303   303
status         GET HEAD   404      200    200     200   200   200
return         GET HEAD   404      200    200     200   200   200
return         POST       404      303    303     303   303   303
seen           POST       404      204    204     204   204   204
unsubscribe    GET HEAD   404      200    200     200   200   200
unsubscribe    POST       404      200    200     200   200   200
preferences    GET HEAD   404      200    200     200   200   200
preferences    POST       404      200    200     200   200   200
feedback       GET HEAD   404      200    200     200   200   200
feedback       POST       404      200    200     200   200   200
view_online    GET HEAD   404      200    200     200   200   200
onsite         GET HEAD   204      204    204     204   204   204
dismiss        POST       404      303    303     303   303   303
follow         GET HEAD   404      302    302     302   302   302
fragment       GET HEAD   204      204    200     204   204   204
webhook        POST       404      404    404     404   404   404
webhook:unsigned POST     400      400    400     400   400   400
track          POST       403      403    403     403   403   403
"""
_HEAD, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = {
    (row[0], method, role): int(status)
    for row in _ROWS
    for method in [word for word in row[1:] if word.isalpha()]
    for role, status in zip(_HEAD, [word for word in row[1:] if word.isdigit()], strict=True)
}
ROUTES = list(dict.fromkeys(route for route, _method, _role in CELLS))
STAFF = ["no permission", "viewer", "limited", "full", "superuser"]
ROLES = [*_HEAD[:-1], *STAFF]


def names_of(patterns) -> set[str]:
    """Return the names of all addresses below, however they are nested."""
    found: set[str] = set()
    for pattern in patterns:
        below = getattr(pattern, "url_patterns", None)
        found |= {pattern.name} if below is None else names_of(below)
    return found


def test_every_address_is_in_the_table() -> None:
    ours = get_resolver("upsell.urls").url_patterns

    assert {route.partition(":")[0] for route in ROUTES} == names_of(ours)


@pytest.fixture
def shop() -> dict[str, Product]:
    products = catalogue()
    Product.objects.update(stock=None)
    campaign(products["W2"], products["W1"], kind="UPSELL")
    return products


@pytest.fixture
def people() -> dict[str, User]:
    """Everybody who can sign in."""
    made = {name: User.objects.create_user(name) for name in ("owner", "other")}
    for name in STAFF:
        made[name] = User.objects.create_user(
            name.replace(" ", "-"), is_staff=True, is_superuser=name == "superuser"
        )
    ours = Permission.objects.filter(content_type__app_label="upsell")
    made["viewer"].user_permissions.set(ours.filter(codename__startswith="view_"))
    made["limited"].user_permissions.set(ours)
    made["full"].user_permissions.set(ours)
    ChannelAccess.objects.create(user=made["limited"], channel="web")
    return made


def browser_of(role: str, offer: Offer, people: dict[str, User]) -> Client:
    """Return the browser of somebody who comes with what they have."""
    client = Client()
    if role in people:
        client.force_login(people[role])
    if role == "placing":
        session = client.session
        session["order_ref"] = offer.order_ref
        session.save()
    return client


def address(route: str, role: str, offer: Offer) -> str:
    name, _, about = route.partition(":")
    if name in {"fragment", "track", "onsite"}:
        return reverse(f"upsell:{name}")
    if name == "webhook":
        return reverse("upsell:webhook", args=["card" if about else "no-such"])
    if name in {"unsubscribe", "preferences"} and role != "stranger":
        link = Link(customer_key=offer.customer_key, medium="email", purpose="marketing")
        return path_of(name, link)
    if name == "feedback" and role != "stranger":
        return feedback_path(Rated(customer_key=offer.customer_key, order_ref="", message="j:1"))
    if name == "dismiss" and role != "stranger":
        return dismiss_path(sent().key, "/")
    if name == "view_online" and role != "stranger":
        return view_path(sent().key)
    if name == "follow" and role != "stranger":
        return urlsplit(by_way_of_us("j:1", "https://shop.example/tea/")).path
    token = undo_token(offer) if about == "link" else offer_token(offer)
    return reverse(f"upsell:{name}", args=["A" * 43 if role == "stranger" else token])


def sent() -> OutboxMessage:
    """Return a mail of a journey that went out."""
    content = {"en": {"subject": "Hello", "blocks": [{"kind": "text", "text": "Hello"}]}}
    template, _new = MessageTemplate.objects.get_or_create(slug="hello", content=content)
    version = TemplateVersion.objects.create(
        template=template,
        number=template.versions.count() + 1,
        content=content,
        default_language="en",
        published_at=T0,
    )
    return message(run(), state="SENT", template=version)


def expected(route: str, method: str, column: str) -> int:
    plain = route.partition(":")[0]
    return CELLS.get((route, method, column), CELLS.get((plain, method, column), 405))


def asked(browser: Client, method: str, path: str) -> int:
    form = "application/x-www-form-urlencoded"
    return browser.generic(method, path, "quote=1&score=4", content_type=form).status_code


@pytest.mark.parametrize("route", ROUTES)
def test_who_may_what(route, shop, people, settings) -> None:
    settings.UPSELL_BASE_URL = "https://shop.example"
    ChannelSettings.objects.create(channel="", ask_satisfaction=True)
    taken = {"undo:accepted", "undo:link", "rate:answered"}
    for role in ROLES:
        state = "ACCEPTED" if route in taken else "SHOWN"
        offer = offer_in(state, shop, user=people["owner"])
        browser, path = browser_of(role, offer, people), address(route, role, offer)
        column = "staff" if role in STAFF else role
        wanted = {method: expected(route, method, column) for method in METHODS}

        with unchanged(f"{role} by looking"):
            told = {method: asked(browser, method, path) for method in METHODS if method != "POST"}
        if wanted["POST"] >= 400:
            with unchanged(f"{role} by asking"):
                told["POST"] = asked(browser, "POST", path)
        else:
            told["POST"] = asked(browser, "POST", path)

        assert told == wanted, role


def test_absent_and_foreign_are_told_alike(shop, people) -> None:
    """Somebody who guesses learns nothing: no difference in body or headers, to the byte."""
    mine = offer_in("ACCEPTED", shop, user=people["owner"])
    for name in names_of(get_resolver("upsell.urls").url_patterns) - {
        "fragment",
        "onsite",
        "webhook",
        "track",
    }:
        told = set()
        # A link nobody made; the undo link where the offer's is asked; another generation's.
        wrong = ["A" * 43, undo_token(mine)[::-1], "x"]
        if name != "undo":
            wrong.append(undo_token(mine))
        for token in wrong:
            for method in ("get", "post"):
                answer = getattr(Client(), method)(
                    reverse(f"upsell:{name}", args=[token]), {"quote": "1", "score": "4"}
                )
                if answer.status_code != 405:
                    told.add((answer.status_code, answer.content, str(sorted(answer.items()))))
                assert token not in answer.content.decode()
        assert len(told) == 1, name
        assert next(iter(told))[0] == 404


def test_a_holder_sees_no_more_than_the_offer(shop, people) -> None:
    """Nothing on the page says who bought, where they live, or how to reach them."""
    offer = offer_in(
        "ACCEPTED",
        shop,
        user=people["owner"],
        email="canary@example.org",
        street="Canary Street 1",
        name="Canary Bird",
    )
    for token, name in ((offer_token(offer), "offer"), (undo_token(offer), "undo")):
        page = Client().get(reverse(f"upsell:{name}", args=[token])).content.decode()
        assert not re.search("canary", page, re.IGNORECASE)


# Who holds the link may say no: it costs nothing.
@pytest.mark.parametrize("name", ["accept", "undo", "return", "seen"])
def test_other_buyers_change_nothing_of_mine(name, shop, people) -> None:
    """An order of their own, and a session of their own, spend nobody else's money."""
    mine = offer_in("SHOWN", shop, user=people["owner"])
    theirs = order(shop, user=people["other"], email="other@example.org")
    browser = browser_of("other", mine, people)
    session = browser.session
    session["order_ref"] = str(theirs.pk)
    session.save()

    with unchanged(name):
        browser.post(reverse(f"upsell:{name}", args=[offer_token(mine)]), {"quote": "1"})


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(None, id="no users at all"),
        pytest.param(SimpleNamespace(is_authenticated=True), id="neither staff nor permissions"),
        pytest.param(SimpleNamespace(is_staff=True), id="staff without permissions"),
        pytest.param(SimpleNamespace(has_perm=lambda name: True), id="permissions without staff"),
        pytest.param(AnonymousUser(), id="nobody signed in"),
    ],
)
def test_a_user_model_that_knows_no_staff_has_none(user) -> None:
    """A host's buyers need not be Django's users; a trial is then shown to nobody."""
    request = RequestFactory().get("/")
    request.user = user

    assert sees_trials(request) is False
