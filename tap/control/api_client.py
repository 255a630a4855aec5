"""A client of the API: what `redis-tap ctl` asks, and how it is told no.

with ApiClient("127.0.0.1:6474") as api:
    api.ask("POST", "/v1/faults", {"spec": "cut at=rdb:50%"})
    for kind, data, place in api.events({"kind": "full_resync"}): ...
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlencode

from tap.control.announcement import announced
from tap.control.door import TOKEN
from tap.errors import ConfigError, EnvironmentFailure, TapError, words
from tap.url import Address, relative_socket

PORT = 6474  # if an address has none
SECONDS = 10.0  # for an answer; POST /v1/wait takes its own time beside it
LARGEST = 64 * 2**20  # bytes of an answer
LONGEST_LINE = 2**20  # bytes of a line of an event stream

Query = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """An answer of the API, also one that refuses. said: its JSON. place: where it is among the events."""

    status: int
    said: Any
    place: str


class StreamedEvent(NamedTuple):
    """kind: the event's, or lost. said: its JSON. place: after it, "" for one that has none. No kind: only a place."""

    kind: str
    said: Any
    place: str


class ApiClient:
    """One connection. ask() and events() raise EnvironmentFailure if the tap does not answer."""

    def __init__(
        self,
        api: str,
        token: str | None = None,
        *,
        cacert: str | None = None,
        cert: str | None = None,
        key: str | None = None,
    ) -> None:
        """api: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH. cacert, cert, key: paths, for https.

        Raises ConfigError for an address that is none, and for a certificate that cannot be read.
        """
        self.api = api
        self._token = token
        scheme, _, rest = api.rpartition("://")
        address = relative_socket(rest) or Address.parse(rest.rstrip("/"), default_port=PORT)
        if scheme not in ("", "http", "https"):
            raise ConfigError(f"{api}: an API is at http://HOST:PORT, https://HOST:PORT or unix:PATH")
        if scheme != "https" and (cacert or cert or key):
            raise ConfigError(f"{api}: certificates are for https://; without TLS none is used")
        if address.path:
            self._http: http.client.HTTPConnection = _OverUnix(address.path)
        elif scheme == "https":
            self._http = http.client.HTTPSConnection(
                address.host, address.port, timeout=SECONDS, context=_context(cacert, cert, key)
            )
        else:
            self._http = http.client.HTTPConnection(address.host, address.port, timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ask(
        self, method: str, path: str, body: Any = None, *, within: float = SECONDS, allowed: Sequence[int] = ()
    ) -> ApiAnswer:
        """One request. within: seconds for the answer. allowed: refusals that are returned.

        Raises ConfigError with the API's sentence for any other refusal, EnvironmentFailure if the tap cannot answer.
        """
        with contextlib.closing(self._request(method, path, body, within)) as response:
            said = self._json(response)
        if response.status >= 400 and response.status not in allowed:
            raise self._refusal(response.status, said)
        return ApiAnswer(response.status, said, self._place(response))

    def events(self, query: Query) -> Iterator[StreamedEvent]:
        """What /v1/events sends, until the tap ends. query: kind, link, after."""
        response = self._request("GET", f"/v1/events?{urlencode(query, doseq=True)}", None, 2 * SECONDS)
        with contextlib.closing(response):
            if response.status != 200:
                raise self._refusal(response.status, self._json(response))
            self._place(response)
            yield from self._streamed(response)

    def _streamed(self, response: http.client.HTTPResponse) -> Iterator[StreamedEvent]:
        kind, data, place = "", "", ""
        while True:
            with self._failing():
                raw = response.readline(LONGEST_LINE)
            if not raw:
                return
            if len(raw) == LONGEST_LINE:
                raise self._foreign
            name, _, value = raw.decode(errors="replace").rstrip("\r\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = value
            elif name == "id":
                place = value
            elif not name:
                if kind or place:
                    yield StreamedEvent(kind, self._object(data) if data else None, place)
                kind, data, place = "", "", ""

    def _json(self, response: http.client.HTTPResponse) -> Any:
        with self._failing():
            text = response.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise EnvironmentFailure(f"{self.api}: the answer has more than {LARGEST} bytes")
        try:
            return json.loads(text) if text else None
        except (ValueError, RecursionError):
            raise self._foreign from None

    def _object(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise self._foreign from None
        if not isinstance(found, dict):
            raise self._foreign
        return found

    def _place(self, response: http.client.HTTPResponse) -> str:
        """Where the answer is among the events. Only a tap says that, so it also tells a tap from other servers."""
        place = response.getheader("Event-ID")
        if place is None:
            raise self._foreign
        return place

    def _request(self, method: str, path: str, body: Any, within: float) -> http.client.HTTPResponse:
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        sent = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            sent = json.dumps(body).encode()
        with self._failing():
            self._http.timeout = within
            if self._http.sock is not None:
                self._http.sock.settimeout(within)
            self._http.request(method, path, sent, headers)
            return self._http.getresponse()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Turns what a connection may end with into EnvironmentFailure."""
        try:
            yield
        except TimeoutError:
            raise EnvironmentFailure(f"{self.api}: the tap does not answer") from None
        except ssl.SSLError as error:
            if error.reason == "WRONG_VERSION_NUMBER":
                raise EnvironmentFailure(f"{self.api}: what answers there speaks no TLS: write http://") from None
            raise EnvironmentFailure(f"{self.api}: {error.reason or error}") from None
        except OSError as error:
            raise EnvironmentFailure(f"{self.api}: {words(error)}: does a tap with --api run there?") from None
        except http.client.HTTPException:
            raise self._foreign from None

    @property
    def _foreign(self) -> TapError:
        return EnvironmentFailure(f"{self.api}: what answers there is not the API of a redis-tap")

    def _refusal(self, status: int, said: Any) -> TapError:
        sentence = said.get("error") if isinstance(said, dict) else None
        if not isinstance(sentence, str):
            return self._foreign
        if status == 401:
            return ConfigError(f"{self.api}: {sentence}; set {TOKEN} here, too")
        return EnvironmentFailure(sentence) if status >= 500 else ConfigError(sentence)


class _OverUnix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _context(cacert: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cacert)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigError(f"{cert or cacert}: cannot be used: {words(error)}") from None
    return context


def the_tap(environment: Mapping[str, str] = os.environ) -> str:
    """The API of the one tap that runs on this machine. Raises ConfigError for several, EnvironmentFailure for none."""
    found = announced(environment)
    if not found:
        raise EnvironmentFailure(
            "no tap with an API runs on this machine, as far as this user can see: start one with "
            "redis-tap run --api 127.0.0.1:6474, or say where it is with --api"
        )
    if len(found) > 1:
        which = "; ".join(f"{one.api} (process {one.pid}: {', '.join(one.links) or 'no link'})" for one in found)
        raise ConfigError(f"{len(found)} taps with an API run on this machine: name one with --api: {which}")
    return found[0].api


def name_in_path(name: str) -> str:
    """A name as a segment of a path."""
    return quote(name, safe="")
