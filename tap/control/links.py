"""/v1/links: how every link and connection stands at this moment."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from tap.control.controlled import Shared, Sharing
from tap.control.json_answers import NOT_FOUND, JsonAnswer, Refusal
from tap.control.link_answers import LinkAnswer, LinksAnswer, link_json
from tap.errors import did_you_mean
from tap.status import LinkStatus

router = APIRouter(prefix="/v1/links", tags=["links"])

MOST = 1000  # connections in one answer: they take about 5 ms of the event loop
Most = Annotated[int, Query(ge=0, le=MOST, description="The number of connections to describe, the oldest first")]


@router.get("", response_model=LinksAnswer, summary="Every link with its connections")
async def list_links(shared: Sharing, connections: Most = 100) -> Any:
    status = shared.tap.status(connections)
    return JsonAnswer({"time": status.time, "links": [_answer(shared, one) for one in status.links]})


@router.get("/{name}", response_model=LinkAnswer, responses=NOT_FOUND, summary="One link with its connections")
async def show_link(shared: Sharing, name: Annotated[str, Path(max_length=200)], connections: Most = 100) -> Any:
    for one in shared.tap.listeners:
        if one.config.name == name:
            return JsonAnswer(_answer(shared, one.status(connections)))
    names = [one.config.name for one in shared.tap.listeners]
    raise Refusal(404, f"no link is named {name!r}; known: {', '.join(names)}.{did_you_mean(name, names)}")


def _answer(shared: Shared, status: LinkStatus) -> dict[str, Any]:
    tap = shared.tap
    listening = {one.config.name: one.is_listening for one in tap.listeners}
    names = {status.name, *(one.link for one in status.connections)}  # those of a transparent link have their masters'
    verdicts = [one.as_dict() for one in tap.loops.verdicts if one.link in names]
    return link_json(status, is_listening=listening[status.name], verdicts=verdicts, ledger=shared.ledger)
