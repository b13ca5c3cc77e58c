"""The proxy that stands for api.stripe.com: between the shop's client and localstripe.

What it adds, because localstripe has none of it:

- idempotency keys (``idempotency``), a known API key, unknown parameters refused;
- parameters that localstripe refuses are held back and shown in the object again
  (``parameters``), among them ``return_url`` and ``description``;
- lists by customer, time and intent, search, which can lag behind (``listing``);
- the bank's page of a challenge, ``/redirect/<intent>``, which sends the buyer back;
- cards that decline as their names say, refunds up to what is left, disputes, and events in
  Stripe's shape, signed (``provider``, ``webhooks``);
- faults (``faults``) and a ledger of what really happened (``ledger``).

It runs in a thread of the test's process and listens on the loopback only. What it does not
have: Checkout Sessions, Connect, saving cards through SetupIntents beyond what localstripe does,
webhook retries over days, anything of the API's second version.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import socket
import threading
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tests.stripe import listing
from tests.stripe.errors import Refused
from tests.stripe.faults import Fault, Faults, Manner
from tests.stripe.idempotency import Keys
from tests.stripe.ledger import Call, Ledger
from tests.stripe.parameters import nested
from tests.stripe.provider import Provider
from tests.stripe.webhooks import Webhooks
from tests.stripe.wire import Answer, Request, read_request, reset

API_KEY = "sk_test_upsell"
LISTED = "payment_intents|refunds|charges|disputes|events"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Your bank</title></head>
<body><main><h1>Your bank asks: is this you?</h1><p>{amount} {currency}, minor units</p>
<form method="post"><button name="answer" value="approve">Approve</button>
<button name="answer" value="fail">Fail</button></form></main></body></html>"""


class Proxy:
    """Listens at ``url`` while started."""

    def __init__(self, localstripe_url: str) -> None:
        self.webhooks = Webhooks()
        self.provider = Provider(localstripe_url, self.webhooks)
        self.faults = Faults()
        self.keys = Keys()
        self.ledger = Ledger(self.provider, self.run)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._request_ids = itertools.count(1)

    # Called by tests, from any thread but the proxy's own

    def start(self, *, port: int = 0) -> None:
        """Listen on this port of the loopback; 0 = any that is free."""
        self._thread.start()
        self.faults.loop = self._loop
        self._socket = _bound(port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.provider.public_url = self.url
        self.run(self.listen())

    def stop(self) -> None:
        self.run(self.refuse())
        self.run(self._cut())
        assert self._socket is not None
        self._socket.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any], *, timeout_seconds: float = 60) -> Any:
        """Run in the proxy's loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_seconds)

    async def write(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let one write at a time touch the objects."""
        async with self.provider.writing:
            return await work

    async def listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, sock=self._socket)

    async def refuse(self) -> None:
        """Refuse connections, keeping the port: bound and not listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._socket = _bound(int(self.url.rsplit(":", 1)[1]))

    async def clear(self) -> None:
        """Cut what is under way and forget everything, localstripe's objects included."""
        self.faults.clear()
        await self._cut()
        await self.provider.ask("DELETE", "/_config/data")
        for part in (self.provider, self.webhooks, self.keys, self.ledger):
            part.clear()
        await self.listen()

    async def _cut(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    # One connection, one exchange

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            request = await read_request(reader)
            if request is not None and request.path.startswith("/redirect/"):
                writer.write((await self._bank(request)).encoded())
            elif request is not None:
                await self._exchange(request, reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._open.discard(task)
            writer.close()

    async def _exchange(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        pairs = request.form if request.method == "POST" else request.query
        call = Call(
            method=request.method,
            path=request.path,
            key=request.key,
            parameters=nested(pairs),
            headers=request.headers,
        )
        self.ledger.calls.append(call)
        fault = self.faults.take(request)
        call.fault = fault.name if fault else ""
        answer = await self._answer(request, call, fault)
        manner = fault.manner if fault else Manner.ANSWER
        if manner is Manner.HANG:
            await reader.read()
        elif manner is Manner.RESET:
            reset(writer)
        elif manner is not Manner.CLOSE and answer is not None:
            call.status = answer.status
            sent = answer.with_headers(Request_Id=f"req_{next(self._request_ids):014d}").encoded()
            half = len(answer.body) // 2 if manner is Manner.TRUNCATE else 0
            writer.write(sent[: len(sent) - half])
        if fault and fault.hold:
            fault.hold.finish()

    async def _answer(self, request: Request, call: Call, fault: Fault | None) -> Answer | None:
        """Return what is sent back, or none where the request never takes effect."""
        if fault and not fault.executed and not (fault.seconds or fault.hold):
            return fault.answer
        answer = await self._true_answer(request, call, fault)
        call.replayed = "Idempotent-Replayed" in answer.headers
        if fault and fault.executed:
            await _wait(fault)
            answer = fault.answer or _changed(answer, fault.changes)
        return answer

    async def _true_answer(self, request: Request, call: Call, fault: Fault | None) -> Answer:
        async def execute() -> Answer:
            if fault and not fault.executed:
                await _wait(fault)
            call.executed = True
            try:
                answer = await self._executed(request, dict(call.parameters))
            except Refused as refused:
                if not refused.recorded:
                    call.executed = False
                    raise
                answer = refused.answer
            return fault.answer if fault and fault.recorded and fault.answer else answer

        try:
            _authorized(request)
            if request.method != "POST":
                return await execute()
            return await self.keys.once(call.key, request.path, call.parameters, execute)
        except Refused as refused:
            return refused.answer
        except Exception as failed:  # of ours or of localstripe: shown, not hidden in a time-out
            message = f"{type(failed).__name__} in the test server: {failed}"
            return Answer.of(500, {"error": {"type": "api_error", "message": message}})

    async def _executed(self, request: Request, parameters: dict[str, Any]) -> Answer:
        expand = parameters.pop("expand", [])
        work = self._routed(request, parameters)
        content = await (work if request.method == "GET" else self.write(work))
        return Answer.of(200, await self.provider.expanded(content, expand))

    async def _routed(self, request: Request, parameters: dict[str, Any]) -> Any:
        provider, path, key = self.provider, request.path, request.key
        if request.method == "GET":
            return await self._read(request, parameters)
        if path == "/v1/payment_intents":
            return await provider.create_intent(parameters, key=key)
        if path == "/v1/refunds":
            return await provider.create_refund(parameters, key=key)
        if match := re.fullmatch(r"/v1/refunds/(\w+)", path):
            return await provider.update_refund(match[1], parameters)
        if match := re.fullmatch(r"/v1/payment_intents/(\w+)", path):
            return await provider.update_intent(match[1], parameters)
        if match := re.fullmatch(r"/v1/payment_intents/(\w+)/confirm", path):
            return await provider.confirm_intent(match[1], parameters, key=key)
        if match := re.fullmatch(r"/v1/payment_intents/(\w+)/cancel", path):
            return await provider.cancel_intent(match[1], parameters)
        if match := re.fullmatch(r"/v1/payment_intents/(\w+)/capture", path):
            return await provider.capture_intent(match[1], parameters)
        if match := re.fullmatch(r"/v1/payment_methods/(\w+)/attach", path):
            path = f"/v1/payment_methods/{await provider.card(match[1])}/attach"
        return await provider.ask(request.method, path, parameters)

    async def _read(self, request: Request, parameters: dict[str, Any]) -> Any:
        path = request.path
        if match := re.fullmatch(rf"/v1/({LISTED})", path):
            return listing.page(path, await self.provider.all(match[1]), parameters)
        if match := re.fullmatch(r"/v1/(payment_intents|charges)/search", path):
            objects = await self.provider.all(match[1])
            if self.provider.lookups_in_vain:
                self.provider.lookups_in_vain -= 1
                objects = []
            return listing.search(path, objects, parameters)
        if match := re.fullmatch(rf"/v1/(?:{LISTED})/(\w+)", path):
            return await self.provider.read(match[1])
        if match := re.fullmatch(r"/v1/customers/(\w+)/payment_methods", path):
            path, parameters = "/v1/payment_methods", {**parameters, "customer": match[1]}
        if path == "/v1/payment_methods":
            parameters = {"type": "card", **parameters}
        query = f"?{urlencode(parameters)}" if parameters else ""
        return await self.provider.ask("GET", path + query)

    # The bank's page

    async def _bank(self, request: Request) -> Answer:
        try:
            intent = await self.provider.intent(request.path.removeprefix("/redirect/"))
        except Refused as refused:
            return refused.answer
        if request.method != "POST":
            return Answer.page(200, PAGE.format(**intent))
        success = dict(request.form).get("answer") == "approve"
        back = await self.write(self.answer_challenge(intent["id"], success=success))
        return Answer(status=303, body=b"", headers={"Location": back})

    async def answer_challenge(self, intent_id: str, *, success: bool) -> str:
        """Answer as the buyer does and return the address that the bank sends the buyer to."""
        intent = await self.provider.authenticate(intent_id, success=success)
        paid = intent["status"] in ("succeeded", "requires_capture", "processing")
        parts = urlsplit(self.provider.intents[intent_id].kept.get("return_url", self.url))
        query = [
            *parse_qsl(parts.query, keep_blank_values=True),
            ("payment_intent", intent_id),
            ("payment_intent_client_secret", intent["client_secret"]),
            ("redirect_status", "succeeded" if paid else "failed"),
        ]
        return urlunsplit(parts._replace(query=urlencode(query)))


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.setblocking(False)
    return made


def _authorized(request: Request) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        given = base64.b64decode(given).decode().partition(":")[0]
    if given != API_KEY:
        raise Refused(401, f"Invalid API Key provided: {given[:8]}****", recorded=False)


async def _wait(fault: Fault) -> None:
    await asyncio.sleep(fault.seconds)
    if fault.hold:
        await fault.hold.pass_through()


def _changed(answer: Answer, changes: dict[str, Any] | None) -> Answer:
    """Return the answer with these fields wrong, in each object where it is a list."""
    if not changes or answer.status != 200:
        return answer
    content = answer.content
    if "data" in content:
        content["data"] = [{**item, **changes} for item in content["data"]]
    else:
        content |= changes
    return replace(answer, body=json.dumps(content).encode())
