"""What an examination of a pair found, for a person and as JSON."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tap.console import figures
from tap.console.terminal import Terminal, Text, Words
from tap.operate.doctor.check import WORST_FIRST, Finding
from tap.operate.doctor.examination import Examination
from tap.operate.doctor.pair_facts import ReplicaFacts, ServerFacts
from tap.replication.events import json_line as as_json

STYLES = {"broken": "bold red", "warning": "yellow", "note": "cyan"}
KEEP = "CONFIG SET lasts until the server restarts: CONFIG REWRITE writes it to its file."
WIDEST = 120  # columns of a sentence


def show(done: Examination) -> None:
    """Write it to stdout, the worst first, and how the pair stands at the end."""
    console = Terminal()
    # Commands are never wrapped, because they are to be pasted; all other text only on a terminal.
    width = min(console.width, WIDEST) if console.is_terminal else 0
    for line in lines(done, width):
        console.print(line, soft_wrap=True)


def lines(done: Examination, width: int = 0) -> Iterator[Text]:
    """width: columns at which all text but commands is wrapped; 0: nowhere."""
    for finding in done.findings:
        yield from _finding(finding, width)
        yield Words()
    if any("CONFIG SET" in line for one in done.findings for line in one.remedy):
        yield from _wrapped(KEEP, width, "")
        yield Words()
    yield from _wrapped(f"master {_master(done)}", width, "", "  ")
    for replica in done.facts.replicas:
        yield from _wrapped(f"replica {_replica(done, replica)}", width, "", "  ")
    counts = [(one, sum(finding.severity == one for finding in done.findings)) for one in WORST_FIRST]
    said = ", ".join(f"{count} broken" if one == "broken" else figures_of(count, one) for one, count in counts if count)
    verdict = {
        True: ("healthy: nothing is broken", "green"),
        False: ("not healthy", STYLES["broken"]),
        None: (
            "nothing broken was found, but not everything could be read",
            STYLES["warning"],
        ),
    }[done.healthy]
    yield Words.assemble(verdict, f" ({said})" if said else "")


def figures_of(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _finding(finding: Finding, width: int) -> Iterator[Text]:
    yield Words.assemble(
        (finding.severity.upper().ljust(8), STYLES[finding.severity]), f"{finding.server}  ", (finding.code, "bold")
    )
    yield from _wrapped(finding.text, width, "  ")
    for one in finding.evidence:
        yield from _wrapped(f"{one.what}: {one.value}  ({one.source})", width, "    ", "      ", "dim")
    for command in finding.remedy:
        yield Words(f"  {command}", "" if command.startswith("#") else "bold")


def _wrapped(text: str, width: int, indent: str, further: str | None = None, style: str = "") -> list[Text]:
    """further: the indent of all lines but the first, if it is another one. style: of all lines."""
    if not width:
        return [Words(indent + text, style)]
    found = textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_on_hyphens=False,
    )
    return [Words(line, style) for line in found]


def _master(done: Examination) -> str:
    facts = done.facts
    master = facts.master
    parts = [f"{master.name}: {master.version}"]
    if facts.peak_rate:
        parts.append(
            f"wrote up to {figures.size(facts.peak_rate)}/s, {figures.size(facts.mean_rate)}/s on average, in "
            f"{figures.seconds(facts.watched)}"
        )
    backlog = master.number("repl-backlog-size")
    if backlog is not None:
        covers = f" ({figures.seconds(backlog / facts.peak_rate)} at that peak)" if facts.peak_rate else ""
        parts.append(f"backlog {figures.size(backlog)}{covers}")
    memory = master.field_number("used_memory")
    if memory is not None:
        parts.append(f"{figures.size(memory)} in memory")
    parts.append(figures_of(master.replication.connected_slaves, "replica"))
    return ", ".join(parts)


def _replica(done: Examination, replica: ReplicaFacts) -> str:
    server = replica.server
    if not server.is_up:
        return f"{server.name}: {server.failure}"
    state = server.replication
    if state.master is None:
        return f"{server.name}: {server.version}, follows no master"
    standing = f"{server.name}: {server.version}, follows {state.master}, link {state.master_link_status}"
    lag = _lag(done, replica)
    return standing if lag is None else f"{standing}, {figures.size(lag)} to go at the end of the watch"


def _lag(done: Examination, replica: ReplicaFacts) -> int | None:
    """By the master's last sample, which has the ACK of the same moment."""
    if not done.facts.samples or replica.listed is None:
        return None
    last = done.facts.samples[-1].info.replication
    mine = [one for one in last.replicas if (one.host, one.port) == (replica.listed.host, replica.listed.port)]
    return last.master_repl_offset - mine[0].offset if mine else None


def json_object(done: Examination) -> str:
    """One object; its findings have the fields of Finding."""
    facts = done.facts
    return as_json(
        {
            "healthy": done.healthy,
            "findings": [dataclasses.asdict(one) for one in done.findings],
            "lacking": [one.text for one in done.lacking],
            "master": _server(facts.master),
            "replicas": [
                {
                    **_server(one.server),
                    "given": one.given,
                    "link": one.server.replication.master_link_status if one.server.is_up else None,
                    "lag_bytes": _lag(done, one),
                }
                for one in facts.replicas
            ],
            "watched_seconds": facts.watched,
            "peak_bytes_per_second": facts.peak_rate,
            "mean_bytes_per_second": facts.mean_rate,
        }
    )


def _server(server: ServerFacts) -> dict[str, Any]:
    state = server.replication if server.is_up else None
    return {
        "address": server.name,
        "failure": server.failure,
        "version": server.version if server.is_up else None,
        "role": state and state.role,
        "replication_id": state and state.master_replid,
        "offset": state and state.master_repl_offset,
    }


class WatchingBar:
    """A bar on stderr for the seconds that the master is watched, if that is a terminal."""

    def __init__(self, seconds: float) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeRemainingColumn(),
            console=Terminal(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        # With the bar this leaves room in 80 columns: the terminal's echo of Ctrl-C must not begin another line.
        self._task = self._progress.add_task("watching the master", total=seconds)

    def advance(self, seconds: float) -> None:
        self._progress.update(self._task, completed=seconds)

    def __enter__(self) -> WatchingBar:
        if self._progress.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.console.is_terminal:  # it would end a line that it has not begun
            self._progress.stop()
