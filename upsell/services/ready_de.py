"""Ready-made messages in German."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upsell.services.ready_letters import (
    ITEMS,
    button,
    card,
    heading,
    letter,
    rating,
    suggestions,
    text,
)

_YOURS = "Ihre Buchung bleibt, wie sie ist. Nichts kommt dazu, wenn Sie es nicht wollen."
_ORDER = "Ihre Bestellung bleibt, wie sie ist. Nichts kommt dazu, wenn Sie es nicht wollen."
_LOOK = "Ansehen"
_BOOKING = "Zu Ihrer Buchung"

LETTERS: Mapping[str, Mapping[str, Any]] = {
    "thank-you": letter(
        "Danke für Ihre Bestellung {order.number}",
        "Was Sie bestellt haben und wo Sie es nachlesen können.",
        heading("Vielen Dank für Ihre Bestellung"),
        text("Ihre Bestellung {order.number} ist bei uns angekommen. Das haben Sie bestellt:"),
        ITEMS,
        text("Zusammen {order.total_shown}, mit Versand und Steuer."),
        button("Zu Ihrer Bestellung", "links.order"),
    ),
    "complement": letter(
        "Passend dazu: {purchased.1.name|Ihre Bestellung}",
        "Nur, wenn Sie es brauchen können.",
        heading("Das passt zu Ihrer Bestellung"),
        text(
            "Sie haben {purchased.items} bestellt. Das hier passt dazu, falls Sie es noch nicht"
            " haben.",
            _ORDER,
        ),
        card(),
        suggestions("Das sehen sich andere auch an"),
    ),
    "ancillary-flight": letter(
        "Ihr Flug, Buchung {order.number}: Fehlt noch etwas?",
        "Gepäck, Versicherung, bevorzugtes Einsteigen: jetzt geht es am einfachsten.",
        heading("Vor dem Abflug"),
        text(
            "Sie haben {purchased.1.name} gebucht. Gepäck, Versicherung und bevorzugtes Einsteigen"
            " lassen sich derselben Buchung hinzufügen.",
            _YOURS,
        ),
        card(_LOOK),
        suggestions("Auch für diesen Flug"),
        button(_BOOKING, "links.order"),
    ),
    "ancillary-room": letter(
        "Ihr Aufenthalt, Buchung {order.number}: Fehlt noch etwas?",
        "Ein besseres Zimmer, Frühstück, späte Abreise, Abholung.",
        heading("Für Ihren Aufenthalt"),
        text(
            "Sie haben {purchased.1.name} gebucht. Sie können Frühstück, eine spätere Abreise oder"
            " eine Abholung dazunehmen oder ein besseres Zimmer wählen.",
            _YOURS,
        ),
        card(_LOOK),
        suggestions("Auch für diesen Aufenthalt"),
        button(_BOOKING, "links.order"),
    ),
    "ancillary-car": letter(
        "Ihr Mietwagen, Buchung {order.number}: Fehlt noch etwas?",
        "Vollkasko, Navigation, Kindersitz, Pannenhilfe.",
        heading("Bevor Sie losfahren"),
        text(
            "Sie haben {purchased.1.name} gebucht. Vollkasko, Navigation, Kindersitz und"
            " Pannenhilfe lassen sich derselben Buchung hinzufügen.",
            "Sehen Sie zuerst nach, was Ihre eigene Versicherung schon abdeckt. " + _YOURS,
        ),
        card(_LOOK),
        suggestions("Auch für diesen Wagen"),
        button(_BOOKING, "links.order"),
    ),
    "reminder": letter(
        "Zu Ihrer Bestellung {order.number}: {offer.name|was dazu passt}",
        "Nur, wenn Sie es brauchen können.",
        heading("{offer.name|Das passt zu Ihrer Bestellung}"),
        text(
            "Das passt zu Ihrer Bestellung {order.number}, falls Sie es noch nicht haben. Wenn Sie"
            " es nicht möchten, müssen Sie nichts tun.",
            _ORDER,
        ),
        card(_LOOK),
        suggestions("Das passt auch"),
    ),
    "reminder-convenience": letter(
        "Weniger zu regeln am Tag Ihrer Reise",
        "Eine Sache weniger, an die Sie denken müssen.",
        heading("Eine Sache weniger"),
        text(
            "Ihre Reise ist gebucht: {order.service_date|bald geht es los}. Was Sie jetzt"
            " dazunehmen, steht bei der Ankunft schon in Ihrer Buchung; Sie müssen dort nicht"
            " danach fragen.",
            _YOURS,
        ),
        card(_LOOK),
        suggestions("Auch für diese Reise"),
    ),
    "reminder-protection": letter(
        "Falls sich Ihre Pläne ändern: Buchung {order.number}",
        "Was eine Versicherung abdecken würde.",
        heading("Falls sich Ihre Pläne ändern"),
        text(
            "Pläne ändern sich. Eine Versicherung kann zahlen, wo sich eine Buchung nicht"
            " zurückgeben lässt; in ihren Bedingungen steht, wann, und wofür sie nicht zahlt.",
            "Vielleicht sind Sie schon versichert, über eine Karte oder eine eigene Police. "
            + _YOURS,
        ),
        card("Mit Bedingungen ansehen"),
        suggestions("Auch für diese Reise"),
    ),
    "reminder-time": letter(
        "Weniger warten auf Ihrer Reise, Buchung {order.number}",
        "Wo es eine Schlange spart und wo nicht.",
        heading("Weniger warten"),
        text(
            "An mancher Schlange kommt man vorbei, wenn es vorher gebucht ist. Ob es sich lohnt,"
            " hängt vom Tag ab; auf der Seite steht, was enthalten ist.",
            _YOURS,
        ),
        card(_LOOK),
        suggestions("Auch für diese Reise"),
    ),
    "reminder-comfort": letter(
        "Etwas mehr Komfort für Ihren Aufenthalt",
        "Frühstück, späte Abreise, ein besseres Zimmer.",
        heading("Etwas mehr Komfort"),
        text(
            "Ihr Aufenthalt ab {order.service_date|dem Tag Ihrer Anreise} ist gebucht. Wenn Sie"
            " länger schlafen oder kein Frühstück suchen möchten, geht das so.",
            _YOURS,
        ),
        card(_LOOK),
        suggestions("Auch für diesen Aufenthalt"),
    ),
    "reminder-safety": letter(
        "Sicher unterwegs: Ihr Mietwagen, Buchung {order.number}",
        "Was abgedeckt ist und was nicht.",
        heading("Sicher unterwegs"),
        text(
            "Ihr Wagen ist gebucht: {order.service_date|für Ihre Reise}. Was Ihre Buchung noch"
            " nicht abdeckt, lässt sich dazunehmen; auf der Seite steht, was enthalten ist und"
            " was nicht.",
            _YOURS,
        ),
        card("Mit Bedingungen ansehen"),
        suggestions("Auch für diesen Wagen"),
    ),
    "feedback": letter(
        "Wie war Ihre Bestellung {order.number}?",
        "Eine Frage, ein Klick.",
        heading("Wie war es?"),
        text(
            "Sie haben {purchased.items|etwas} bei uns bestellt. Ein Klick genügt, und wir lesen"
            " jede Antwort."
        ),
        rating("Wie zufrieden sind Sie mit Ihrer Bestellung?", "links.rating"),
        text("Etwas ist nicht in Ordnung? Sagen Sie es uns, dann bringen wir es in Ordnung."),
        button("Zu Ihrer Bestellung", "links.order"),
    ),
    "delivery": letter(
        "Ihre Bestellung {order.number} ist unterwegs",
        "Was im Paket ist.",
        heading("Sie ist unterwegs"),
        text("Wir haben Ihre Bestellung {order.number} übergeben. Darin ist:"),
        ITEMS,
        button("Zu Ihrer Bestellung", "links.order"),
        suggestions("Das passt dazu"),
    ),
    "cart": letter(
        "Noch in Ihrem Warenkorb: {starter.product_name|ein Produkt}",
        "Es ist noch da, falls Sie es möchten.",
        heading("Noch in Ihrem Warenkorb"),
        text(
            "Sie haben {starter.product_name|ein Produkt} angesehen und nicht bestellt. Wenn Sie"
            " weitermachen möchten, ist alles, wo es war; Preis und Bestand sind die von heute.",
            "Wenn Sie es sich anders überlegt haben, müssen Sie nichts tun.",
        ),
        button("Weitermachen", "shop.url"),
    ),
    "trial": letter(
        "Ihre Testzeit von {starter.plan|unserem Tarif}: wie es weitergeht",
        "Was Sie nutzen, was es kosten würde und was geschieht, wenn Sie nichts tun.",
        heading("Die Hälfte der Testzeit ist um"),
        text(
            "Sie nutzen es an den meisten Tagen. Wenn Sie behalten möchten, was Sie angelegt haben,"
            " wählen Sie einen Tarif, bevor die Testzeit endet.",
            "Wenn Sie nichts tun, wird durch diese Nachricht nichts berechnet.",
        ),
        card("Tarif ansehen"),
        button("Tarife vergleichen", "shop.url"),
    ),
    "limit": letter(
        "Bald am Limit: {starter.metric|Ihr Tarif}",
        "Wie viel noch bleibt und was Sie tun können.",
        heading("Bald am Limit"),
        text(
            "Ihr Konto hat in diesem Zeitraum das meiste verbraucht:"
            " {starter.metric|das enthaltene Kontingent}. Sie können auf den nächsten Zeitraum"
            " warten, weniger verbrauchen oder einen größeren Tarif nehmen.",
        ),
        card("Größeren Tarif ansehen"),
        button("Verbrauch ansehen", "shop.url"),
    ),
    "renewal": letter(
        "In zwei Wochen verlängert sich: {starter.plan|Ihr Abonnement}",
        "Was bleibt, was es kostet und wie Sie es ändern.",
        heading("Verlängerung in zwei Wochen"),
        text(
            "{starter.plan|Ihr Abonnement} läuft von selbst weiter, wenn Sie es nicht beenden. Bis"
            " dahin können Sie es in Ihrem Konto ändern oder beenden.",
        ),
        card("Anderen Tarif ansehen"),
        button("Zu Ihrem Konto", "shop.url"),
    ),
}
