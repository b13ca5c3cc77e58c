"""What colleagues, buyers and the catalogue wrote is text on every screen of staff (T13, T14)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from example_shop.models import Channel, Order, Product
from tests import factories
from tests.admin.test_campaigns import form
from tests.hostile import HARMLESS, XSS, led_away, shape_of
from tests.standing import offer_in
from upsell.models import (
    Attempt,
    Campaign,
    CampaignCopy,
    CampaignRevision,
    CampaignTrigger,
    ChannelSettings,
    Decision,
    Offer,
    OfferEvent,
    OfferQuote,
)
from upsell.services import campaigns

pytestmark = pytest.mark.django_db

ALL = " ".join(XSS)


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def offer(staff) -> Offer:
    """An order that was offered something, and accepted it."""
    products = factories.catalogue()
    factories.campaign(products["W2"], products["W1"], kind="UPSELL", slug="it")
    made = offer_in("ACCEPTED", products)
    campaign = made.campaign
    campaign.copies.create(language="en")
    factories.campaign(products["DT"], products["W1"], slug="other", status="OFF")
    campaigns.record_edit(campaign, User.objects.get(), campaigns.dump(campaign))
    ChannelSettings.objects.create(channel="web")
    return made


def says(text: str) -> None:
    """Put a text wherever anybody can have written one."""
    Campaign.objects.update(name=text, note=text, groups=[text], payment_methods=[text])
    CampaignTrigger.objects.update(kind="TAG", ref=text)
    CampaignCopy.objects.update(
        headline=text, body=text, benefits=[text], image_alt=text, accept_label=text,
        decline_label=text, image_url="/x",
    )  # fmt: skip
    CampaignRevision.objects.update(
        before={"name": text, "copy": {text: {text: text}}, text: text},
        after={"name": f"{text}!", "copy": {}, text: [text]},
    )
    ChannelSettings.objects.update(channel=text, sender=text, time_zone=text)
    Channel.objects.update(name=text)
    Product.objects.update(title=text)
    Order.objects.update(number=text, name=text, street=text, email=text, coupon=text, locale=text)
    User.objects.update(username=text, first_name=text)
    Decision.objects.update(
        channel=text, reason=text, facts={text: text, "lines": [text]}, candidates=[[text, text]]
    )
    Offer.objects.update(channel=text, failure_code=text, terms=_terms(text), product_ref=text)
    OfferQuote.objects.update(collection_label=text)
    Attempt.objects.update(decline_code=text, reference=text, action_url=text)
    for event in OfferEvent.objects.all():
        OfferEvent.objects.filter(pk=event.pk).purge()
        OfferEvent.objects.create(offer=event.offer, kind="x", at=event.at, reason=text, actor=text)


def _terms(text: str) -> dict[str, object]:
    return Offer.objects.get().terms | {"order_number": text}


Asked = Callable[[Client, Offer, str], object]


def screen(name: str, *, row: str = "") -> Asked:
    """Return how to look at a screen of ours, perhaps at one row of it."""

    def asked(browser: Client, offer: Offer, text: str) -> object:
        keys = {
            "campaign": offer.campaign_id,
            "other": Campaign.objects.get(slug="other").pk,
            "offer": offer.pk,
            "decision": offer.decision_id,
        }
        keys["settings"] = ChannelSettings.objects.get().pk
        return browser.get(reverse(f"admin:upsell_{name}", args=[keys[row]] if row else []))

    return asked


def posted(name: str, data: Callable[[Offer, str], dict[str, object]]) -> Asked:
    return lambda browser, offer, text: browser.post(
        reverse(f"admin:upsell_{name}"), data(offer, text)
    )


def asked_why(browser: Client, offer: Offer, text: str) -> object:
    return browser.get(reverse("admin:upsell_campaign_why"), {"order": offer.order_ref})


def asked_why_of(browser: Client, offer: Offer, text: str) -> object:
    return browser.get(reverse("admin:upsell_campaign_why"), {"order": f"no {text}", "at": text})


def typed_wrong(offer: Offer, text: str) -> dict[str, object]:
    shop = {row.sku: row for row in Product.objects.all()}
    wrong = dict.fromkeys(
        ("name", "note", "bounds", "amounts", "copies-0-headline", "copies-0-body",
         "copies-0-image_url", "copies-0-accept_label", "triggers-0-ref", "valid_from_0", "slug"),
        f"no {text}",
    )  # fmt: skip
    return form(shop, **wrong)


def a_file(offer: Offer, text: str) -> dict[str, object]:
    rows = [
        {"slug": f"x {text}", "name": text, "kind": text, text: text},
        {"slug": f"y {text}", "kind": "CROSS_SELL", "currencies": [text], "copy": {text: {}}},
        {"slug": "it", "note": f"!{text}"},
    ]
    return {"text": json.dumps(rows).replace("\\u0000", "")}


def all_of_them(action: str) -> Callable[[Offer, str], dict[str, object]]:
    return lambda offer, text: {"action": action, "_selected_action": [offer.campaign_id]}


SCREENS = {
    "list of campaigns": screen("campaign_changelist"),
    "campaign": screen("campaign_change", row="campaign"),
    "history": screen("campaign_history", row="campaign"),
    "preview": screen("campaign_preview", row="campaign"),
    "frame of the preview": screen("campaign_frame", row="campaign"),
    "deleting": screen("campaign_delete", row="other"),
    "why": asked_why,
    "why, of no order": asked_why_of,
    "withdrawing": posted("campaign_changelist", all_of_them("withdraw_outstanding")),
    "deleting some": posted("campaign_changelist", all_of_them("delete_selected")),
    "typed wrong": posted("campaign_add", typed_wrong),
    "a file": posted("campaign_import", a_file),
    "list of offers": screen("offer_changelist"),
    "offer": screen("offer_change", row="offer"),
    "list of decisions": screen("decision_changelist"),
    "decision": screen("decision_change", row="decision"),
    "list of settings": screen("channelsettings_changelist"),
    "settings": screen("channelsettings_change", row="settings"),
}


@pytest.mark.parametrize("name", SCREENS)
def test_no_text_becomes_a_part_of_a_screen(name, offer, staff, settings) -> None:
    """A page is made of the same parts as with plain letters in the same places."""
    settings.UPSELL_EU_LABELS = False  # it reads words, and says more of some than of others
    for text in (*XSS[::7], ALL):
        text = text.replace("\x00", "")  # no form takes one
        plain = re.sub(r"\S", "w", text)
        harmless = shown(name, offer, staff, plain)
        page = shown(name, offer, staff, text)
        assert plain.strip()[:40] in harmless
        assert shape_of(page) == shape_of(harmless), text
        assert led_away(page) == led_away(harmless), text


def shown(name: str, offer: Offer, staff: Client, text: str) -> str:
    says(text)
    answer = SCREENS[name](staff, offer, text)
    assert answer.status_code == 200, text
    return answer.content.decode()


def test_a_message_after_saving_is_text(offer, staff) -> None:
    """Warnings name colleagues' campaigns; the row's name is in what Django says."""
    shop = {row.sku: row for row in Product.objects.all()}
    told = []
    for text in (HARMLESS, '<img src=x onerror="alert(1)">', "</li><script>alert(1)</script>"):
        Campaign.objects.all().update(name=f"Other {text}", priority=10)
        slug = f"s{len(told)}"
        add = reverse("admin:upsell_campaign_add")
        page = staff.post(add, form(shop, name=text, slug=slug), follow=True).content.decode()
        assert "same priority" in page
        told.append([part for part in shape_of(page) if part[0] in {"script", "img", "li"}])
        Campaign.objects.filter(slug=slug).delete()

    assert told[0] == told[1] == told[2]


def test_what_a_picker_answers_is_json(offer, staff) -> None:
    """A browser that is led there by a link must not take it for a page."""
    says("<script>alert(1)</script>")
    address = reverse("admin:upsell_campaign_choices")

    answer = staff.get(address, {"field_name": "product", "term": "<script>"})

    assert answer["Content-Type"] == "application/json"
    assert answer.json()["results"]


def test_a_preview_can_do_nothing(offer, staff) -> None:
    """Even if a text were more than text: no script, no form, no frame, nobody's cookies."""
    path = reverse("admin:upsell_campaign_frame", args=[offer.campaign_id])

    answer = staff.get(path)

    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "script" not in answer["Content-Security-Policy"]
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "JAVASCRIPT:x", " javascript:x", "x", "ftp://x",
     "https://x y", "https://x\n", "http:x", "\\\\x", "https:/x", "vbscript:x", "/x y", "//x\ty"],
)  # fmt: skip
def test_an_image_is_an_address_of_the_web_or_a_path(address, offer, staff) -> None:
    shop = {row.sku: row for row in Product.objects.all()}
    data = form(shop, **{"copies-0-image_url": address})
    text = json.dumps([{"slug": "it", "copy": {"en": {"image_url": address}}}])
    typed = staff.post(reverse("admin:upsell_campaign_add"), data)
    read = staff.post(reverse("admin:upsell_campaign_import"), {"text": text})

    assert read.context["outcomes"][0].errors
    # A form takes the blanks around what is typed away.
    assert typed.status_code == (302 if address == "https://x\n" else 200)
