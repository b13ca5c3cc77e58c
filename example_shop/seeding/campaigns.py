"""The campaigns of the demonstration: each uses another feature, none says "hurry".

``bought`` are triggers (``kind:which``, ``=`` before a SKU for that variant only).
"""

# ruff: noqa: E501 - copy is one sentence, one line
from __future__ import annotations

from datetime import timedelta


def words(headline, body, *benefits, **labels):
    return {"headline": headline, "body": body, "benefits": list(benefits), **labels}


CAMPAIGNS = [
    # ------------------------------------------------------------ GreenHome
    {"slug": "smart-washer", "name": "Smart washer instead of the WashPro 7", "channel": "greenhome",
     "kind": "UPSELL", "offer_by": "NEXT_MODEL", "bought": ["=wash7"], "priority": 200,
     "motivation": "CHEAPER_TO_RUN",
     "note": "The next dearer WashPro in stock, so it survives a new model.",
     "copy": {
         "en": words("The smarter WashPro, for the difference",
                     "It weighs the load and doses the detergent itself. You pay only what it costs more.",
                     "Two kilos more in each load", "Energy class A instead of B", "Starts when power is cheapest"),
         "de": words("Die klügere WashPro, für den Unterschied",
                     "Sie wiegt die Wäsche und dosiert das Waschmittel selbst. Sie zahlen nur, was sie mehr kostet.",
                     "Zwei Kilo mehr je Ladung", "Energieklasse A statt B", "Startet, wenn der Strom am günstigsten ist"),
     }},
    {"slug": "club-dryer", "name": "Dryer for club members", "channel": "greenhome", "kind": "CROSS_SELL",
     "product": "dry8", "bought": ["wash9"], "groups": ["club"], "rule": "FIXED",
     "amounts": {"EUR": "490"}, "must_fit": True, "priority": 190, "motivation": "SAVE_MONEY",
     "copy": {"en": words("A dryer that stacks on your WashPro",
                          "As a club member you pay 490 € for it. It comes on the same lorry as your machine.",
                          "Heat pump, class A+++", "No second delivery")}},
    {"slug": "first-detergent", "name": "Detergent with a washing machine", "channel": "greenhome",
     "kind": "CROSS_SELL", "product": "deter", "bought": ["CATEGORY:washing-machines"], "rule": "PERCENT",
     "percent": 10, "priority": 150, "motivation": "SAVE_TIME",
     "copy": {
         "en": words("Forty loads to begin with",
                     "The mild detergent that the dosing of your machine is set for. It comes with the machine.",
                     "Made from plants, no perfume", "A bottle that is refilled"),
         "de": words("Vierzig Ladungen für den Anfang",
                     "Das milde Waschmittel, auf das Ihre Maschine eingestellt ist. Es kommt mit der Maschine.",
                     "Aus Pflanzen, ohne Duftstoffe", "Eine Flasche zum Nachfüllen"),
     }},
    {"slug": "dryer-balls", "name": "Dryer balls with a dryer", "channel": "greenhome", "kind": "CROSS_SELL",
     "product": "balls", "bought": ["dry8"], "must_fit": True, "priority": 145,
     "copy": {"en": words("Wool balls for your dryer",
                          "They loosen the laundry while it dries, so it needs no softener.",
                          "Six balls of felted wool")}},
    {"slug": "softener", "name": "Softener with detergent", "channel": "greenhome", "kind": "CROSS_SELL",
     "product": "soft", "bought": ["deter"], "excluded": ["PRODUCT:balls"], "priority": 140,
     "copy": {"en": words("Softener from the same house", "It goes into the same parcel, at no extra delivery cost.",
                          "Fifty loads", "Vegan")}},
    {"slug": "travel-kit", "name": "Travel size of the cleanser", "channel": "greenhome", "kind": "CROSS_SELL",
     "product": "kit", "bought": ["clean"], "must_fit": True, "priority": 130,
     "copy": {
         "en": words("The travel size of what you bought",
                     "Your cleanser and the moisturizer that follows it, ready for a cabin bag.",
                     "Two bottles of 30 ml", "Can be refilled"),
         "de": words("Die Reisegröße zu Ihrem Einkauf",
                     "Ihr Reinigungsgel und die passende Creme, fertig fürs Handgepäck.",
                     "Zwei Fläschchen zu 30 ml", "Nachfüllbar"),
     }},
    {"slug": "cleanser", "name": "Cleanser with a cream", "channel": "greenhome", "kind": "CROSS_SELL",
     "product": "clean", "bought": ["moist", "night"], "priority": 120,
     "copy": {"en": words("The cleanser they are made to follow",
                          "A light gel for morning and evening. It leaves nothing behind but clean skin.")}},
    # ------------------------------------------------------------ TechGadgets
    {"slug": "more-storage", "name": "256 GB instead of 128 GB", "channel": "techgadgets", "kind": "UPSELL",
     "product": "aria5-256", "bought": ["=aria5"], "rule": "FIXED_DIFFERENCE", "amounts": {"EUR": "60"},
     "quantity_rule": "ONE", "priority": 200, "motivation": "BETTER_RESULTS",
     "copy": {
         "en": words("Twice the storage, for 60 €",
                     "The same phone with 256 GB. Storage is the one thing that cannot be added later.",
                     "Room for about 40,000 more pictures", "Everything else stays the same"),
         "de": words("Doppelter Speicher, für 60 €",
                     "Dasselbe Telefon mit 256 GB. Speicher lässt sich später nicht nachrüsten.",
                     "Platz für rund 40.000 Bilder mehr", "Alles andere bleibt gleich"),
     }},
    {"slug": "pro-phone", "name": "Pro instead of the 256 GB phone", "channel": "techgadgets", "kind": "UPSELL",
     "product": "ariapro", "bought": ["=aria5-256"], "priority": 190,
     "copy": {"en": words("The Aria 5 Pro, for the difference",
                          "A longer lens and a larger battery, with the storage you chose.",
                          "5,100 mAh instead of 4,300", "A screen of 6.7 inch")}},
    {"slug": "case", "name": "The case that fits the phone", "channel": "techgadgets", "kind": "CROSS_SELL",
     "offer_by": "MAP", "map": [("aria5", "case"), ("ariapro", "casepro")], "bought": ["aria5", "ariapro"],
     "must_fit": True, "rule": "PERCENT", "percent": 20, "priority": 180, "motivation": "REDUCE_RISK",
     "copy": {"en": words("A case made for your phone", "Thin, with a raised edge around the lens.",
                          "From recycled bottles", "29 grams at most")}},
    {"slug": "memory-card", "name": "Card with the camera", "channel": "techgadgets", "kind": "CROSS_SELL",
     "product": "sd", "bought": ["cam"], "must_fit": True, "priority": 170,
     "copy": {"en": words("A card for your Field camera",
                          "The camera comes without one. This one is fast enough for every mode.",
                          "128 GB, speed V60")}},
    {"slug": "warranty", "name": "Warranty with a phone", "channel": "techgadgets", "kind": "CROSS_SELL",
     "product": "care", "bought": ["CATEGORY:phones"], "shipping": "NONE_NEEDED_ONLY",
     "excluded": ["PRODUCT:cam"], "countries": ["DE", "AT", "CH", "FR"], "priority": 150,
     "motivation": "REDUCE_RISK",
     "copy": {"en": words("Three years without worry about falls",
                          "One year more than the law gives you, and two falls are covered.",
                          "Repairs are done within five days")}},
    {"slug": "earphones", "name": "Earphones with the Pro", "channel": "techgadgets", "kind": "CROSS_SELL",
     "product": "ears", "bought": ["ariapro"], "rule": "AMOUNT", "amounts": {"EUR": "10"}, "priority": 140,
     "copy": {"en": words("Earphones for your Aria 5 Pro", "Clear voices and a calm fit, eight hours long.")}},
    {"slug": "charger", "name": "Charger with earphones", "channel": "techgadgets", "kind": "CROSS_SELL",
     "product": "plug", "bought": ["ears", "cam"], "payment_methods": ["card", "invoice"], "priority": 120,
     "copy": {"en": words("A charger that stays in the bag", "Small, and strong enough for a phone as well.",
                          "45 watt", "78 grams")}},
    {"slug": "cable-pouch", "name": "Pouch from 60 € on", "channel": "techgadgets", "kind": "CROSS_SELL",
     "product": "pouch", "bought": ["ALWAYS:"], "bounds": {"EUR": ["60", None]}, "rule": "FIXED",
     "amounts": {"EUR": "9"}, "priority": 20,
     "copy": {"en": words("One pouch for all the small parts", "Room for a charger, two cables and a card.",
                          "Washable at thirty degrees")}},
    # ------------------------------------------------------------ Wayfare
    {"slug": "checked-bag", "name": "Bag with a flight to Berlin", "channel": "wayfare", "kind": "CROSS_SELL",
     "product": "bag", "bought": ["ber"], "rule": "FIXED", "amounts": {"EUR": "35"}, "must_fit": True,
     "priority": 200,
     "copy": {
         "en": words("A checked bag for your flight to Berlin",
                     "One bag up to 23 kg, there and back. It can be cancelled until check-in opens.",
                     "On every leg", "Booked with your ticket"),
         "de": words("Ein Koffer für Ihren Flug nach Berlin",
                     "Ein Gepäckstück bis 23 kg, hin und zurück. Bis zum Check-in stornierbar.",
                     "Auf jeder Strecke", "Mit Ihrem Ticket gebucht"),
     }},
    {"slug": "priority-boarding", "name": "Priority with flight and bag", "channel": "wayfare",
     "kind": "CROSS_SELL", "product": "prio", "bought": ["ber", "bag"], "match": "ALL", "priority": 190,
     "copy": {"en": words("Board with the first group", "Your cabin bag travels above your seat, on every leg.")}},
    {"slug": "travel-insurance", "name": "Insurance from 300 € on", "channel": "wayfare", "kind": "CROSS_SELL",
     "product": "insur", "bought": ["CATEGORY:flights", "CATEGORY:hotels"], "bounds": {"EUR": ["300", None]},
     "priority": 150, "motivation": "REDUCE_RISK",
     "copy": {"en": words("If the journey has to wait", "Covers cancellation, illness and lost bags.",
                          "No excess", "Claims are answered within three days")}},
    {"slug": "corner-room", "name": "Corner room instead of the double", "channel": "wayfare", "kind": "UPSELL",
     "product": "suite", "bought": ["=room"], "priority": 200,
     "copy": {"en": words("The corner room, for the difference", "Light from two sides, on the top floor over the park.",
                          "28 m² instead of 18 m²", "A bed of 180 cm")}},
    {"slug": "transfer", "name": "Transfer with two nights", "channel": "wayfare", "kind": "CROSS_SELL",
     "product": "taxi", "bought": ["CATEGORY:hotels*2"], "priority": 170,
     "copy": {"en": words("A driver who waits for you", "From the airport to Hotel Linde, at a price that stays the same if you land late.",
                          "Three seats, three bags")}},
    {"slug": "breakfast", "name": "Breakfast with a room", "channel": "wayfare", "kind": "CROSS_SELL",
     "product": "food", "bought": ["BRAND:linde"], "must_fit": True, "priority": 160,
     "copy": {
         "en": words("Breakfast until eleven", "Bread from next door, eggs as you like them.",
                     "Children under six eat free"),
         "de": words("Frühstück bis elf", "Brot von nebenan, Eier nach Wunsch.", "Kinder unter sechs frei"),
     }},
    {"slug": "late-check-out", "name": "Late check-out with a room", "channel": "wayfare", "kind": "CROSS_SELL",
     "product": "late", "bought": ["CATEGORY:hotels"], "must_fit": True, "priority": 110,
     "copy": {"en": words("Keep the room until four", "Your bags stay where they are, and so may you.")}},
    {"slug": "car-insurance", "name": "Full insurance with a car", "channel": "wayfare", "kind": "CROSS_SELL",
     "product": "full", "bought": ["car"], "must_fit": True, "priority": 200, "motivation": "REDUCE_RISK",
     "copy": {"en": words("Drive without an excess", "Nothing to pay when something happens, glass and tyres included.")}},
    {"slug": "child-seat", "name": "Child seat for families", "channel": "wayfare", "kind": "CROSS_SELL",
     "product": "seat", "bought": ["car"], "groups": ["families"], "must_fit": True, "priority": 210,
     "copy": {"en": words("A child seat, fitted before you arrive", "For children from nine months to four years.")}},
    {"slug": "roadside", "name": "Roadside help with car and insurance", "channel": "wayfare",
     "kind": "CROSS_SELL", "product": "road", "bought": ["car", "full"], "match": "ALL", "priority": 180,
     "copy": {"en": words("Help within an hour", "Day and night, in all countries the car may enter.")}},
    {"slug": "navigation", "name": "Navigation with a car", "channel": "wayfare", "kind": "CROSS_SELL",
     "product": "gps", "bought": ["CATEGORY:cars"], "must_fit": True, "not_seen_days": 30, "priority": 100,
     "copy": {"en": words("Maps of all of Europe", "A device in the car that needs no data of yours.")}},
    # ------------------------------------------------------------ Kissa
    {"slug": "gyokuro", "name": "Gyokuro instead of sencha", "channel": "kissa", "kind": "UPSELL",
     "product": "gyokuro", "bought": ["sencha"], "rule": "FIXED_DIFFERENCE", "amounts": {"JPY": "900"},
     "quantity_rule": "ONE", "priority": 200,
     "copy": {"en": words("The shaded tea, for 900 yen more", "Soft, almost sweet. One of your teas is exchanged for it.")}},
    {"slug": "whisk", "name": "Whisk for matcha", "channel": "kissa", "kind": "CROSS_SELL",
     "product": "whisk", "bought": ["TAG:matcha"], "rule": "FIXED", "amounts": {"JPY": "1200"}, "priority": 150,
     "copy": {"en": words("The whisk for your matcha", "Eighty tines from one piece of bamboo.")}},
    {"slug": "caddy", "name": "Caddy with tea or teapot", "channel": "kissa", "kind": "CROSS_SELL",
     "product": "caddy", "bought": ["CATEGORY:leaves", "kyusu"], "rule": "PERCENT", "percent": 10,
     "shipping": "FLAT", "shipping_flat": {"JPY": "100"}, "priority": 100,
     "copy": {"en": words("A tin for the leaves", "Two lids keep light and air away.")}},
    # ------------------------------------------------------------ not running, each for another reason
    {"slug": "trial-cups", "name": "Trial: cups with a teapot", "channel": "kissa", "kind": "CROSS_SELL",
     "product": "cups", "bought": ["kyusu"], "priority": 90, "status": "STAFF_ONLY",
     "note": "Only staff see it, until the picture is final.",
     "copy": {"en": words("Two cups for your teapot", "Thin white porcelain that shows the colour of the tea.")}},
    {"slug": "last-spring", "name": "Night balm in spring", "channel": "greenhome", "kind": "CROSS_SELL",
     "product": "night", "bought": ["moist"], "priority": 60, "from": timedelta(days=-120),
     "until": timedelta(days=-60),
     "copy": {"en": words("Something for the night", "A rich balm for dry skin.")}},
    {"slug": "next-month", "name": "Gift card with skincare", "channel": "greenhome", "kind": "CROSS_SELL",
     "product": "gift25", "bought": ["CATEGORY:skincare"], "priority": 50, "from": timedelta(days=30),
     "shipping": "NONE_NEEDED_ONLY", "bounds": {"EUR": ["40", "400"]},
     "copy": {"en": words("A gift card to pass on", "It does not expire, and may be used in parts.",
                          accept_label="Buy now")}},
    {"slug": "draft-pouch", "name": "Draft: pouch with the charger", "channel": "techgadgets",
     "kind": "CROSS_SELL", "product": "pouch", "bought": ["plug"], "priority": 15, "status": "OFF",
     "copy": {"en": words("A pouch for your charger", "Room for it and two cables.")}},
]  # fmt: skip

# Half of the buyers of matcha read other words; price and product are the same for all.
EXPERIMENT = {
    "slug": "whisk-words",
    "name": "What to say of the whisk",
    "question": "Do more buyers take the whisk when told what it does, not what it is?",
    "base": "0.30",
    "smallest": "0.06",
    "currency": "JPY",
    "arms": [
        {"slug": "control", "weight": 5_000, "campaign": "whisk"},
        {"slug": "what-it-does", "weight": 5_000, "campaign": "whisk",
         "overrides": {"copy": {"en": {"headline": "Foam in half a minute, without a lump"}}}},
    ],
}  # fmt: skip


def fields(campaign, ids, now):
    """Return what ``save_campaign`` takes, with the shop's references in place of SKUs."""
    values = {
        name: campaign[name]
        for name in (
            "slug", "name", "kind", "offer_by", "rule", "percent", "amounts", "must_fit", "groups",
            "countries", "payment_methods", "bounds", "match", "shipping", "shipping_flat",
            "quantity_rule", "priority", "motivation", "note", "not_seen_days", "copy",
        )
        if name in campaign
    }  # fmt: skip
    values["status"] = campaign.get("status", "LIVE")
    values["channels"] = [campaign["channel"]]
    values["triggers"] = [_trigger(text, ids) for text in campaign["bought"]]
    values["exclusions"] = [_trigger(text, ids) for text in campaign.get("excluded", [])]
    values["product_map"] = [[ids[a], ids[b]] for a, b in campaign.get("map", [])]
    if "product" in campaign:
        values["product_ref"] = ids[campaign["product"]]
    for name in ("from", "until"):
        if name in campaign:
            values[f"valid_{name}"] = now + campaign[name]
    return values


def _trigger(text, ids):
    text, _, quantity = text.partition("*")
    kind, colon, ref = text.partition(":")
    row = {"kind": kind, "ref": ref} if colon else {"kind": "PRODUCT", "ref": text}
    if row["kind"] == "PRODUCT":
        row["exact"] = row["ref"].startswith("=")
        row["ref"] = ids[row["ref"].lstrip("=")]
    return {**row, "quantity": int(quantity or 1)}
