"""Writing campaigns: what is saved, what is refused and where it says so, what is kept."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from tests import factories
from tests.admin.screens import ADD, LIST, XSS, act, form, offered, said, url
from upsell.admin.campaigns import CampaignAdmin
from upsell.admin.forms import CampaignForm
from upsell.models import Campaign, CampaignRevision, CampaignSet, Offer

pytestmark = pytest.mark.django_db
CHANGE = "campaign_change"


# ------------------------------------------------------------------ saving


def test_save_writes_a_revision_and_bumps_the_version(client, boss, shop):
    before = CampaignSet.objects.values_list("version", flat=True).first() or 1

    response = client.post(url(ADD), form(shop))

    assert response.status_code == 302, response.context["errors"]
    campaign = Campaign.objects.get()
    assert campaign.bounds == {"EUR": ["10.00", None]}
    assert campaign.copies.get().benefits == ["Soft", "Mild"]
    revision = CampaignRevision.objects.get()
    assert (revision.number, revision.by) == (1, boss)
    assert revision.after["triggers"][0]["ref"] == str(shop["W1"].pk)
    assert CampaignSet.objects.get().version > before


def test_every_field_stands_in_one_fieldset_in_the_order_of_thought():
    named = [str(title or "") for title, _options in CampaignAdmin.fieldsets]
    fields = [name for _title, options in CampaignAdmin.fieldsets for name in options["fields"]]

    assert named == ["", "What is offered", "When it may appear", "To whom", "Price and stock",
                     "What the shopper reads", "Schedule and priority"]  # fmt: skip
    assert sorted(fields) == sorted(CampaignForm.base_fields)


def test_every_field_says_what_it_means_to_leave_it_alone(client, boss, shop):
    form_shown = client.get(url(ADD)).context["adminform"].form

    assert [name for name, field in form_shown.fields.items() if not field.help_text] == ["name"]


def test_child_rows_stand_below_their_fieldset(client, boss, shop):
    page = client.get(url(ADD)).content.decode()

    order = [
        page.index(text)
        for text in (">When it may appear<", 'id="triggers-group"', 'id="exclusions-group"',
                     ">To whom<", ">What the shopper reads<", 'id="copies-group"',
                     ">Schedule and priority<")
    ]  # fmt: skip
    assert order == sorted(order)


def test_a_browser_that_chose_nothing_sends_nothing_for_pickers(client, boss, shop):
    """An empty row in a picker of many would be sent, and refused."""
    page = client.get(url(ADD)).content.decode()

    for name in ("groups", "countries", "payment_methods"):
        select = re.search(rf'<select name="{name}".*?</select>', page, re.S)[0]
        assert "multiple" in select
        assert "<option" not in select


def test_a_new_campaign_proposes_the_next_free_priority_and_all_channels(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"], priority=34)

    initial = client.get(url(ADD)).context["adminform"].form.initial

    assert (initial["priority"], initial["channels"]) == (40, ["web"])
    assert (initial["not_bought_days"], initial["default_language"]) == (365, "en")


@pytest.mark.parametrize(
    ("kind", "sent", "kept"),
    [
        pytest.param("UPSELL", "FIXED", "MATCH", id="an upsell, left alone"),
        pytest.param("UPSELL", "ONE", "ONE", id="an upsell, chosen"),
        pytest.param("CROSS_SELL", "FIXED", "FIXED", id="a cross-sell"),
    ],
)
def test_the_number_follows_the_kind_unless_chosen(client, boss, shop, kind, sent, kept):
    sent = {"kind": kind, "quantity_rule": sent, "product_ref": str(shop["W2"].pk)}

    client.post(url(ADD), form(shop, **sent))

    assert Campaign.objects.get().quantity_rule == kept


# ------------------------------------------------------------------ errors


def errors_of(response):
    """Return field (or formset, or row and field) to what stands beside it."""
    found = dict(response.context["adminform"].form.errors)
    for shown in response.context["inline_admin_formsets"]:
        formset = shown.formset
        if formset.non_form_errors():
            found[formset.prefix] = formset.non_form_errors()
        for row in formset.forms:
            found |= {f"{row.prefix}-{name}": told for name, told in row.errors.items()}
    return {name: [str(text) for text in told] for name, told in found.items()}


@pytest.mark.parametrize(
    ("changes", "place", "told"),
    [
        pytest.param({"bounds": "EUR 10.01 - 10.00"}, "bounds", "10.01 is above", id="min, max"),
        pytest.param({"bounds": "from 10"}, "bounds", "“from 10”", id="not a value"),
        pytest.param({"bounds": "EUR 1 -\nEUR 2 -"}, "bounds", "EUR is named twice", id="twice"),
        pytest.param({"rule": "FIXED", "amounts": "twelve"}, "amounts", "“twelve”", id="amount"),
        pytest.param({"rule": "FIXED"}, "amounts", "at least one currency", id="no amount"),
        pytest.param({"rule": "PERCENT", "percent": "101"}, "percent", "100", id="percent"),
        pytest.param({"product_ref": ""}, "product_ref", "Choose", id="nothing offered"),
        pytest.param({"offer_by": "MAP", "product_map": "a"}, "product_map", "“a”", id="table"),
        pytest.param({"offer_by": "NEXT_MODEL"}, "offer_by", "upsell", id="next model"),
        pytest.param({"currencies": "EURO"}, "currencies", "“EURO”", id="currency"),
        pytest.param({"valid_from_0": "2026-03-02", "valid_from_1": "10:00",
                      "valid_until_0": "2026-03-02", "valid_until_1": "09:59"},
                     "valid_until", "before it begins", id="until before from"),
        pytest.param({"kind": "UPSELL", "triggers-0-kind": "ALWAYS", "triggers-0-ref": ""},
                     "triggers", "every order", id="an upsell for every order"),
        pytest.param({"triggers-0-ref": ""}, "triggers-0-ref", "Choose", id="trigger of nothing"),
        pytest.param({"copies-0-accept_label": "Yes please"}, "copies-0-accept_label",
                     "does not say that pressing it costs", id="label"),
        pytest.param({"copies-0-headline": "x" * 81}, "copies-0-headline", "80", id="headline"),
        pytest.param({"copies-0-benefits": "\n".join("abcdef")}, "copies-0-benefits",
                     "at most 5", id="six benefits"),
        pytest.param({"copies-0-benefits": "x" * 61}, "copies-0-benefits", "60", id="benefit"),
        pytest.param({"copies-0-image_url": "ftp://x"}, "copies-0-image_url", "“ftp://x”",
                     id="image"),
        pytest.param({"channels": ["elsewhere"]}, "channels", "elsewhere", id="no such channel"),
        pytest.param({"status": "PERHAPS"}, "status", "PERHAPS", id="no such status"),
        pytest.param({"slug": "two words"}, "slug", "slug", id="slug"),
    ],
)  # fmt: skip
def test_an_error_stands_once_where_it_can_be_mended(client, boss, shop, changes, place, told):
    response = client.post(url(ADD), form(shop, name="As typed", **changes))

    found = errors_of(response)
    assert not Campaign.objects.exists()
    assert list(found) == [place]
    assert len(found[place]) == 1
    assert told in found[place][0]


def test_an_excluded_trigger_says_so_at_the_exclusions(client, boss, shop):
    same = {
        "exclusions-TOTAL_FORMS": "1", "exclusions-0-kind": "PRODUCT",
        "exclusions-0-ref": str(shop["W1"].pk), "exclusions-0-quantity": "1",
    }  # fmt: skip

    response = client.post(url(ADD), form(shop, **same))

    assert errors_of(response) == {
        "exclusions": ["“W1” is both a trigger and excluded: the campaign can never qualify."]
    }


def test_all_errors_are_said_at_once(client, boss, shop):
    wrong = {"name": "", "bounds": "EUR 2 - 1", "rule": "FIXED", "product_ref": "",
             "copies-0-accept_label": "Add"}  # fmt: skip

    response = client.post(url(ADD), form(shop, **wrong))

    assert sorted(errors_of(response)) == [
        "amounts", "bounds", "copies-0-accept_label", "name", "product_ref",
    ]  # fmt: skip


def test_nothing_that_was_typed_is_lost_on_an_error(client, boss, shop):
    typed = {
        "name": "Kept", "slug": "kept", "status": "STAFF_ONLY", "bounds": "EUR 9 - 1",
        "amounts": "twelve euros", "rule": "FIXED", "currencies": "EUR, GBP", "note": "Why not",
        "groups": ["club"], "countries": ["DE", "FR"], "payment_methods": ["card"],
        "product_map": "a -> b", "shipping_flat": "EUR 4,90", "priority": "77",
        "not_bought_days": "12", "not_seen_days": "3", "motivation": "GREENER",
        "triggers-0-kind": "CATEGORY", "triggers-0-ref": "machines", "triggers-0-quantity": "2",
        "copies-0-headline": "Headline", "copies-0-body": "Body", "copies-0-benefits": "One\nTwo",
        "valid_from_0": "2026-03-02", "valid_from_1": "10:00", "must_fit": "on",
    }  # fmt: skip
    sent = form(shop, **typed)

    response = client.post(url(ADD), sent)

    assert response.status_code == 200
    shown = response.context["adminform"].form
    rows = {row.prefix: row for one in response.context["inline_admin_formsets"]
            for row in one.formset.forms}  # fmt: skip
    for name, value in sent.items():
        prefix, _dash, part = name.rpartition("-")
        if name.endswith("_FORMS") or name[-2:] in ("_0", "_1"):
            continue
        bound = rows[prefix][part] if prefix else shown[name]
        if value == "on":
            assert bound.value() is True, name
        else:
            assert bound.value() == value, name
    assert shown["valid_from"].value() == ["2026-03-02", "10:00"]
    page = response.content.decode()
    assert '<option value="machines" selected>Machines</option>' in page.replace("  ", "")
    assert '<option value="FR" selected>' in page


def test_a_page_with_an_error_still_says_what_is_stored(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"], status="OFF", slug="detergent")

    response = client.post(url(CHANGE, campaign.pk), form(shop, bounds="EUR 2 - 1"))

    assert "off" in response.context["upsell_standing"]
    assert "worth" not in response.context["upsell_says"]


# ------------------------------------------------------------------ warnings


def test_warnings_are_said_once_and_the_campaign_is_saved(client, boss, shop):
    quietly = client.post(url(ADD), form(shop), follow=True)
    warned = client.post(url(ADD), form(shop, slug="b", channels=None, priority="9"), follow=True)

    assert Campaign.objects.count() == 2
    assert len(said(quietly)) == 1
    told = [text for text in said(warned) if "runs nowhere" in text]
    assert told == ["Detergent: No sales channel is chosen: this campaign runs nowhere."]


def test_warnings_stay_on_the_campaigns_page(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"], slug="detergent")
    factories.campaign(shop["CA"], shop["W1"], name="The other one")
    stored = {"triggers-INITIAL_FORMS": "1", "triggers-0-id": str(campaign.triggers.get().pk)}

    response = client.get(url(CHANGE, campaign.pk))
    saved = client.post(
        url(CHANGE, campaign.pk), form(shop, _continue="yes", **stored), follow=True
    )

    told = response.context["upsell_findings"]
    assert any("“The other one” has the same priority" in text for text in told)
    assert any("same priority" in text for text in saved.context["upsell_findings"])
    assert not any("same priority" in text for text in said(saved))


def test_the_page_says_the_whole_campaign_in_words(client, boss, shop):
    campaign = factories.campaign(
        shop["W2"], shop["W1"], kind="UPSELL", bounds={"EUR": ["100.00", None]}
    )

    says = client.get(url(CHANGE, campaign.pk)).context["upsell_says"]

    assert says == (
        "When an order in Web contains W1 and is worth at least €100.00 net, offer W2 instead, "
        "for the difference. Every unit of W1 leaves the order."
    )


# ------------------------------------------------------------------ list

SOON, PAST = timezone.now() + timedelta(days=2), timezone.now() - timedelta(days=2)
STANDINGS = {
    "live": {},
    "scheduled": {"valid_from": SOON},
    "ended": {"valid_until": PAST},
    "staff": {"status": "STAFF_ONLY"},
    "off": {"status": "OFF"},
    "nowhere": {"channels": []},
    "archived": {"archived": True},
}


@pytest.mark.parametrize("standing", STANDINGS)
def test_the_list_says_and_filters_where_a_campaign_stands(client, boss, shop, standing):
    for name, options in STANDINGS.items():
        factories.campaign(shop["DT"], shop["W1"], name=name, **options)

    rows = list(client.get(url(LIST), {"standing": standing}).context["cl"].result_list)
    page = client.get(url(LIST), {"standing": standing}).content.decode()

    assert [row.name for row in rows] == [standing]
    assert f"upsell-badge-{standing}" in page


def test_the_list_stands_in_the_order_of_winning_and_says_so(client, boss, shop):
    for name, priority, minutes in (("b", 10, 5), ("a", 20, 0), ("c", 10, 9), ("d", 10, 5)):
        row = factories.campaign(shop["DT"], shop["W1"], name=name, priority=priority)
        Campaign.objects.filter(pk=row.pk).update(edited_at=SOON + timedelta(minutes=minutes))

    response = client.get(url(LIST))
    sorted_by_name = client.get(url(LIST), {"o": "1"})

    assert [row.name for row in response.context["cl"].result_list] == ["a", "c", "d", "b"]
    assert "In the order in which they win" in response.content.decode()
    assert [row.name for row in sorted_by_name.context["cl"].result_list] == ["a", "b", "c", "d"]
    assert "In the order in which they win:" not in sorted_by_name.content.decode()


def test_the_list_says_what_is_offered_where_and_at_what_rank(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"], name="Twelve off", rule="PERCENT", percent=12)
    factories.campaign(shop["W2"], shop["W1"], name="Better", kind="UPSELL", priority=30)

    rows = re.findall(r"<tr>.*?</tr>", client.get(url(LIST)).content.decode(), re.S)[-2:]
    told = [re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row)) for row in rows]

    assert "Better live Web Priority 30 W2 instead, for the difference" in told[0]
    assert "Twelve off live Web Priority 10 DT in addition, at 12 % off" in told[1]


# ------------------------------------------------------------------ many at once


def test_duplicate_is_off_at_the_next_free_priority_and_opens_the_copy(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"])

    response = act(client, "duplicate", campaign)

    copy = Campaign.objects.exclude(pk=campaign.pk).get()
    assert (copy.status, copy.priority) == ("OFF", 20)
    assert copy.triggers.get().ref == str(shop["W1"].pk)
    assert response["Location"] == url(CHANGE, copy.pk)


def test_duplicate_of_many_says_how_many(client, boss, shop):
    rows = [factories.campaign(shop["DT"], shop["W1"]) for _ in range(3)]

    response = client.get(act(client, "duplicate", *rows)["Location"])

    assert Campaign.objects.count() == 6
    assert said(response) == ["3 campaigns copied, switched off."]


@pytest.mark.django_db(transaction=True)
def test_withdraw_asks_first_and_says_what_it_did(client, boss, shop):
    mine = factories.campaign(shop["DT"], shop["W1"], name="Mine")
    other = factories.campaign(shop["CA"], shop["W2"], name="Other")
    open_ones = [offered(shop), offered(shop)]
    kept = offered(shop, ("W2", 1))
    closed = offered(shop)
    Offer.objects.filter(pk=closed.pk).update(state="DECLINED", responded_at=timezone.now())

    asked = act(client, "withdraw_outstanding", mine)
    states = set(Offer.objects.values_list("state", flat=True))
    done = client.get(act(client, "withdraw_outstanding", mine, confirmed="yes")["Location"])

    assert asked.context["count"] == 2
    assert states == {"SHOWN", "DECLINED"}
    assert {row.state for row in Offer.objects.filter(pk__in=[o.pk for o in open_ones])} == {
        "REVOKED"
    }
    assert Offer.objects.get(pk=kept.pk).state == "SHOWN"
    assert Offer.objects.get(pk=kept.pk).campaign_id == other.pk
    assert said(done) == ["2 offers withdrawn."]


@pytest.mark.django_db(transaction=True)
def test_withdraw_waits_for_a_payment_under_way(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"])
    offer = offered(shop)
    Offer.objects.filter(pk=offer.pk).update(state="ACCEPTING")

    done = client.get(act(client, "withdraw_outstanding", campaign, confirmed="yes")["Location"])

    assert said(done) == [
        "0 offers withdrawn.",
        "1 is being paid just now; it is settled first, then refunded.",
    ]
    assert Offer.objects.get().revoke_requested_at is not None


def test_withdraw_of_nothing_offers_no_button(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"])

    page = act(client, "withdraw_outstanding", campaign).content.decode()

    assert "there is nothing to withdraw" in page
    assert "Withdraw them" not in page


def test_a_campaign_that_offered_something_is_kept(client, boss, shop):
    kept, free = (factories.campaign(shop["DT"], shop["W1"]) for _ in range(2))
    free_pk = free.pk
    offered(shop)
    kept, free = sorted((kept, free), key=lambda row: -row.offers.count())

    told = client.post(url("campaign_delete", kept.pk), {"post": "yes"}, follow=True)
    assert "archive it instead" in " ".join(said(told))
    act(client, "delete_selected", kept, free, post="yes")
    assert Campaign.objects.filter(pk=kept.pk).exists()
    assert client.post(url("campaign_delete", free.pk), {"post": "yes"}).status_code == 302
    assert not Campaign.objects.filter(pk=free.pk).exists()
    assert free_pk


# ------------------------------------------------------------------ history


def test_history_says_who_changed_what_from_what(client, boss, shop):
    client.post(url(ADD), form(shop, name="First"))
    campaign = Campaign.objects.get()
    trigger, copy = campaign.triggers.get(), campaign.copies.get()
    again = {
        "triggers-INITIAL_FORMS": "1", "triggers-0-id": str(trigger.pk),
        "triggers-0-ref": str(shop["W2"].pk), "copies-INITIAL_FORMS": "1",
        "copies-0-id": str(copy.pk), "copies-0-headline": "Cleaner clothes",
    }  # fmt: skip
    assert client.post(
        url(CHANGE, campaign.pk), form(shop, name="Second", percent="5", rule="PERCENT", **again)
    ).status_code == 302  # fmt: skip

    edits = client.get(url("campaign_history", campaign.pk)).context["upsell_edits"]

    assert [edit["revision"].by for edit in edits] == [boss, boss]
    assert {(row.name, row.before, row.after) for row in edits[0]["rows"]} == {
        ("Name", "First", "Second"),
        ("Price", "selling price", "percent off"),
        ("Percent", "0 %", "5 %"),
        ("Triggers", "W1", "W2"),
        ("Headline (en)", "Clean clothes", "Cleaner clothes"),
    }
    assert edits[1]["first"]
    written = {row.name: row.after for row in edits[1]["rows"]}
    assert written["Value of the order"] == "at least €10.00"
    assert "Percent" not in written


def test_history_of_what_is_not_there_is_not_there(client, boss, shop):
    assert client.get("/admin/upsell/campaign/none/history/").status_code in (302, 404)


def test_words_of_staff_are_escaped_everywhere(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"], name=XSS, note=XSS)
    campaign.copies.create(language="en", headline=XSS, body=XSS)
    factories.order(shop)
    for address in (
        url(LIST),
        url(CHANGE, campaign.pk),
        url("campaign_history", campaign.pk),
        url("campaign_preview", campaign.pk),
        url("campaign_frame", campaign.pk),
        url("campaign_steps", campaign.pk),
        url("campaign_why") + "?order=" + str(factories.order(shop).pk),
        url("campaign_why") + f"?order={XSS}",
    ):
        response = client.get(address)
        assert response.status_code == 200, address
        assert b"<script>alert(1)" not in response.content, address
    assert b"<script>alert(1)" not in act(client, "withdraw_outstanding", campaign).content
