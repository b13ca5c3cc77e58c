"""The figures and the code of the pages, computed and run."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import dataclass
from decimal import Decimal
from types import ModuleType

import pytest

from tests.docs.pages import DOCS, ROOT, blocks, first_cells
from upsell.engine.campaigns import PriceRule, RuleKind
from upsell.engine.money import allocate, round_money
from upsell.engine.quoting import amount_due, credit, unit_price
from upsell.engine.types import Line, Price, Product
from upsell.ports import ChargeRequest, ChargeState, RefundState

MONEY = DOCS / "explanation" / "money.md"
NUMBER = r"\d+(?:\.\d\d)?"
EXAMPLES = [
    tuple(cell.strip() for cell in row.strip("|").split("|"))
    for row in MONEY.read_text().split("## Worked examples")[1].splitlines()
    if re.search(rf"\| {NUMBER} \|$", row)
]


def with_tax(gross: str) -> Price:
    amount = Decimal(gross)
    return Price(currency="EUR", net=round_money(amount / Decimal("1.2"), "EUR"), gross=amount)


def rule_of(words: str) -> PriceRule:
    name, _blank, number = words.partition(" ")
    if name == "percent":
        return PriceRule(kind=RuleKind.PERCENT, percent=Decimal(number))
    if name == "difference":
        return PriceRule(kind=RuleKind.FIXED_DIFFERENCE, amounts={"EUR": Decimal(number)})
    return PriceRule(kind=RuleKind.LIST)


def test_there_are_seven_worked_examples():
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row[0])
def test_a_worked_example_comes_to_what_the_page_says(row):
    _what, paid, bought, leaving, price, rule, due, net, tax = row
    line = Line(
        ref="1",
        product=Product(ref="old"),
        quantity=int(bought),
        unit=with_tax(paid),
        total=with_tax(paid),
        total_before_discounts=with_tax(paid),
    )
    credited = credit(line, units=int(leaving))
    unit = unit_price(
        rule_of(rule),
        selling=with_tax(price),
        regular=None,
        prices_include_tax=True,
        tax_exempt=False,
        credit=credited,
        quantity=int(leaving),
    )
    assert unit is not None

    told = amount_due(line=unit.times(int(leaving)), shipping=Price.zero("EUR"), credit=credited)

    assert (told.gross, told.net, told.tax) == (Decimal(due), Decimal(net), Decimal(tax))


def test_an_order_coupon_is_spread_as_the_page_says():
    shares = allocate(Decimal(50), [Decimal(600), Decimal(12)], "EUR")

    assert [str(share) for share in shares] == ["49.02", "0.98"]
    assert "49.02 and 0.98" in MONEY.read_text()


# ------------------------------------------------------------------ code on the pages


def made(page: str, caption: str) -> dict[str, object]:
    """Return the names that a page's block defines."""
    (block,) = [block for block in blocks(DOCS / page) if block.caption == caption]
    names: dict[str, object] = {}
    exec(compile(block.text, f"{page}, {caption}", "exec"), names)  # noqa: S102
    return names


class Refused(Exception):
    code = "insufficient_funds"


class TimedOut(Exception):
    pass


@dataclass
class Payment:
    id: str = "pay_1"
    status: str = "paid"
    amount: int = 1200
    currency: str = "EUR"
    challenge_url: str = ""
    token: str = "tok_1"
    last4: str = "4242"


class Provider:
    """The provider that the page's gateway talks to."""

    def __init__(self) -> None:
        self.trouble: type[Exception] | None = None
        self.payment_made: Payment | None = None
        self.status = "paid"

    def saved_card(self, order_ref: str) -> Payment:
        return Payment()

    def charge(self, *, amount: int, currency: str, **_rest: object) -> Payment:
        if self.trouble is Refused:
            raise Refused
        self.payment_made = Payment(status=self.status, amount=amount, currency=currency)
        if self.trouble is TimedOut:
            raise TimedOut
        return self.payment_made

    def payment(self, reference: str) -> Payment | None:
        return self.payment_made

    def payment_by_key(self, key: str) -> Payment | None:
        return self.payment_made

    def refund(self, reference: str, amount: int, *, idempotency_key: str) -> Payment:
        if self.trouble:
            raise self.trouble
        return Payment(id="re_1")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    module = ModuleType("myshop.provider")
    module.client, module.Refused, module.TimedOut = Provider(), Refused, TimedOut
    monkeypatch.setitem(sys.modules, "myshop", ModuleType("myshop"))
    monkeypatch.setitem(sys.modules, "myshop.provider", module)
    return module.client


REQUEST = ChargeRequest(
    key="ups-1",
    order_ref="7",
    order_number="7",
    amount=Decimal("12.00"),
    currency="EUR",
    minor_units=1200,
)


@pytest.mark.parametrize(
    ("trouble", "status", "state"),
    [
        (None, "paid", ChargeState.CAPTURED),
        (None, "challenge", ChargeState.REQUIRES_ACTION),
        (None, "something new", ChargeState.UNKNOWN),
        (Refused, "", ChargeState.DECLINED),
        (TimedOut, "", ChargeState.UNKNOWN),
    ],
)
def test_the_gateway_of_the_page_tells_charges_apart(provider, trouble, status, state):
    gateway = made("how-to/payment-gateway.md", "cards")["Cards"]()
    provider.trouble, provider.status = trouble, status

    assert gateway.charge(REQUEST).state is state


def test_the_gateway_of_the_page_finds_a_charge_whose_answer_was_lost(provider):
    gateway = made("how-to/payment-gateway.md", "cards")["Cards"]()
    assert gateway.find("ups-1", "7", None) is None
    provider.trouble = TimedOut
    gateway.charge(REQUEST)

    provider.trouble = None
    provider.payment_made.status = "paid"
    found = gateway.find("ups-1", "7", None)

    assert (found.state, found.amount) == (ChargeState.CAPTURED, Decimal("12.00"))


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        (None, RefundState.REFUNDED),
        (Refused, RefundState.REFUSED),
        (TimedOut, RefundState.UNKNOWN),
    ],
)
def test_the_gateway_of_the_page_tells_refunds_apart(provider, trouble, state):
    gateway = made("how-to/payment-gateway.md", "cards")["Cards"]()
    provider.trouble = trouble

    assert gateway.refund("pay_1", Decimal("12.00"), "EUR", "ups-2").state is state


def test_the_worked_example_is_the_file_that_the_example_shop_runs():
    (block,) = [
        block
        for block in blocks(DOCS / "how-to" / "payment-gateway.md")
        if block.caption.startswith("example_shop/")
    ]

    assert block.text == (ROOT / block.caption).read_text()
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 65


def test_a_log_without_tokens_keeps_the_rest_of_the_line():
    redact = made("how-to/production.md", "redact")["WithoutTokens"]()
    token = "x" * 43
    record = logging.LogRecord(
        "django.server", logging.INFO, "", 0, '"%s" %s', (f"GET /upsell/offers/{token}/", 200), None
    )

    redact.filter(record)

    assert record.getMessage() == '"GET /upsell/offers/-/" 200'


def test_every_property_of_the_style_sheet_is_explained():
    css = (ROOT / "upsell" / "static" / "upsell" / "upsell.css").read_text()
    told = {name for name in first_cells(DOCS / "how-to" / "theming.md") if name.startswith("--")}

    assert told == set(re.findall(r"var\((--upsell-[a-z-]+)", css))
