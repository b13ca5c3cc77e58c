"""Cases of journeys 1.2 and 1.8: what may be published, and what never changes."""

from __future__ import annotations

import pytest

from tests.factories import catalogue, order
from tests.services.journeys import (
    END,
    MAIL,
    T0,
    WAIT_3H,
    H,
    adds_up,
    go,
    journey,
    move,
    only,
    tell,
    template,
)
from upsell.models import (
    ChannelSettings,
    JourneyRun,
    JourneyVersion,
    StepLog,
)
from upsell.models.event import AppendOnly
from upsell.services import journey_publishing, journey_running, journey_states

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]


@pytest.fixture(autouse=True)
def _adds_up():
    yield
    adds_up()


@pytest.fixture
def placed():
    return order(catalogue(), email="emily@example.org")


def test_j27_a_draft_with_faults_is_not_published():
    row = journey({"wait": WAIT_3H | {"for": "P400D"}, "mail": MAIL | {"template": "nowhere"}},
                  live=False)  # fmt: skip

    with pytest.raises(journey_publishing.JourneyFaults) as refused:
        journey_states.go_live(row, now=T0)

    assert {fault.path for fault in refused.value.faults} >= {"steps.wait.for"}
    row.refresh_from_db()
    assert (row.state, row.version) == ("DRAFT", None)


def test_a_message_that_is_not_there_is_a_fault():
    row = journey(live=False)
    row.steps.filter(name="mail").update(told={"medium": "email", "template": "nowhere"})

    with pytest.raises(journey_publishing.JourneyFaults, match=r"steps\.mail\.template"):
        journey_states.go_live(row, now=T0)


def test_a_message_that_names_what_nobody_can_have_is_a_fault():
    template(text="{purchased.1.name} {order.number|it} {webhook.score.points}")
    row = journey(event="trial.started", live=False)

    with pytest.raises(journey_publishing.JourneyFaults) as error:
        journey_publishing.publish(row, now=T0)

    assert [(fault.path, fault.message) for fault in error.value.faults] == [
        (
            "steps.mail.template",
            f"“reminder” needs {{{name}}}, which nobody in this journey can have",
        )
        for name in ("purchased.1.name", "webhook.score.points")
    ]


def test_a_medium_that_is_not_set_up_names_the_setting():
    row = journey(live=False)
    row.steps.filter(name="mail").update(told={"medium": "sms", "template": "reminder"})

    with pytest.raises(journey_publishing.JourneyFaults, match="UPSELL_SMS"):
        journey_states.go_live(row, now=T0)


def test_a_message_on_pages_is_published_where_its_links_have_a_base(settings):
    template("words", medium="onsite")
    row = journey(live=False)
    row.steps.filter(name="mail").update(told={"medium": "onsite", "template": "words"})
    settings.UPSELL_BASE_URL = ""

    with pytest.raises(journey_publishing.JourneyFaults, match="UPSELL_BASE_URL"):
        journey_states.go_live(row, now=T0)

    settings.UPSELL_BASE_URL = "https://shop.example"
    journey_states.go_live(row, now=T0)
    assert row.versions.count() == 1


def test_a_mail_is_no_message_on_pages():
    row = journey(live=False)
    row.steps.filter(name="mail").update(told={"medium": "onsite", "template": "reminder"})

    with pytest.raises(journey_publishing.JourneyFaults, match="is for email, not for onsite"):
        journey_states.go_live(row, now=T0)


@pytest.mark.parametrize(
    ("setting", "rows", "category", "warned"),
    [
        pytest.param("1 Street", {}, "marketing", "", id="for all"),
        pytest.param("", {}, "marketing", " of web, other", id="nowhere"),
        pytest.param("", {"web": "1 Street"}, "marketing", " of other", id="one channel has none"),
        pytest.param("", {"": "1 Street"}, "marketing", "", id="the row for all"),
        pytest.param("", {}, "transactional", "", id="no marketing"),
    ],
)
def test_marketing_mails_without_a_postal_address_are_warned_of(
    settings, setting, rows, category, warned
):
    settings.UPSELL_POSTAL_ADDRESS = setting
    for channel, address in rows.items():
        ChannelSettings.objects.create(channel=channel, postal_address=address)
    row = journey(category=category, channels=["web", "other"], live=False)

    document = journey_publishing.document_of(row)
    _plan, faults, warnings = journey_publishing.checked(document, journey=row)

    told = [one for one in warnings if "postal address" in one.message]
    assert [one.path for one in told] == ["steps.mail"] * bool(warned)
    assert all(f"marketing mails{warned} have" in one.message for one in told)
    assert not faults
    journey_states.go_live(row, now=T0)  # it is unwise, and not refused


def test_j28_a_published_version_never_changes():
    version = JourneyVersion.objects.get(journey=journey())

    version.definition = {}
    with pytest.raises(AppendOnly):
        version.save()
    with pytest.raises(AppendOnly):
        JourneyVersion.objects.update(definition={})


def test_j29_fifty_one_instant_steps_take_two_looks():
    steps = {
        f"s{number}": {"type": "tag", "tag": "list", "to": {"next": f"s{number + 1}"}}
        for number in range(60)
    } | {"s60": END}
    journey(steps)
    tell(order_ref="A1")

    assert journey_running.move(journey_running.claim(now=T0), now=T0) == 50
    assert only().state == "WAITING"
    go(T0)

    assert (only().state, only().seq) == ("COMPLETED", 60)


def test_runs_stay_on_their_version_and_may_be_moved():
    row = journey()
    tell(order_ref="A1")
    row.steps.filter(name="wait").update(told={"for": "PT1H"})
    version = journey_publishing.publish(row, now=T0)
    tell(order_ref="A2", key="u:2")
    first, second = JourneyRun.objects.order_by("pk")
    assert (first.due_at, second.due_at) == (T0 + 3 * H, T0 + H)

    assert journey_states.move_runs(row, to=version, now=T0 + 2 * H) == 1

    move(T0 + 2 * H)

    left = StepLog.objects.filter(step="wait").values_list("run", flat=True)
    assert set(left) == {first.pk, second.pk}, "the wait that is shorter now is over"


def test_runs_at_a_step_that_is_gone_are_not_moved():
    row = journey()
    tell(order_ref="A1")
    row.steps.filter(name="wait").delete()
    version = journey_publishing.publish(row, now=T0)

    with pytest.raises(journey_states.NotNow, match=r"“wait” \(1\)"):
        journey_states.move_runs(row, to=version, now=T0)
    assert journey_states.move_runs(row, to=version, steps={"wait": "mail"}, now=T0) == 1
