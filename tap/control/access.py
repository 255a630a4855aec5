"""Who may ask what. One layer around the whole application, so that no route can forget it.

A tap sees every key and can cut every link, and browsers send requests to 127.0.0.1 for any page that a user opens. So
each request passes these, in this order, before the application sees it:

    Host      Over TCP it has to be an IP address, localhost, or the name that --api gives. A page whose own name was made
              to resolve to 127.0.0.1 (DNS rebinding) sends that name. With a token any name passes: such a page has none.
    Origin    If a browser sends one, it has to be that of this API. CORS is not offered, but a page may send a request
              without asking first (a form, text/plain); it only cannot read the answer.
    token     If REDIS_TAP_API_TOKEN is set, everything but OPEN needs it as a bearer, compared in constant time. For the
              page a browser asks its user for a password (HTTP Basic), which is the token; any user name will do.
    method    With --read-only, only GET and HEAD, and what READERS lists.
    body      At most MAX_BODY bytes, within BODY_SECONDS, and MAX_BODIES in all requests together. It is read here as a
              whole; the application gets it in one piece. A request that is refused before its body was read is answered,
              and its connection closed.

A refusal is {"error": sentence}. Before all that a request waits for its turn: see request_pace.py.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tap.control.json_answers import JSON, Refusal, refused
from tap.control.request_pace import RequestPace

MAX_BODY = 2**20
MAX_BODIES = 16 * 2**20
BODY_SECONDS = 10.0
OPEN = frozenset({"/healthz"})  # without a token
READERS = frozenset({"/v1/wait"})  # that change nothing, although they are not GET
SAFE = frozenset({"GET", "HEAD"})
CLOSE = {"connection": "close"}
BASIC = 'Basic realm="redis-tap: the token, as the password", charset="UTF-8"'
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]@/]*)(?::[0-9]{1,5})?")


class Access:
    """The layer. token: None if none is needed. names: hosts that the Host header may give, besides addresses.

    place: the ID of the present place among the events. Each answer has it in its header Event-ID, as it was before the
    request: what the request causes comes after that.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        names: Collection[str],
        read_only: bool,
        is_unix: bool,
        place: Callable[[], str],
    ) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._names = {"localhost", *(one.lower() for one in names)}
        self._read_only = read_only
        self._is_unix = is_unix
        self._place = place
        self._waiting = 0  # bytes of bodies
        self._pace = RequestPace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pace.turn()
        headers = _headers(scope)
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        try:
            self._check(scope["method"], scope["path"], headers)
            if has_body:
                receive = await self._with_body(headers, receive)
                # Every body is JSON here. curl -d and some of Toxiproxy's clients call it a form, or text.
                others = [one for one in scope["headers"] if one[0] != b"content-type"]
                scope = {**scope, "headers": [*others, (b"content-type", JSON.encode())]}
        except Refusal as refusal:
            extra = (
                {"www-authenticate": BASIC if _is_of_page(scope["path"]) else "Bearer"} if refusal.status == 401 else {}
            )
            if has_body:
                extra |= CLOSE
            await refused(refusal.status, refusal.sentence, extra)(scope, receive, send)
            return
        here = self._place()

        async def placed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"event-id", here.encode())]
            await send(message)

        with contextlib.suppress(Exception):  # which the application has logged and answered
            await self._app(scope, receive, placed)

    def _check(self, method: str, path: str, headers: dict[str, str]) -> None:
        """Raise Refusal for a request that is not allowed."""
        host = headers.get("host", "")
        if not self._is_unix and self._token is None and not self._is_own(host):
            raise Refusal(
                403,
                f"the Host header is {host[:200]!r}, which is not this API: ask for it by its address, or start the tap "
                "with --api NAME:PORT",
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise Refusal(403, f"a page of {origin[:200]} may not use this API")
        if self._token is not None and path not in OPEN and not self._is_known(headers.get("authorization", "")):
            raise Refusal(
                401, "this API needs the token in REDIS_TAP_API_TOKEN of the tap: send Authorization: Bearer TOKEN"
            )
        if self._read_only and method not in SAFE and path not in READERS:
            raise Refusal(403, f"this tap is read-only: {method} {path[:200]} would change something")

    def _is_own(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower().removeprefix("[").removesuffix("]")
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_known(self, authorization: str) -> bool:
        scheme, _, said = authorization.partition(" ")
        given = said.strip().encode("latin-1", "replace")
        if scheme.lower() == "basic":
            given = _password(given)
        assert self._token is not None
        # Also without a scheme, so that the time says nothing about it.
        return hmac.compare_digest(given, self._token) and scheme.lower() in ("bearer", "basic")

    async def _with_body(self, headers: dict[str, str], receive: Receive) -> Receive:
        """Read the body. Returns a receive() with it in one piece. Raises Refusal if it is too large or too slow."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_BODY:
            raise Refusal(413, f"the body has {length} bytes; at most {MAX_BODY} are accepted")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the client left before its body had come")
                    piece = message.get("body", b"")
                    self._waiting += len(piece)
                    body += piece
                    if len(body) > MAX_BODY:
                        raise Refusal(413, f"the body has more than the {MAX_BODY} bytes that are accepted")
                    if self._waiting > MAX_BODIES:
                        raise Refusal(503, "too many bodies arrive at once: try again")
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise Refusal(408, f"the body did not arrive within {BODY_SECONDS:g} s") from None
        finally:
            self._waiting -= len(body)
        return _replay(bytes(body), receive)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive() that returns the whole body first."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again


def _password(credentials: bytes) -> bytes:
    """Of HTTP Basic (RFC 7617): the base64 of user:password. b"" if these are none."""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _is_of_page(path: str) -> bool:
    return path == "/" or path.startswith("/page/")


def _headers(scope: Scope) -> dict[str, str]:
    """By name in lower case; of one that is repeated, all values, which then match nothing."""
    found: dict[str, Any] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
