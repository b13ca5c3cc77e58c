"""Offers, their events and decisions: looked at with their timeline, never edited."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests import factories
from tests.admin.screens import LIST, act, offered, url
from upsell.models import Decision, Offer, OfferEvent
from upsell.models.tokens import offer_token
from upsell.services import accepting, declining, offering, undoing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def campaign(shop):
    return factories.campaign(shop["DT"], shop["W1"], name="Detergent")


def accept(offer):
    attempt = accepting.accept(
        token=offer_token(offer), quote_number=1, trusted=True, return_url=""
    )
    offer.refresh_from_db()
    return attempt


def timeline(client, offer):
    """Return the rows of the timeline without their times."""
    page = client.get(url("offer_change", offer.pk)).content.decode()
    table = page.split('id="events-group"')[1].split("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.S)
    cell = re.compile(r"<td>(.*?)</td>", re.S)
    cells = [[re.sub("<[^>]+>", "", text).strip() for text in cell.findall(row)] for row in rows]
    for row in cells:
        assert re.fullmatch(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", row[0]), row
    return [tuple(row[1:]) for row in cells]


def test_the_timeline_says_what_happened_who_did_it_and_why(client, boss, shop, campaign):
    done, no, gone = offered(shop), offered(shop), offered(shop)
    accept(done)
    undoing.undo(token=offer_token(done), trusted=True)
    declining.decline(token=offer_token(no))
    act(client, "withdraw_outstanding", campaign, confirmed="yes")

    assert timeline(client, done) == [
        ("created", "–", "–", "–"),
        ("shown", "created", "–", "–"),
        ("being accepted", "shown", "–", "–"),
        ("accepted", "being accepted", "–", "–"),
        ("reversed", "accepted", "the buyer", "The buyer undid it."),
        ("money given back", "–", "–", "The buyer undid it."),
    ]
    assert timeline(client, no)[-1] == ("declined", "shown", "the buyer", "–")
    assert timeline(client, gone)[-1] == ("revoked", "shown", "boss (staff)", "Staff withdrew it.")


def test_the_page_says_what_was_promised_and_what_came_of_it(client, boss, shop):
    factories.campaign(shop["W2"], shop["W1"], kind="UPSELL", name="Better one")
    offer = offered(shop)
    accept(offer)
    undoing.undo(token=offer_token(offer), trusted=True)

    page = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ",
                  client.get(url("offer_change", offer.pk)).content.decode()))  # fmt: skip

    for words in ("reversed", "Better one", "W2, instead", "1 × W1", "€840.00",
                  "€240.00 given back", "Why this one?", "confirmation to the buyer",
                  "paid", "charged to what is on file"):  # fmt: skip
        assert words in page, words


@pytest.mark.parametrize("screen", ["offer", "offerevent", "decision"])
def test_nobody_adds_edits_or_deletes(client, boss, shop, campaign, screen):
    offer = offered(shop)
    row = {"offer": offer, "offerevent": offer.events.first(), "decision": offer.decision}[screen]
    model = type(row)
    before = list(model.objects.order_by("pk").values())

    for address in (url(f"{screen}_add"), url(f"{screen}_change", row.pk),
                    url(f"{screen}_delete", row.pk)):  # fmt: skip
        assert client.post(address, {"state": "ACCEPTED", "post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    client.post(url(f"{screen}_changelist"), chosen)
    assert list(model.objects.order_by("pk").values()) == before


def test_offers_that_need_attention_are_said_on_every_list(client, boss, shop, campaign):
    fine, wrong = offered(shop), offered(shop)
    quiet = [client.get(url(name)).content.decode() for name in (LIST, "offer_changelist")]
    Offer.objects.filter(pk=wrong.pk).update(
        state="NEEDS_ATTENTION", failure_code="amount_mismatch", responded_at=timezone.now()
    )

    loud = [client.get(url(name)).content.decode() for name in (LIST, "offer_changelist")]
    shown = client.get(url("offer_changelist") + "?attention=yes")
    page = client.get(url("offer_change", wrong.pk)).content.decode()

    assert not any("your attention" in text for text in quiet)
    assert all("1 offer needs your attention." in text for text in loud)
    assert all("?attention=yes" in text for text in loud)
    assert [row.pk for row in shown.context["cl"].result_list] == [wrong.pk]
    assert "look it up at the payment provider" in page
    assert "another amount than was asked" in page
    assert "look it up" not in client.get(url("offer_change", fine.pk)).content.decode()


def test_attention_is_not_for_who_may_not_see_offers(client, shop, campaign, signed_in):
    offer = offered(shop)
    Offer.objects.filter(pk=offer.pk).update(state="NEEDS_ATTENTION")
    signed_in("view_campaign")

    assert "your attention" not in client.get(url(LIST)).content.decode()


def test_filters_choose_what_the_guide_counts(client, boss, shop, campaign):
    other = factories.campaign(shop["W2"], shop["CA"], name="Other", kind="CROSS_SELL")
    offers = [offered(shop), offered(shop), offered(shop, ("CA", 1))]
    accept(offers[0])

    def rows(**query):
        page = client.get(url("offer_changelist"), query)
        return {row.pk for row in page.context["cl"].result_list}

    assert rows(campaign__id__exact=campaign.pk) == {offers[0].pk, offers[1].pk}
    assert rows(campaign__id__exact=campaign.pk, state__exact="ACCEPTED") == {offers[0].pk}
    assert rows(campaign__id__exact=other.pk) == {offers[2].pk}
    assert rows(kind="UPSELL") == set()
    assert rows(q=offers[1].order_ref) == {offers[1].pk}
    assert rows(q=offers[2].terms["order_number"]) == {offers[2].pk}
    assert rows(q=str(offers[0].uuid)) == {offers[0].pk}
    assert rows(q=offers[0].terms["order_number"][:-1]) == set()
    spec = client.get(url("offer_changelist")).context["cl"].filter_specs[2]
    assert {name for _pk, name in spec.lookup_choices} == {"Detergent", "Other"}


def test_events_are_filtered_by_what_happened(client, boss, shop, campaign):
    accept(offered(shop))
    offered(shop)

    def kinds(**query):
        page = client.get(url("offerevent_changelist"), query)
        return [row.kind for row in page.context["cl"].result_list]

    assert kinds() == ["shown", "created", "accepted", "accepting", "shown", "created"]
    assert kinds(kind="accepted") == ["accepted"]


def test_decisions_say_the_answer_and_who_lost_by_name(client, boss, shop, campaign):
    factories.campaign(shop["CA"], shop["W1"], name="Second", priority=5)
    offered(shop)
    lonely = factories.order(shop, ("CA", 1))
    offering.offer_for(order_ref=str(lonely.pk), now=timezone.now(), show=True)

    def answers(**query):
        page = client.get(url("decision_changelist"), query)
        return [row.reason for row in page.context["cl"].result_list]

    page = client.get(url("decision_change", Decision.objects.order_by("pk").first().pk))

    assert answers() == ["no_match", ""]
    assert answers(answer="offer") == [""]
    assert answers(answer="no_match") == ["no_match"]
    assert (
        "Second: It qualified, but another campaign has a higher priority." in page.content.decode()
    )


def test_a_trial_is_marked(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"], status="STAFF_ONLY")
    offered(shop, staff=True)

    assert "shown (trial)" in client.get(url("offer_changelist")).content.decode()
    assert (
        client.get(url("offer_changelist"), {"trial__exact": "0"}).context["cl"].result_count == 0
    )


def test_an_event_by_staff_who_left_still_shows(client, boss, shop, campaign):
    offer = offered(shop)
    user = User.objects.create_user("gone")
    OfferEvent.objects.create(
        offer=offer, kind="revoked", at=offer.created_at + timedelta(minutes=1),
        after="REVOKED", actor=f"staff:{user.pk}",
    )  # fmt: skip
    key = user.pk
    user.delete()

    assert f"{key} (staff)" in client.get(url("offer_change", offer.pk)).content.decode()
    assert f"{key} (staff)" in client.get(url("offerevent_changelist")).content.decode()
