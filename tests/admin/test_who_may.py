"""Every screen of ours, for every kind of staff, by every method: one table (T18, T19)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from example_shop.models import Product
from tests.admin.test_campaigns import form
from tests.factories import campaign, catalogue
from tests.standing import offer_in
from tests.tables import dump, unchanged
from upsell.engine.journeys.draft import StepDraft
from upsell.models import (
    BacktestRun,
    Campaign,
    ChannelAccess,
    ChannelSettings,
    Decision,
    Experiment,
    Journey,
    JourneyRun,
    JourneyVersion,
    ListMember,
    MessageTemplate,
    Offer,
    Segment,
)
from upsell.services import experiments, journey_drafts

pytestmark = pytest.mark.django_db

# nobody: staff without a permission. viewer: may view, all channels. limited: every permission of
# ours, one channel. full: every permission of ours. A row holds for every method; a second row of
# the same screen says where POST is answered otherwise.
TABLE = """
                               stranger buyer nobody viewer limited full superuser
campaign choices               302      302   403    200    200     200  200
campaign import                302      302   403    403    200     200  200
campaign why                   302      302   403    403    200     200  200
campaign refusals              302      302   403    403    200     200  200
campaign shadowing             302      302   403    403    200     200  200
campaign first                 302      302   403    403    200     200  200
campaign steps                 302      302   403    403    200     200  200
campaign steps POST            302      302   403    403    302     302  302
campaign preview               302      302   403    403    200     200  200
campaign frame                 302      302   403    403    200     200  200
campaign list                  302      302   403    200    200     200  200
campaign add                   302      302   403    403    200     200  200
campaign history               302      302   403    200    200     200  200
campaign delete                302      302   403    403    200     200  200
campaign change                302      302   403    200    200     200  200
campaign change POST           302      302   403    403    200     200  200
campaign bare                  302      302   302    302    302     302  302
offer ask                      302      302   403    403    200     200  200
offer ask POST                 302      302   403    403    302     302  302
offer refund                   302      302   403    403    200     200  200
offer refund POST              302      302   403    403    302     302  302
offer list                     302      302   403    200    200     200  200
offer add                      302      302   403    403    403     403  403
offer history                  302      302   403    200    200     200  200
offer delete                   302      302   403    403    403     403  403
offer change                   302      302   403    200    200     200  200
offer change POST              302      302   403    403    403     403  403
offer bare                     302      302   302    302    302     302  302
offerevent list                302      302   403    200    200     200  200
offerevent add                 302      302   403    403    403     403  403
offerevent history             302      302   403    200    200     200  200
offerevent delete              302      302   403    403    403     403  403
offerevent change              302      302   403    200    200     200  200
offerevent change POST         302      302   403    403    403     403  403
offerevent bare                302      302   302    302    302     302  302
decision list                  302      302   403    200    200     200  200
decision add                   302      302   403    403    403     403  403
decision history               302      302   403    200    200     200  200
decision delete                302      302   403    403    403     403  403
decision change                302      302   403    200    200     200  200
decision change POST           302      302   403    403    403     403  403
decision bare                  302      302   302    302    302     302  302
channelsettings list           302      302   403    200    200     200  200
channelsettings add            302      302   403    403    403     200  200
channelsettings history        302      302   403    200    200     200  200
channelsettings delete         302      302   403    403    200     200  200
channelsettings change         302      302   403    200    200     200  200
channelsettings change POST    302      302   403    403    200     200  200
channelsettings bare           302      302   302    302    302     302  302
segment ready                  302      302   403    403    403     200  200
segment ready POST             302      302   403    403    403     404  404
segment who                    302      302   403    200    200     200  200
segment list                   302      302   403    200    200     200  200
segment add                    302      302   403    403    403     200  200
segment history                302      302   403    200    200     200  200
segment delete                 302      302   403    403    403     200  200
segment change                 302      302   403    200    200     200  200
segment change POST            302      302   403    403    403     200  200
segment bare                   302      302   302    302    302     302  302
listmember list                302      302   403    200    200     200  200
listmember export              302      302   403    403    405     405  405
listmember export POST         302      302   403    403    404     404  404
gatewayhealth list             302      302   403    200    200     200  200
dailymetric list               302      302   403    200    200     200  200
dailymetric timing             302      302   403    200    200     200  200
experiment list                302      302   403    200    200     200  200
experiment add                 302      302   403    403    200     200  200
experiment change              302      302   403    200    200     200  200
experiment edit                302      302   403    403    200     200  200
experiment start               302      302   403    403    200     200  200
experiment grow                302      302   403    403    200     200  200
experiment phase               302      302   403    403    200     200  200
experiment stop                302      302   403    403    200     200  200
experiment archive             302      302   403    403    200     200  200
experiment delete              302      302   403    403    200     200  200
experiment csv                 302      302   403    200    200     200  200
messagetemplate list           302      302   403    200    200     200  200
messagetemplate add            302      302   403    403    200     200  200
messagetemplate ready          302      302   403    403    200     200  200
messagetemplate change         302      302   403    302    200     200  200
messagetemplate change POST    302      302   403    403    200     200  200
messagetemplate preview        302      302   403    200    200     200  200
messagetemplate frame          302      302   403    200    200     200  200
messagetemplate test           302      302   403    403    302     302  302
messagetemplate publish        302      302   403    403    200     200  200
messagetemplate delete         302      302   403    403    200     200  200
journey list                   302      302   403    200    200     200  200
journey add                    302      302   403    403    200     200  200
journey validate               302      302   403    403    302     302  302
journey validate POST          302      302   403    403    200     200  200
journey ready                  302      302   403    403    200     200  200
journey import                 302      302   403    403    200     200  200
journey export                 302      302   403    200    200     200  200
journey change                 302      302   403    200    200     200  200
journey edit                   302      302   403    403    200     200  200
journey delete                 302      302   403    403    200     200  200
journey copy                   302      302   403    403    200     200  200
journey walk                   302      302   403    200    200     200  200
journey refused                302      302   403    200    200     200  200
journey move                   302      302   403    403    200     200  200
journey backfill               302      302   403    403    200     200  200
journey publish                302      302   403    403    200     200  200
journey pause                  302      302   403    403    200     200  200
journey resume                 302      302   403    403    200     200  200
journey sunset                 302      302   403    403    200     200  200
journey stop                   302      302   403    403    200     200  200
journeyrun list                302      302   403    200    200     200  200
journeyrun change              302      302   403    200    200     200  200
journeyrun retry               302      302   403    403    200     200  200
journeyrun skip                302      302   403    403    200     200  200
journeyrun end                 302      302   403    403    200     200  200
backtestrun list               302      302   403    403    200     200  200
backtestrun start              302      302   403    403    200     200  200
backtestrun cancel             302      302   403    403    302     302  302
backtestrun csv                302      302   403    403    200     200  200
backtestrun change             302      302   403    403    200     200  200
desk list                      302      302   403    200    200     200  200
desk list POST                 302      302   403    403    404     404  404
channelaccess list             302      302   403    200    200     200  200
channelaccess add              302      302   403    403    403     200  200
channelaccess history          302      302   403    200    302     200  200
channelaccess delete           302      302   403    403    302     200  200
channelaccess change           302      302   403    200    302     200  200
channelaccess change POST      302      302   403    403    302     200  200
channelaccess bare             302      302   302    302    302     302  302
"""
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ROLES, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = {tuple(row[: -len(ROLES)]): [int(word) for word in row[-len(ROLES) :]] for row in _ROWS}
SCREENS = [row for row in CELLS if row[-1] != "POST"]
MODELS = list(dict.fromkeys(row[0] for row in SCREENS))
METHODS = ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]


def screens() -> dict[tuple[str, ...], str]:
    """Return every screen of our models with its address below the admin, from the resolver."""
    found = {}
    for model, screen in admin.site._registry.items():
        if model._meta.app_label == "upsell":
            for pattern in screen.urls:
                name = (pattern.name or "bare").rpartition("_")[2].replace("changelist", "list")
                path = re.sub(r"<.*?>", "{pk}", str(pattern.pattern))
                found[model._meta.model_name, name] = f"upsell/{model._meta.model_name}/{path}"
    return found


def test_every_screen_is_in_the_table() -> None:
    assert set(screens()) == set(SCREENS)


@pytest.fixture
def rows() -> dict[str, dict[str, int]]:
    """Two of everything: one of the channel ``web``, and one of another."""
    products = catalogue()
    Product.objects.update(stock=None)
    campaign(products["W2"], products["W1"], kind="UPSELL", slug="offered")
    offers = [offer_in("SHOWN", products) for _ in range(2)]
    Offer.objects.filter(pk=offers[1].pk).update(channel="other")
    Decision.objects.filter(pk=offers[1].decision_id).update(channel="other")
    made = [campaign(products["DT"], products["W1"], channels=[c]) for c in ("web", "other")]
    settings = [ChannelSettings.objects.create(channel=c) for c in ("web", "other")]
    period = {"state": "DONE", "days": 1, "since": NOON, "until": NOON, "created_at": NOON}
    results = {"shown": {}, "then": {}, "taken": {}, "nothing": {}, "refused": {}, "names": {},
               "orders": 0, "offered": 0, "outside": 0, "unreadable": 0, "cut": False}  # fmt: skip
    runs = [
        BacktestRun.objects.create(channels=[c], results=results, **period)
        for c in ("web", "other")
    ]
    asked = [
        _experiment(channel, campaign(products["CA"], channels=[channel]))
        for channel in ("web", "third")
    ]
    content = {"en": {"subject": "Hello", "blocks": [{"kind": "text", "text": "Hello"}]}}
    message = MessageTemplate.objects.create(slug="hello", name="Hello", content=content)
    journeys = [_journey("web"), _journey("other")]
    passages = [_run(one) for one in journeys]
    for channel in ("web", "other"):
        ListMember.objects.create(
            slug="sale", customer_key=f"u:{channel}", channel=channel, joined_at=NOON
        )
    return {
        "messagetemplate": {"mine": message.pk, "foreign": message.pk},
        "journey": {"mine": journeys[0].pk, "foreign": journeys[1].pk},
        "journeyrun": {"mine": passages[0].pk, "foreign": passages[1].pk},
        "experiment": {"mine": asked[0].pk, "foreign": asked[1].pk},
        "backtestrun": {"mine": runs[0].pk, "foreign": runs[1].pk},
        "campaign": {"mine": made[0].pk, "foreign": made[1].pk},
        "offer": {"mine": offers[0].pk, "foreign": offers[1].pk},
        "offerevent": {
            "mine": offers[0].events.earliest("pk").pk,
            "foreign": offers[1].events.earliest("pk").pk,
        },
        "decision": {"mine": offers[0].decision_id, "foreign": offers[1].decision_id},
        "channelsettings": {"mine": settings[0].pk, "foreign": settings[1].pk},
        "segment": dict.fromkeys(("mine", "foreign"), _segment().pk),
        "listmember": {"mine": 0, "foreign": 0},
        "desk": {"mine": 0, "foreign": 0},
        "gatewayhealth": {"mine": 0, "foreign": 0},
        "dailymetric": {"mine": 0, "foreign": 0},
    }


def _segment() -> Segment:
    tree = {"fact": "purchased", "op": "is", "value": True}
    return Segment.objects.create(slug="paid", name="Paid", conditions=tree)


def _experiment(slug: str, offered: Campaign) -> Experiment:
    """A draft of two arms, with the campaign and without it."""
    arms = [{"slug": slug, "weight": 5_000, "campaign": key, "overrides": {}}
            for slug, key in (("control", None), ("b", offered.pk))]  # fmt: skip
    sizes = {"metric": "REVENUE", "currency": "EUR", "base": "10", "smallest": "1"}
    return experiments.save_draft(slug=slug, name=slug, arms=arms, **sizes)


def _journey(channel: str) -> Journey:
    steps = [StepDraft(name="end", kind="exit")]
    values = {"slug": channel, "name": channel, "channels": [channel], "event": "order.placed"}
    return journey_drafts.save(journey=None, values=values, steps=steps)


def _run(journey: Journey) -> JourneyRun:
    version = JourneyVersion.objects.create(
        journey=journey, number=1, definition={"steps": {}}, sha256="x", published_at=NOON
    )
    return JourneyRun.objects.create(
        journey=journey, version=version, customer_key="u:1", dedupe_key="x", step="end",
        channel=journey.slug, since=NOON, entered_at=NOON, state="STUCK",
    )  # fmt: skip


@pytest.fixture
def browsers(rows) -> dict[str, Client]:
    """The browser of everybody who may come."""
    made = {"stranger": Client()}
    ours = Permission.objects.filter(content_type__app_label="upsell")
    for name in ROLES[1:]:
        user = User.objects.create_user(
            name, is_staff=name != "buyer", is_superuser=name == "superuser"
        )
        if name in {"limited", "full"}:
            user.user_permissions.set(ours)
        if name == "viewer":
            user.user_permissions.set(ours.filter(codename__startswith="view_"))
        if name == "limited":
            access = ChannelAccess.objects.create(user=user, channel="web")
            rows["channelaccess"] = {"mine": access.pk, "foreign": access.pk}
        made[name] = Client()
        made[name].force_login(user)
    return made


def asked(browser: Client, method: str, path: str) -> int:
    form = "application/x-www-form-urlencoded"
    return browser.generic(method, path, "", content_type=form).status_code


@pytest.mark.parametrize("model", MODELS)
def test_who_may_what(model, rows, browsers) -> None:
    for screen, path in screens().items():
        if screen[0] != model:
            continue
        path = reverse("admin:index") + path.format(pk=rows[model]["mine"])
        for role, wanted, posted in zip(
            ROLES, CELLS[screen], CELLS.get((*screen, "POST"), CELLS[screen]), strict=True
        ):
            with unchanged(f"{role} at {screen}"):
                told = {method: asked(browsers[role], method, path) for method in ("GET", "POST")}
                if role in {"nobody", "superuser"}:
                    told |= {method: asked(browsers[role], method, path) for method in METHODS}
            expected = dict.fromkeys(told, wanted) | {"POST": posted}
            assert told == expected, (role, screen)


@pytest.mark.parametrize(
    "model",
    [
        "backtestrun",
        "campaign",
        "experiment",
        "offer",
        "offerevent",
        "decision",
        "channelsettings",
        "journey",
        "journeyrun",
    ],
)
def test_what_is_of_another_channel_is_not_there(model, rows, browsers) -> None:
    """Status, address and words: nothing says whether a row is foreign or absent."""
    foreign, absent = rows[model]["foreign"], 987_654
    for screen, path in screens().items():
        if screen[0] != model or "{pk}" not in path or screen[1] == "bare":
            continue  # the bare address leads to the one with a name, whatever is asked
        for method in ("get", "post"):
            told = []
            for pk in (foreign, absent):
                address = reverse("admin:index") + path.format(pk=pk)
                answer = getattr(browsers["limited"], method)(address, follow=True)
                text = f"{answer.redirect_chain} {answer.content.decode()}"
                text = re.sub(r'value="\w{64}"', "", text)  # the form's own secret
                told.append((answer.status_code, text.replace(f"“{pk}”", "?")))
            assert told[0] == told[1], (screen, method)


ODD = ["abc", "0", "-1", "1 OR 1=1", "9" * 30, "%00", "..", "é", "1/2", "_5B", "{pk}", "None"]


@pytest.mark.parametrize("model", MODELS)
def test_an_odd_key_is_no_row(model, rows, browsers) -> None:
    for screen, path in screens().items():
        if screen[0] == model and "{pk}" in path:
            for pk in ODD:
                address = reverse("admin:index") + path.format(pk=pk)
                assert browsers["superuser"].get(address).status_code in {302, 403, 404}, address


# ------------------------------------------------------------------ what is really done


LIST = "admin:upsell_campaign_changelist"
#                           stranger buyer nobody viewer limited full superuser
ACTIONS = """
duplicate                   no       no    no     no     yes     yes  yes
withdraw_outstanding        no       no    no     no     yes     yes  yes
archive                     no       no    no     no     yes     yes  yes
unarchive                   no       no    no     no     yes     yes  yes
export_json                 no       no    no     no     yes     yes  yes
export_csv                  no       no    no     no     yes     yes  yes
delete_selected             no       no    no     no     yes     yes  yes
"""


@pytest.mark.parametrize("action", [line.split() for line in ACTIONS.strip().splitlines()],
                         ids=lambda row: row[0])  # fmt: skip
def test_actions_are_for_those_who_may(action, rows, browsers) -> None:
    name, *allowed = action
    keys = [rows["campaign"]["mine"]]
    offered = Campaign.objects.get(slug="offered").pk
    if name == "withdraw_outstanding":
        keys = [offered]
    for role, may in zip(ROLES, allowed, strict=True):
        data = {"action": name, "_selected_action": keys, "confirmed": "yes", "post": "yes"}
        before = dump("upsell_")

        answer = browsers[role].post(reverse(LIST), data)

        did = dump("upsell_") != before or "attachment" in answer.get("Content-Disposition", "")
        assert ("yes" if did else "no") == may, role
        if name == "withdraw_outstanding":
            Offer.objects.update(state="SHOWN", closed_at=None)
        if did and name == "delete_selected":
            made = Campaign.objects.create(name="x", slug="x", kind="CROSS_SELL", channels=["web"])
            keys = [made.pk]


def test_limited_staff_do_nothing_to_another_channel(rows, browsers) -> None:
    """Not by its key, and not by choosing all there are."""
    foreign = Campaign.objects.get(pk=rows["campaign"]["foreign"])
    data = {"_selected_action": [foreign.pk], "confirmed": "yes", "post": "yes"}
    for action in [line.split()[0] for line in ACTIONS.strip().splitlines()]:
        with unchanged(action):
            answer = browsers["limited"].post(reverse(LIST), {**data, "action": action})
        assert foreign.name not in answer.content.decode()
        answer = browsers["limited"].post(
            reverse(LIST), {**data, "action": action, "select_across": "1"}
        )
        assert foreign.name not in answer.content.decode()
        kept = [row for row in Campaign.objects.all() if "other" in row.channels]
        assert [(row.pk, row.revision) for row in kept] == [(foreign.pk, foreign.revision)]


@pytest.mark.parametrize("action", ["duplicate", "withdraw_outstanding", "delete_selected"])
def test_limited_staff_look_at_what_is_theirs_and_another_s(action, rows, browsers) -> None:
    """A campaign of two channels is on their list, and what is done to it is done to both."""
    # What was offered is never deleted, whoever asks: for that, one that was not.
    lookup = {"slug": "offered"}
    if action == "delete_selected":
        lookup = {"pk": rows["campaign"]["mine"]}
    both = Campaign.objects.get(**lookup)
    Campaign.objects.filter(pk=both.pk).update(channels=["web", "other"])
    data = {"action": action, "_selected_action": [both.pk], "confirmed": "yes", "post": "yes"}
    assert both.name in browsers["limited"].get(reverse(LIST)).content.decode()

    with unchanged(action):
        browsers["limited"].post(reverse(LIST), data)


#                       stranger buyer nobody viewer limited full superuser
FORMS = """
add                     no       no    no     no     yes     yes  yes
change                  no       no    no     no     yes     yes  yes
import                  no       no    no     no     yes     yes  yes
"""


@pytest.mark.parametrize("row", [line.split() for line in FORMS.strip().splitlines()],
                         ids=lambda row: row[0])  # fmt: skip
def test_forms_are_for_those_who_may(row, rows, browsers) -> None:
    name, *allowed = row
    shop = {product.sku: product for product in Product.objects.all()}
    for number, (role, may) in enumerate(zip(ROLES, allowed, strict=True)):
        keys = [rows["campaign"]["mine"]] if name == "change" else []
        data = form(shop, slug=f"new-{number}", name=f"New {number}")
        if name == "change":
            data |= {"triggers-TOTAL_FORMS": "0", "copies-TOTAL_FORMS": "0", "triggers-0-ref": ""}
            data |= {"note": f"changed by {role}", "status": "OFF"}
        if name == "import":
            data = {"text": f'[{{"slug": "new-{number}", "kind": "CROSS_SELL", "channels": ["web"],'
                    f'"product_ref": "{shop["DT"].pk}", "triggers": [{{"kind": "ALWAYS"}}]}}]',
                    "commit": "yes"}  # fmt: skip
        before = dump("upsell_campaign")

        answer = browsers[role].post(reverse(f"admin:upsell_campaign_{name}", args=keys), data)

        did = dump("upsell_campaign") != before
        assert ("yes" if did else "no") == may, (role, answer.context and answer.context["errors"])


@pytest.mark.parametrize(
    "channels",
    [
        pytest.param(["other"], id="another"),
        pytest.param(["web", "other"], id="theirs and another"),
    ],
)
def test_limited_staff_write_into_their_channel_alone(channels, rows, browsers) -> None:
    shop = {product.sku: product for product in Product.objects.all()}
    rows_of_a_file = (
        f'[{{"slug": "new", "kind": "CROSS_SELL", "product_ref": "{shop["DT"].pk}",'
        f'"triggers": [{{"kind": "ALWAYS"}}], "channels": {channels!r}}}]'.replace("'", '"')
    )
    with unchanged():
        browsers["limited"].post(
            reverse("admin:upsell_campaign_add"), form(shop, slug="new", channels=channels)
        )
        browsers["limited"].post(
            reverse("admin:upsell_campaign_import"), {"text": rows_of_a_file, "commit": "yes"}
        )


def test_limited_staff_move_no_settings_to_another_channel(rows, browsers) -> None:
    """Nor to all channels, whose code is empty."""
    path = reverse("admin:upsell_channelsettings_change", args=[rows["channelsettings"]["mine"]])
    for channel in ("", "other", "new"):
        browsers["limited"].post(path, {"channel": channel, "enabled": "on", "holdout": "1"})

    assert set(ChannelSettings.objects.values_list("channel", flat=True)) == {"web", "other"}
    assert ChannelSettings.objects.get(channel="web").holdout == 1
