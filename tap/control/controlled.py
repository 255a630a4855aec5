"""What this room may ask of a tap, and what its routes share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from tap.bus import Bus
from tap.config import Config, LinkConfig
from tap.config.config import Redact
from tap.control.event_ids import event_id
from tap.control.ledger import Ledger
from tap.control.link_samples import LinkSamples
from tap.faults.plan import Plan
from tap.kept_events import KeptEvents
from tap.recorder.recorder import Recorder
from tap.relay.listener import Listener
from tap.status import Status
from tap.verdict.loops import Loops


class Controlled(Protocol):
    """The parts of a tap.tap.Tap that routes use. tap.tap imports this room, so this room cannot import tap.tap."""

    bus: Bus
    faults: Plan
    loops: Loops
    kept_events: KeptEvents

    @property
    def config(self) -> Config: ...

    @property
    def listeners(self) -> Sequence[Listener]: ...

    @property
    def recorder(self) -> Recorder | None: ...

    def start_recording(
        self, path: Path | str, *, without_rdb: bool = False, redact: Iterable[Redact] = ()
    ) -> Recorder: ...

    async def stop_recording(self) -> Recorder: ...

    def status(self, most: int | None = None) -> Status: ...

    async def add_link(self, link: LinkConfig) -> Listener: ...

    async def remove_link(self, name: str) -> None: ...

    async def change_link(self, name: str, /, **options: Any) -> Listener: ...


@dataclass
class Streams:
    """Figures of the event streams, and what they share.

    opened: so far. dropped: clients. lost: events that clients missed because they read too slowly. rendered: the lines
    of the last events, by number.
    """

    open: int = 0
    opened: int = 0
    dropped: int = 0
    lost: int = 0
    rendered: dict[int, str] = field(default_factory=dict)


class Shared:
    """What the routes of one API share.

    ending: set when the tap ends; a route that waits has to return then. run: drawn at each start, see event_ids.py.
    waits: requests of /v1/wait in progress. ledger: what has happened on each link so far.
    """

    def __init__(self, tap: Controlled) -> None:
        self.tap = tap
        self.run = secrets.token_hex(4)
        self.ending = asyncio.Event()
        self.streams = Streams()
        self.waits = 0
        self.ledger = Ledger()
        self.samples = LinkSamples(tap.status)
        self._on_end: list[Callable[[], object]] = []

    def on_end(self, call: Callable[[], object]) -> Callable[[], None]:
        """Call this when the tap ends. Returns a function that takes that back."""
        self._on_end.append(call)
        return lambda: self._on_end.remove(call)

    @property
    def place(self) -> str:
        """The ID of the place after the last event."""
        return event_id(self.run, self.tap.kept_events.end)

    def end(self) -> None:
        self.ending.set()
        for call in tuple(self._on_end):
            call()


def _shared(request: Request) -> Any:
    return request.app.state.shared


# Parameters of routes: `async def links(tap: TheTap) -> ...`.
Sharing = Annotated[Shared, Depends(_shared)]


def _tap(request: Request) -> Any:
    return request.app.state.shared.tap


TheTap = Annotated[Controlled, Depends(_tap)]
