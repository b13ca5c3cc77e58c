"""A database that cannot be asked: a page that says so, and asks nothing."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.urls import reverse

from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import offered
from upsell.models.tokens import offer_token

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token() -> str:
    products = catalogue()
    campaign(products["CA"])
    return offer_token(offered(order(products)))


def is_down(execute, sql, *rest):
    raise OperationalError("nobody answers")


@pytest.mark.parametrize(
    ("name", "method", "back"),
    [
        ("offer", "get", "offer"),
        ("accept", "post", "offer"),
        ("decline", "post", "offer"),
        ("undo", "post", "undo"),
        ("return", "get", "offer"),
    ],
)
def test_f32_a_page_says_to_look_again_in_a_moment(client, token, name, method, back):
    with connection.execute_wrapper(is_down):
        answer = getattr(client, method)(reverse(f"upsell:{name}", args=[token]))

    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert answer["Cache-Control"] == "private, no-store"
    text = answer.content.decode()
    assert f'href="{reverse(f"upsell:{back}", args=[token])}"' in text
    assert "nothing is charged twice" in text
    assert "<form" not in text


def test_a_script_is_told_a_code(client, token):
    with connection.execute_wrapper(is_down):
        answer = client.post(
            reverse("upsell:accept", args=[token]), headers={"Accept": "application/json"}
        )

    assert (answer.status_code, answer.json()) == (503, {"code": "unavailable"})
