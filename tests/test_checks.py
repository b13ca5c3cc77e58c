"""The system checks: each wrong setting under its id, and none where all is well."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.dispatch import Signal

from example_shop.adapter import CardGateway, ExampleShop
from tests.factories import campaign, catalogue
from upsell import checks, conf, hooks
from upsell.models import CampaignTrigger
from upsell.ports import BaseGateway, Capability
from upsell.testing.fakes import FakeShop

placed = Signal()
not_a_signal = "a string"


class Bare:
    """An adapter that was not derived from ours."""

    capabilities = frozenset()


class Misspelt(FakeShop):
    capabilities = frozenset({"GROUP", Capability.TAX})


class OnSave(FakeShop):
    signals = {"placed": "django.db.models.signals.post_save"}


class UnknownEvent(FakeShop):
    signals = {"paid": "tests.test_checks.placed"}


class NotThere(FakeShop):
    signals = {"placed": "tests.test_checks.nowhere"}


class NoSignal(FakeShop):
    signals = {"placed": "tests.test_checks.not_a_signal"}


class Wired(FakeShop):
    signals = {"placed": "tests.test_checks.placed"}


class Plain(FakeShop):
    """It knows no groups, categories or brands, and replaces nothing."""

    capabilities = frozenset({Capability.TAX})


class NoMethods:
    slug = "none"


class NoSlug(BaseGateway):
    def collection(self, *args, **kwargs):
        raise AssertionError

    charge = collection


class SameSlug(CardGateway):
    pass


def found(check, **kwargs) -> list[str]:
    return [message.id for message in check(None, **kwargs)]


@pytest.mark.parametrize(
    ("check", "shop", "ids"),
    [
        pytest.param(checks.check_shop, "", ["upsell.E001"], id="nothing named"),
        pytest.param(checks.check_shop, "nowhere.Shop", ["upsell.E001"], id="not to be imported"),
        pytest.param(checks.check_shop, "Bare", ["upsell.E002"] * 8, id="no methods"),
        pytest.param(checks.check_shop, "Misspelt", ["upsell.E005"], id="GROUP is no capability"),
        pytest.param(checks.check_signals, "OnSave", ["upsell.E003"], id="post_save"),
        pytest.param(checks.check_signals, "UnknownEvent", ["upsell.E006"], id="no such event"),
        pytest.param(checks.check_signals, "NotThere", ["upsell.E006"], id="no such signal"),
        pytest.param(checks.check_signals, "NoSignal", ["upsell.E006"], id="a string"),
        pytest.param(checks.check_signals, "Wired", [], id="wired as it should be"),
    ],
)
def test_the_adapter(settings, check, shop, ids):
    settings.UPSELL_SHOP = f"tests.test_checks.{shop}" if shop.isalpha() else shop

    assert found(check) == ids


@pytest.mark.parametrize(
    ("gateways", "ids"),
    [
        pytest.param({"card": "NoMethods"}, ["upsell.E007"], id="no methods"),
        pytest.param({"card": "NoSlug"}, ["upsell.E008"], id="no slug"),
        pytest.param(
            {"card": "CardGateway", "visa": "SameSlug"}, ["upsell.E008"], id="one slug for two"
        ),
        pytest.param({"card": "CardGateway", "visa": "CardGateway"}, [], id="one for two ways"),
    ],
)
def test_the_gateways(settings, gateways, ids):
    settings.UPSELL_GATEWAYS = {
        code: f"tests.test_checks.{name}" for code, name in gateways.items()
    }

    assert found(checks.check_gateways) == ids


@pytest.mark.parametrize(
    ("name", "value", "ids"),
    [
        pytest.param("UPSELL_OFFER_LIFETIME", 30, ["upsell.E004"], id="a bare number"),
        pytest.param("UPSELL_RECONCILE_AFTER", (30,), ["upsell.E009"], id="one look"),
        pytest.param("UPSELL_RECONCILE_AFTER", (90, 30), ["upsell.E009"], id="backwards"),
        pytest.param("UPSELL_SELECTION", {"post_purchase": "best"}, ["upsell.E014"], id="no way"),
        pytest.param("UPSELL_SELECTION", {"checkin": "first"}, ["upsell.E014"], id="no moment"),
        pytest.param("UPSELL_SELECTION", {"cart": "weighted"}, [], id="a way for the cart"),
        pytest.param("UPSELL_OFFER_LIFETME", 30, ["upsell.W002"], id="a typing error"),
        pytest.param("UPSELL_ATTEMPTS", 1, [], id="as it should be"),
    ],
)
def test_the_settings(settings, name, value, ids):
    setattr(settings, name, value)

    assert found(checks.check_settings) == ids


def test_a_typing_error_is_told_what_was_meant(settings):
    settings.UPSELL_OFFER_LIFETME = 30

    assert checks.check_settings(None)[0].hint == "Did you mean UPSELL_OFFER_LIFETIME?"


def test_without_our_addresses_the_start_is_stopped(settings):
    settings.ROOT_URLCONF = "tests.no_urls"

    assert found(checks.check_addresses) == ["upsell.E010"]


def test_without_the_request_the_tag_would_stay_empty(settings):
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]

    assert found(checks.check_templates) == ["upsell.W003"]


@pytest.mark.parametrize(
    ("base", "ids"),
    [
        pytest.param("", ["upsell.W004"], id="none"),
        pytest.param("http://shop.example", ["upsell.W004"], id="not encrypted"),
        pytest.param("https://shop.example", [], id="as it should be"),
    ],
)
def test_mails_need_a_base_for_their_links(settings, base, ids):
    settings.UPSELL_BASE_URL = base

    assert found(checks.check_links) == ids


def test_sqlite_should_take_its_lock_at_once(monkeypatch):
    plain = {"default": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}}
    monkeypatch.setattr(checks.settings, "DATABASES", plain)

    assert found(checks.check_database) == ["upsell.W001"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "trigger", "used"),
    [
        pytest.param({"groups": ["club"]}, None, "groups", id="groups"),
        pytest.param({"countries": ["DE"]}, None, "countries", id="countries"),
        pytest.param({"payment_methods": ["card"]}, None, "payment_methods", id="ways to pay"),
        pytest.param({"kind": "UPSELL"}, None, "an upsell", id="an upsell"),
        pytest.param({}, "CATEGORY", "a category", id="a category"),
        pytest.param({}, "BRAND", "a brand", id="a brand"),
    ],
)
def test_a_campaign_that_can_never_match_is_told(settings, options, trigger, used):
    products = catalogue()
    made = campaign(products["CA"], products["W1"], **options)
    if trigger:
        CampaignTrigger.objects.create(campaign=made, kind=trigger, ref="any")
    settings.UPSELL_SHOP = "tests.test_checks.Plain"

    warnings = checks.check_campaigns(None, databases=["default"])

    assert [row.id for row in warnings] == ["upsell.W005"]
    assert f"uses {used}," in warnings[0].msg


@pytest.mark.django_db
def test_where_all_is_well_nothing_is_said():
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL", groups=["club"])

    call_command("check", databases=["default"], fail_level="WARNING", verbosity=0)


@pytest.mark.django_db
def test_a_wrong_setting_stops_the_start(settings):
    settings.UPSELL_SHOP = "nowhere.Shop"

    with pytest.raises(SystemCheckError, match=r"upsell\.E001"):
        call_command("check")
    assert conf.get("UPSELL_SHOP") == "nowhere.Shop"


def test_the_example_is_wired():
    assert set(ExampleShop.signals) <= set(hooks.ORDER_EVENTS)
