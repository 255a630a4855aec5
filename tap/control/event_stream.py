"""/v1/events: what happens, as server-sent events.

A stream has no queue of its own. It remembers the number of the next event, and takes what is new from the tap's kept
events, which all streams share. So a client that reads slowly costs 64 KiB in its socket, however many events there are;
what it has missed when it reads on, the numbers say, and it gets a `lost` event. A client that takes nothing for
STALL_SECONDS is dropped, and counted. Only kinds of the COUNTLESS ones (command, rdb_key, ack), which are not kept, go
through a queue: for a client that names them, of HIGH_VOLUME events and HIGH_VOLUME_BYTES.

    id: 5f3a9c01-17        the place after this event; EventSource sends it as Last-Event-ID when it comes back
    event: full_resync     the kind
    data: {...}            the event, as in --ui json

    event: lost
    data: {"count": 812}   events of all kinds and links that this client missed here; null: this is another tap

What many streams cost the links. Each event is rendered once for all of them. And they do not send at the same moment,
which would keep the event loop from the links for 2 ms with twenty of them: after an event each waits for a few
milliseconds of its own, and then sends in one piece what has come by then.

A client hears its ID again once it has heard all that was kept, and every PULSE_SECONDS in which nothing happens for it.
EventSource does not report that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Collection, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from tap.bus import COUNTLESS, EVENT_BYTES, Told, memory_of
from tap.conditions import check_link, check_reported, event_named
from tap.control.controlled import Shared, Sharing
from tap.control.event_ids import event_id, place
from tap.control.json_answers import JsonAnswer, Refusal
from tap.replication.events import Event, json_line

router = APIRouter(prefix="/v1/events", tags=["events"])

MOST_STREAMS = 128
BATCH = 50  # events between two turns of the links
PAUSE_SECONDS = 0.01  # from an event to the first stream that sends it
STAGGER_SECONDS = 0.002  # from one stream to the next
STAGGERED = 25  # streams, after which they share their moments
PULSE_SECONDS = 15.0
STALL_SECONDS = 30.0
RETRY_MILLISECONDS = 1000  # after which EventSource comes back
RENDERED = 100  # events, for streams that send them at nearly the same time
HIGH_VOLUME = 1000
HIGH_VOLUME_BYTES = 2**20


class StreamsAnswer(BaseModel):
    """The streams of /v1/events."""

    open: int
    dropped: int = Field(description=f"Clients that took nothing for {STALL_SECONDS:g} seconds, so far")
    lost: int = Field(description="Events that open and former clients missed because they read too slowly, so far")
    last: str = Field(description="The ID of the place after the last event")


class Wanted:
    """The filter of one stream. Raises ConfigError for a kind or link that can never come."""

    def __init__(self, shared: Shared, kinds: Collection[str], links: Collection[str]) -> None:
        config = shared.tap.config
        self.kinds: tuple[type[Event], ...] = tuple(event_named(name) for name in kinds)
        for kind in self.kinds:
            check_reported(kind, every_command=config.every_command, every_key=config.every_key)
        if not any(one.config.transparent for one in shared.tap.listeners):
            for link in links:
                check_link(link, [one.config.name for one in shared.tap.listeners])
        self.links = frozenset(links)
        self.high_volume = tuple(one for one in COUNTLESS if one in self.kinds)

    def __call__(self, told: Told) -> bool:
        if self.links and told.link and told.link not in self.links:  # what concerns the whole tap has no link
            return False
        return not self.kinds or isinstance(told.event, self.kinds)


class EventStream(Response):
    """The answer of one stream, until its client leaves or the tap ends."""

    media_type = "text/event-stream"

    def __init__(self, shared: Shared, wanted: Wanted, after: str | None, end: Any) -> None:
        """end: called to cut the connection off."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._shared = shared
        self._kept = shared.tap.kept_events
        self._wanted = wanted
        self._end = end
        start = place(after, shared.run, self._kept)
        self._next = start.number
        self._lost: int | None = start.lost
        self._has_caught_up = False  # has been sent, or passed over, all that was kept when it came
        self._wake = asyncio.Event()
        self._high_volume: deque[tuple[Told, int]] = deque()
        self._bytes = 0
        self._pause = PAUSE_SECONDS + shared.streams.opened % STAGGERED * STAGGER_SECONDS

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        streams = self._shared.streams
        streams.open += 1
        streams.opened += 1
        left = asyncio.create_task(_disconnected(receive), name="event stream: client")
        left.add_done_callback(lambda _: self._wake.set())
        unsubscribe = self._shared.tap.bus.subscribe(
            self._hear, without=[one for one in COUNTLESS if one not in self._wanted.high_volume]
        )
        ending = self._shared.on_end(self._wake.set)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send(send, f"retry: {RETRY_MILLISECONDS}\n{self._pulse()}")
            while not left.done() and not self._shared.ending.is_set():
                self._wake.clear()
                text = "".join(self._news())
                if text:
                    await self._send(send, text)
                    await asyncio.sleep(0)  # to a client that keeps up, send() does not wait
                    continue
                if self._next < self._kept.end or self._high_volume:  # a batch without a line for this client
                    await asyncio.sleep(0)
                    continue
                if not self._has_caught_up:
                    self._has_caught_up = True
                    await self._send(send, self._pulse())
                    continue
                try:
                    async with asyncio.timeout(PULSE_SECONDS):
                        await self._wake.wait()
                        await asyncio.sleep(self._pause)
                except TimeoutError:
                    await self._send(send, self._pulse())
            if not left.done():
                await self._send(send, "".join(self._news()))
                await send({"type": "http.response.body", "body": b""})
        except _Stalled:
            streams.dropped += 1
            self._end()
        finally:
            streams.open -= 1
            ending()
            unsubscribe()
            left.cancel()
            await asyncio.wait([left])

    def _hear(self, told: Told) -> None:
        if type(told.event) in COUNTLESS and self._wanted(told):
            size = EVENT_BYTES + memory_of(told.event)
            if len(self._high_volume) >= HIGH_VOLUME or self._bytes + size > HIGH_VOLUME_BYTES:
                self._miss(1)
                return
            self._high_volume.append((told, size))
            self._bytes += size
        self._wake.set()

    def _miss(self, count: int) -> None:
        self._shared.streams.lost += count
        if self._lost is not None:
            self._lost += count

    def _news(self) -> Iterator[str]:
        """The next lines, of BATCH events at most."""
        first = self._kept.first
        if self._next < first:
            self._miss(first - self._next)
            self._next = first
        if self._lost != 0:
            lost, self._lost = self._lost, 0
            yield f"event: lost\n{_data(json.dumps({'count': lost}))}"
        news = self._kept.since(self._next, BATCH)
        queued = [self._high_volume.popleft() for _ in range(min(BATCH, len(self._high_volume)))]
        self._bytes -= sum(size for _, size in queued)
        found: list[tuple[Told, int | None]] = [(told, number) for number, told in news if self._wanted(told)]
        found += [(told, None) for told, _ in queued]
        if queued:
            found.sort(key=lambda one: one[0].time)
        if news:
            self._next = news[-1][0] + 1
        for told, number in found:
            yield _lines(told) if number is None else self._rendered(told, number)

    def _rendered(self, told: Told, number: int) -> str:
        """The lines of a kept event, as rendered for the first stream that sends it."""
        rendered = self._shared.streams.rendered
        if number not in rendered:
            if len(rendered) >= RENDERED:
                rendered.clear()
            rendered[number] = f"id: {event_id(self._shared.run, number + 1)}\n{_lines(told)}"
        return rendered[number]

    def _pulse(self) -> str:
        return f"id: {event_id(self._shared.run, self._next)}\n\n"

    @staticmethod
    async def _send(send: Send, text: str) -> None:
        """Raises _Stalled if the client does not take it."""
        if not text:
            return
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        except TimeoutError:
            raise _Stalled from None


class _Stalled(Exception):
    """The client takes nothing."""


async def _disconnected(receive: Receive) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass


def _lines(told: Told) -> str:
    return f"event: {told.event.kind}\n{_data(json_line(told.as_dict()))}"


def _data(line: str) -> str:
    """JSON has no line breaks of its own, so one line takes it."""
    return f"data: {line}\n\n"


@router.get(
    "",
    response_class=EventStream,
    status_code=200,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The stream"}},
    summary="What happens from now on, or after an event, as server-sent events",
)
async def stream_events(
    request: Request,
    shared: Sharing,
    kind: Annotated[
        list[str] | None, Query(description="Only events of this kind; may be repeated", max_length=100)
    ] = None,
    link: Annotated[
        list[str] | None, Query(description="Only events of this link; may be repeated", max_length=100)
    ] = None,
    after: Annotated[
        str | None, Query(max_length=100, description="An event's ID, start for all that is kept, or now")
    ] = None,
    last_event_id: Annotated[str | None, Header(max_length=100, description="As after=; sent by EventSource")] = None,
) -> Any:
    if shared.streams.open >= MOST_STREAMS:
        raise Refusal(503, f"{MOST_STREAMS} event streams are open, which is the most")
    wanted = Wanted(shared, kind or (), link or ())
    return EventStream(shared, wanted, last_event_id or after, request.state.cut_off)


@router.get("/streams", response_model=StreamsAnswer, summary="How many streams are open, and what they have lost")
async def show_streams(shared: Sharing) -> Any:
    streams = shared.streams
    return JsonAnswer({"open": streams.open, "dropped": streams.dropped, "lost": streams.lost, "last": shared.place})
