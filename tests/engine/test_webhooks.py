"""Which receivers can be used, and why not; and what is kept of an answer."""

from __future__ import annotations

import pytest

from tests.receiver import SECRET
from upsell.engine.webhooks import (
    EVENTS,
    LONGEST_VALUE,
    MOST_FIELDS,
    BadSecret,
    endpoint_of,
    fields_of,
    secret_bytes,
)

GOOD = {"url": "https://shop.example/hooks", "secret": SECRET}


def test_a_receiver_gets_all_events_unless_it_says_which():
    assert endpoint_of(GOOD).events == frozenset(EVENTS)
    assert endpoint_of(GOOD | {"events": ["offer.accepted"]}).events == {"offer.accepted"}


def test_several_secrets_sign_each():
    made = endpoint_of(GOOD | {"secret": [SECRET, SECRET.removeprefix("whsec_")]})

    assert made.secrets == (secret_bytes(SECRET),) * 2
    assert "secret" not in repr(made)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        pytest.param({"url": "http://shop.example/"}, ValueError, id="without TLS"),
        pytest.param({"url": "ftp://shop.example/"}, ValueError, id="another scheme"),
        pytest.param({"url": "https:///hooks"}, ValueError, id="no host"),
        pytest.param({"url": "https://a:b@shop.example/"}, ValueError, id="a user"),
        pytest.param({"url": "https://shop.example/#x"}, ValueError, id="a fragment"),
        pytest.param({"url": "https://shop.example/a b"}, ValueError, id="white space"),
        pytest.param({"url": "https://shop.example:99999/"}, ValueError, id="no such port"),
        pytest.param({"url": "https://shop.example:0/"}, ValueError, id="port 0"),
        pytest.param({"url": None}, ValueError, id="no address"),
        pytest.param({"events": []}, ValueError, id="no event"),
        pytest.param({"events": ["offer.shown"]}, ValueError, id="no such event"),
        pytest.param({"events": "offer.accepted"}, ValueError, id="not a list"),
        pytest.param({"secrets": "x"}, ValueError, id="a typing error"),
        pytest.param({"secret": ""}, BadSecret, id="no secret"),
        pytest.param({"secret": None}, BadSecret, id="not set in the environment"),
        pytest.param({"secret": []}, BadSecret, id="none of several"),
        pytest.param({"secret": [SECRET, None]}, BadSecret, id="one of two is missing"),
        pytest.param({"secret": "whsec_not base64!"}, BadSecret, id="not base64"),
        pytest.param({"secret": "whsec_c2hvcnQ="}, BadSecret, id="too short"),
    ],
)
def test_what_cannot_be_used_is_refused(wrong, error):
    with pytest.raises(error) as refused:
        endpoint_of(GOOD | wrong)

    assert type(refused.value) is error
    assert SECRET not in str(refused.value)


def test_without_tls_only_hosts_that_are_named():
    plain = GOOD | {"url": "http://books.internal/hooks"}

    assert endpoint_of(plain, plain_hosts={"books.internal"}).host == "books.internal"
    assert endpoint_of(plain, plain_hosts={"*"}).host == "books.internal"
    with pytest.raises(ValueError, match="https"):
        endpoint_of(plain, plain_hosts={"other.internal"})


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        pytest.param(b'{"a": "x", "b": 1, "c": false}', {"a": "x", "b": 1, "c": False}, id="flat"),
        pytest.param(b'{"a": 0.10, "b": 1e400}', {"a": "0.10", "b": "1e400"}, id="decimals"),
        pytest.param(b'{"a": 1000000000000000}', {"a": "1000000000000000"}, id="a long number"),
        pytest.param(b'{"a": null, "b": [1], "c": {}, "d": " "}', {}, id="nothing to keep"),
        pytest.param(b'{"A": "x", "a-b": "x", "": "x", "a.b": "x"}', {}, id="other names"),
        pytest.param(b'{"a": "x\\u0000y\\ud800z"}', {"a": "xyz"}, id="what no database stores"),
        pytest.param(b'{"a": NaN, "b": Infinity, "c": 1}', {"c": 1}, id="no numbers"),
        pytest.param(b'{"a": "' + b"x" * (LONGEST_VALUE + 1) + b'"}', {}, id="a long text"),
        pytest.param(b"[" * 16_000, {}, id="deep"),
        pytest.param(b"1" * 16_000, {}, id="digits"),
        pytest.param(b"\xff\xfe", {}, id="no text"),
        pytest.param(b'"x"', {}, id="no object"),
        pytest.param(b"", {}, id="empty"),
    ],
)
def test_of_an_answer_flat_fields_are_kept(answer, kept):
    assert fields_of(answer) == kept


def test_of_an_answer_thirty_fields_are_kept():
    answer = "{" + ",".join(f'"f{n}": {n}' for n in range(MOST_FIELDS + 5)) + "}"

    assert list(fields_of(answer.encode())) == [f"f{n}" for n in range(MOST_FIELDS)]
