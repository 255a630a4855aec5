"""Commands reported once: from any connection, in any order, with holes, and over a change of the replication ID."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap import recording
from tap.bus import Told
from tap.recording import seen_commands as module
from tap.recording.seen_commands import SeenCommands
from tap.replication.events import Command, PartialResync, StreamStarted
from tap.replication.heads import Head
from tests.cli.typed import tap
from tests.recording.wires import Wire, file
from tests.relay.wire import BASE, REPLID, asks, command

OLD, NEW, NEWER = "a" * 40, "b" * 40, "c" * 40
SIZE = 10  # of every command here: it is the bytes SIZE * n + 1 to SIZE * (n + 1)


def heads(numbers: Iterable[int], base: int) -> list[Head]:
    return [(SIZE * (number + 1) - base, SIZE, 0, f"N{number}", (), ()) for number in numbers]


def as_batches(once: SeenCommands, replid: str, first: int, last: int, base: int = 0) -> list[int]:
    """The numbers of the new ones."""
    return [int(head[3][1:]) for head in once.new(replid, base, heads(range(first, last), base))]


def as_events(once: SeenCommands, replid: str, first: int, last: int) -> list[int]:
    def first_time(event: Any) -> bool:
        return once.first(Told(0.0, "main", 1, "", event), counts=True)

    first_time(StreamStarted(start=0, end=0, replid=replid, offset=0, db=0, buffered=0))
    found = []
    for number in range(first, last):
        start, end = SIZE * number, SIZE * (number + 1)
        if first_time(Command(start=start, end=end, offset=end, db=0, name="N", args=(), in_transaction=False)):
            found.append(number)
    return found


FEEDS = pytest.mark.parametrize("feed", [as_batches, as_events])
PARTS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=20)


@FEEDS
@given(PARTS)
def test_in_one_history_each_command_comes_once(feed: Any, parts: list[tuple[int, int]]) -> None:
    once, known = SeenCommands(), set[int]()
    for first, count in parts:
        numbers = set(range(first, first + count))
        assert set(feed(once, OLD, first, first + count)) == numbers - known
        known |= numbers
    assert once.remarks() == []


@FEEDS
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(1, 15)), max_size=25))
@example([(2, 0, 2), (3, 1, 2), (3, 2, 1), (0, 0, 1)])  # one span, in which two further IDs turn out to have a part each
def test_after_a_promotion_both_ids_are_one_history_up_to_the_known_branch(
    feed: Any, parts: list[tuple[int, int, int]]
) -> None:
    """0 brings bytes of the old ID, 1 of the new one, 2 of a newer one; 3 reports a replica that went over."""
    once, known, branches = SeenCommands(), set[tuple[str, int]](), {NEW: -1, NEWER: -1}

    def home(replid: str, number: int) -> str:
        for child, parent in ((NEWER, NEW), (NEW, OLD)):
            if replid == child and SIZE * (number + 1) <= branches[child]:
                replid = parent
        return replid

    for what, first, count in parts:
        if what == 3:
            child, parent = ((NEW, OLD), (NEWER, NEW))[count % 2]
            once.continues(child, parent, SIZE * first)
            branches[child] = max(branches[child], SIZE * first)
            known = {(home(replid, number), number) for replid, number in known}
            continue
        replid = (OLD, NEW, NEWER)[what]
        numbers = range(first, first + count)
        assert feed(once, replid, first, first + count) == [n for n in numbers if (home(replid, n), n) not in known]
        known |= {(home(replid, number), number) for number in numbers}


def test_ids_in_a_circle_are_nonsense_and_ignored() -> None:
    once = SeenCommands()
    for child, parent, offset in ((OLD, NEW, 100), (NEW, NEWER, 200), (NEWER, OLD, 150), (OLD, OLD, 50)):
        once.continues(child, parent, offset)
    for replid in (OLD, NEW, NEWER):
        assert len(as_batches(once, replid, 30, 40)) == 10


def test_commands_without_an_offset_are_reported_as_often_as_they_come() -> None:
    once = SeenCommands()
    for _ in range(2):
        assert len(once.new(None, None, heads(range(3), 0))) == 3
    assert once.remarks() == ["the offset of 6 commands is not known: they are reported as often as they came"]


def test_an_event_that_lacks_an_offset_or_an_id_continues_nothing_and_a_command_counts() -> None:
    once = SeenCommands()

    def first(event: Any) -> bool:
        return once.first(Told(1.0, "main", 1, "", event), counts=True)

    placed = Command(start=0, end=10, offset=10, db=0, name="SET", args=(), in_transaction=False)
    assert first(placed)  # no history is known yet
    assert first(StreamStarted(start=0, end=0, replid=None, offset=0, db=0))
    assert first(placed)
    assert once.uncertain == 2
    assert first(StreamStarted(start=0, end=0, replid=REPLID, offset=0, db=0))
    assert [first(placed), first(placed)] == [True, False]
    for _ in range(2):
        assert first(dataclasses.replace(placed, offset=None))
    assert once.uncertain == 4
    for replid, previous, offset in ((None, REPLID, 5), ("b" * 40, None, 5), ("b" * 40, REPLID, None)):
        assert first(
            PartialResync(start=0, end=0, replid=replid, previous_replid=previous, offset=offset, bytes_behind=None)
        )
    assert first(StreamStarted(start=0, end=0, replid="b" * 40, offset=0, db=0))
    assert [first(placed), first(placed)] == [True, False]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SPANS", 100)
    once = SeenCommands()
    for number in range(0, 1000, 2):  # as many holes
        assert as_batches(once, OLD if number % 4 else NEW, number, number + 1)
    assert sum(len(seen.begins) for seen in once._seen.values()) == 100
    assert as_batches(once, OLD, 998, 999) == []
    assert as_batches(once, OLD, 2, 3) == [2]
    assert once.remarks() == ["the stream has more than 100 holes: commands before a hole may be reported twice"]


# ---- captures ----

PIECES = [command("SELECT", "0"), *(command("SET", f"key:{number}", "v" * number) for number in range(30))]
ENDS = [BASE + sum(map(len, PIECES[: number + 1])) for number in range(len(PIECES))]


def follows(
    port: int,
    first: int,
    last: int,
    after: float,
    *,
    replid: str = REPLID,
    granted: str = "",
    lost: int = -1,
    to: int = 1,
) -> list[tuple[int, bytes]]:
    """A replica's connection to master number *to*, which brings some of the pieces, and lost one of them."""
    wire = Wire(port, ("127.0.0.1", f"127.0.0.{to}"))
    wire.now += int(after * 1e9)
    wire.open()
    wire.send(0, asks(ENDS[first - 1] if first else BASE, replid))
    wire.send(1, f"+CONTINUE {granted or replid}\r\n".encode())
    for number in range(first, last):
        if number == lost:
            wire.flow.skip(1, len(PIECES[number]))
        else:
            wire.send(1, PIECES[number])
        wire.send(0, command("REPLCONF", "ACK", str(ENDS[number])))
    return wire.packets


CAPTURES = {
    "two replicas": [follows(1, 0, 31, 0), follows(2, 0, 31, 0.0005)],
    "one behind the other": [follows(1, 0, 31, 0), follows(2, 0, 31, 10)],
    "of two links": [follows(1, 0, 31, 0), follows(2, 0, 31, 0.02, to=2)],
    "partial resyncs": [
        *(follows(1, 0, 20, 0), follows(2, 0, 12, 0.01)),
        *(follows(3, 15, 31, 1), follows(4, 12, 25, 1), follows(5, 20, 31, 2)),
    ],
    "each with a hole": [follows(1, 0, 31, 0, lost=7), follows(2, 0, 31, 0.01, lost=9)],
    "a promotion": [
        *(follows(1, 0, 20, 0), follows(2, 0, 18, 0)),
        *(follows(3, 20, 31, 1, granted=NEW), follows(4, 18, 31, 2, granted=NEW)),
        follows(5, 25, 31, 3, replid=NEW),
    ],
    "two promotions": [
        *(follows(1, 0, 10, 0), follows(2, 10, 20, 1, granted=NEW, to=2)),
        *(follows(3, 20, 31, 2, replid=NEW, granted=NEWER, to=3), follows(4, 5, 31, 3, replid=NEWER, to=3)),
    ],
}


@pytest.fixture(params=CAPTURES)
def capture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return captured(request.param, tmp_path)


def captured(name: str, tmp_path: Path) -> Path:
    packets = sorted(packet for wire in CAPTURES[name] for packet in wire)
    return file(tmp_path / "capture.pcapng", packets, "pcapng")


def told(path: Path, *options: str) -> list[tuple[str, int]]:
    said = tap("show", path, "--commands", "--format", "json", *options)
    assert said.returncode == 0, said.stderr
    rows = [json.loads(line) for line in said.stdout.splitlines()]
    return [(one["args"][0], one["offset"]) for one in rows if one["event"] == "command"]


EXPECTED = sorted([("0", ENDS[0]), *((f"key:{number - 1}", ENDS[number]) for number in range(1, len(PIECES)))])


def test_every_verb_reports_a_command_once(capture: Path, tmp_path: Path) -> None:
    assert sorted(told(capture, "--once")) == EXPECTED
    rows = tmp_path / "rows.jsonl"
    assert tap("export", capture, "--to", "jsonl", "-o", rows).returncode == 0
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert sorted((row["args"][0], row["offset"]) for row in found) == EXPECTED
    with recording.open(capture) as opened:
        assert sorted((one.args[0].decode(), one.offset) for one in opened.commands(once=True)) == EXPECTED
        assert opened.missing == []
    said = tap("show", capture, "--stats", "--once", "--format", "json")
    assert said.returncode == 0, said.stderr
    links = json.loads(said.stdout)["links"]
    assert sum(link["commands"] for link in links) == len(EXPECTED)
    assert sum(link["bytes"] for link in links) == sum(map(len, PIECES))
    writes: dict[str, int] = {}
    for link in links:
        for one in link["keys_by_writes"]:
            writes[one["key"]] = writes.get(one["key"], 0) + one["writes"]
    assert set(writes.values()) == {1}


def test_without_the_option_each_connection_reports_its_own(tmp_path: Path) -> None:
    path = captured("of two links", tmp_path)
    assert sorted(told(path)) == sorted([*EXPECTED, *EXPECTED])
    assert sorted(told(path, "--once", "--link", "127.0.0.2:6379")) == EXPECTED
    links = json.loads(tap("show", path, "--stats", "--format", "json").stdout)["links"]
    assert [link["commands"] for link in links] == [len(EXPECTED)] * 2
    links = json.loads(tap("show", path, "--stats", "--format", "json", "--once").stdout)["links"]
    assert [(link["commands"], link["repeated"]["commands"]) for link in links] == [(31, 0), (0, 31)]


def test_a_command_counts_when_it_first_came(tmp_path: Path) -> None:
    """Not when it came again within the selected time."""
    path = captured("one behind the other", tmp_path)
    later = ["--from", "2001-09-09T01:46:45Z"]
    assert len(told(path, *later)) == len(EXPECTED)
    assert told(path, *later, "--once") == []
    (link,) = json.loads(tap("show", path, "--stats", "--format", "json", *later).stdout)["links"]
    assert (link["commands"], link["repeated"]["commands"]) == (0, len(EXPECTED))


def test_unknown_offsets_are_reported(tmp_path: Path) -> None:
    packets = []
    for port in (1, 2):  # both without the start of the stream
        wire = Wire(port)
        wire.flow.skip(1, 5000)
        wire.flow.skip(0, 500)
        for piece in PIECES:
            wire.send(1, piece)
            wire.send(0, command("REPLCONF", "ACK", "1500"))
        packets += wire.packets
    path = file(tmp_path / "capture.pcapng", sorted(packets), "pcapng")
    said = tap("show", path, "--once", "--command", "SET")
    assert len(said.stdout.splitlines()) == 60
    assert "redis-tap: the offset of 62 commands is not known: they are reported as often as they came\n" in said.stderr


def test_once_applies_to_commands(tmp_path: Path) -> None:
    path = file(tmp_path / "capture.pcapng", follows(1, 0, 5, 0), "pcapng")
    said = tap("show", path, "--once")
    assert (said.returncode, said.stderr) == (
        2,
        "redis-tap: --once is about commands: add --commands, a filter for them, or --stats\n",
    )


def test_a_crowd_of_replicas_gives_every_command_once(tmp_path: Path) -> None:
    """Each with its own stretches, lagging randomly, over three IDs: every command that any of them got, once."""
    dice = random.Random(7)
    packets = []
    for port in range(40):
        first = dice.randint(0, 25)
        last = dice.randint(first + 1, 31)
        replid, granted = (REPLID, "") if port % 3 == 0 else (REPLID, NEW) if port % 3 == 1 else (NEW, "")
        packets += follows(port + 1, first, last, dice.random() * 5, replid=replid, granted=granted)
    packets += follows(99, 30, 31, 0, granted=NEW)  # up to the last piece but one it is one history
    path = file(tmp_path / "capture.pcapng", sorted(packets), "pcapng")
    found = told(path, "--once")
    assert sorted(set(found)) == sorted(set(told(path)))
    assert {one for one in found if found.count(one) > 1} <= {("key:29", ENDS[-1])}


def test_a_single_command_without_an_offset_is_named_as_one() -> None:
    seen = SeenCommands()
    assert seen.new(REPLID, None, [(10, 10, 0, "SET", (), ())]) == [(10, 10, 0, "SET", (), ())]
    assert seen.remarks() == ["the offset of 1 command is not known: it is reported as often as they came"]
