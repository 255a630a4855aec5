"""A reader of server-sent events, as a browser's EventSource reads them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tap.url import Address
from tests.support import WITHIN


@dataclass(frozen=True)
class Said:
    """One event. id: the last ID that came with it or before it."""

    kind: str
    data: Any
    id: str


class EventSource:
    """One stream. id: the last one heard."""

    def __init__(self, address: Address, query: str = "", last: str | None = None) -> None:
        self._http = http.client.HTTPConnection(address.host, address.port, timeout=WITHIN)
        headers = {} if last is None else {"Last-Event-ID": last}
        self._http.request("GET", f"/v1/events{query}", headers=headers)
        self.answer = self._http.getresponse()
        self.id = ""
        self.retry: int | None = None

    def __iter__(self) -> Iterator[Said]:
        kind, data = "", ""
        for line in self.answer:
            name, _, value = line.decode().rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                self.id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data += value
            elif name == "retry":
                self.retry = int(value)
            elif not name and data:
                yield Said(kind, json.loads(data), self.id)
                kind, data = "", ""

    def take(self, count: int) -> list[Said]:
        """The next ones."""
        events = iter(self)
        return [next(events) for _ in range(count)]

    def begin(self) -> str:
        """Read up to the first ID."""
        while not self.id:
            name, _, value = self.answer.readline().decode().rstrip("\n").partition(": ")
            if name == "id":
                self.id = value
        return self.id

    def close(self) -> None:
        self.answer.close()
        self._http.close()
