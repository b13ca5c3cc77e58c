"""What stands in the mails of real journeys beside what staff wrote."""

from __future__ import annotations

import pytest
from django.core import mail

from tests.factories import catalogue, order
from tests.services.journeys import T0, H, go, journey, tell
from upsell.models import ChannelSettings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("addressed")]


@pytest.fixture
def placed():
    return order(catalogue(), email="emily@example.org")


def sent(placed) -> tuple[str, str]:
    """Return both parts of the mail that a journey sent."""
    tell(order_ref=str(placed.pk))
    go(T0 + 3 * H)
    (letter,) = mail.outbox
    ((html, _kind),) = letter.alternatives
    return letter.body, html


@pytest.mark.parametrize(
    ("category", "own", "said"),
    [
        pytest.param("marketing", "", "Example Shops Ltd", id="as in the settings"),
        pytest.param("marketing", "Web & Co\n2 Street", "Web & Co", id="as the channel has it"),
        pytest.param("transactional", "", "", id="not in what is no marketing"),
    ],
)
def test_the_postal_address_stands_in_marketing_mails(placed, category, own, said):
    ChannelSettings.objects.create(channel="web", postal_address=own)
    journey(category=category)

    text, html = sent(placed)

    for address in ("Example Shops Ltd", "Web & Co"):
        assert (address in text) is (address == said)
        assert (address.replace("&", "&amp;") in html) is (address == said)
