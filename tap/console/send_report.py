"""The progress of sending a recording to a server, and the result."""

from __future__ import annotations

from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tap.console import figures
from tap.console.terminal import Terminal
from tap.printable import one_line
from tap.recording.inventory import lacks_dbs
from tap.replay.sender import Sender


class Bar:
    """A progress bar on a terminal. Call update() from time to time, and close() at the end."""

    def __init__(self, console: Terminal, target: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            TextColumn("to go"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(one_line(f"to {target}"), total=1.0, said="")
        self._progress.start()

    def update(self, sender: Sender) -> None:
        errors = f", {_errors(sender)}" if sender.error_count else ""
        self._progress.update(self._task, completed=sender.progress, said=f"{sender.replies} commands{errors}")

    def close(self) -> None:
        self._progress.stop()


def _errors(sender: Sender) -> str:
    return "1 error" if sender.error_count == 1 else f"{sender.error_count} errors"


def report(sender: Sender, name: str) -> str:
    """The result as lines for people."""
    rate = f" ({sender.replies / sender.seconds:,.0f} a second)" if sender.seconds > 0.1 else ""
    lines = [
        f"{sender.commands} commands sent to {name} in {figures.seconds(sender.seconds)}{rate}: "
        f"{sender.replies} replies, {_errors(sender)}"
    ]
    if sender.acknowledged is not None:
        lines[0] += f"; up to offset {sender.acknowledged}"
    if not sender.choice.is_all and not sender.commands:
        lines.append(f"0 of {sender.came} {'command matches' if sender.came == 1 else 'commands match'}")
    absent = lacks_dbs(sender.choice.dbs, sender.dbs)
    if absent is not None:
        lines.append(absent)
    if sender.unplaced:
        lines.append(f"{sender.unplaced} commands were not sent: the recording does not say in which db, see --assume-db")
    if sender.unfilled:
        lines.append(
            f"{sender.unfilled} commands were not sent: they bring data of another db into a chosen one "
            "(SWAPDB, MOVE, COPY); choose that db, too"
        )
    for kind, tally in sorted(sender.errors.items(), key=lambda item: -item[1].count):
        lines.append(f"{tally.count} x {kind}")
        lines += [f"    {where}" for where in tally.first]
    return "\n".join(map(one_line, lines))


def whereabouts(sender: Sender) -> str:
    """How far sending came, and the option that continues from there."""
    if sender.acknowledged is None:
        return f"{sender.replies or 'no'} {'command was' if sender.replies < 2 else 'commands were'} acknowledged"
    left = sender.commands - sender.replies
    maybe = f" ({left} commands after it were not acknowledged, and may have been executed, too)" if left else ""
    return f"all up to offset {sender.acknowledged} was acknowledged{maybe}; go on with --from {sender.acknowledged + 1}"


def as_dict(sender: Sender) -> dict[str, Any]:
    """The result for programs."""
    return {
        "commands": sender.commands,
        "replies": sender.replies,
        "errors": {kind: {"count": tally.count, "first": tally.first} for kind, tally in sender.errors.items()},
        "unplaced": sender.unplaced,
        "unfilled": sender.unfilled,
        "offset": sender.acknowledged,
        "seconds": round(sender.seconds, 3),
    }
