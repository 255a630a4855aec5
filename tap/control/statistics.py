"""/v1/stats: the commands of the streams by name, rates, and the backlog that an outage needs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tap.control.controlled import Sharing
from tap.control.json_answers import JsonAnswer
from tap.control.ledger import WINDOW, LinkLedger
from tap.errors import ConfigError
from tap.replication.inspected import Inspected
from tap.units import parse_duration
from tap.verdict import sizing

router = APIRouter(prefix="/v1/stats", tags=["statistics"])

OUTAGE = "60s"  # the backlog of which is advised for, unless another is asked for


class CommandStatsAnswer(BaseModel):
    name: str
    count: int
    bytes: int


class LinkStatsAnswer(BaseModel):
    """One link since the API opened."""

    link: str
    commands: list[CommandStatsAnswer] = Field(
        description="Of all its replicas' streams, so that two replicas count twice; most bytes first"
    )
    peak_rate: float | None = Field(
        description=f"Bytes per second of one stream in its busiest {WINDOW:g} s; null before these have passed"
    )
    mean_rate: float | None = Field(description="Bytes per second of the stream with the most bytes")
    longest_outage: float | None = Field(description="Seconds from the end of a replica's connection to its next resync")


class StatsAnswer(BaseModel):
    links: list[LinkStatsAnswer]


class BacklogAnswer(BaseModel):
    """How large the backlog of one link's master has to be."""

    link: str
    outage: float = Field(description="Seconds without a connection that are to cost no full resync")
    rate: float | None = Field(description="Bytes per second that the master writes, as measured; null: not known yet")
    known_from: str = Field(description="wire: peak_rate of the stream. mean: mean_rate, before a peak is known")
    margin: float = Field(description="Rates of tomorrow are not those of today")
    needed: int | None = Field(description="Bytes: rate x outage x margin")
    value: str | None = Field(description="As repl-backlog-size takes it")
    present: int | None = Field(description="Bytes of the backlog now; null without --inspect")
    is_enough: bool | None = Field(description="Whether present is at least needed; null if either is unknown")
    text: str = Field(description="All of this in a sentence")


class BacklogsAnswer(BaseModel):
    links: list[BacklogAnswer]


@router.get("", response_model=StatsAnswer, summary="Commands by name, and rates, of every link")
async def show_stats(
    shared: Sharing,
    link: Annotated[str | None, Query(max_length=200, description="Only of this link")] = None,
    most: Annotated[int, Query(ge=0, le=1000, description="The number of commands of each link")] = 50,
) -> Any:
    links = [_stats(name, one, most) for name, one in shared.ledger.links.items() if link in (None, name)]
    return JsonAnswer({"links": links})


@router.get("/backlog", response_model=BacklogsAnswer, summary="The repl-backlog-size that an outage needs")
async def advise_backlog(
    shared: Sharing,
    link: Annotated[str | None, Query(max_length=200, description="Only of this link")] = None,
    outage: Annotated[
        str, Query(max_length=50, description="The longest one that is to cost no full resync: 60s")
    ] = OUTAGE,
) -> Any:
    seconds = parse_duration(outage)
    if not 0 < seconds <= 86400 * 30:
        raise ConfigError(f"outage {outage}: a time above 0 is expected, up to 30d")
    said = {one.config.name: one.memory.inspected for one in shared.tap.listeners}
    names = [*said, *(name for name in shared.ledger.links if name not in said)]
    return JsonAnswer(
        {
            "links": [
                _advice(name, shared.ledger.links.get(name, LinkLedger()), said.get(name), seconds)
                for name in names
                if link in (None, name)
            ]
        }
    )


def _stats(name: str, ledger: LinkLedger, most: int) -> dict[str, Any]:
    return {
        "link": name,
        "commands": [
            {"name": command, "count": ledger.counts[command], "bytes": size}
            for command, size in ledger.sizes.most_common(most)
        ],
        "peak_rate": ledger.peak_rate,
        "mean_rate": ledger.mean_rate,
        "longest_outage": ledger.longest_outage,
    }


def _advice(name: str, ledger: LinkLedger, inspected: Inspected | None, outage: float) -> dict[str, Any]:
    rate = ledger.peak_rate if ledger.peak_rate is not None else ledger.mean_rate
    present = None if inspected is None else inspected.backlog_size
    need = None if rate is None else sizing.backlog(rate, outage)
    is_enough = None if need is None or present is None else present >= need.bytes
    if need is None:
        text = f"link {name}: nothing is known of its rate yet: a stream has to flow for a while"
    else:
        text = (
            f"link {name}: {need.rate:.0f} bytes/s x {outage:g} s x {need.margin:g} margin = {need.bytes} bytes: "
            f"repl-backlog-size {need.value}"
        )
    if is_enough is not None:
        text += (
            f". It is {present} bytes now, as the master's INFO says, which is {'enough' if is_enough else 'too small'}"
        )
    return {
        "link": name,
        "outage": outage,
        "rate": rate,
        "known_from": "wire" if ledger.peak_rate is not None else "mean",
        "margin": sizing.MARGIN,
        "needed": None if need is None else need.bytes,
        "value": None if need is None else need.value,
        "present": present,
        "is_enough": is_enough,
        "text": text,
    }
