"""What a browser sends proves intent and nothing else, whatever it sends (T1, T12, T37)."""

from __future__ import annotations

import json
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from example_shop.models import Order
from tests.standing import offer_in
from tests.tables import unchanged
from tests.views.buyers import placing, shop_with_an_offer
from upsell.models import Offer
from upsell.models.tokens import offer_token, undo_token
from upsell.ports import ChargeResult, ChargeState

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def offer() -> Offer:
    return offer_in("SHOWN", shop_with_an_offer())


def path_of(name: str, offer: Offer) -> str:
    return reverse(f"upsell:{name}", args=[offer_token(offer)])


# Beside a valid quote number: read by nobody.
SURPLUS = [
    "price=0.01", "amount=0", "amount_due=0", "due_gross=0", "total=0", "unit_gross=0.01",
    "currency=JPY", "currency=XXX", "discount=100", "percent=100", "tax=0", "tax_rate=0",
    "product=1", "product_ref=1", "product_id=999", "sku=W1", "quantity=-1", "quantity=99",
    "quantity=0", "qty=1e309", "qty=NaN", "qty=Infinity", "order=1", "order_ref=1", "order_id=2",
    "offer=1", "campaign=1", "state=ACCEPTED", "trusted=1", "user=1", "customer_key=u%3A1",
    "credential=card_ok", "payment_method=invoice", "gateway=invoice", "key=ups-1", "reference=x",
    "expires_at=2999-01-01", "token=other", "return_url=https%3A%2F%2Fevil.example%2F",
    "next=%2F%2Fevil.example", "_method=DELETE", "quote[]=7", "quote[0]=7", "quote.number=7",
    "__proto__[quote]=7", "Quote=7", "QUOTE=7", "qu%00ote=7", "answer=decline",
    "answer=" + "x" * 999, "a" + "[a]" * 200 + "=1", "%F0%9F%92%A9=%F0%9F%92%A9", "%FF%FE=%FF",
    "pad=" + "x" * 1_000_000,
]  # fmt: skip


@pytest.mark.parametrize("surplus", SURPLUS, ids=lambda text: text[:24])
def test_surplus_is_read_by_nobody(surplus, offer) -> None:
    answer = placing(offer).generic("POST", path_of("accept", offer), f"quote=1&{surplus}", FORM)

    order = Order.objects.get()
    assert answer.status_code == 303
    assert answer["Location"] == path_of("offer", offer)
    assert (order.total_gross, order.currency, order.payment_method) == (840, "EUR", "card")
    assert [row.quantity for row in order.lines.all()] == [1]


NUMBERS = [
    "", "0x1", "-1", "+1", " 1", "1 ", "1.0", "1,0", "1e0", "1e309", "NaN", "nan", "Infinity",
    "-Infinity", "inf", "１", "١", "१", "Ⅰ", "①", "¹", "1\x00", "\x001", "1\n", "1\r\n2", "true",
    "None", "null", "[]", "[1]", "{}", '{"number": 1}', "1;2", "1 OR 1=1", "1'--", "1_0", "9" * 9,
    "9" * 5_000, "1" + "0" * 400, "<b>1</b>", "${1}", "{{1}}", "%31", "\u202e1", "1\u200b",
]  # fmt: skip


def test_what_is_no_quote_number_is_bad_input(offer) -> None:
    buyer = placing(offer)

    for number in NUMBERS:
        with unchanged(number):
            answer = buyer.post(path_of("accept", offer), urlencode({"quote": number}), FORM)
        assert answer.status_code == 400, number
        assert "could not be read" in answer.content.decode()


DEEP = "[" * 100_000 + "]" * 100_000
NO_FORMS = {
    "a list": ("quote[]=1", FORM),
    "twice": ("quote=1&quote=1", FORM),
    "the first counts, or the last": ("quote=2&quote=1", FORM),
    "semicolons": ("quote=1;quote=2", FORM),
    "nothing": ("", FORM),
    "a name alone": ("quote", FORM),
    "NULs": ("%00=%00&quote=%00", FORM),
    "half a surrogate": ("quote=%ED%A0%80", FORM),
    "overlong UTF-8": ("quote=%C0%B1", FORM),
    "2,000 fields": ("&".join(f"a{n}=1" for n in range(2_000)), FORM),
    "3 MB": ("quote=1&pad=" + "x" * 3_000_000, FORM),
    "JSON": ('{"quote": 1}', "application/json"),
    "JSON that is none": ('{"quote": NaN}', "application/json"),
    "JSON 100,000 deep": (DEEP, "application/json"),
    "XML": ("<quote>1</quote>", "application/xml"),
    "plain text": ("quote=1", "text/plain"),
    "no type": ("quote=1", ""),
    "a long type": ("quote=1", "x" * 5_000),
    "UTF-16": ("quote=1", f"{FORM}; charset=utf-16"),
    "parts without a boundary": ("quote=1", "multipart/form-data"),
    "parts that are none": ("quote=1", "multipart/form-data; boundary=x"),
    "half a part": ("--x\r\n\r\n1", "multipart/form-data; boundary=x"),
}


@pytest.mark.parametrize("accepts", ["text/html", "application/json"])
def test_what_is_no_form_is_bad_input(accepts, offer) -> None:
    buyer = placing(offer, headers={"Accept": accepts})

    for about, (body, kind) in NO_FORMS.items():
        with unchanged(about):
            answer = buyer.generic("POST", path_of("accept", offer), body, kind)
        # Newer Django has a code of its own for too much.
        assert answer.status_code in {400, 413}, about


def test_a_file_is_no_quote_number_and_is_kept_nowhere(offer, tmp_path, settings) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = settings.MEDIA_ROOT = tmp_path
    buyer = placing(offer)
    huge = SimpleUploadedFile("../../evil.py", b"x" * 3_000_000)

    with unchanged():
        answer = buyer.post(path_of("accept", offer), {"quote": huge, "other": huge})

    assert answer.status_code == 400
    assert list(tmp_path.iterdir()) == []


ODD = [
    pytest.param("quote=1", f"{FORM}; charset=no-such", id="unknown charset"),
    pytest.param(DEEP, "application/json", id="deep JSON"),
    pytest.param("x" * 1_000_000, "application/octet-stream", id="1 MB"),
    pytest.param("\x00" * 99, FORM, id="NULs"),
    pytest.param("a=1&" * 900, FORM, id="many fields"),
    pytest.param("--x", "multipart/form-data; boundary=x", id="broken parts"),
]


@pytest.mark.parametrize(("body", "kind"), ODD)
@pytest.mark.parametrize("name", ["decline", "undo", "return", "seen", "webhook"])
def test_no_body_breaks_a_page_that_reads_none(name, body, kind, offer) -> None:
    path = reverse("upsell:webhook", args=["card"]) if name == "webhook" else path_of(name, offer)

    answer = placing(offer).generic("POST", path, body, kind)

    assert answer.status_code < 500
    assert Order.objects.get().total_gross == 600


REPORTS = [
    b"", b"{}", b"[]", b"null", b"1", b'"x"', b"{", b"\xff\xfe", b"\x00", b"[" * 100_000,
    b'{"data": null}', b'{"data": []}', b'{"data": {"key": 1}}', b'{"data": {"key": []}}',
    b'{"data": {"amount": "NaN"}}', b'{"data": {"key": "no-such", "amount": "1e999999999"}}',
    b'{"data": {"amount": "x"}}', b'{"data": {"key": 1, "amount": "1"}}',
    b'{"data": {"key": "no-such", "amount": "1"}}',
]  # fmt: skip


@pytest.mark.parametrize("body", REPORTS, ids=lambda body: repr(body)[:24])
def test_a_report_that_nobody_made_is_refused_or_known_to_nobody(body, offer, monkeypatch) -> None:
    """However carelessly a gateway reads it: what a stranger posts is no error of the shop's."""

    def careless(self: object, request: HttpRequest) -> list[tuple[str, ChargeResult]]:
        data = json.loads(request.body)["data"]
        amount = Decimal(data["amount"])
        return [(data["key"].strip(), ChargeResult(state=ChargeState.CAPTURED, amount=amount))]

    monkeypatch.setattr("example_shop.payments.CardGateway.parse_webhook", careless)
    path = reverse("upsell:webhook", args=["card"])

    with unchanged():
        answer = Client().post(path, body, "application/json")

    assert answer.status_code in {200, 400}


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_header_turns_no_look_into_a_purchase(header, offer) -> None:
    buyer = placing(offer, headers={header: "POST"})

    with unchanged():
        assert buyer.get(path_of("accept", offer), {"quote": "1"}).status_code == 405


# ------------------------------------------------------------------ where an answer leads


ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example",
    "http:evil.example", "javascript:alert(1)", "data:text/html,x", "/\t/evil.example",
    "%2F%2Fevil.example", "https://shop.example@evil.example/",
]  # fmt: skip
NAMES = ["next", "return_url", "redirect", "redirect_to", "url", "back", "to", "problem"]


@pytest.mark.parametrize("name", ["accept", "decline", "undo", "return"])
@pytest.mark.parametrize("there", ELSEWHERE[:2])
def test_t12_an_answer_leads_to_the_offer_and_nowhere_else(name, there, offer) -> None:
    if name == "undo":
        placing(offer).post(path_of("accept", offer), {"quote": "1"})
    asked = dict.fromkeys(NAMES, there)
    buyer = placing(offer, headers={"Referer": "https://evil.example/"})

    answer = buyer.post(f"{path_of(name, offer)}?{urlencode(asked)}", {"quote": "1", **asked})

    assert answer.status_code == 303
    assert answer["Location"] == path_of("offer", offer)


def test_no_page_repeats_where_somebody_wants_it_to_lead(offer) -> None:
    asked = urlencode([(name, there) for name in NAMES for there in ELSEWHERE])
    for name, token in (("offer", offer_token(offer)), ("undo", undo_token(offer))):
        page = Client().get(f"{reverse(f'upsell:{name}', args=[token])}?{asked}").content.decode()
        assert "evil.example" not in page
        assert 'role="alert"' not in page  # nor a message that is not true


# ------------------------------------------------------------------ whose name a link bears


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Host": "evil.example"}, id="another host"),
        pytest.param({"Host": "shop.example@evil.example"}, id="a user of another host"),
        pytest.param({"Host": "shop.example:80@evil.example"}, id="a port that is none"),
        pytest.param({"Host": "shop.example evil.example"}, id="two hosts"),
        pytest.param({"Host": ""}, id="no host"),
    ],
)
def test_t36_a_poisoned_host_is_refused_where_a_link_is_made_of_it(
    headers, offer, settings
) -> None:
    settings.ALLOWED_HOSTS = ["shop.example"]
    buyer = placing(offer, headers=headers)

    with unchanged():
        assert buyer.post(path_of("accept", offer), {"quote": "1"}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Host": "evil.example"}, id="host"),
        pytest.param({"X-Forwarded-Host": "evil.example"}, id="forwarded host"),
        pytest.param({"Forwarded": "host=evil.example"}, id="forwarded"),
        pytest.param({"X-Original-URL": "https://evil.example/"}, id="original address"),
    ],
)
@pytest.mark.parametrize("base", ["https://shop.example", "https://shop.example/"])
def test_t36_the_way_back_from_the_bank_bears_the_shop_s_own_name(
    headers, base, settings, gateway
) -> None:
    settings.UPSELL_BASE_URL = base
    offer = offer_in("SHOWN", shop_with_an_offer(), card="card_challenge")

    answer = placing(offer, headers=headers).post(path_of("accept", offer), {"quote": "1"})

    assert answer["Location"] == path_of("offer", offer)
    charge = gateway.charges(offer.order_ref)[0]
    back = gateway.back_from(charge["reference"])
    assert back == f"https://shop.example{path_of('return', offer)}"
