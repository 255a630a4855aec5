"""False reports of a tap, found by comparing its events: offsets, batches, cuts, stalls."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tap.bus import Told
from tap.replication import events
from tap.replication.events import Event, Role, Share, Side
from tap.scenario.accounts import Checked, accounts, check, uncut
from tap.scenario.backlog_commands import BacklogCommands
from tap.scenario.journal import JournalEntry
from tests.relay.wire import command

A = "a" * 40
BASE, START = 1000, 500  # the offset before the first byte of the stream, and the position of that byte
PING, SET, INCR = command("PING"), command("SET", "a", "b"), command("INCR", "a")


def entry(at: float, event: Event, connection: int = 1) -> JournalEntry:
    return JournalEntry(at, Told(at, "main", connection, "", event))


def started() -> JournalEntry:
    return entry(0.0, events.StreamStarted(start=START, end=START, replid=A, offset=BASE, db=0))


def batch(names: dict[str, int], begin: int, end: int, wrong: int = 0) -> JournalEntry:
    """Commands in bytes of the stream."""
    event = events.Commands(
        start=START + begin, end=START + end, offset=BASE + end + wrong, count=sum(names.values()), bytes=end - begin,
        by_name={name: Share(count=count, bytes=1) for name, count in names.items()}, db=0, in_transaction=False,
    )  # fmt: skip
    return entry(1.0, event)


def fired(text: str, offset: int | None, at: float = 2.0, side: Side = Side.MASTER, wrong: int = 0) -> JournalEntry:
    position = START if offset is None else START + offset - BASE
    event = events.FaultFired(
        fault="one", spec="cut", text=text, side=side, phase="stream", position=position + wrong, offset=offset, bytes=0
    )
    return entry(at, event)


def closed(offset: int, text: str = "cut by fault one") -> JournalEntry:
    event = events.LinkClosed(
        by=Side.TAP, how="reset", text=text, role=Role.REPLICA, phase="stream", offset=offset, bytes_from_master=0,
        bytes_from_replica=0,
    )  # fmt: skip
    return entry(2.1, event)


def ack(offset: int, at: float) -> JournalEntry:
    return entry(at, events.Ack(start=0, end=1, offset=offset, fsynced=None, lag_bytes=0, lag_seconds=0.0))


def asks_again(offset: int, granted: int | None = None) -> list[JournalEntry]:
    found: list[Event] = [events.PsyncRequested(start=0, end=1, replid=A, offset=offset)]
    if granted is not None:
        found += [
            events.PartialResync(start=0, end=1, replid=A, previous_replid=None, offset=granted, bytes_behind=0),
            events.StreamStarted(start=1, end=1, replid=A, offset=granted, db=0),
        ]
    return [entry(3.0, event, 2) for event in found]


def record() -> BacklogCommands:
    one = BacklogCommands(BASE, A)
    one.add(PING + SET + INCR + SET)
    return one


FIRST, SECOND, THIRD, LAST = record().ends


def problems(*told: JournalEntry, **more: Any) -> dict[str, str]:
    """The findings by name."""
    checked = Checked()
    check(told, more.pop("record", record()), checked, **more)
    return {one.name: one.found for one in checked.problems}


def test_a_true_story_is_compared_and_accepted() -> None:
    told = [
        started(),
        batch({"PING": 1, "SET": 1}, 0, SECOND - BASE),
        batch({"INCR": 1, "SET": 1}, SECOND - BASE, LAST - BASE),
        ack(LAST, 1.9),
        fired("cut with RST", LAST),
        closed(LAST),
        *asks_again(LAST + 1, LAST),
    ]
    checked = Checked()
    check(told, record(), checked)
    assert not checked.problems
    assert (checked.offsets, checked.commands, checked.cuts) == (4, 4, 1)
    assert str(checked) == "compared: 4 offsets, 4 commands, 0 ACKs, 1 cut"
    assert [(one.name, len(one.entries)) for one in accounts(told)] == [("main/1", 6), ("main/2", 3)]


@pytest.mark.parametrize(
    ("told", "name", "found"),
    [
        (
            [batch({"PING": 1}, 0, FIRST - BASE, wrong=1)],
            "offsets",
            f"reports offset {FIRST + 1}; byte {START + FIRST - BASE}",
        ),
        ([fired("dropped", FIRST, wrong=3)], "offsets", f"fault_fired of main/1 reports offset {FIRST}"),
        ([batch({"PING": 1}, 0, FIRST - BASE - 1)], "offsets", "the last one that ends there or before ends at 1000"),
        ([batch({"SET": 1}, 0, FIRST - BASE)], "commands", "the tap reports on main/1: 1 x SET"),
        ([batch({"PING": 2}, 0, FIRST - BASE)], "commands", "the tap reports on main/1: 2 x PING"),
        ([fired("cut with FIN", FIRST)], "cut", "fault one reports that it cut main/1 at 2.000 s, and that link"),
        (
            [fired("cut with FIN", FIRST), closed(SECOND)],
            "offsets",
            f"cut main/1 at offset {FIRST}, and link_closed that",
        ),
        (asks_again(FIRST + 1, FIRST + 1), "offsets", f"on main/2 the replica asked for byte {FIRST + 1}"),
    ],
)
def test_each_false_report_is_named_once(told: list[JournalEntry], name: str, found: str) -> None:
    said = problems(started(), *told, *told[:1])
    assert list(said) == [name]
    assert found in said[name]


def test_incomparable_events_are_left_alone() -> None:
    unplaced = entry(0.0, events.StreamStarted(start=START, end=START, replid=A, offset=None, db=0))
    assert not problems(unplaced, batch({"SET": 5}, 0, 3), record=None)
    assert not problems(started(), batch({"SET": 5}, 0, 3), record=None)
    assert not problems(started(), fired("dropped", FIRST, side=Side.REPLICA, wrong=5))
    assert not problems(started(), batch({"SET": 5}, LAST, LAST + 99)), "what the backlog does not have"


def after_a_cut(asked: int, acked_at: float, **more: Any) -> dict[str, str]:
    cut = [fired("cut with RST", THIRD), closed(THIRD)]
    return problems(started(), ack(FIRST, acked_at), *cut, *asks_again(asked), **more)


def test_after_a_cut_the_replica_has_what_was_passed_on_and_no_more() -> None:
    assert not after_a_cut(THIRD + 1, 1.9)
    assert f"it asks for byte {LAST + 1}: {LAST - THIRD} more bytes reached it" in after_a_cut(LAST + 1, 1.9)["cut"]
    lost = after_a_cut(FIRST + 1, 1.9)["cut"]
    assert lost.endswith(f"{THIRD - FIRST} bytes of that did not reach it (SET, INCR)")


def test_if_a_reset_may_have_lost_more_nothing_is_reported() -> None:
    assert not after_a_cut(FIRST + 1, 1.1), "the last ACK was too long before"
    assert not after_a_cut(LAST + 1, 1.9, damaged=True)
    assert not after_a_cut(LAST + 1, 1.9, record=None)


def test_after_a_stall_nothing_is_acknowledged_until_it_is_over() -> None:
    stall = fired("stalled, both directions", SECOND)
    over = entry(5.0, events.FaultExpired(fault="one", spec="stall", fired=1, bytes=0))
    early, late = ack(THIRD, 3.0), ack(THIRD, 6.0)
    assert "and the replica acknowledges" in problems(started(), stall, early, endless={"one"})["stall"]
    assert not problems(started(), stall, ack(SECOND, 3.0), endless={"one"})
    assert not problems(started(), stall, over, late, endless={"one"})
    assert not problems(started(), stall, early), "one that goes on by the clock may be over"


def test_links_reported_as_cut_must_be_gone() -> None:
    told = [started(), fired("cut with FIN", FIRST)]
    assert [one.name for one in uncut(told)] == ["main/1"]
    assert not uncut([*told, closed(FIRST)])
    assert not uncut([started(), fired("stalled", FIRST)])


@pytest.mark.parametrize(
    ("text", "offset", "others", "is_wrong"),
    [
        ("stalled, both directions", SECOND, [], True),
        ("stalled, from the master", SECOND, [], True),
        ("stalled, from the replica", SECOND, [], False),
        ("stalled, both directions", None, [], False),
        ("stalled, both directions", THIRD, [], False),
        ("stalled, both directions", SECOND, [("two", 2.5)], True),
        ("stalled, both directions", SECOND, [("one", 1.0)], True),
        ("stalled, both directions", SECOND, [("one", 3.5)], True),
        ("stalled, both directions", SECOND, [("one", 3.0)], False),
        ("stalled, both directions", SECOND, [("one", 2.0)], False),
        ("stalled, both directions", SECOND, [("one", 2.5), ("one", 4.0)], False),
    ],
)
def test_what_is_acknowledged_while_a_stall_lasts_has_passed_it(
    text: str, offset: int | None, others: list[tuple[str, float]], is_wrong: bool
) -> None:
    """The stall begins at 2.0, and the replica acknowledges more at 3.0. others: faults that expire, and when."""
    over = [entry(at, events.FaultExpired(fault=name, spec="", fired=1, bytes=0)) for name, at in others]
    before = [one for one in over if one.at < 2.0]
    told = [started(), ack(LAST, 1.0), *before, fired(text, offset), ack(LAST, 2.0), ack(THIRD, 3.0)]
    said = problems(
        *told, *(one for one in over if one.at >= 2.0), ack(LAST, 9.0) if is_wrong else ack(1, 9.0), endless={"one"}
    )
    assert said == (
        {"stall": f"fault one reports that main/1 is stalled there, and the replica acknowledges {THIRD}, 1.000 s later"}
        if is_wrong
        else {}
    )


@pytest.mark.parametrize(
    ("replid", "begin", "end", "count"),
    [
        (A, 0, FIRST - BASE, 1),
        (A, 0, LAST - BASE, 4),
        (A, -1, FIRST - BASE, 0),
        (A, THIRD - BASE, LAST - BASE + 1, 0),
        ("b" * 40, 0, FIRST - BASE, 0),
        (None, 0, FIRST - BASE, 0),
    ],
)
def test_only_what_the_backlog_has_is_compared_with_it(replid: str | None, begin: int, end: int, count: int) -> None:
    names = {"PING": 1} if count == 1 else {"PING": 1, "SET": 2, "INCR": 1} if count else {"DEL": 9}
    first = events.StreamStarted(start=START, end=START, replid=replid, offset=BASE, db=0)
    checked = Checked()
    check([entry(0.0, first), batch(names, begin, end)], record(), checked)
    assert (checked.problems, checked.commands, checked.offsets) == ([], count, 1)


def test_a_batch_without_an_offset_is_compared_with_nothing() -> None:
    one = batch({"DEL": 9}, 0, 3)
    unplaced = entry(1.0, dataclasses.replace(one.event, offset=None))  # type: ignore[call-arg]
    checked = Checked()
    check([started(), unplaced], record(), checked)
    assert (checked.problems, checked.commands, checked.offsets) == ([], 0, 0)


@pytest.mark.parametrize(
    ("asked", "granted", "offsets"),
    [
        ([(A, 11)], [10], 1),
        ([("b", 5), (A, 11)], [3, 10], 1),
        ([(None, 5)], [10], 0),
        ([(A, 5)], [None], 0),
        ([], [10], 0),
        ([(A, 5)], [], 0),
    ],
)
def test_the_last_request_and_the_last_grant_belong_together(
    asked: list[tuple[str | None, int]], granted: list[int | None], offsets: int
) -> None:
    told: list[Event] = [events.PsyncRequested(start=0, end=1, replid=replid, offset=offset) for replid, offset in asked]
    told += [
        events.PartialResync(start=0, end=1, replid=A, previous_replid=None, offset=offset, bytes_behind=0)
        for offset in granted
    ]
    checked = Checked()
    check([started(), *(entry(1.0, event) for event in told)], None, checked)
    assert (checked.problems, checked.offsets) == ([], offsets)


@pytest.mark.parametrize(("position", "offsets"), [(START, 1), (START - 1, 0)])
def test_of_a_fault_before_the_stream_no_offset_is_compared(position: int, offsets: int) -> None:
    event = events.FaultFired(
        fault="one", spec="", text="", side=Side.MASTER, phase="rdb", position=position, offset=BASE, bytes=0
    )
    checked = Checked()
    check([started(), entry(1.0, event)], None, checked)
    assert (checked.problems, checked.offsets) == ([], offsets)


MANY = BacklogCommands(BASE, A)
MANY.add(b"".join(command("INCR" if number % 2 else "SET", str(number)) for number in range(9)))


@pytest.mark.parametrize("has", range(1, 9))
def test_of_the_commands_that_did_not_come_the_first_are_named(has: int) -> None:
    """has: how many commands of nine the replica has; the link was cut within the last one."""
    end = MANY.ends[-1] - 1
    told = [started(), ack(BASE, 1.9), fired("cut with RST", end), closed(end), *asks_again(MANY.ends[has - 1] + 1)]
    lost = (["SET", "INCR"] * 4)[has:]
    names = ", ".join(lost[:6]) + (", ..." if len(lost) > 6 else "")
    size = MANY.ends[7] - MANY.ends[has - 1]
    found = (
        f"the replica asks again for what follows {MANY.ends[has - 1]}: {size} bytes of that did not reach it ({names})"
    )
    assert problems(*told, record=MANY) == ({"cut": found} if lost else {})


@pytest.mark.parametrize(
    ("told", "is_wrong"),
    [
        ([ack(FIRST, 1.9)], True),
        ([ack(FIRST, 1.3)], True),
        ([ack(FIRST, 1.2)], False),
        ([ack(FIRST, 0.5), ack(FIRST, 1.9)], True),
        ([ack(FIRST, 2.0)], False),
        ([], False),
    ],
)
def test_only_soon_after_an_acknowledgement_a_cut_shows_what_the_replica_has(
    told: list[JournalEntry], is_wrong: bool
) -> None:
    cut = [fired("cut with RST", THIRD), closed(THIRD)]
    assert bool(problems(started(), *told, *cut, *asks_again(FIRST + 1))) is is_wrong


def test_what_is_no_continuation_of_a_cut_is_not_compared_with_it() -> None:
    acked, cut = ack(FIRST, 1.9), fired("cut with RST", THIRD)
    again = asks_again(FIRST + 1)
    assert problems(started(), acked, cut, closed(THIRD), *again)
    elsewhere = [JournalEntry(3.0, Told(3.0, "back", 2, "", again[0].event))]
    assert not problems(started(), acked, cut, closed(THIRD), *elsewhere)
    assert not problems(acked, cut, closed(THIRD), *again), "no stream was seen"
    assert not problems(started(), acked, cut, closed(THIRD, "the replica hung up"), *again)
    assert not problems(started(), acked, closed(THIRD), *again), "nothing was cut"
    other = events.PsyncRequested(start=0, end=1, replid="b" * 40, offset=FIRST + 1)
    assert not problems(started(), acked, cut, closed(THIRD), entry(3.0, other, 2))
    assert not problems(started(), acked, cut, closed(THIRD), *asks_again(BASE))
    assert problems(started(), acked, cut, closed(THIRD), *elsewhere, *(entry(4.0, one.event, 3) for one in again))


@pytest.mark.parametrize("by", [{"text": "hung up"}, {"side": Side.REPLICA}, {"offset": None}])
def test_where_a_cut_fell_is_compared_where_the_fault_did_it_to_the_master(by: dict[str, Any]) -> None:
    at = by.get("offset", FIRST)
    told = fired("cut with FIN", at, side=by.get("side", Side.MASTER))
    assert not problems(started(), told, closed(SECOND, by.get("text", "cut by fault one")))


def test_connections_are_told_apart_in_the_order_of_their_numbers() -> None:
    told = [entry(1.0, started().event, 3), entry(1.0, started().event, 0), entry(2.0, started().event, 1)]
    told.append(entry(3.0, started().event, 3))
    assert [(one.name, [found.at for found in one.entries]) for one in accounts(told)] == [
        ("main/1", [2.0]), ("main/3", [1.0, 3.0])
    ]  # fmt: skip


def test_what_was_compared_is_counted_in_words() -> None:
    assert str(Checked(offsets=1, commands=2, acks=1, cuts=0)) == "compared: 1 offset, 2 commands, 1 ACK, 0 cuts"
