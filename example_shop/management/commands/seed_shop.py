"""Fill the shop: products, people, coupons and campaigns. May run again."""

# ruff: noqa: E501 - one product, one table row
from __future__ import annotations

from decimal import Decimal

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction

from example_shop.models import Category, Channel, Coupon, Product
from upsell import hooks

CHANNELS = [
    ("greenhome", "GreenHome", "Things for the home that last", "EUR", "green"),
    ("techgadgets", "TechGadgets", "Good tools, well chosen", "EUR", "blue"),
    ("wayfare", "Wayfare", "Travel without the small print", "JPY", "coral"),
]
# Channel, SKU, title, category, brand, price, stock, icon, family, text, three facts.
PRODUCTS = [
    ("greenhome", "wash7", "WashPro 7", "Washing machines", "WashPro", "600", 12,
     "washing-machine", "washpro", "Seven kilos, quietly. Built to be repaired, with parts for fifteen years.",
     {"Load": "7 kg", "Energy class": "B", "Noise": "72 dB"}),
    ("greenhome", "wash9", "WashPro 9 Smart", "Washing machines", "WashPro", "840", 5,
     "washing-machine", "washpro", "Weighs the load and doses the detergent itself. Starts when your power is cheapest.",
     {"Load": "9 kg", "Energy class": "A", "Noise": "68 dB"}),
    ("greenhome", "dry8", "DryPro 8", "Dryers", "WashPro", "690", 4, "fan", "",
     "A heat pump dryer that stacks on any WashPro. Stops as soon as the laundry is dry.",
     {"Load": "8 kg", "Energy class": "A+++", "Noise": "62 dB"}),
    ("greenhome", "deter", "Mild detergent, 2 litres", "Laundry care", "Lind", "12", 200, "droplets", "",
     "Made from plants and free of perfume. Forty loads, and a bottle that is refilled.",
     {"Loads": "40", "Scent": "none", "Origin": "Austria"}),
    ("greenhome", "soft", "Fabric softener", "Laundry care", "Lind", "7.50", 120, "flower", "",
     "Keeps towels soft without a film. A spoonful is enough.",
     {"Loads": "50", "Scent": "linen", "Vegan": "yes"}),
    ("greenhome", "clean", "Gentle cleanser", "Skincare", "Moor", "18", 60, "spray-can", "",
     "A light gel for morning and evening. It leaves nothing behind but clean skin.",
     {"Content": "150 ml", "Skin": "all", "Perfume": "none"}),
    ("greenhome", "moist", "Day moisturizer", "Skincare", "Moor", "26", 45, "sun", "",
     "Sinks in within a minute and lasts the day. Made to follow the Gentle cleanser.",
     {"Content": "50 ml", "Skin": "dry, normal", "Perfume": "none"}),
    ("greenhome", "kit", "Skincare travel kit", "Skincare", "Moor", "14", 30, "luggage", "",
     "Cleanser and moisturizer in sizes that pass security. In a pouch you will keep.",
     {"Content": "2 × 30 ml", "Pouch": "cotton", "Refillable": "yes"}),
    ("techgadgets", "aria5", "Aria 5, 128 GB", "Phones", "Aria", "549", 20, "smartphone", "aria",
     "A phone that fits a hand and a pocket. Seven years of updates are part of the price.",
     {"Storage": "128 GB", "Screen": "6.1 inch", "Battery": "4,300 mAh"}),
    ("techgadgets", "aria5-256", "Aria 5, 256 GB", "Phones", "Aria", "619", 9, "smartphone", "aria",
     "The same phone with room for every picture. Seven years of updates are part of the price.",
     {"Storage": "256 GB", "Screen": "6.1 inch", "Battery": "4,300 mAh"}),
    ("techgadgets", "ariapro", "Aria 5 Pro", "Phones", "Aria", "799", 7, "smartphone-charging", "aria",
     "A longer lens and a larger battery. For those who photograph more than they call.",
     {"Storage": "256 GB", "Screen": "6.7 inch", "Battery": "5,100 mAh"}),
    ("techgadgets", "case", "Aria 5 case", "Accessories", "Aria", "24", 80, "shield-check", "",
     "Thin, with a raised edge around the lens. Made from recycled bottles.",
     {"Fits": "Aria 5", "Material": "recycled PET", "Weight": "24 g"}),
    ("techgadgets", "ears", "Cove earphones", "Accessories", "Cove", "89", 35, "headphones", "",
     "Clear voices and a calm fit. The case holds three more charges.",
     {"Battery": "8 h", "Weight": "5 g each", "Water": "IPX4"}),
    ("techgadgets", "plug", "45 W charger", "Accessories", "Volt", "29", 50, "plug-zap", "",
     "Fills a phone by half in twenty minutes. Small enough to stay in the bag.",
     {"Power": "45 W", "Ports": "1 × USB-C", "Weight": "78 g"}),
    ("techgadgets", "care", "Three-year warranty", "Services", "TechGadgets", "59", None, "life-buoy", "",
     "One year more, and falls are covered twice. Repairs are done within five days.",
     {"Term": "3 years", "Falls": "2", "Repair": "5 days"}),
    ("techgadgets", "cam", "Field camera", "Cameras", "Field", "749", 6, "camera", "",
     "A small camera with honest dials. Sealed against dust and rain.",
     {"Sensor": "24 MP", "Weight": "380 g", "Card": "SD"}),
    ("techgadgets", "sd", "Memory card, 128 GB", "Accessories", "Field", "32", 70, "memory-stick", "",
     "Fast enough for every mode of the Field camera. Comes with a pocket case.",
     {"Size": "128 GB", "Speed": "V60", "Type": "SD"}),
    ("wayfare", "ber", "Flight to Berlin", "Flights", "Wayfare", "98000", None, "plane", "",
     "Tokyo to Berlin with one change. Seats are chosen at no charge a day before.",
     {"Duration": "16 h", "Changes": "1", "Cabin bag": "8 kg"}),
    ("wayfare", "bag", "Checked bag, 23 kg", "Extras", "Wayfare", "9800", None, "luggage", "",
     "One bag up to 23 kg on every leg. Cheaper now than at the desk.",
     {"Weight": "23 kg", "Legs": "all", "Refund": "until check-in"}),
    ("wayfare", "prio", "Priority boarding", "Extras", "Wayfare", "2400", None, "clock", "",
     "Board with the first group. Your cabin bag travels above your seat.",
     {"Group": "1", "Cabin bag": "guaranteed", "Legs": "all"}),
    ("wayfare", "insur", "Travel insurance", "Extras", "Wayfare", "5200", None, "umbrella", "",
     "Covers cancellation, illness and lost bags. Claims are answered within three days.",
     {"Cancellation": "full", "Bags": "¥200,000", "Excess": "none"}),
    ("wayfare", "room", "Hotel Linde, double room", "Hotels", "Linde", "21000", 8, "bed-double", "linde",
     "A quiet room to the courtyard. Five minutes on foot from the station.",
     {"Size": "18 m²", "View": "courtyard", "Bed": "160 cm"}),
    ("wayfare", "suite", "Hotel Linde, corner room", "Hotels", "Linde", "27500", 3, "bed-double", "linde",
     "Light from two sides and a desk to work at. On the top floor, over the park.",
     {"Size": "28 m²", "View": "park", "Bed": "180 cm"}),
    ("wayfare", "food", "Breakfast at Hotel Linde", "Extras", "Linde", "2600", None, "coffee", "",
     "Bread from next door, eggs as you like them. Served until eleven.",
     {"Served": "7 to 11", "Vegan": "yes", "Children": "free under 6"}),
    ("wayfare", "car", "Compact car, three days", "Cars", "Wayfare", "18000", 10, "car", "",
     "Five doors and a boot for two cases. Fuel is paid as used.",
     {"Seats": "5", "Boot": "2 cases", "Gears": "automatic"}),
    ("wayfare", "seat", "Child seat", "Extras", "Wayfare", "3000", 6, "baby", "",
     "Fitted before you arrive. For children from nine months to four years.",
     {"Age": "9 months to 4", "Fitting": "included", "Standard": "i-Size"}),
    ("wayfare", "full", "Full insurance, no excess", "Extras", "Wayfare", "6600", None, "shield-check", "",
     "Nothing to pay when something happens. Glass and tyres are included.",
     {"Excess": "none", "Glass": "included", "Tyres": "included"}),
]  # fmt: skip
# SKU bought, SKU offered, kind, percent off, headline, body.
CAMPAIGNS = [
    ("wash7", "wash9", "UPSELL", 0, "The smarter WashPro, for the difference",
     "It doses the detergent itself and uses less power. You pay only what it costs more."),
    ("wash9", "deter", "CROSS_SELL", 10, "Forty loads to begin with",
     "The mild detergent that the dosing of your machine is set for."),
    ("deter", "soft", "CROSS_SELL", 0, "Softener from the same house", "Goes into the same parcel."),
    ("clean", "kit", "CROSS_SELL", 0, "The travel size of what you bought",
     "Your cleanser and its moisturizer, ready for a cabin bag."),
    ("moist", "clean", "CROSS_SELL", 0, "The cleanser it is made to follow",
     "A light gel for morning and evening."),
    ("aria5", "case", "CROSS_SELL", 20, "A case that fits your Aria 5",
     "Thin, with a raised edge around the lens."),
    ("aria5-256", "ariapro", "UPSELL", 0, "The Aria 5 Pro, for the difference",
     "A longer lens and a larger battery, with the storage you chose."),
    ("cam", "sd", "CROSS_SELL", 0, "A card for your Field camera",
     "The camera comes without one; this one is fast enough for every mode."),
    ("ber", "bag", "CROSS_SELL", 0, "A checked bag for your flight to Berlin",
     "One bag up to 23 kg on every leg, cheaper now than at the desk."),
    ("room", "suite", "UPSELL", 0, "The corner room, for the difference",
     "Light from two sides, on the top floor over the park."),
    ("suite", "food", "CROSS_SELL", 0, "Breakfast until eleven", "Bread from next door."),
    ("car", "full", "CROSS_SELL", 0, "Drive without an excess",
     "Glass and tyres are included; nothing to pay when something happens."),
]  # fmt: skip


class Command(BaseCommand):
    help = __doc__

    @transaction.atomic
    def handle(self, **_):
        products = _products()
        _people()
        Coupon.objects.get_or_create(code="WELCOME10", defaults={"percent": 10})
        written = _campaigns(products)
        self.stdout.write(f"{len(products)} products, {written} campaigns.")


def _products():
    channels = {}
    for code, name, claim, currency, accent in CHANNELS:
        fields = {"name": name, "claim": claim, "currency": currency, "accent": accent}
        channels[code], _ = Channel.objects.update_or_create(code=code, defaults=fields)
    made = {}
    for code, sku, title, category, brand, price, stock, icon, family, text, facts in PRODUCTS:
        slug = category.lower().replace(" ", "-")
        shelf, _ = Category.objects.get_or_create(slug=slug, defaults={"name": category})
        made[sku], _ = Product.objects.get_or_create(
            sku=sku,
            defaults={
                "channel": channels[code],
                "title": title,
                "category": shelf,
                "brand": brand,
                "price": Decimal(price),
                "stock": stock,
                "icon": icon,
                "family": family,
                "text": text,
                "facts": facts,
                "tax_rate": Decimal("0.1") if code == "wayfare" else Decimal("0.2"),
                "requires_shipping": code != "wayfare" and sku != "care",
                "parent": made.get("aria5") if sku == "aria5-256" else None,
            },
        )
    return made


def _people():
    people = get_user_model().objects
    if not people.filter(username="admin").exists():
        people.create_superuser("admin", "admin@example.org", "admin")
    for name in ("mara", "jonas"):
        if not people.filter(username=name).exists():
            people.create_user(name, f"{name}@example.org", name, first_name=name.title())


def _campaigns(products):
    for number, (bought, offered, kind, percent, headline, body) in enumerate(CAMPAIGNS):
        product = products[offered]
        facts = [f"{name}: {value}" for name, value in product.facts.items()]
        hooks.save_campaign(
            slug=f"{bought}-{offered}",
            name=headline,
            status="LIVE",
            kind=kind,
            channels=[product.channel.code],
            product_ref=str(product.pk),
            quantity_rule="MATCH" if kind == "UPSELL" else "FIXED",
            rule="PERCENT" if percent else "LIST",
            percent=percent,
            priority=(number + 1) * 10,
            triggers=[{"kind": "PRODUCT", "ref": str(products[bought].pk), "exact": True}],
            copy={"en": {"headline": headline, "body": body, "benefits": facts}},
        )
    return len(CAMPAIGNS)
