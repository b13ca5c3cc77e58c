"""Experiments in the admin: drafted without a loss, started with a look, read as they may be."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from tests import factories
from tests.admin.screens import XSS, act, said, url
from tests.oracles import oracle
from tests.services.test_experiment_results import buys, expose
from upsell import conf
from upsell.exceptions import MissingExtra
from upsell.models import Campaign, DailyMetric, Experiment, Exposure
from upsell.services import experiments, looking

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
RIGHTS = ("view_experiment", "add_experiment", "change_experiment", "run_experiment")


@pytest.fixture
def campaign(shop):
    return factories.campaign(shop["CA"], name="Cable with a machine")


def sent(campaign, **changes):
    """What a browser sends for a draft of two arms, with two rows left empty."""
    data = {
        "name": "A cheaper cable", "slug": "", "question": "Do more buyers take it at 10 % off?",
        "metric": "ACCEPTANCE", "reading": "ANY_DAY", "base": "5", "smallest": "1",
        "currency": "eur", "traffic": "50",
        "arms-TOTAL_FORMS": "4", "arms-INITIAL_FORMS": "2",
        "arms-0-slug": "control", "arms-0-weight": "50", "arms-0-campaign": str(campaign.pk),
        "arms-1-slug": "cheap", "arms-1-weight": "50", "arms-1-campaign": str(campaign.pk),
        "arms-1-rule": "PERCENT", "arms-1-percent": "10",
    }  # fmt: skip
    return {key: value for key, value in (data | changes).items() if value is not None}


def drafted(campaign, slug="cheap", **options):
    values = {
        "name": slug.title(), "base": "0.05", "smallest": "0.01", "currency": "EUR",
        "arms": [
            {"slug": "control", "weight": 5_000, "campaign": campaign.pk, "overrides": {}},
            {"slug": "b", "weight": 5_000, "campaign": campaign.pk,
             "overrides": {"rule": "PERCENT", "percent": "10"}},
        ],
    } | options  # fmt: skip
    return experiments.save_draft(slug=slug, **values)


def begun(campaign, slug="cheap", **options):
    now = timezone.now()
    row = drafted(campaign, slug, **options)
    return experiments.start(experiment_id=row.pk, now=now - 60 * DAY)


def arms_of(row):
    return experiments.arms_of(row.phases.latest("number"))


# ------------------------------------------------------------------ drafting


def test_a_draft_is_written_as_it_was_typed(client, boss, campaign):
    answer = client.post(url("experiment_add"), sent(campaign), follow=True)

    row = Experiment.objects.get()
    assert (row.slug, row.state, row.created_by) == ("a-cheaper-cable", "DRAFT", boss)
    assert (str(row.base), str(row.smallest), row.currency) == ("0.0500", "0.0100", "EUR")
    assert row.phases.get().traffic == 5_000
    assert arms_of(row) == [
        {"slug": "control", "weight": 5_000, "campaign": campaign.pk, "overrides": {}},
        {"slug": "cheap", "weight": 5_000, "campaign": campaign.pk,
         "overrides": {"rule": "PERCENT", "percent": "10"}},
    ]  # fmt: skip
    page = answer.content.decode()
    assert "each arm needs 8,143 buyers" in page
    assert "50\N{NO-BREAK SPACE}% of the buyers take part" in page
    assert "with 10\N{NO-BREAK SPACE}% off" in page
    assert "cannot be told: its campaigns made no offers" in page


def test_a_draft_says_when_it_would_be_done(client, boss, campaign):
    today = timezone.localdate()
    DailyMetric.objects.create(day=today, channel="web", moment="post_purchase",
                               campaign=campaign, currency="EUR", eligible=14_000)  # fmt: skip
    row = drafted(campaign)

    answer = client.get(url("experiment_change", row.pk))

    # 1,000 a day, half of them in each arm, and 8,143 are needed in each.
    assert answer.context["expected_on"] == today + 17 * DAY


def test_what_is_edited_comes_back_as_it_was(client, boss, campaign, shop):
    row = drafted(campaign, arms=[
        {"slug": "control", "weight": 3_333, "campaign": None, "overrides": {}},
        {"slug": "b", "weight": 6_667, "campaign": campaign.pk,
         "overrides": {"rule": "FIXED", "amounts": {"EUR": "9.00"},
                       "product_ref": str(shop["DT"].pk),
                       "copy": {"en": {"headline": "Warm", "benefits": ["Soft"]},
                                "de": {"headline": "Warm!"}}}},
    ])  # fmt: skip
    before = arms_of(row)
    page = client.get(url("experiment_edit", row.pk))

    data = {}
    forms = [page.context["form"], page.context["arms"].management_form, *page.context["arms"]]
    for form in forms:
        for field in form:
            value = field.value()
            data[field.html_name] = "" if value is None else value
    data = {name: value for name, value in data.items() if "DELETE" not in name}
    client.post(url("experiment_edit", row.pk), data)

    assert arms_of(row) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"name": ""}, "This field is required", id="no name"),
        pytest.param({"base": "120"}, "in percent, below 100", id="more than all"),
        pytest.param({"smallest": "0"}, "greater than or equal to 0.01", id="no difference"),
        pytest.param({"base": "NaN"}, "Enter a number", id="no number"),
        pytest.param({"traffic": "0"}, "greater than or equal to 0.01", id="nobody"),
        pytest.param({"currency": "EURO"}, "Enter a valid value", id="no currency"),
        pytest.param({"metric": "LUCK"}, "not one of the available choices", id="no metric"),
        pytest.param({"arms-1-weight": "101"}, "less than or equal to 100", id="a weight"),
        pytest.param({"arms-1-weight": "-5"}, "greater than or equal to 0.01", id="below 0"),
        pytest.param({"arms-1-campaign": "999999"}, "not one of the available", id="unknown"),
        pytest.param({"arms-1-slug": "control"}, "same name", id="the same twice"),
        pytest.param({"arms-1-slug": "a b"}, "valid “slug”", id="no slug"),
        pytest.param({"arms-1-rule": ""}, "Say what the percentage", id="a percentage of what"),
        pytest.param({"arms-1-campaign": ""}, "no campaign whose terms", id="nothing changed"),
        pytest.param({"arms-1-headline": "x" * 81}, "At most 80", id="too long"),
        pytest.param({"arms-1-headline": "a\x00b"}, "Null characters", id="a null"),
        pytest.param({"arms-1-amounts": "twelve"}, "is not read as a currency", id="no amount"),
        pytest.param({"arms-TOTAL_FORMS": "x"}, "ManagementForm", id="no rows"),
        pytest.param({"name": "!!!"}, "no letters", id="a name without a slug"),
    ],
)
def test_bad_input_is_said_and_nothing_is_lost(client, boss, campaign, changes, words):
    answer = client.post(url("experiment_add"), sent(campaign, **changes))

    page = answer.content.decode()
    assert answer.status_code == 200
    assert words in page
    assert not Experiment.objects.exists()
    if "question" not in changes:
        assert "Do more buyers take it at 10 % off?" in page


def test_a_name_that_is_taken_overwrites_nothing(client, boss, campaign):
    row = drafted(campaign, "a-cheaper-cable")

    answer = client.post(url("experiment_add"), sent(campaign))

    assert "already" in answer.content.decode()
    row.refresh_from_db()
    assert row.name == "A-Cheaper-Cable"


def test_hostile_words_stay_words(client, boss, campaign):
    client.post(url("experiment_add"), sent(
        campaign, name=XSS, question=XSS, slug="x", **{"arms-1-headline": XSS}))  # fmt: skip
    row = Experiment.objects.get()
    for name in ("experiment_change", "experiment_edit", "experiment_start"):
        assert XSS not in client.get(url(name, row.pk)).content.decode(), name
    assert XSS not in client.get(url("experiment_changelist")).content.decode()


def test_another_one_like_one_that_there_is(client, boss, campaign):
    row = begun(campaign)

    page = client.get(url("experiment_add") + f"?copy={row.pk}")

    assert page.context["form"].initial["base"] == 5
    assert [form.initial.get("slug") for form in page.context["arms"]][:2] == ["control", "b"]


# ------------------------------------------------------------------ from start to end


def test_errors_forbid_a_start_and_warnings_do_not(client, boss, campaign):
    wrong = drafted(campaign, "wrong", arms=[])
    Campaign.objects.filter(pk=campaign.pk).update(status="OFF")
    unwise = drafted(campaign)

    asked = client.get(url("experiment_start", wrong.pk))
    refused = client.post(url("experiment_start", wrong.pk), {"confirmed": "yes"})
    warned = client.get(url("experiment_start", unwise.pk))

    assert asked.context["fits"] is False
    assert "two arms or more" in refused.content.decode()
    assert "is not live" in warned.content.decode()
    assert warned.context["fits"] is True
    assert set(Experiment.objects.values_list("state", flat=True)) == {"DRAFT"}


def test_each_step_is_asked_first_and_done_once(client, boss, campaign):
    row = drafted(campaign, traffic=1_000)

    def told(name, **data):
        before = Experiment.objects.filter(pk=row.pk).values().first()
        client.post(url(f"experiment_{name}", row.pk), data)
        assert Experiment.objects.filter(pk=row.pk).values().first() == before, "it asks first"
        answer = client.post(
            url(f"experiment_{name}", row.pk), {"confirmed": "yes", **data}, follow=True
        )
        return said(answer)

    assert told("start") == ["It runs: from now on buyers are in its arms."]
    assert told("grow", traffic="50") == ["More buyers take part."]
    assert row.phases.get().traffic == 5_000
    assert told("stop") == ["It has ended. What was measured stays."]
    assert told("archive") == ["It is archived."]
    assert row.slug not in client.get(url("experiment_changelist")).content.decode()
    assert told("archive") == ["It is back on the list."]
    row.refresh_from_db()
    assert (row.state, row.archived) == ("ENDED", False)


@pytest.mark.parametrize(
    ("state", "name", "words"),
    [
        pytest.param("DRAFT", "stop", "never started", id="stop a draft"),
        pytest.param("DRAFT", "grow", "not running", id="grow a draft"),
        pytest.param("RUNNING", "archive", "Stop it first", id="archive a running one"),
        pytest.param("RUNNING", "delete", "Archive it", id="delete a running one"),
        pytest.param("ENDED", "start", "Copy it", id="start an ended one"),
    ],
)
def test_what_does_not_fit_says_what_does(client, boss, campaign, state, name, words):
    row = drafted(campaign) if state == "DRAFT" else begun(campaign)
    if state == "ENDED":
        experiments.stop(experiment_id=row.pk)

    asked = client.get(url(f"experiment_{name}", row.pk))
    answer = client.post(url(f"experiment_{name}", row.pk), {"confirmed": "yes", "traffic": "100"})

    assert asked.context["fits"] is False
    assert words in answer.content.decode()
    row.refresh_from_db()
    assert row.state == state


def test_traffic_that_would_shrink_is_refused_with_the_way_out(client, boss, campaign):
    row = begun(campaign, traffic=5_000)

    answer = client.post(url("experiment_grow", row.pk), {"confirmed": "yes", "traffic": "40"})

    assert "Begin a new phase" in answer.content.decode()
    assert row.phases.get().traffic == 5_000


def test_a_started_one_is_not_edited_and_a_new_phase_is(client, boss, campaign):
    row = begun(campaign)

    page = client.get(url("experiment_edit", row.pk)).content.decode()
    client.post(url("experiment_edit", row.pk), sent(campaign))
    bad = client.post(url("experiment_phase", row.pk), sent(campaign, **{"arms-1-weight": "40"}))
    good = client.post(url("experiment_phase", row.pk), sent(campaign), follow=True)

    assert "begin a new phase" in page
    assert url("experiment_phase", row.pk) in page
    assert "come to 90" in bad.content.decode()
    assert said(good) == ["The new phase has begun."]
    row.refresh_from_db()
    assert row.name == "Cheap"
    assert [arm["slug"] for arm in arms_of(row)] == ["control", "cheap"]


def test_a_draft_is_deleted_and_no_other(client, boss, campaign):
    draft = drafted(campaign, "draft")

    client.get(url("experiment_delete", draft.pk))
    assert Experiment.objects.count() == 1
    client.post(url("experiment_delete", draft.pk), {"confirmed": "yes"})

    assert not Experiment.objects.exists()


# ------------------------------------------------------------------ reading


def exposed(row, *, counts, accepted, days=40):
    at = timezone.now() - days * DAY
    for arm, count, took in zip(("control", "b"), counts, accepted, strict=True):
        for one in expose(row, arm, count, at=at, accepted=took):
            buys(one.unit, "20.00" if arm == "b" else "18.00", at=at)


def test_the_result_is_one_plain_sentence_with_its_numbers_below(client, boss, campaign):
    oracle("scipy.stats")
    row = begun(campaign)
    exposed(row, counts=(1_000, 1_000), accepted=(50, 110))

    answer = client.get(url("experiment_change", row.pk))

    page = answer.content.decode()
    assert "“b” was accepted by 6.0 points more than the control (between" in page
    assert "11.0\N{NO-BREAK SPACE}% against 5.0\N{NO-BREAK SPACE}%" in page
    assert "That is hardly chance: the arm does better." in page
    assert "A difference was found before all were here" in page
    phase = answer.context["phases"][0]
    assert phase["chart"].wide.marks
    assert {row.figure for row in phase["others"]} == {
        "Revenue per buyer", "Orders per buyer", "Revenue per order"}  # fmt: skip


def test_a_broken_split_is_a_banner_instead_of_results(client, boss, campaign):
    oracle("scipy.stats")
    row = begun(campaign)
    exposed(row, counts=(1_200, 900), accepted=(60, 90))

    page = client.get(url("experiment_change", row.pk)).content.decode()
    file = client.get(url("experiment_csv", row.pk)).content.decode()

    assert "The split is broken, so no results are shown." in page
    for word in ("was accepted by", "Acceptance</th>", "Incremental"):
        assert word not in page
    assert "accepted" not in file


def test_locked_results_show_no_result_anywhere(client, boss, campaign):
    row = begun(campaign, reading="AT_THE_END")
    exposed(row, counts=(100, 100), accepted=(5, 60))

    page = client.get(url("experiment_change", row.pk)).content.decode()
    file = client.get(url("experiment_csv", row.pk) + "?fresh=1").content.decode()

    assert "Results are locked until there are enough buyers." in page
    assert "Accepted</th>" not in page
    assert "Acceptance</th>" not in page
    assert "accepted" not in file
    assert "exposed,100" in file


def test_four_looks_show_the_looks_and_nothing_between_them(client, boss, campaign):
    row = begun(campaign, reading="FOUR_LOOKS")
    Experiment.objects.update(needed=400)
    exposed(row, counts=(110, 110), accepted=(10, 12))
    looking.look_due()
    for one in Exposure.objects.filter(arm="b")[:50]:
        buys(one.unit, "500.00")

    page = client.get(url("experiment_change", row.pk)).content.decode()

    assert "At the bound of this look" in page
    assert "+1.8 points" in page
    assert "Accepted</th>" not in page


def test_without_scipy_the_page_says_what_to_install(client, boss, campaign, monkeypatch):
    row = begun(campaign)
    exposed(row, counts=(100, 100), accepted=(5, 9))

    def lacking():
        raise MissingExtra("stats")

    monkeypatch.setattr(conf, "inference", lacking)
    page = client.get(url("experiment_change", row.pk)).content.decode()

    assert "pip install &quot;django-upsell[stats]&quot;" in page
    assert "“b” was accepted by" in page


def test_one_that_was_stopped_early_says_so(client, boss, campaign):
    row = begun(campaign, reading="AT_THE_END")
    exposed(row, counts=(100, 100), accepted=(5, 9))
    experiments.stop(experiment_id=row.pk)

    page = client.get(url("experiment_change", row.pk)).content.decode()

    assert "fewer buyers than planned, 100 of 8,143" in page
    assert "“b” was accepted by 4.0 points more" in page


def test_left_out_and_younger_buyers_are_counted(client, boss, campaign):
    row = begun(campaign)
    exposed(row, counts=(30, 30), accepted=(2, 3))
    expose(row, "b", 1, name="two", excluded=True)
    expose(row, "b", 2, name="young", at=timezone.now() - DAY)

    page = client.get(url("experiment_change", row.pk)).content.decode()
    assert "no day can be told" in page or "Not enough data until about" in page
    fresh = client.get(url("experiment_change", row.pk) + "?fresh=1").content.decode()

    assert "1 buyer turned out to have been in two arms" in page
    assert "2 buyers were exposed less than 30 days ago" in page
    assert "Money counts all buyers" in fresh


def test_the_file_has_the_numbers_as_they_are(client, boss, campaign):
    oracle("scipy.stats")
    row = begun(campaign)
    exposed(row, counts=(1_000, 1_000), accepted=(50, 110))

    answer = client.get(url("experiment_csv", row.pk))

    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    told = {(one["arm"], one["figure"]): one for one in rows}
    assert told["control", "exposed"]["n"] == "1000"
    assert told["b", "primary"]["difference"] == "0.060000"
    assert told["b", "incremental"]["difference"] == "2000.000000"
    assert answer["Content-Disposition"] == 'attachment; filename="experiment-cheap.csv"'


def test_a_list_costs_the_same_for_fifty_rows(
    client, boss, campaign, django_assert_max_num_queries
):
    def cost():
        with django_assert_max_num_queries(20) as asked:
            client.get(url("experiment_changelist"))
        return len(asked)

    begun(campaign)
    few = cost()
    for number in range(30):
        drafted(campaign, f"draft-{number}")

    assert cost() == few


def test_the_list_says_how_far_each_is(client, boss, campaign):
    row = begun(campaign)
    exposed(row, counts=(400, 400), accepted=(2, 3))
    drafted(campaign, "later")

    page = client.get(url("experiment_changelist")).content.decode()

    assert "800" in page
    assert "4.9\N{NO-BREAK SPACE}% of the buyers it needs" in page
    assert "Later" in page


# ------------------------------------------------------------------ who may, and campaigns


def test_staff_of_a_channel_see_experiments_of_their_campaigns_alone(
    client, shop, campaign, signed_in
):
    foreign = factories.campaign(shop["DT"], channels=["other"])
    both = factories.campaign(shop["DT"], channels=["web", "other"])
    rows = {name: drafted(one, name) for name, one in
            (("mine", campaign), ("foreign", foreign), ("both", both))}  # fmt: skip
    signed_in(*RIGHTS, channels=("web",))

    listed = client.get(url("experiment_changelist")).context["cl"].result_list
    seen = {name: client.get(url("experiment_change", row.pk)).status_code
            for name, row in rows.items()}  # fmt: skip
    offered = client.get(url("experiment_add")).context["arms"][0].fields["campaign"].choices
    taken = client.post(url("experiment_add"), sent(foreign))

    assert [row.slug for row in listed] == ["mine"]
    assert seen == {"mine": 200, "foreign": 404, "both": 404}
    assert [name for _key, name in offered] == ["nothing", "Cable with a machine"]
    assert "not one of the available choices" in taken.content.decode()


def test_a_campaign_says_that_it_is_in_a_running_experiment(client, boss, campaign):
    calm = client.get(url("campaign_change", campaign.pk)).content.decode()
    begun(campaign)
    warned = client.get(url("campaign_change", campaign.pk)).content.decode()

    assert "mixes up what is measured" not in calm
    assert "mixes up what is measured" in warned
    assert "Cheap" in warned


def test_a_campaign_with_a_history_is_archived_and_not_deleted(client, boss, campaign):
    drafted(campaign)

    answer = client.post(url("campaign_delete", campaign.pk), {"post": "yes"}, follow=True)

    assert "archive it instead" in " ".join(said(answer))
    assert Campaign.objects.filter(pk=campaign.pk).exists()
    for action, archived in (("archive", True), ("unarchive", False)):
        act(client, action, campaign)
        campaign.refresh_from_db()
        assert campaign.archived is archived


def test_what_is_being_measured_is_not_archived(client, boss, campaign):
    begun(campaign)

    told = said(client.get(act(client, "archive", campaign)["Location"]))

    assert "stop that first" in " ".join(told)
    campaign.refresh_from_db()
    assert not campaign.archived


def test_services_and_screens_refuse_in_the_same_words(campaign):
    row = begun(campaign)

    with pytest.raises(ValidationError, match="Begin a new phase"):
        experiments.save_draft(slug=row.slug, name="Another")
