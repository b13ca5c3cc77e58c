"""Serve the shop of the tests on a database of its own: ``python -m tests.oscar_project``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

PORT = "8010"


def main() -> None:
    os.environ.setdefault(
        "UPSELL_OSCAR_SERVED", str(Path(tempfile.gettempdir()) / "upsell-oscar-demo.sqlite3")
    )
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.oscar_project.settings"
    os.environ.setdefault("UPSELL_TEST_LEDGER", os.environ["UPSELL_OSCAR_SERVED"] + ".ledger")
    import django  # noqa: PLC0415 - the settings are named first

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    for title, address in stock():
        print(f"Buy: {title}: http://127.0.0.1:{PORT}{address}")
    print(f"Staff: boss@example.com, tea: http://127.0.0.1:{PORT}/dashboard/ and /admin/")
    if "--no-serve" not in sys.argv:
        call_command("runserver", PORT, "--noreload")


def stock() -> list[tuple[str, str]]:
    """Fill the shop, once: goods, a member of staff, one upsell and one cross-sell.

    Returns:
        Title and address of what triggers each of the two.
    """
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.contrib.sites.models import Site  # noqa: PLC0415

    from tests.oscar_project import stocking  # noqa: PLC0415
    from upsell import hooks  # noqa: PLC0415

    Site.objects.update_or_create(pk=1, defaults={"domain": f"127.0.0.1:{PORT}", "name": "Tea"})
    goods = stocking.stock_the_shop()
    if not get_user_model().objects.filter(email="boss@example.com").exists():
        stocking.a_buyer("boss@example.com", is_staff=True, is_superuser=True)
    for offered, trigger, kind in (("TRAY-L", "TRAY-S", "UPSELL"), ("POT", "TEA", "CROSS_SELL")):
        hooks.save_campaign(
            slug=f"{trigger}-{offered}".lower(),
            name=f"{goods[trigger].get_title()}: {goods[offered].get_title()}",
            status="LIVE",
            kind=kind,
            channels=["1"],
            triggers=[{"kind": "PRODUCT", "ref": str(goods[trigger].pk)}],
            product_ref=str(goods[offered].pk),
        )
    bought = (goods["TEA"], goods["TRAY-S"])
    return [(product.get_title(), product.get_absolute_url()) for product in bought]


if __name__ == "__main__":
    main()
