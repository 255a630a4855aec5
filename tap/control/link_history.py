"""/v1/history: lag and throughput of every link over the last half hour, for charts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tap.control.controlled import Sharing
from tap.control.json_answers import JsonAnswer
from tap.control.link_samples import CONNECTIONS, INTERVAL, LinkSample

router = APIRouter(prefix="/v1/history", tags=["statistics"])


class HistoryAnswer(BaseModel):
    interval: float = Field(description="Seconds between two samples")
    links: dict[str, list[LinkSample]] = Field(
        description="By link, oldest first: seconds since the epoch; the lag in bytes of the replica that lags most, "
        f"null if none is known; bytes per second from the master. Of the first {CONNECTIONS} connections of each link"
    )


@router.get("", response_model=HistoryAnswer, summary="Lag and throughput of every link over the last half hour")
async def show_history(
    shared: Sharing,
    after: Annotated[float, Query(description="Only samples after this time, in seconds since the epoch")] = 0.0,
) -> Any:
    links = {name: [one for one in found if one.time > after] for name, found in shared.samples.links.items()}
    return JsonAnswer({"interval": INTERVAL, "links": links})
