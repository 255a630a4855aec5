"""The stream of an active KeyDB: what it wraps in RREPLAY is reported, filtered and counted as the inner commands."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication.events import Command, Commands, Event
from tap.replication.heads import HEAD, Head, HeadReader
from tap.replication.memory import Memory
from tap.replication.scanner import StreamScanner
from tap.replication.stream import Stream
from tests.replication.test_scanner import SCANNERS, command

UUID = b"0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d"
OTHER_UUID = b"7e3f9a10-64b2-4c58-8f0d-1a2b3c4d5e6f"


def rreplay(inner: bytes, *rest: bytes, uuid: bytes = UUID) -> bytes:
    return command(b"RREPLAY", uuid, inner, *rest)


SET = command(b"SET", b"user:1", b"x")
BOTH = command(b"SET", b"session", b"y") + command(b"PEXPIREAT", b"session", b"1700000000000")

# Piece by piece: its bytes, and its report: (upper-case name, arguments, db, in a transaction).
Told = tuple[str, tuple[bytes, ...], int | None, bool]
STREAM: list[tuple[bytes, list[Told]]] = [
    (command(b"SELECT", b"2"), [("SELECT", (b"2",), 2, False)]),
    (rreplay(SET, b"3", b"1700000000000001"), [("SET", (b"user:1", b"x"), 3, False)]),
    (command(b"DEL", b"raw"), [("DEL", (b"raw",), 3, False)]),
    (
        rreplay(rreplay(command(b"INCR", b"count"), b"5", b"7", uuid=OTHER_UUID), b"4", b"8"),
        [("INCR", (b"count",), 5, False)],
    ),
    (rreplay(rreplay(command(b"INCR", b"count"), uuid=OTHER_UUID), b"4"), [("INCR", (b"count",), 4, False)]),
    (rreplay(command(b"DEL", b"no db")), [("DEL", (b"no db",), 4, False)]),
    (
        command(b"rreplay", UUID, BOTH, b"0", b"9"),
        [("SET", (b"session", b"y"), 0, False), ("PEXPIREAT", (b"session", b"1700000000000"), 0, False)],
    ),
    (rreplay(command(b"MULTI"), b"1", b"10"), [("MULTI", (), 1, True)]),
    (rreplay(SET, b"1", b"11"), [("SET", (b"user:1", b"x"), 1, True)]),
    (rreplay(command(b"EXEC"), b"1", b"12"), [("EXEC", (), 1, True)]),
    (command(b"PING"), [("PING", (), 1, False)]),
    # Other words are left alone; the db that they name is selected before they are examined.
    (rreplay(SET[:-1], b"6"), [("RREPLAY", (UUID, SET[:-1], b"6"), 6, False)]),
    (rreplay(SET + b"?", b"6"), [("RREPLAY", (UUID, SET + b"?", b"6"), 6, False)]),
    (rreplay(b"", b"6"), [("RREPLAY", (UUID, b"", b"6"), 6, False)]),
    (rreplay(SET, b"-1"), [("RREPLAY", (UUID, SET, b"-1"), 6, False)]),
    (rreplay(SET, b""), [("RREPLAY", (UUID, SET, b""), 6, False)]),
    (command(b"RREPLAY", UUID), [("RREPLAY", (UUID,), 6, False)]),
    (command(b"RREPLAY"), [("RREPLAY", (), 6, False)]),
    (rreplay(rreplay(SET[1:], b"7", uuid=OTHER_UUID), b"6"), [("RREPLAY", (OTHER_UUID, SET[1:], b"7"), 7, False)]),
    (command(b"GET", b"raw"), [("GET", (b"raw",), 7, False)]),
]
DATA = b"".join(data for data, _ in STREAM)
TOLD = [one for _, told in STREAM for one in told]


def every_command(data: bytes, cuts: list[int], max_command: int = 2**20) -> list[Event]:
    told: list[Event] = []
    stream = Stream(
        told.append, Memory(), 1000, replid="1" * 40, base=50, db=0, every_command=True, max_command=max_command
    )
    stream.begin()
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
        stream.receive(data[begin:end], 0.0)
    stream.tell_batch()
    return told


def heads(data: bytes, cuts: list[int], make: type[StreamScanner]) -> list[Head]:
    scanner = make(0, keep_ends=True)
    reader = HeadReader(scanner)
    found: list[Head] = []
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
        scanner.feed(data[begin:end])
        found += reader.read(data[begin:end])
    return found


def known(data: bytes, cuts: list[int], make: type[StreamScanner]) -> tuple[object, ...]:
    scanner = make(0, keep_ends=True)
    ends: list[object] = []
    inside: dict[int, object] = {}
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
        scanner.feed(memoryview(data)[begin:end])
        ends += scanner.take_ends()
        inside |= scanner.inside
    counts = scanner.commands, scanner.command_bytes, scanner.take()
    dbs = [scanner.db_at(position) for position in range(len(data))]
    return ends, inside, counts, dbs, (scanner.db, scanner.in_transaction, scanner.boundary, scanner.broken)


def test_a_wrapper_is_reported_as_its_inner_commands() -> None:
    told = every_command(DATA, [])
    commands = [event for event in told if isinstance(event, Command)]
    assert [(one.name, one.args, one.db, one.in_transaction) for one in commands] == TOLD
    assert not any(one.omitted_bytes for one in commands)
    # Their bytes are those of the wrappers, and several in one divide its bytes.
    edges = [1000, *(one.end for one in commands)]
    assert [one.start for one in commands] == edges[:-1]
    assert [one.offset for one in commands] == [edge - 1000 + 50 for edge in edges[1:]]
    ends = [1000 + end for end in itertools.accumulate(len(data) for data, _ in STREAM)]
    assert set(ends) <= set(edges)
    assert len(edges) == len(ends) + 2  # one wrapper held two
    batch = told[-1]
    assert isinstance(batch, Commands)
    assert (batch.count, batch.bytes, batch.db) == (len(TOLD), len(DATA), 7)
    assert {name: share.count for name, share in batch.by_name.items()} == {
        name: sum(one[0] == name for one in TOLD) for name, *_ in TOLD
    }
    assert sum(share.bytes for share in batch.by_name.values()) == len(DATA)


@pytest.mark.slow
def test_every_split_gives_the_same() -> None:
    whole = every_command(DATA, [])
    assert every_command(DATA, list(range(len(DATA)))) == whole
    for cut in range(len(DATA)):
        assert every_command(DATA, [cut]) == whole


@pytest.mark.slow
@pytest.mark.parametrize("make", SCANNERS, ids=["as installed", "uncompiled"])
def test_the_scanner_and_the_heads_agree_at_every_split(make: type[StreamScanner]) -> None:
    whole, found = known(DATA, [], StreamScanner), heads(DATA, [], StreamScanner)
    assert [(name, db) for _, _, db, name, *_ in found] == [(name, db) for name, _, db, _ in TOLD]
    assert [keys for *_, keys, _ in found][:5] == [(), (b"user:1",), (b"raw",), (b"count",), (b"count",)]
    assert sum(size for _, size, *_ in found) == len(DATA)
    for cuts in [list(range(len(DATA))), *([cut] for cut in range(len(DATA)))]:
        assert known(DATA, cuts, make) == whole
        assert heads(DATA, cuts, make) == found


INNER = st.sampled_from([SET, BOTH, command(b"SELECT", b"9"), command(b"multi"), command(b"EXEC"), b"\n", SET[:-3], b"?"])
PARTS = st.recursive(
    st.lists(INNER, max_size=3).map(b"".join),
    lambda inner: st.tuples(inner, st.lists(st.sampled_from([b"0", b"12", b"x", b""]), max_size=3)).map(
        lambda pair: rreplay(pair[0], *pair[1])
    ),
    max_leaves=12,
)


@given(st.lists(PARTS, max_size=6).map(b"".join), st.data())
def test_any_chunks_give_the_same(data: bytes, draw: st.DataObject) -> None:
    whole, found = known(data, [], StreamScanner), heads(data, [], StreamScanner)
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=8))
    for make in SCANNERS:
        assert known(data, cuts, make) == whole
        assert known(data, list(range(len(data))), make) == whole
        assert heads(data, cuts, make) == found


@pytest.mark.slow
@pytest.mark.parametrize("make", SCANNERS, ids=["as installed", "uncompiled"])
def test_another_scanner_can_continue_anywhere(make: type[StreamScanner]) -> None:
    data = DATA + rreplay(command(b"SELECT", b"8") + command(b"MULTI") + SET) + command(b"DEL", b"raw")
    for cut in range(len(data)):
        whole, first = make(0, keep_ends=True), make(0)
        whole.feed(data)
        first.feed(data[:cut])
        second = make(first.db, in_transaction=first.in_transaction)
        second.feed(first.unfinished + data[cut:])
        assert (second.db, second.in_transaction, second.broken) == (whole.db, whole.in_transaction, "")


def test_a_stream_may_be_joined_within_a_wrapper() -> None:
    """It begins after it, in its db."""
    for cut in range(1, len(rreplay(BOTH, b"3"))):
        first = StreamScanner(0)
        first.feed(rreplay(BOTH, b"3")[:cut])
        told: list[Event] = []
        stream = Stream(
            told.append,
            Memory(),
            0,
            replid=None,
            base=cut,
            db=0,
            every_command=True,
            unfinished=first.unfinished,
        )
        stream.begin()
        stream.receive(rreplay(BOTH, b"3")[cut:] + command(b"DEL", b"raw"), 0.0)
        one = [event for event in told if isinstance(event, Command)]
        assert [(event.name, event.db) for event in one] == [("DEL", 3)]
        assert one[0].offset == len(rreplay(BOTH, b"3") + command(b"DEL", b"raw"))


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [[], [10], [100], [5000], [5000, 70_000], list(range(0, 140_000, 999))])
def test_of_a_large_wrapper_the_beginning_is_reported(cuts: list[int]) -> None:
    large = command(b"SET", b"large", b"x" * HEAD)
    data = rreplay(large + command(b"DEL", b"behind"), b"3") + SET
    one, two, three = (event for event in every_command(data, cuts, max_command=HEAD) if isinstance(event, Command))
    assert (one.name, one.args, one.db, bool(one.omitted_bytes)) == ("SET", (b"large",), 3, True)
    assert (two.name, two.args, two.db, bool(two.omitted_bytes)) == ("DEL", (), 3, True)
    assert (three.name, three.args, three.omitted_bytes) == ("SET", (b"user:1", b"x"), 0)
    assert one.omitted_bytes + two.omitted_bytes + len(SET) == len(data)
    for make in SCANNERS:
        assert [(name, keys) for *_, name, keys, _ in heads(data, cuts, make)] == [
            ("SET", (b"large",)),
            ("DEL", ()),
            ("SET", (b"user:1",)),
        ]


@pytest.mark.parametrize("make", SCANNERS, ids=["as installed", "uncompiled"])
def test_depth_and_number_are_bounded(make: type[StreamScanner]) -> None:
    def counted(data: bytes) -> dict[str, tuple[int, int]]:
        scanner = make()
        scanner.feed(data)
        taken: dict[str, tuple[int, int]] = scanner.take()
        return taken

    data = SET
    for _ in range(8):
        data = rreplay(data)
    assert counted(data) == {"SET": (1, len(data))}
    assert counted(rreplay(data)) == {"RREPLAY": (1, len(rreplay(data)))}
    full = rreplay(SET * 1000)
    assert counted(full) == {"SET": (1000, len(full))}
    over = rreplay(SET * 1001)
    assert counted(over) == {"RREPLAY": (1, len(over))}


def test_watched_names_are_those_of_the_wrappers() -> None:
    scanner = StreamScanner()
    scanner.watch(frozenset({b"SET", b"RREPLAY"}))
    data = rreplay(BOTH, b"3")
    scanner.feed(data + SET)
    found, ends, _ = scanner.take_matches()
    assert [begin for begin, _ in found] == [0, len(data)]
    assert ends == [len(data), len(data + SET)]


@pytest.mark.parametrize("make", SCANNERS, ids=["as installed", "uncompiled"])
def test_possible_passwords_are_noticed_inside(make: type[StreamScanner]) -> None:
    inner = command(b"CONFIG", b"SET", b"requirepass", b"secret")
    data = SET + rreplay(rreplay(SET + inner), b"3")
    expected = [(b"CONFIG", data.index(b"CONFIG\r\n") + len(b"CONFIG\r\n"), 3)]
    for size in (len(data), 7, 1):
        scanner = make()
        found: list[tuple[bytes, int, int]] = []
        scanner.notice_secrets(lambda *what, found=found: found.append(what))
        for begin in range(0, len(data), size):
            scanner.feed(data[begin : begin + size])
        assert found == expected
