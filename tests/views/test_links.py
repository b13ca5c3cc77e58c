"""A link that we did not make opens nothing, and says nothing (T6, T38, F11, F62)."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse

from example_shop.models import Product
from tests.standing import offer_in
from tests.tables import unchanged
from tests.views.buyers import placing, shop_with_an_offer
from upsell.models import Offer
from upsell.models.tokens import hashed, make_token, offer_token, undo_token

pytestmark = pytest.mark.django_db

HOW_MANY = 2_000
ROUTES = ["offer", "accept", "decline", "undo", "status", "return", "seen"]


def forged(offer: Offer) -> Iterator[str]:
    """Yield what somebody might try who has seen a link, or who has the offer's row."""
    right, undo = offer_token(offer), undo_token(offer)
    chance = random.Random(7)
    # What is in the row, and what is near it.
    yield from (str(offer.pk), str(offer.uuid), offer.uuid.hex, offer.order_ref or "")
    yield from (offer.token_hash or "", offer.undo_hash or "", hashed(offer.token_hash or ""))
    # Other keys, purposes and generations.
    for secret in ("", "x", "only-for-test", "only-for-tests ", "None"):
        yield make_token("offer", offer.uuid, 1, secret=secret or "0")
    for purpose in ("Offer", "offer ", "unsubscribe", "accept", ""):
        yield make_token(purpose, offer.uuid, 1)
    yield from (make_token("offer", offer.uuid, generation) for generation in range(2, 40))
    yield from (make_token("offer", offer.uuid, generation) for generation in (0, -1, 10**9))
    plain = hashlib.sha256(f"{offer.uuid}:1".encode()).digest()
    yield base64.urlsafe_b64encode(plain).rstrip(b"=").decode()
    # Shortened, lengthened, turned round, in other letters.
    yield from (right[:length] for length in range(1, len(right)))
    yield from (right[start:] for start in range(1, len(right)))
    yield from (
        right + tail for tail in ("=", "==", "A", " ", "\t", "\n", "\x00", ".", "%00", right)
    )
    yield from (head + right for head in ("A", " ", "\x00", "=", "..", "~", "\ufeff"))
    yield from (right.upper(), right.lower(), right.swapcase(), right[::-1], undo[::-1])
    yield from (quote(quote(right)).replace("_", "%5F"), right.replace("_", "+"), f"{right},{undo}")
    # Letters that only look alike, and text that no link has.
    yield from (right.replace("a", "а"), right.replace("e", "ｅ"), right.translate({97: 0x1D44E}))
    yield from ("ا" * 43, "💩" * 43, "\u202e" + right, "\ud83d".encode("utf-8", "replace").decode())
    yield from (
        "%",
        "%%",
        "%zz",
        "%ff%fe",
        "\\",
        "..",
        ".",
        "...",
        "~",
        "*",
        "?",
        "#",
        ";",
        "'",
        '"',
    )
    yield from ("..;", "%2e%2e", "..%2f..%2fadmin", "%2e%2e%2f", "..\\..", "{token}", "${7*7}")
    yield from ("' OR 1=1 --", '" OR ""="', "1); DROP TABLE upsell_offer; --", "null", "None")
    yield from ("A" * 10**power for power in range(1, 6))
    # One bit, one letter, two letters the other way round.
    raw = bytearray(base64.urlsafe_b64decode(right + "="))
    for bit in range(len(raw) * 8):
        turned = bytearray(raw)
        turned[bit // 8] ^= 1 << bit % 8
        yield base64.urlsafe_b64encode(bytes(turned)).rstrip(b"=").decode()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place in range(len(right) - 1):
        yield right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    while True:
        place = chance.randrange(len(right))
        yield right[:place] + chance.choice(letters) + right[place + 1 :]


def test_two_thousand_forged_links_open_nothing(client) -> None:
    offer = offer_in("SHOWN", shop_with_an_offer())
    known = {offer_token(offer), undo_token(offer), ""}
    tried: dict[str, None] = {}
    for token in forged(offer):
        if token not in known and "/" not in token:
            tried[token] = None
        if len(tried) == HOW_MANY:
            break
    told = set()

    with unchanged():
        for number, token in enumerate(tried):
            name = ROUTES[number % len(ROUTES)]
            method = "post" if name in {"accept", "decline", "seen"} or number % 2 else "get"
            method = "get" if name in {"offer", "status"} else method
            path = reverse("upsell:offer", args=["-"]).replace(
                "/-/", f"/{quote(token, safe='')}/" + (f"{name}/" if name != "offer" else "")
            )
            answer = getattr(client, method)(path, {"quote": "1"})
            told.add((answer.status_code, answer.content))

    assert len(tried) == HOW_MANY
    assert len(told) == 1  # one answer, to the byte, whatever was wrong
    assert next(iter(told))[0] == 404


@pytest.mark.parametrize("name", [name for name in ROUTES if name != "undo"])
def test_t38_an_undo_link_opens_nothing_else(name) -> None:
    offer = offer_in("ACCEPTED", shop_with_an_offer())
    buyer, path = placing(offer), reverse(f"upsell:{name}", args=[undo_token(offer)])

    with unchanged():
        assert buyer.get(path).status_code in {404, 405}
        assert buyer.post(path, {"quote": "1"}).status_code in {404, 405}


def test_t38_an_offer_link_undoes_nothing_by_itself() -> None:
    """Who was sent the offer may look at it. Only the buyer, or the mail's own link, gives back."""
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    with unchanged():
        answer = Client().post(reverse("upsell:undo", args=[offer_token(offer)]))

    assert answer.status_code == 403


def test_a_link_of_another_order_opens_that_one_alone() -> None:
    """Two buyers, two links: the one's session and the other's link spend nothing."""
    products = shop_with_an_offer()
    mine, theirs = offer_in("SHOWN", products), offer_in("SHOWN", products)
    buyer = placing(mine)

    with unchanged():
        answer = buyer.post(reverse("upsell:accept", args=[offer_token(theirs)]), {"quote": "1"})

    assert answer.status_code == 403


# ------------------------------------------------------------------ a new secret key


@pytest.fixture
def made_before(settings) -> Offer:
    """An offer made under the old key; since then the key was changed, and the old one kept."""
    offer = offer_in("SHOWN", shop_with_an_offer())
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY, "older still"]
    settings.SECRET_KEY = "the new one"
    return offer


def test_f62_links_made_under_the_old_key_still_work(made_before, settings, gateway) -> None:
    old = make_token("offer", made_before.uuid, 1, secret=settings.SECRET_KEY_FALLBACKS[0])
    buyer = placing(made_before)

    page = buyer.get(reverse("upsell:offer", args=[old]))
    accept = reverse("upsell:accept", args=[old])
    assert f'action="{accept}"' in page.content.decode()
    answer = buyer.post(accept, {"quote": "1"})

    assert answer["Location"] == reverse("upsell:offer", args=[old])
    assert buyer.get(answer["Location"]).status_code == 200
    assert Offer.objects.get().state == "ACCEPTED"
    assert gateway.charged(made_before.order_ref) == 240


def test_f62_the_undo_link_of_a_mail_works_under_the_new_key(made_before, settings) -> None:
    buyer = placing(made_before)
    old = settings.SECRET_KEY_FALLBACKS[0]
    offer_link = make_token("offer", made_before.uuid, 1, secret=old)
    buyer.post(reverse("upsell:accept", args=[offer_link]), {"quote": "1"})

    assert undo_token(Offer.objects.get()) == make_token("undo", made_before.uuid, 1, secret=old)
    answer = Client().post(reverse("upsell:undo", args=[undo_token(Offer.objects.get())]))

    assert answer["Location"] == reverse("upsell:offer", args=[offer_link])
    assert Client().get(answer["Location"]).status_code == 200
    assert Offer.objects.get().state == "REVERSED"


def test_f62_an_offer_made_under_the_new_key_takes_the_new_one(made_before, settings) -> None:
    new = offer_in("SHOWN", {row.sku: row for row in Product.objects.all()})

    assert offer_token(new) == make_token("offer", new.uuid, 1)


def test_a_new_key_never_makes_the_link_of_an_old_offer(made_before) -> None:
    new = make_token("offer", made_before.uuid, 1)

    with unchanged():
        assert Client().get(reverse("upsell:offer", args=[new])).status_code == 404
