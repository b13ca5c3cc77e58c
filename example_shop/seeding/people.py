"""Who works and buys in the demonstration. Names and passwords are the same, and printed."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from example_shop.models import Customer, CustomerGroup
from example_shop.seeding.catalogue import GROUPS

# Name, what they may do, sales channel; every campaign right or looking only.
STAFF = [
    ("greta", ("view", "add", "change", "delete", "withdraw", "simulate"), "greenhome"),
    ("viewer", ("view", "simulate"), ""),
]
CUSTOMERS = [
    ("mara", "Mara", "Winter", "Lindenstraße 8, 10969 Berlin", "DE", ["club"]),
    ("jonas", "Jonas", "Okafor", "Neubaugasse 12, 1070 Wien", "AT", ["families"]),
]


def people():
    """Make whoever is missing; nobody's password is set again."""
    users = get_user_model().objects
    for code, name in GROUPS.items():
        CustomerGroup.objects.update_or_create(code=code, defaults={"name": name})
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", "admin@example.org", "admin")
    for name, verbs, channel in STAFF:
        if not users.filter(username=name).exists():
            user = users.create_user(name, f"{name}@example.org", name, is_staff=True)
            user.user_permissions.set(_rights(verbs))
            if channel:
                # Staff without such a row may touch every sales channel.
                apps.get_model("upsell", "ChannelAccess").objects.create(user=user, channel=channel)
    for name, first, last, street, country, groups in CUSTOMERS:
        user = users.filter(username=name).first() or users.create_user(
            name, f"{name}@example.org", name, first_name=first, last_name=last
        )
        customer, _ = Customer.objects.get_or_create(
            user=user, defaults={"street": street, "country": country}
        )
        customer.groups.set(CustomerGroup.objects.filter(code__in=groups))


def _rights(verbs):
    """Rights to campaigns as named; offers, decisions and this shop's orders may be looked at."""
    of_campaigns = Permission.objects.filter(
        content_type__app_label="upsell",
        codename__in=[f"{verb}_{model}" for verb in verbs for model in _CAMPAIGN_MODELS],
    )
    looks = Permission.objects.filter(
        content_type__app_label__in=["upsell", "example_shop"],
        codename__in=["view_offer", "view_offerevent", "view_decision", "view_order",
                      "view_product"],
    )  # fmt: skip
    return [*of_campaigns, *looks]


_CAMPAIGN_MODELS = ("campaign", "campaigntrigger", "campaignexclusion", "campaigncopy")
