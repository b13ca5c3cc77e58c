"""What every process of the shop has loaded when it is forked: Django, the shop, its pages.

It opens no connection: each process has its own.
"""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application
from django.template.loader import get_template
from django.urls import reverse

from example_shop.templatetags.shop import icon

application = get_wsgi_application()
reverse("upsell:offer", args=["none"])
for page in ("shop/thanks", "shop/base", "shop/lines", "upsell/includes/offer", "upsell/offer"):
    get_template(f"{page}.html")
for name in ("store", "shopping-basket", "check"):
    icon(name)
