"""Events, and frames of the live view, for the tests of this room."""

from __future__ import annotations

import io
from typing import Any

from tap.bus import Told
from tap.console.picture import Frame, Happening, Line, Ranking
from tap.console.screen import draw
from tap.console.sentences import sentence
from tap.console.terminal import Terminal
from tap.replication import events
from tap.replication.events import Event, Reason, Side

ID = "8371a4ee67df5dfc0e22c0d4ab19dcd9e6a2b0c1"
FULL = events.FullResync(start=0, end=9, replid=ID, offset=7, reason=Reason(code="first_sync", text="it is new"))
COMMANDS = events.Commands(
    start=0,
    end=100,
    offset=107,
    count=4,
    bytes=100,
    by_name={"SET": events.Share(count=3, bytes=80), "PING": events.Share(count=1, bytes=20)},
    db=0,
    in_transaction=False,
)


def undialled(by: Side, how: str, text: str) -> events.LinkClosed:
    """The end of a link that never got to its master."""
    return events.LinkClosed(
        by=by,
        how=how,
        text=text,
        role=None,
        phase="connect",
        offset=None,
        bytes_from_master=0,
        bytes_from_replica=0,
    )


def told(event: Event) -> Told:
    return Told(1_790_000_000.25, "main", 3, "10.0.0.7:6379", event)


def drawn(frame: Frame, width: int, height: int) -> list[str]:
    console = Terminal(width=width, height=height, file=io.StringIO(), record=True, color_system=None)
    console.print(draw(frame, width, height))
    return console.export_text().splitlines()


def a_frame(*lines: Line) -> Frame:
    said = tuple(
        Happening(1_790_000_000.0 + number, "full_resync", "main", "10.0.0.7:6379", sentence(FULL) or "")
        for number in range(50)
    )
    first = (("SET", 3), ("PING", 1))
    rankings = (Ranking("commands by count", 4, first), Ranking("commands by bytes", 4, first, of_bytes=True))
    routes = (("127.0.0.1:6400", "10.0.0.5:6379"),)
    return Frame(routes, 1_790_000_060.0, 12.5, lines, rankings, said, rows=len(lines), replicas=len(lines))


def verdict(**fields: Any) -> events.Verdict:
    whole: dict[str, Any] = {
        "cause": "output_buffer",
        "count": 3,
        "period": 40.0,
        "by": Side.MASTER,
        "phase": "rdb",
        "bytes": 2**20,
        "seconds": 30.0,
        "server": "master",
        "setting": "client-output-buffer-limit",
        "value": "replica 310mb 310mb 60",
        "figures": {},
        "text": "the master ends each round",
    }
    return events.Verdict(**{**whole, **fields})
