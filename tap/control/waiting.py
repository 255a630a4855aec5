"""/v1/wait: answers when an event happens, or with what happened instead. Tests of any language need not sleep."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from tap.bus import COUNTLESS, Told
from tap.conditions import check, matches
from tap.control.controlled import Sharing
from tap.control.event_ids import event_id, place
from tap.control.event_stream import Wanted
from tap.control.json_answers import JsonAnswer, Refusal
from tap.errors import ConfigError
from tap.units import parse_duration

router = APIRouter(prefix="/v1/wait", tags=["events"])

MOST_SECONDS = 3600.0
MOST_WAITS = 128
SHOWN = 10  # events that happened instead
LONGEST_TEXT = 200  # characters; a glob is compiled in the loop that carries the links
MOST_CONDITIONS = 20
EXAMPLES: Any = [{"event": "full_resync", "where": {"reason.code": "offset_*"}, "within": "10s"}]

Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]


class Wait(BaseModel):
    """What to wait for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": EXAMPLES})

    event: Text | list[Text] = Field(description="The kind, or several: full_resync", max_length=100)
    where: dict[Text, StrictBool | int | float | Text] = Field(
        {},
        description="Required values of its fields, text as a glob: {'reason.code': 'offset_*'}",
        max_length=MOST_CONDITIONS,
    )
    link: str | None = Field(None, description="Only of this link", max_length=300)
    within: float | Text = Field(10.0, description="Seconds, or text with a unit: 500ms")
    after: str | None = Field(
        None,
        max_length=100,
        description="From where on: the ID of an event, start for all that is kept, or now, the default. Every answer of "
        "this route has an ID to go on with, and each answer of this API has the present one in its header Event-ID",
    )


class FoundAnswer(BaseModel):
    event: dict[str, Any] = Field(description="The event, as in --ui json")
    id: str = Field(description="The place after it, for after in the next request")
    seconds: float = Field(description="How long this took; 0 if it had happened before")


class NotFoundAnswer(BaseModel):
    """It did not happen in time."""

    error: str = Field(description="What was waited for, and what happened instead")
    meanwhile: dict[str, int] = Field(description="How many events of each kind happened instead")
    last: list[dict[str, Any]] = Field(description="The last of these")
    lost: int | None = Field(description="Events between after and the oldest one that is kept; null: unknown")
    id: str


def _seconds(within: float | str) -> float:
    seconds = parse_duration(within) if isinstance(within, str) else within
    if not 0 <= seconds <= MOST_SECONDS:
        raise ConfigError(f"within {within}: up to an hour")
    return seconds


@router.post(
    "",
    response_model=FoundAnswer,
    responses={
        409: {"model": NotFoundAnswer, "description": "It did not happen in time"},
        503: {"model": NotFoundAnswer, "description": "The tap ended meanwhile"},
    },
    summary="Wait for an event",
)
async def wait(request: Request, shared: Sharing, asked: Annotated[Wait, Body()]) -> Any:
    kinds = [asked.event] if isinstance(asked.event, str) else asked.event
    if not kinds:
        raise ConfigError("event: name at least one kind, as full_resync")
    wanted = Wanted(shared, kinds, [] if asked.link is None else [asked.link])
    for kind in wanted.kinds:
        check(kind, asked.where)
    seconds = _seconds(asked.within)
    if shared.waits >= MOST_WAITS:
        raise Refusal(503, f"{MOST_WAITS} requests wait, which is the most")
    waiting = _Waiting(shared, wanted, asked)
    shared.waits += 1
    try:
        return await waiting.answer(request, seconds)
    finally:
        shared.waits -= 1


class _Waiting:
    """One request that waits."""

    def __init__(self, shared: Sharing, wanted: Wanted, asked: Wait) -> None:
        self._shared = shared
        self._kept = shared.tap.kept_events
        self._wanted = wanted
        self._asked = asked
        self._start = place(asked.after, shared.run, self._kept)
        self._meanwhile: Counter[str] = Counter()
        self._last: list[Told] = []

    def _fits(self, told: Told) -> bool:
        if self._wanted(told) and (self._asked.link in (None, told.link)) and matches(told, self._asked.where):
            return True
        self._meanwhile[told.event.kind] += 1
        if type(told.event) not in COUNTLESS:
            self._last = [*self._last[-SHOWN + 1 :], told]
        return False

    async def answer(self, request: Request, seconds: float) -> JsonAnswer:
        began = asyncio.get_running_loop().time()
        for number, told in self._kept.since(self._start.number):
            if self._fits(told):
                return self._found(told, number + 1, 0.0)
        found: asyncio.Future[tuple[Told, int] | None] = asyncio.get_running_loop().create_future()

        def hear(told: Told) -> None:
            if not found.done() and self._fits(told):
                found.set_result((told, self._kept.end))

        def end(*_: object) -> None:
            if not found.done():
                found.set_result(None)

        countless = [one for one in COUNTLESS if one not in self._wanted.high_volume]
        unsubscribe = self._shared.tap.bus.subscribe(hear, without=countless)
        ended = self._shared.on_end(end)
        left = asyncio.create_task(_left(request), name="wait: client")
        left.add_done_callback(end)
        try:
            async with asyncio.timeout(seconds):
                happened = await found
        except TimeoutError:
            return self._missed(409, f"no {self._names} within {seconds:g} s")
        finally:
            unsubscribe()
            ended()
            left.cancel()
            await asyncio.wait([left])
        if happened is None:
            return self._missed(503, f"the tap ended before a {self._names}")
        return self._found(*happened, asyncio.get_running_loop().time() - began)

    @property
    def _names(self) -> str:
        return " or ".join(one.kind for one in self._wanted.kinds)

    def _found(self, told: Told, end: int, seconds: float) -> JsonAnswer:
        return JsonAnswer({"event": told.as_dict(), "id": event_id(self._shared.run, end), "seconds": seconds})

    def _missed(self, status: int, text: str) -> JsonAnswer:
        others = ", ".join(f"{count} x {name}" for name, count in self._meanwhile.items()) or "nothing"
        text += f"; reported meanwhile: {others}"
        before = self._before()
        return JsonAnswer(
            {
                "error": text + before,
                "meanwhile": dict(self._meanwhile),
                "last": [one.as_dict() for one in self._last],
                "lost": self._start.lost,
                "id": self._shared.place,
            },
            status,
        )

    def _before(self) -> str:
        """A hint, if such an event had happened before the place from which this request waited."""
        for number, told in reversed(self._kept.since(0)):
            if number < self._start.number and self._wanted(told) and matches(told, self._asked.where):
                here = event_id(self._shared.run, number)
                return f'; one had happened before: "after": "{here}" includes it'
        return ""


async def _left(request: Request) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
