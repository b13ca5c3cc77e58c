"""Journeys by SMS and by push, each over real HTTP: what was taken, refused, gone, or not known."""

from __future__ import annotations

import base64
import json
import re
import sys
import types

import pytest

from example_shop.adapter import ExampleShop
from tests.docs.pages import DOCS
from tests.factories import catalogue, order
from tests.receiver import Receiver, receiving
from tests.services.journeys import (
    END,
    KEY,
    MAIL,
    T0,
    WAIT_3H,
    H,
    adds_up,
    consent,
    journey,
    message,
    move,
    only,
    send,
    tell,
    template,
    way,
)
from upsell.engine import blocks
from upsell.media.push import LocmemPush
from upsell.media.sms import LocmemSms
from upsell.models import Reachability
from upsell.ports import Contact
from upsell.services import journey_publishing, journey_states

try:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )
except ImportError:
    ec = None  # it comes with the extra [webpush]

pytestmark = pytest.mark.django_db

PHONE = "+4915112345678"
CONTENT = {
    "en": {
        "subject": "Your order",
        "blocks": [
            {"kind": "text", "text": "One more thing.\n\nBefore you fly."},
            {"kind": "button", "label": "Look", "link": "https://shop.example/more"},
        ],
    }
}
ENDS = {
    # what the provider answers: the message, what the run says, and whether it is tried again
    202: ("SENT", "sent", False),
    400: ("FAILED", "failed", False),
    429: ("PENDING", None, True),
    503: ("PENDING", None, True),
    500: ("UNKNOWN", "sent", False),
}


@pytest.fixture
def receiver():
    with receiving() as told:
        yield told


@pytest.fixture(autouse=True)
def addresses(monkeypatch):
    at = {"sms": PHONE}
    monkeypatch.setattr(
        ExampleShop,
        "contact",
        lambda self, who, medium: (
            Contact(address=at[medium], locale="en") if medium in at else None
        ),
    )
    return at


def run(medium: str):
    """A buyer of a journey that writes by a medium after three hours."""
    journey({"wait": WAIT_3H, "mail": MAIL | {"medium": medium}, "end": END})
    consent(medium=medium)
    tell(order_ref=str(order(catalogue()).pk))
    return only()


def comes() -> None:
    """It is three hours later."""
    for _round in range(2):
        move(T0 + 3 * H)
        send(T0 + 3 * H)
    move(T0 + 3 * H)


def answered(row) -> tuple[str, str | None, bool]:
    row.refresh_from_db()
    adds_up()
    found = message(row)
    passed = re.search(r"mail:(\w+)", way(row))
    return found.state, passed and passed[1], found.not_before > T0 + 3 * H


# ------------------------------------------------------------------ SMS


@pytest.fixture
def by_sms(settings, receiver: Receiver) -> Receiver:
    settings.UPSELL_SMS = "upsell.media.sms.HttpSms"
    settings.UPSELL_SMS_URL = receiver.url
    settings.UPSELL_SMS_TOKEN = "secret"
    template(text="Your flight leaves tomorrow", medium="sms")
    return receiver


@pytest.mark.parametrize("status", ENDS)
def test_an_sms_over_http(by_sms, status):
    by_sms.status = status
    row = run("sms")

    comes()

    assert answered(row) == ENDS[status]
    ((headers, body),) = by_sms.taken
    told = json.loads(body)
    assert (told["to"], told["key"]) == (PHONE, message(row).key)
    assert told["text"].startswith("Your flight leaves tomorrow")
    assert (headers["authorization"], headers["idempotency-key"]) == ("Bearer secret", told["key"])


def test_an_sms_to_no_number_fails_and_nobody_is_written_to_there(by_sms, addresses):
    addresses["sms"] = "0151/123"
    row = run("sms")

    comes()

    assert answered(row) == ("FAILED", "failed", False)
    assert by_sms.taken == []
    assert Reachability.objects.get(customer_key=KEY, medium="sms").hard


def test_an_sms_that_is_only_kept(settings):
    settings.UPSELL_SMS = "upsell.media.sms.LocmemSms"
    LocmemSms.outbox.clear()
    template(text="Hello", medium="sms")

    row = run("sms")
    comes()

    assert [(one.to, one.idempotency_key) for one in LocmemSms.outbox] == [
        (PHONE, message(row).key)
    ]


# ------------------------------------------------------------------ push


def page_of(code: str) -> str:
    """Return the part of the how-to that begins so."""
    text = (DOCS / "how-to" / "push.md").read_text()
    (found,) = re.findall(rf"^```python\n({re.escape(code)}.*?)^```", text, re.M | re.S)
    return found


class Browser:
    """What a browser does: it has a key pair and a secret, and reads what is meant for it."""

    def __init__(self, endpoint: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = b"0123456789abcdef"
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": text_of(point), "auth": text_of(self._auth)}
        self.subscription = json.dumps({"endpoint": endpoint, "keys": keys})

    def read(self, body: bytes) -> dict[str, str]:
        http_ece = pytest.importorskip("http_ece")
        plain = http_ece.decrypt(body, private_key=self._key, auth_secret=self._auth)
        return json.loads(plain)


def text_of(told: bytes) -> str:
    return base64.urlsafe_b64encode(told).rstrip(b"=").decode()


@pytest.fixture
def by_push(settings, receiver: Receiver, monkeypatch, addresses) -> tuple[Receiver, Browser]:
    """The backend of the how-to, word for word, and a browser that is subscribed."""
    pytest.importorskip("pywebpush", reason="the extra [webpush] is not installed")
    module = types.ModuleType("myshop_push")
    exec(compile(page_of("# myshop/push.py"), "push.md", "exec"), module.__dict__)  # noqa: S102
    monkeypatch.setitem(sys.modules, "myshop_push", module)
    signer = ec.generate_private_key(ec.SECP256R1())
    settings.VAPID_PRIVATE_KEY = text_of(
        signer.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
    settings.VAPID_CONTACT = "mailto:shop@example.com"
    settings.UPSELL_PUSH = "myshop_push.WebPush"
    receiver.signed_by = signer.public_key()
    browser = Browser(receiver.url)
    addresses["push"] = browser.subscription
    template(medium="push", content=CONTENT)
    return receiver, browser


def test_a_push_reaches_a_browser_that_reads_it(by_push):
    receiver, browser = by_push
    receiver.status = 201
    row = run("push")

    comes()

    assert answered(row) == ("SENT", "sent", False)
    ((headers, body),) = receiver.taken
    assert browser.read(body) == {
        "title": "Your order",
        "body": "One more thing.\n\nBefore you fly.",
        "url": "https://shop.example/more",
        "tag": message(row).key,
        "lang": "en",
    }
    assert int(headers["ttl"]) > 0
    vapid = pytest.importorskip("py_vapid")
    assert vapid.Vapid02.verify(headers["authorization"])


PUSHED = ENDS | {500: ("PENDING", None, True)}
"""A push service that answers an error took nothing."""
GONE = {
    404: ("FAILED", "failed", False),
    410: ("FAILED", "failed", False),
}


@pytest.mark.parametrize(("status", "ends"), {**PUSHED, **GONE}.items())
def test_a_push_that_is_answered(by_push, status, ends):
    receiver, _browser = by_push
    receiver.status = status
    row = run("push")

    comes()

    assert answered(row) == ends
    assert len(receiver.taken) == 1
    gone = Reachability.objects.filter(customer_key=KEY, medium="push", hard=True).exists()
    assert gone is (status in GONE)


def test_a_push_to_a_service_that_is_away_is_not_known(by_push, addresses):
    addresses["push"] = Browser("http://127.0.0.1:1/nobody").subscription
    row = run("push")

    comes()

    assert answered(row) == ("UNKNOWN", "sent", False)


def test_a_push_that_is_only_kept(settings, addresses):
    settings.UPSELL_PUSH = "upsell.media.push.LocmemPush"
    addresses["push"] = "device 7"
    LocmemPush.outbox.clear()
    template(medium="push", content=CONTENT)

    go_row = run("push")
    comes()

    (notice,) = LocmemPush.outbox
    assert (notice.to, notice.title, notice.url) == (
        "device 7", "Your order", "https://shop.example/more",
    )  # fmt: skip
    assert answered(go_row)[0] == "SENT"


def test_without_the_setting_a_journey_with_a_push_is_not_published():
    template(medium="push", content=CONTENT)
    row = journey({"wait": WAIT_3H, "mail": MAIL | {"medium": "push"}, "end": END}, live=False)

    with pytest.raises(journey_publishing.JourneyFaults, match="UPSELL_PUSH"):
        journey_states.go_live(row, now=T0)


BLOCKS = {
    "no button": [{"kind": "text", "text": "Hello"}],
    "two buttons": [{"kind": "button", "label": "A", "link": "https://a.example"}] * 2,
    "a picture": [
        {"kind": "button", "label": "A", "link": "https://a.example"},
        {"kind": "image", "url": "https://a.example/a.png", "alt": "A"},
    ],
}


@pytest.mark.parametrize("rows", BLOCKS.values(), ids=BLOCKS)
def test_what_a_push_is_not(rows):
    content = {"en": {"subject": "Hello", "blocks": rows}}

    made, faults = blocks.read(content, medium="push")

    assert made is None
    assert faults[0].path.startswith("en.blocks")
