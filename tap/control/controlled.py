"""What this room may ask of a tap, and what its routes share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from tap.bus import Bus
from tap.config import Config
from tap.faults.plan import Plan
from tap.recorder.recorder import Recorder
from tap.relay.listener import Listener
from tap.status import Status
from tap.verdict.loops import Loops


class Controlled(Protocol):
    """The parts of a tap.tap.Tap that routes use. tap.tap imports this room, so this room cannot import tap.tap."""

    config: Config
    bus: Bus
    faults: Plan
    loops: Loops

    @property
    def listeners(self) -> Sequence[Listener]: ...

    @property
    def recorder(self) -> Recorder | None: ...

    def status(self, most: int | None = None) -> Status: ...


class Shared:
    """What the routes of one API share. ending: set when the tap ends; a route that waits has to return then."""

    def __init__(self, tap: Controlled) -> None:
        self.tap = tap
        self.ending = asyncio.Event()


def _shared(request: Request) -> Any:
    return request.app.state.shared


# Parameters of routes: `async def links(tap: TheTap) -> ...`.
Sharing = Annotated[Shared, Depends(_shared)]


def _tap(request: Request) -> Any:
    return request.app.state.shared.tap


TheTap = Annotated[Controlled, Depends(_tap)]
