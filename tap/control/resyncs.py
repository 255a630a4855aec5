"""/v1/resyncs: the resyncs of all replicas, with the reasons of the full ones."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tap.control.controlled import Sharing
from tap.control.json_answers import JsonAnswer
from tap.control.ledger import MAX_RESYNCS
from tap.control.link_answers import CountsAnswer, counts_json

router = APIRouter(prefix="/v1/resyncs", tags=["links"])


class ResyncAnswer(BaseModel):
    """An event `full_resync`, `partial_resync` or `resync_refused`, with all its fields."""

    model_config = ConfigDict(extra="allow")

    event: str
    time: float = Field(description="Seconds since the epoch")
    link: str
    connection: int
    replica: str
    caught_up: dict[str, Any] | None = Field(description="The event `caught_up` of a partial one, once it was reported")


class ResyncsAnswer(BaseModel):
    resyncs: list[ResyncAnswer] = Field(description="The last ones, oldest first")
    counts: dict[str, CountsAnswer] = Field(description="Since the API opened, by link; a link without any is not listed")


@router.get("", response_model=ResyncsAnswer, summary="The last resyncs, with the reasons of the full ones")
async def list_resyncs(
    shared: Sharing,
    link: Annotated[str | None, Query(max_length=200, description="Only of this link")] = None,
    kind: Annotated[
        str | None, Query(max_length=100, description="full_resync, partial_resync or resync_refused")
    ] = None,
    most: Annotated[int, Query(ge=0, le=MAX_RESYNCS, description="The number of resyncs, the newest ones")] = 100,
) -> Any:
    ledger = shared.ledger
    fits = (
        one
        for one in reversed(ledger.resyncs)
        if (link is None or one["link"] == link) and (kind is None or one["event"] == kind)
    )
    found = list(islice(fits, most))
    counts = {name: counts_json(one) for name, one in ledger.links.items() if one.resyncs and link in (None, name)}
    return JsonAnswer({"resyncs": found[::-1], "counts": counts})
