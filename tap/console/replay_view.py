"""The view of a recording that is played to replicas."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime

from rich.console import RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from tap.bus import Told
from tap.console.figures import seconds, size
from tap.console.lines import log_line
from tap.console.terminal import Terminal, lines
from tap.replay import ReplayMaster
from tap.replay.replica import Replica
from tap.replication.phase import Phase

BAR = 30  # columns at the most, if there is room for them beside the words
# Columns left for the ^C that a terminal echoes: it would wrap a full line, and rich would then erase one line too few.
ECHO = 2
REFRESHES = 4  # a second
RATE_SECONDS = 2.0  # over which a rate is taken


def announcement(master: ReplayMaster) -> str:
    """What will be played, and the command with which a replica follows."""
    parts = master.parts
    stream = sum(part.end - part.offset for part in parts)
    rdbs = "an RDB" if len(parts) == 1 else f"{len(parts)} RDBs"
    versions = ", ".join(dict.fromkeys(part.rdb_version for part in parts))
    began = datetime.fromtimestamp(parts[0].began / 1e9).astimezone().isoformat(timespec="seconds")
    lasted = sum(part.ended - part.began for part in parts) / 1e9
    address = master.address
    return (
        f"listening on {address} as the master of {rdbs} ({size(sum(part.rdb_size for part in parts))}, {versions}) and "
        f"{size(stream)} of the stream, up to offset {parts[-1].end}, of {seconds(lasted)} from {began} on; "
        f"on the replica: REPLICAOF {address.to_dial} {address.port}"
    )


class ReplayView:
    """A bar for the recording and a line for each replica, with events scrolling above them."""

    def __init__(self, master: ReplayMaster, console: Terminal) -> None:
        self._master = master
        self._console = console
        self._samples: deque[tuple[float, int]] = deque()  # times and offsets
        self._live = Live(get_renderable=self.draw, console=console, refresh_per_second=REFRESHES)

    def __enter__(self) -> ReplayView:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, told: Told) -> None:
        """Take an event, as an observer of the bus."""
        line = log_line(told)
        if line is not None:
            self._console.print(lines(line), soft_wrap=True)

    def draw(self) -> RenderableType:
        master = self._master
        part = master.part
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(max_width=BAR)
        table.add_column(no_wrap=True)
        played, whole = min(master.offset, part.end) - part.offset, part.end - part.offset
        number = master.parts.index(part) + 1
        name = "played" if len(master.parts) == 1 else f"played of {number}/{len(master.parts)}"
        table.add_row(
            name,
            ProgressBar(total=max(1, whole), completed=played if whole else 1),
            f"{size(played)} of {size(whole)}, offset {master.offset}, {size(self._rate(master.offset))}/s{self._left()}",
        )
        for replica in tuple(master.replicas):
            if replica.is_follower:
                table.add_row(replica.name, *self._row(replica))
        return Constrain(table, self._console.width - ECHO)

    def _row(self, replica: Replica) -> tuple[RenderableType, str]:
        part = self._master.part
        if replica.phase is Phase.RDB:
            bar = ProgressBar(total=max(1, part.rdb_size), completed=replica.rdb_sent)
            return bar, f"RDB: {size(replica.rdb_sent)} of {size(part.rdb_size)}"
        if replica.acknowledged is None:
            return "", "loads the RDB" if replica.phase is Phase.LOADING else "has not acknowledged yet"
        whole, held = part.end - part.offset, min(replica.acknowledged, part.end) - part.offset
        bar = ProgressBar(total=max(1, whole), completed=held if whole else 1)
        return (
            bar,
            f"acknowledged {replica.acknowledged}, {size(max(0, self._master.offset - replica.acknowledged))} behind",
        )

    def _rate(self, offset: int) -> float:
        """Bytes per second."""
        samples = self._samples
        samples.append((time.monotonic(), offset))
        while samples[-1][0] - samples[0][0] > RATE_SECONDS:
            samples.popleft()
        (began, first), (now, last) = samples[0], samples[-1]
        return max(0.0, (last - first) / (now - began)) if now > began else 0.0

    def _left(self) -> str:
        left = self._master.seconds_left
        if left is None:
            return ", begins once a replica has the RDB"
        return f", {seconds(left)} to go" if left > 0 else ", at the end" if self._master.is_over else ""
