"""Where the app stands, and what its checks say."""

from __future__ import annotations

import pytest
from django.apps import apps

from upsell.contrib.oscar import checks


def ids():
    return {found.id: found for found in checks.check_oscar(None)}


def test_a_shop_that_is_wired_right_hears_nothing():
    assert ids() == {}


def test_listed_after_oscar_the_check_names_the_line_to_move(monkeypatch):
    configs = list(apps.get_app_configs())
    configs.sort(key=lambda config: config.name == "upsell.contrib.oscar")
    monkeypatch.setattr(apps, "get_app_configs", lambda: configs)

    found = ids()["upsell.E202"]

    assert found.hint == 'Move the line "upsell.contrib.oscar" above "oscar.config.Shop".'


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("UPSELL_OSCAR_CHANNEL", "shop", "upsell.E203"),
        ("UPSELL_OSCAR_CANCELLED", "Cancelled", "upsell.E204"),
        ("UPSELL_OSCAR_RELEASED", "Shipped", "upsell.E204"),
        ("UPSELL_OSCAR_CHANEL", "site", "upsell.W201"),
    ],
)
def test_a_setting_that_is_wrong_is_named(settings, name, value, code):
    setattr(settings, name, value)

    assert name in ids()[code].msg


def test_without_oscar_the_check_says_what_to_install(monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda name: None)

    assert "django-upsell[oscar]" in ids()["upsell.E201"].hint
