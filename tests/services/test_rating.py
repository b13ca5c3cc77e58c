"""One optional question, kept once per offer, and the mean of the answers."""

from __future__ import annotations

import random
import re
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from tests.measuring import lived
from tests.standing import STATES, offer_in
from tests.views.buyers import placing, shop_with_an_offer
from upsell.engine.aggregates import Rate
from upsell.engine.metrics import Tally
from upsell.engine.stats import mean_within, wilson
from upsell.exceptions import OfferNotAcceptable, OfferNotFound
from upsell.models import ChannelSettings, Offer, OfferEvent
from upsell.models.tokens import offer_token
from upsell.presenting import results as words
from upsell.services import metrics, rating, results

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

ANSWERED = ["ACCEPTED", "DECLINED"]


@pytest.fixture
def asks() -> None:
    ChannelSettings.objects.create(channel="web", ask_satisfaction=True)


def page_of(offer: Offer, query: str = "") -> str:
    path = reverse("upsell:offer", args=[offer_token(offer)])
    return placing(offer).get(path + query).content.decode()


def says(offer: Offer, score: object):
    path = reverse("upsell:rate", args=[offer_token(offer)])
    return placing(offer).post(path, {"score": score})


@pytest.mark.parametrize("state", ANSWERED)
def test_an_answer_is_kept_thanked_for_and_changeable(state, asks):
    offer = offer_in(state, shop_with_an_offer())
    assert page_of(offer).count('name="score"') == 5

    answer = says(offer, 2)
    page = placing(offer).get(answer["Location"]).content.decode()
    says(offer, 4)

    offer.refresh_from_db()
    assert answer.status_code == 303
    assert "Thank you. You said: 2, poor." in page
    assert re.search(r'value="2" required checked', page)
    assert offer.satisfaction == 4
    log = OfferEvent.objects.filter(kind="rated").order_by("pk")
    assert [row.figures["score"] for row in log] == [2, 4]
    assert offer.state == state


def test_nobody_is_asked_unless_the_sales_channel_says_so():
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    assert 'name="score"' not in page_of(offer)
    with pytest.raises(OfferNotAcceptable, match="revoked"):
        rating.rate(token=offer_token(offer), score=5)


@pytest.mark.parametrize("state", [state for state in STATES if state not in ANSWERED])
def test_nobody_is_asked_in_another_state(state, asks):
    offer = offer_in(state, shop_with_an_offer())

    assert 'name="score"' not in page_of(offer)
    with pytest.raises(OfferNotAcceptable, match="revoked"):
        rating.rate(token=offer_token(offer), score=5)


@pytest.mark.parametrize("state", ANSWERED)
def test_a_trial_is_not_rated(state, asks):
    offer = offer_in(state, shop_with_an_offer())
    Offer.objects.update(trial=True)

    assert 'name="score"' not in page_of(offer)
    assert says(offer, 5).status_code == 410
    assert not OfferEvent.objects.filter(kind="rated").exists()


@pytest.mark.parametrize("score", ["0", "6", "", "4.5", "٣", "1e0", "-1", "NaN", " 4", "44"])
def test_t37_another_number_is_refused_and_said_so(score, asks):
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    answer = says(offer, score)

    assert answer.status_code == 400
    assert "Please choose one of the five." in answer.content.decode()
    assert "can no longer be undone" not in answer.content.decode()
    assert Offer.objects.get().satisfaction is None


def test_two_numbers_at_once_are_refused(asks):
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    assert says(offer, ["1", "5"]).status_code == 400


def test_the_same_again_is_nothing_and_there_is_an_end_to_changing(asks):
    offer = offer_in("ACCEPTED", shop_with_an_offer())
    token = offer_token(offer)
    for turn in range(rating.CHANGES):
        for _ in range(2):
            rating.rate(token=token, score=1 + turn % 2)

    answer = says(offer, 5)

    assert answer.status_code == 429
    assert "your last answer stays" in answer.content.decode()
    assert OfferEvent.objects.filter(kind="rated").count() == rating.CHANGES


def test_when_the_page_is_closed_nothing_changes_any_more(asks):
    offer = offer_in("ACCEPTED", shop_with_an_offer())
    token = offer_token(offer)
    Offer.objects.update(token_hash=None)

    with pytest.raises(OfferNotFound):
        rating.rate(token=token, score=5)


def test_the_database_keeps_no_other_number(asks):
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    with pytest.raises(IntegrityError), transaction.atomic():
        Offer.objects.filter(pk=offer.pk).update(satisfaction=6)


# ------------------------------------------------------------------ measured


def test_means_are_of_who_accepted_and_who_declined():
    made = timezone.now() - timedelta(hours=2)
    for state, score in [
        *(("ACCEPTED", 5), ("ACCEPTED", 4), ("REVERSED", 3), ("ACCEPTED", None)),
        *(("DECLINED", 1), ("DECLINED", 2), ("DECLINED", None), ("EXPIRED", None)),
    ]:
        lived(state, made=made, score=score)
    lived("ACCEPTED", made=made, score=1, trial=True)
    metrics.roll_up()

    day = timezone.localdate(made)
    asked = results.Asked(first=day, last=day)
    tally = results.counts(results.total(results.sums_by(asked, "day")))

    assert (tally.accepted_rated, tally.accepted_points) == (3, 12)
    assert (tally.declined_rated, tally.declined_points) == (2, 3)
    accepted, declined = tally.satisfaction_accepted, tally.satisfaction_declined
    assert (accepted.value, declined.value) == (4.0, 1.5)
    assert 1 <= accepted.low < 4 < accepted.high <= 5
    row = words.row("", tally, {})
    told = {one.title: one.now for one in words.figures(row, words.row("", Tally(), {}))}
    assert told["Satisfaction, accepted"] == "4.00 (2.02 to 4.85), 3 answers"


def test_where_nobody_answered_there_is_no_figure():
    row = words.row("", Tally(accepted=3), {})

    titles = [one.title for one in words.figures(row, row)]

    assert not [title for title in titles if title.startswith("Satisfaction")]
    assert Tally().satisfaction_accepted is None


def test_of_ones_and_fives_the_interval_is_wilson_s():
    ends, rate = mean_within(3 * 5 + 7, 10, least=1, most=5), wilson(Rate(hits=3, n=10))

    assert (ends.low, ends.high) == pytest.approx((1 + 4 * rate.low, 1 + 4 * rate.high))


@pytest.mark.parametrize(("total", "n"), [(0, 1), (6, 1), (9, 10), (51, 10), (0, 0)])
def test_sums_that_cannot_be_are_refused(total, n):
    with pytest.raises(ValueError, match="do not add up"):
        mean_within(total, n, least=1, most=5)


@pytest.mark.parametrize("weights", [(1, 1, 1, 1, 1), (0, 0, 1, 4, 5), (5, 0, 0, 0, 5)])
def test_the_interval_holds_the_mean_as_often_as_it_says(weights):
    chance = random.Random(7)
    mean = sum(s * w for s, w in enumerate(weights, 1)) / sum(weights)
    held = 0
    for _ in range(2000):
        total = sum(chance.choices(range(1, 6), weights, k=20))
        ends = mean_within(total, 20, least=1, most=5)
        held += ends.low <= mean <= ends.high

    assert held / 2000 > 0.94
