"""A small shop, and staff who may do exactly what a test says."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User

from tests import factories
from upsell.models import ChannelAccess


@pytest.fixture
def shop(db):
    return factories.catalogue()


@pytest.fixture
def boss(client, db):
    user = User.objects.create_superuser("boss", "boss@example.org", "x")
    client.force_login(user)
    return user


@pytest.fixture
def signed_in(client, db):
    """Sign somebody in who has these rights to upsell, in these channels (none: in all)."""

    def make(*rights: str, channels: tuple[str, ...] = (), name: str = "staff"):
        user = User.objects.create_user(name, password="x", is_staff=True)
        found = Permission.objects.filter(content_type__app_label="upsell", codename__in=rights)
        assert found.count() == len(rights), rights
        user.user_permissions.set(found)
        for channel in channels:
            ChannelAccess.objects.create(user=user, channel=channel)
        client.force_login(user)
        return user

    return make
