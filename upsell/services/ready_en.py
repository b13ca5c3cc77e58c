"""Ready-made messages in English."""

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

_YOURS = "Your booking stands as it is. Nothing is added unless you say so."
_ORDER = "Your order stands as it is. Nothing is added unless you say so."

LETTERS: Mapping[str, Mapping[str, Any]] = {
    "thank-you": letter(
        "Thank you for your order {order.number}",
        "What you ordered, and where to look it up.",
        heading("Thank you, {subject.first_name|and welcome}"),
        text("Your order {order.number} has reached us. This is what you ordered:"),
        ITEMS,
        text("Together {order.total_shown}, delivery and tax included."),
        button("Look at your order", "links.order"),
    ),
    "complement": letter(
        "Something that goes with your {purchased.1.name|order}",
        "Only if it is useful to you.",
        heading("It goes with what you ordered"),
        text(
            "You ordered {purchased.items}. This fits it, in case you have none yet.",
            _ORDER,
        ),
        card(),
        suggestions("Others look at these too"),
    ),
    "ancillary-flight": letter(
        "Your flight, booking {order.number}: anything else?",
        "Baggage, insurance, priority boarding: if you need it, now is the simplest time.",
        heading("Before you fly"),
        text(
            "You booked {purchased.1.name}. Baggage, insurance and priority boarding can be added"
            " to the same booking.",
            _YOURS,
        ),
        card("Look at it"),
        suggestions("Also for this flight"),
        button("Look at your booking", "links.order"),
    ),
    "ancillary-room": letter(
        "Your stay, booking {order.number}: anything else?",
        "A better room, breakfast, a late check-out, a transfer.",
        heading("For your stay"),
        text(
            "You booked {purchased.1.name}. You can add breakfast, a late check-out or a transfer,"
            " or take a better room.",
            _YOURS,
        ),
        card("Look at it"),
        suggestions("Also for this stay"),
        button("Look at your booking", "links.order"),
    ),
    "ancillary-car": letter(
        "Your car, booking {order.number}: anything else?",
        "Full insurance, GPS, a child seat, roadside assistance.",
        heading("Before you drive"),
        text(
            "You booked {purchased.1.name}. Full insurance, GPS, a child seat and roadside"
            " assistance can be added to the same booking.",
            "Look first at what your own insurance covers already. " + _YOURS,
        ),
        card("Look at it"),
        suggestions("Also for this car"),
        button("Look at your booking", "links.order"),
    ),
    "reminder": letter(
        "About your order {order.number}: {offer.name|what goes with it}",
        "Only if it is useful to you.",
        heading("{offer.name|It goes with your order}"),
        text(
            "This goes with your order {order.number}, in case you have none yet. If you do not"
            " want it, you need do nothing.",
            _ORDER,
        ),
        card("Look at it"),
        suggestions("Others that fit"),
    ),
    "reminder-convenience": letter(
        "Less to arrange on the day of your trip",
        "One thing less to think of.",
        heading("One thing less to think of"),
        text(
            "Your trip of {order.service_date|soon} is booked. What you add now is on your booking"
            " when you arrive, and you need not ask for it there.",
            _YOURS,
        ),
        card("Look at it"),
        suggestions("Also for this trip"),
    ),
    "reminder-protection": letter(
        "If your plans change: your trip, booking {order.number}",
        "What an insurance would cover, in plain words.",
        heading("If your plans change"),
        text(
            "Plans change. An insurance may pay where a booking cannot be given back; its terms say"
            " when, and for what it does not.",
            "Perhaps you are covered already, by a card or by a policy of your own. " + _YOURS,
        ),
        card("Look at it and at its terms"),
        suggestions("Also for this trip"),
    ),
    "reminder-time": letter(
        "Less waiting on your trip, booking {order.number}",
        "Where it saves a queue, and where it does not.",
        heading("Less waiting"),
        text(
            "Some queues can be passed by, if that is booked before. Whether it is worth it depends"
            " on the day; the page says what is included.",
            _YOURS,
        ),
        card("Look at it"),
        suggestions("Also for this trip"),
    ),
    "reminder-comfort": letter(
        "A little more comfort for your stay",
        "Breakfast, a late check-out, a better room.",
        heading("A little more comfort"),
        text(
            "Your stay from {order.service_date|your day of arrival} is booked. If you would like"
            " to sleep longer, or not to look for breakfast, this is how.",
            _YOURS,
        ),
        card("Look at it"),
        suggestions("Also for this stay"),
    ),
    "reminder-safety": letter(
        "Safe on the road: your car, booking {order.number}",
        "What is covered, and what is not.",
        heading("Safe on the road"),
        text(
            "Your car for {order.service_date|your trip} is booked. What your booking does not"
            " cover yet can be added; the page says what is included and what is not.",
            _YOURS,
        ),
        card("Look at it and at its terms"),
        suggestions("Also for this car"),
    ),
    "feedback": letter(
        "How was your order {order.number}?",
        "One question, one press.",
        heading("How was it?"),
        text(
            "You ordered {purchased.items|something} from us. One press is enough, and we read"
            " every answer."
        ),
        rating("How satisfied are you with your order?", "links.rating"),
        text("Something is wrong with it? Then tell us, and we put it right."),
        button("Look at your order", "links.order"),
    ),
    "delivery": letter(
        "Your order {order.number} is on its way",
        "What is in the parcel.",
        heading("It is on its way"),
        text("We have handed over your order {order.number}. In it:"),
        ITEMS,
        button("Look at your order", "links.order"),
        suggestions("Goes with it"),
    ),
    "cart": letter(
        "You left {starter.product_name|something} in your cart",
        "It is still there, in case you want it.",
        heading("It is still in your cart"),
        text(
            "You looked at {starter.product_name|a product} and did not order. If you want to go"
            " on, everything is where you left it; price and stock are those of today.",
            "If you changed your mind, there is nothing to do.",
        ),
        button("Go on", "shop.url"),
    ),
    "trial": letter(
        "Your trial of {starter.plan|our plan}: what comes after",
        "What you use, what it would cost, and what happens if you do nothing.",
        heading("Half of your trial is over"),
        text(
            "You use it on most days. If you want to keep what you made, choose a plan before the"
            " trial ends.",
            "If you do nothing, nothing is charged by this message.",
        ),
        card("Look at the plan"),
        button("Compare plans", "shop.url"),
    ),
    "limit": letter(
        "You are close to the limit of {starter.metric|your plan}",
        "How much is left, and what your choices are.",
        heading("Close to the limit"),
        text(
            "Your account has used most of its {starter.metric|included usage} of this period."
            " You can wait for the next period, use less, or take a larger plan.",
        ),
        card("Look at the larger plan"),
        button("Look at your usage", "shop.url"),
    ),
    "renewal": letter(
        "Your {starter.plan|subscription} renews in two weeks",
        "What stays, what it costs, and how to change it.",
        heading("It renews in two weeks"),
        text(
            "Your {starter.plan|subscription} goes on by itself unless you end it. Until then you"
            " can change or end it in your account.",
        ),
        card("Look at another plan"),
        button("Go to your account", "shop.url"),
    ),
}
