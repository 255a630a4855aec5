"""Checks that the tap's events are true: against each other, and against the stream in the master's backlog.

A tap that reports less, more or something else than what happened is broken, even if the pair is fine. trial.py compares
the tap with the servers' own figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tap.replication import events
from tap.replication.events import Side
from tap.scenario.backlog_commands import BacklogCommands
from tap.scenario.journal import JournalEntry
from tap.scenario.result import Outcome

NAMED = 6  # missing commands that are named
# A replica acknowledges once a second. If the connection was reset, that write fails, and the replica drops what it had
# received but not read. So only a cut soon after an ACK shows how far the replica really came.
BEFORE_NEXT_ACK = 0.8


@dataclass(slots=True)
class Checked:
    """How much was compared. problems: what is not true, one verdict for each name. executed_all: the replica has
    executed each command that the master wrote since the steps began exactly once.
    """

    problems: list[Outcome] = field(default_factory=list)
    executed_all: bool = False
    offsets: int = 0
    commands: int = 0
    cuts: int = 0
    acks: int = 0

    def wrong(self, name: str, expected: str, found: str) -> None:
        if all(one.name != name for one in self.problems):
            self.problems.append(Outcome(name, expected, found, False))

    def __str__(self) -> str:
        counts = {"offset": self.offsets, "command": self.commands, "ACK": self.acks, "cut": self.cuts}
        said = (f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
        return f"compared: {', '.join(said)}"


@dataclass(slots=True)
class ConnectionAccount:
    """All events of one connection."""

    link: str
    number: int
    entries: list[JournalEntry] = field(default_factory=list)

    def of(self, *kinds: type[events.Event]) -> Iterator[JournalEntry]:
        return (entry for entry in self.entries if isinstance(entry.event, kinds))

    @property
    def name(self) -> str:
        return f"{self.link}/{self.number}"

    @property
    def started(self) -> events.StreamStarted | None:
        return next((event for entry in self.entries if isinstance(event := entry.event, events.StreamStarted)), None)

    @property
    def closed(self) -> JournalEntry | None:
        return next(self.of(events.LinkClosed), None)


def accounts(entries: Iterable[JournalEntry]) -> list[ConnectionAccount]:
    """The accounts of all connections, oldest first."""
    found: dict[int, ConnectionAccount] = {}
    for entry in entries:
        if entry.told.connection:
            number = entry.told.connection
            found.setdefault(number, ConnectionAccount(entry.told.link, number)).entries.append(entry)
    return [found[number] for number in sorted(found)]


def is_cut(event: events.Event) -> bool:
    """Whether the event reports that a fault closes the link."""
    return isinstance(event, events.FaultFired) and event.text in ("cut with RST", "cut with FIN")


def uncut(entries: Iterable[JournalEntry]) -> list[ConnectionAccount]:
    """The connections that a fault has cut, by its event, and that are still open."""
    return [one for one in accounts(entries) if one.closed is None and any(is_cut(entry.event) for entry in one.entries)]


def check(
    entries: Sequence[JournalEntry],
    record: BacklogCommands | None,
    checked: Checked,
    *,
    endless: Container[str] = (),
    damaged: bool = False,
) -> None:
    """Compare all events. record: the master's stream, None if it could not be read. endless: names of faults that last
    until they expire. damaged: a fault has changed the stream, so the replica's offsets may differ from the master's.
    """
    told = accounts(entries)
    for account in told:
        _offsets(account, checked)
        _cuts(account, checked)
        _stalls(account, entries, endless, checked)
        if record is not None:
            _commands(account, record, checked)
    if record is not None and not damaged:
        for account, following in _successions(told):
            _resumed(account, following, record, checked)


def _offsets(account: ConnectionAccount, checked: Checked) -> None:
    """Check that each reported offset is that of its byte."""
    started = account.started
    if started is None or started.offset is None:
        return
    base = started.offset - started.start
    for entry in account.of(events.Commands, events.FaultFired):
        event = entry.event
        position = 0
        if isinstance(event, events.Commands):
            position = event.end
        elif isinstance(event, events.FaultFired):
            if event.side is not Side.MASTER or event.position < started.start:
                continue
            position = event.position
        offset = event.offset  # type: ignore[attr-defined]
        if offset is None:
            continue
        checked.offsets += 1
        if offset != base + position:
            checked.wrong(
                "offsets",
                "each offset that the tap reports is that of its byte",
                f"{event.kind} of {account.name} reports offset {offset}; byte {position}, which it is about, has offset "
                f"{base + position}, because byte {started.start} has {started.offset}",
            )
    asked = [one.event for one in account.of(events.PsyncRequested) if isinstance(one.event, events.PsyncRequested)]
    granted = [one.event for one in account.of(events.PartialResync) if isinstance(one.event, events.PartialResync)]
    if granted and asked and granted[-1].offset is not None and asked[-1].replid is not None:
        checked.offsets += 1
        if granted[-1].offset != asked[-1].offset - 1:
            checked.wrong(
                "offsets",
                "a partial resync continues where the replica asked",
                f"on {account.name} the replica asked for byte {asked[-1].offset}, and the tap reports that the stream "
                f"continues after {granted[-1].offset}",
            )


def _cuts(account: ConnectionAccount, checked: Checked) -> None:
    """Check that a reported cut ends the connection, after the reported byte."""
    closed = account.closed
    for entry in account.of(events.FaultFired):
        event = entry.event
        assert isinstance(event, events.FaultFired)
        if not is_cut(event):
            continue
        checked.cuts += 1
        if closed is None:
            checked.wrong(
                "cut",
                "a reported cut ends the link",
                f"fault {event.fault} reports that it cut {account.name} at {entry.at:.3f} s, and that link is still "
                f"there at {account.entries[-1].at:.3f} s",
            )
            continue
        end = closed.event
        assert isinstance(end, events.LinkClosed)
        if end.text != f"cut by fault {event.fault}" or event.side is not Side.MASTER:
            continue
        if event.offset is not None and event.offset != end.offset:
            checked.wrong(
                "offsets",
                "a link that was cut has passed on everything before the cut, and no more",
                f"fault {event.fault} reports that it cut {account.name} at offset {event.offset}, and link_closed that "
                f"the stream was passed on up to {end.offset}",
            )


def _stalls(
    account: ConnectionAccount, entries: Sequence[JournalEntry], endless: Container[str], checked: Checked
) -> None:
    """Check that no byte after a stall is acknowledged, because none arrives."""
    for entry in account.of(events.FaultFired):
        event = entry.event
        assert isinstance(event, events.FaultFired)
        is_of_master = event.text in ("stalled, both directions", "stalled, from the master")
        if not is_of_master or event.offset is None or event.fault not in endless:
            continue
        over = [
            one.at
            for one in entries
            if isinstance(one.event, events.FaultExpired) and one.event.fault == event.fault and one.at >= entry.at
        ]
        end = min(over, default=float("inf"))
        for one in account.of(events.Ack):
            ack = one.event
            assert isinstance(ack, events.Ack)
            if entry.at < one.at < end and ack.offset > event.offset:
                checked.wrong(
                    "stall",
                    f"nothing passes a stall at offset {event.offset}",
                    f"fault {event.fault} reports that {account.name} is stalled there, and the replica acknowledges "
                    f"{ack.offset}, {one.at - entry.at:.3f} s later",
                )


def _commands(account: ConnectionAccount, record: BacklogCommands, checked: Checked) -> None:
    """Check that the reported batches of commands are those that the master wrote."""
    started = account.started
    if started is None or not record.is_of(started.replid, record.begin):
        return
    for entry in account.of(events.Commands):
        event = entry.event
        assert isinstance(event, events.Commands)
        if event.offset is None or not record.begin <= event.offset - event.bytes <= event.offset <= record.end:
            continue
        checked.commands += event.count
        if not record.is_end(event.offset):
            checked.wrong(
                "offsets",
                "a batch of commands ends where a command of the master does",
                f"the tap reports {event.count} commands on {account.name} up to offset {event.offset}; by the master's "
                f"backlog the last one that ends there or before ends at {record.stop_before(event.offset)}",
            )
            continue
        mine = Counter({name: share.count for name, share in event.by_name.items()})
        theirs = Counter(record.between(event.offset - event.bytes, event.offset))
        if mine != theirs:
            checked.wrong(
                "commands",
                f"as the master's backlog has them up to offset {event.offset}: {_counted(theirs)}",
                f"the tap reports on {account.name}: {_counted(mine)}",
            )


def _successions(told: Sequence[ConnectionAccount]) -> Iterator[tuple[ConnectionAccount, ConnectionAccount]]:
    """Each connection with a stream, paired with the next connection of its link that asks to continue."""
    for number, account in enumerate(told):
        if account.started is None:
            continue
        later = (one for one in told[number + 1 :] if one.link == account.link)
        following = next((one for one in later if any(one.of(events.PsyncRequested))), None)
        if following is not None:
            yield account, following


def _resumed(account: ConnectionAccount, following: ConnectionAccount, record: BacklogCommands, checked: Checked) -> None:
    """Check that after a cut the replica has what was passed on before it, and no more."""
    closed = account.closed
    asked = next(following.of(events.PsyncRequested)).event
    cut = next((one for one in account.of(events.FaultFired) if is_cut(one.event)), None)
    assert isinstance(asked, events.PsyncRequested)
    if cut is None or closed is None or not isinstance(closed.event, events.LinkClosed) or closed.event.offset is None:
        return
    acks = [one for one in account.of(events.Ack) if one.at < cut.at]
    if not acks or not closed.event.text.startswith("cut by fault"):
        return
    end, has = closed.event.offset, asked.offset - 1
    if not (record.is_of(asked.replid, has) and record.is_of(asked.replid, end)):
        return
    if has > end:
        checked.wrong(
            "cut",
            f"the replica has nothing from after the cut of {account.name} at offset {end}",
            f"it asks for byte {asked.offset}: {has - end} more bytes reached it",
        )
        return
    last = record.stop_before(end)
    if cut.at - acks[-1].at < BEFORE_NEXT_ACK and has < last:
        lost = record.between(has, last)
        names = ", ".join(lost[:NAMED]) + (", ..." if len(lost) > NAMED else "")
        checked.wrong(
            "cut",
            f"the replica has what the tap passed on before the cut of {account.name} at offset {end}",
            f"the replica asks again for what follows {has}: {last - has} bytes of that did not reach it ({names})",
        )


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(names.items())) or "none"
