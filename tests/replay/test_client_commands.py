"""Which bytes of a stream are sent to a server: which commands, in which db, and whole transactions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from itertools import chain, pairwise

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.errors import RecordingError
from tap.glob import matcher
from tap.replay import client_commands
from tap.replay.client_commands import MAX_DBS, Choice, ClientCommands, ExpectedReply, keys, whole_until
from tests.relay.wire import command

Words = tuple[str, ...]


def select(db: int) -> Words:
    return ("SELECT", str(db))


MULTI, EXEC, PING, GETACK = ("MULTI",), ("EXEC",), ("ping",), ("REPLCONF", "GETACK", "*")


@pytest.fixture
def file() -> Iterator[int]:
    with tempfile.TemporaryFile() as opened:
        yield opened.fileno()


def packed(stream: list[Words]) -> bytes:
    return b"".join(command(*one) for one in stream)


def write(file: int, data: bytes) -> int:
    os.ftruncate(file, 0)
    os.pwrite(file, data, 0)
    return len(data)


def sent(
    file: int, data: bytes, choice: Choice | None = None, ends: list[int] | None = None, start: int = 0, db: int = -1
) -> tuple[list[Words], list[ExpectedReply], ClientCommands]:
    """The words of everything sent, and the entries, of a stream taken up to these ends."""
    size = write(file, data)
    chosen = ClientCommands(file, start, db, choice or Choice())
    reader = hiredis.Reader(encoding="utf-8")
    found: list[Words] = []
    entries: list[ExpectedReply] = []
    for end in [*sorted(one for one in ends or [] if start < one < size), size]:
        pipeline = chosen.take(end)
        for part in pipeline.parts:
            reader.feed(part if isinstance(part, bytes) else os.pread(file, part[1] - part[0], part[0]))
        while (words := reader.gets()) is not False:
            found.append(tuple(words))
        entries += pipeline.entries
    assert len(entries) == len(found)  # each has a reply
    return found, entries, chosen


def only(*, dbs: tuple[int, ...] = (), names: tuple[bytes, ...] = (), globs: tuple[bytes, ...] = ()) -> Choice:
    return Choice(frozenset(dbs), frozenset(names), tuple(matcher(glob) for glob in globs))


STREAM: list[Words] = [
    PING, select(0), ("SET", "a", "1"), ("INCR", "b"), GETACK, ("set", "c", "3"), select(3), ("SET", "a", "4"), PING,
    MULTI, ("SET", "b", "5"), select(0), ("DEL", "a", "b"), EXEC, ("SET", "d", "6"), select(3), select(0), MULTI,
    ("LPUSH", "l", "x"), EXEC, ("MSET", "m", "1", "n", "2"),
]  # fmt: skip


def test_commands_of_replication_itself_are_left_out(file: int) -> None:
    found, _, _ = sent(file, packed(STREAM))
    assert found == [
        select(0), ("SET", "a", "1"), ("INCR", "b"), ("set", "c", "3"), select(3), ("SET", "a", "4"), MULTI,
        ("SET", "b", "5"), select(0), ("DEL", "a", "b"), EXEC, ("SET", "d", "6"), MULTI, ("LPUSH", "l", "x"), EXEC,
        ("MSET", "m", "1", "n", "2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (only(dbs=(3,)), [select(3), ("SET", "a", "4"), MULTI, ("SET", "b", "5"), EXEC]),
        (only(names=(b"INCR", b"DEL")), [select(0), ("INCR", "b"), MULTI, ("DEL", "a", "b"), EXEC]),
        (only(globs=(b"[cl]",)), [select(0), ("set", "c", "3"), MULTI, ("LPUSH", "l", "x"), EXEC]),
        (only(globs=(b"n",)), [select(0), ("MSET", "m", "1", "n", "2")]),
        (only(dbs=(0,), names=(b"SET",), globs=(b"a", b"d")), [select(0), ("SET", "a", "1"), ("SET", "d", "6")]),
        (only(names=(b"PING", b"SELECT", b"A.NAME.LONGER.THAN.SIXTEEN")), []),
    ],
)
def test_filters_keep_the_db_and_the_transaction(file: int, choice: Choice, expected: list[Words]) -> None:
    assert sent(file, packed(STREAM), choice)[0] == expected


def test_all_commands_can_go_to_one_db(file: int) -> None:
    size = write(file, packed(STREAM))
    pipeline = ClientCommands(file, 0, -1, only(dbs=(3,)), to_db=7).take(size)
    assert pipeline.parts[0] == command("SELECT", "7")
    assert pipeline.dbs == {7}


def test_commands_with_an_unknown_db_are_counted(file: int) -> None:
    found, _, chosen = sent(file, packed([("SET", "x", "1"), MULTI, ("SET", "y", "1"), EXEC, *STREAM]))
    assert found == sent(file, packed(STREAM))[0]
    assert chosen.unplaced == 2
    assert sent(file, packed([("SET", "x", "1")]), db=5)[0] == [select(5), ("SET", "x", "1")]


def test_a_transaction_is_over_with_its_exec(file: int) -> None:
    _, entries, _ = sent(file, packed([select(0), ("SET", "a", "1"), MULTI, ("SET", "b", "2"), EXEC]))
    assert [is_open for _, _, _, is_open in entries] == [True, False, True, True, False]


def rreplay(inner: bytes, *rest: str) -> bytes:
    return command("RREPLAY", "0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d", inner, *rest)


KEYDB = [
    rreplay(command("SET", "a", "1") + command("PEXPIREAT", "a", "9"), "3", "1"), command("DEL", "raw"),
    command("PING"), rreplay(rreplay(command("SET", "b", "2"), "5"), "4"), rreplay(command("MULTI"), "5"),
    rreplay(command("SET", "a", "3"), "5"), rreplay(command("PING"), "5"), rreplay(command("EXEC"), "5"),
    rreplay(b"none", "5"),
]  # fmt: skip
KEYDB_SENT: list[Words] = [
    select(3), ("SET", "a", "1"), ("PEXPIREAT", "a", "9"), ("DEL", "raw"), select(5), ("SET", "b", "2"), MULTI,
    ("SET", "a", "3"), EXEC, ("RREPLAY", "0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d", "none", "5"),
]  # fmt: skip


def test_for_a_keydb_the_inner_commands_are_sent(file: int) -> None:
    data = b"".join(KEYDB)
    for ends in [[], *([end] for end in range(1, len(data))), list(range(1, len(data)))]:
        found, entries, chosen = sent(file, data, ends=ends)
        assert (found, chosen.came) == (KEYDB_SENT, 6)
        assert entries[-1][1] == len(data)
    found, entries, _ = sent(file, data, only(dbs=(5,), names=(b"SET",), globs=(b"a",)))
    assert found == [select(5), MULTI, ("SET", "a", "3"), EXEC]
    assert client_commands.name(file, entries[2][0]) == "SET"
    assert keys(file, *entries[2][:2]) == [b"a"]


words = st.sampled_from(
    [PING, GETACK, select(0), select(3), ("SET", "a", "1"), ("INCR", "b"), ("DEL", "a", "b"), ("FLUSHALL",)]
)


def test_the_rest_of_a_transaction_that_began_in_a_gap_is_sent_without_its_end(file: int) -> None:
    stream = [("SET", "a", "1"), EXEC, ("SET", "b", "2"), MULTI, ("SET", "c", "3"), EXEC, ("DISCARD",)]
    found, _, _ = sent(file, packed(stream), db=0)
    assert found == [select(0), ("SET", "a", "1"), *stream[2:-1]]


transactions = st.lists(words, max_size=4).map(lambda inside: [MULTI, *inside, EXEC])
streams = st.lists(words.map(lambda one: [one]) | transactions, max_size=12).map(lambda parts: list(chain(*parts)))
choices = st.sampled_from([Choice(), only(dbs=(0,)), only(names=(b"SET",)), only(globs=(b"b",))])


@given(streams, choices, st.lists(st.integers(0, 600)))
def test_the_result_does_not_depend_on_the_split(stream: list[Words], choice: Choice, ends: list[int]) -> None:
    with tempfile.TemporaryFile() as opened:
        data = packed(stream)
        assert sent(opened.fileno(), data, choice, ends)[:2] == sent(opened.fileno(), data, choice)[:2]


REACHING: list[Words] = [
    select(0), ("SET", "a", "1"), ("FLUSHALL", "ASYNC"), ("SWAPDB", "0", "3"), ("SWAPDB", "5", "6"), ("MOVE", "a", "3"),
    ("COPY", "a", "b"), ("COPY", "a", "b", "REPLACE", "DB", "3"), select(5), ("COPY", "a", "b", "DB", "5", "REPLACE"),
    ("MOVE", "a", "0"), ("COPY", "a", "b", "DB", "6"),
]  # fmt: skip
FLUSHDB = ("FLUSHDB", "ASYNC")


@pytest.mark.parametrize(
    ("choice", "expected", "unfilled"),
    [
        (Choice(), REACHING, 0),
        (
            only(dbs=(0,)),
            [select(0), ("SET", "a", "1"), FLUSHDB, ("DEL", "a"), ("COPY", "a", "b")],
            2,  # the SWAPDB, and the MOVE out of db 5
        ),
        (
            only(dbs=(0, 3)),
            [
                select(0), ("SET", "a", "1"), FLUSHDB, select(3), FLUSHDB, select(0), *REACHING[3:4], *REACHING[5:8],
            ],
            1,
        ),
        (only(dbs=(3,)), [select(3), FLUSHDB], 3),
        (only(dbs=(6,)), [select(6), FLUSHDB], 2),
        (only(dbs=(9,)), [select(9), FLUSHDB], 0),
        (only(dbs=(3, 9), names=(b"FLUSHALL",)), [select(3), FLUSHDB, select(9), FLUSHDB], 0),
        (only(globs=(b"b",)), [select(0), *REACHING[6:9], REACHING[9], REACHING[11]], 0),
        (only(dbs=(0,), globs=(b"b",)), [select(0), ("COPY", "a", "b")], 0),
        (only(dbs=(3,), globs=(b"b",)), [], 1),
        (only(dbs=(0, 3), globs=(b"a",)), [select(0), ("SET", "a", "1"), *REACHING[5:8]], 1),
        (only(dbs=(5,), globs=(b"a",)), [select(5), REACHING[9], ("DEL", "a")], 0),
        (only(names=(b"SWAPDB",)), [select(0), *REACHING[3:5]], 0),
    ],
)  # fmt: skip
def test_a_command_that_reaches_several_dbs_is_sent_as_its_effect_on_the_wanted_ones(
    file: int, choice: Choice, expected: list[Words], unfilled: int
) -> None:
    found, _, chosen = sent(file, packed(REACHING), choice)
    assert (found, chosen.unfilled, chosen.unplaced) == (expected, unfilled, 0)


def test_a_command_in_another_db_stays_within_it(file: int) -> None:
    size = write(file, packed(REACHING))
    chosen = ClientCommands(file, 0, -1, only(dbs=(5,)), to_db=7)
    reader = hiredis.Reader(encoding="utf-8")
    pipeline = chosen.take(size)
    for part in pipeline.parts:
        reader.feed(part if isinstance(part, bytes) else os.pread(file, part[1] - part[0], part[0]))
    found = [tuple(reader.gets()) for _ in pipeline.entries]
    assert found == [select(7), FLUSHDB, ("COPY", "a", "b", "REPLACE"), ("DEL", "a")]
    assert not reader.gets()
    assert chosen.unfilled == 1  # SWAPDB 5 6


def test_without_a_known_db_commands_with_the_same_effect_in_any_db_are_sent(file: int) -> None:
    found, _, chosen = sent(file, packed([("FLUSHALL",), ("SWAPDB", "0", "1"), ("SET", "a", "1"), ("MOVE", "a", "1")]))
    assert (found, chosen.unplaced) == ([("FLUSHALL",), ("SWAPDB", "0", "1")], 2)
    alike: list[Words] = [MULTI, ("function", "FLUSH"), ("PUBLISH", "c", "m"), EXEC, ("SCRIPT", "FLUSH")]
    found, _, chosen = sent(file, packed([*alike, ("SET", "a", "1")]))
    assert (found, chosen.unplaced) == (alike, 1)
    found, _, chosen = sent(file, packed(alike), only(dbs=(1,)))
    assert (found, chosen.unplaced) == ([], 3)  # perhaps they were executed in another
    stream: list[Words] = [("FLUSHALL",), ("SET", "a", "1"), ("MOVE", "a", "1"), ("MOVE", "a", "3")]
    found, _, chosen = sent(file, packed(stream), only(dbs=(1,)))
    assert (found, chosen.unplaced, chosen.unfilled) == ([select(1), ("FLUSHDB",)], 2, 1)


def test_in_a_transaction_several_dbs_are_flushed_before_its_end(file: int) -> None:
    stream: list[Words] = [select(0), MULTI, ("FLUSHALL",), ("SET", "a", "1"), EXEC]
    found, entries, _ = sent(file, packed(stream), only(dbs=(3, 5)))
    assert found == [select(3), MULTI, ("FLUSHDB",), select(5), ("FLUSHDB",), EXEC]
    assert [is_open for _, _, _, is_open in entries] == [True] * 5 + [False]
    stream = [select(0), ("FLUSHALL",), ("SET", "a", "1")]
    _, entries, _ = sent(file, packed(stream), only(dbs=(3, 5)))
    assert [is_open for begin, end, _, is_open in entries if begin < end] == [True, False]


@given(streams, choices)
def test_each_command_goes_to_its_db_and_no_transaction_is_empty(stream: list[Words], choice: Choice) -> None:
    def placed(one: list[Words], known: str | None) -> list[tuple[str | None, Words]]:
        found: list[tuple[str | None, Words]] = []
        db = known
        for what in one:
            if what[0] == "SELECT":
                db = what[1]
            elif what[0] not in ("ping", "REPLCONF", "MULTI", "EXEC") and (db is not None or what == ("FLUSHALL",)):
                found.append((db, what))
        return found

    with tempfile.TemporaryFile() as opened:
        found, _, _ = sent(opened.fileno(), packed(stream), choice)
    expected = [
        (db, what)
        for db, what in (
            ("0", ("FLUSHDB",)) if choice.dbs and one[1] == ("FLUSHALL",) else one for one in placed(stream, None)
        )
        if (not choice.dbs or db == "0")
        and (not choice.names or what[0] == "SET")
        and (not choice.globs or "b" in what[1:])
    ]
    assert placed(found, None) == expected
    assert (MULTI, EXEC) not in set(pairwise(found))
    assert found.count(MULTI) == found.count(EXEC)


@given(streams, st.integers(0, 600))
def test_a_position_is_found_where_nothing_is_open(stream: list[Words], limit: int) -> None:
    data = packed(stream)
    with tempfile.TemporaryFile() as opened:
        write(opened.fileno(), data)
        place, db = whole_until(opened.fileno(), min(limit, len(data)), -1)
    best, position, inside, known = (0, -1), 0, False, -1
    for one in stream:
        position += len(command(*one))
        inside = one == MULTI or (inside and one != EXEC)
        known = int(one[1]) if one[0] == "SELECT" else known
        if position <= limit and not inside:
            best = position, known
    assert (place, db) == best


def test_a_long_transaction_leaves_nothing_behind(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_commands, "CHUNK", 100)
    one = ("SET", "a", "b")
    whole = packed([*[one] * 20, MULTI, *[one] * 100, EXEC, MULTI, one, ("exec",)])
    assert whole_until(file, write(file, whole + packed([MULTI, *[one] * 100]))) == (len(whole), -1)


def test_whole_commands_end_where_the_stream_is_not_understood(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_commands, "CHUNK", 10)
    before = packed([select(2), ("SET", "a", "1")])
    assert whole_until(file, write(file, before + b"*1\r\n$-" + packed([("SET", "a", "b")] * 20))) == (len(before), 2)


def test_from_a_position_on_its_db_is_selected(file: int) -> None:
    data = packed(STREAM)
    write(file, data)
    place, db = whole_until(file, len(packed(STREAM[:8])), -1)
    assert db == 3
    assert sent(file, data, start=place, db=db)[0][:3] == [select(3), MULTI, ("SET", "b", "5")]


def test_keys_after_a_long_value_are_found(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_commands, "LOOKED_AT", 100)
    before = packed([("SET", "filler", "x" * 5000)])
    size = write(file, before + packed([("MSET", "a", "v" * 9000, "b", "2")]))
    assert keys(file, len(before), size) == [b"a", b"b"]


def test_anything_but_a_command_is_an_error(file: int) -> None:
    with pytest.raises(RecordingError, match="byte 32 of the stream is not understood: byte 0x2d where a length"):
        sent(file, packed([("SET", "a", "1")]) + b"*1\r\n$-", start=0, db=0)


def test_entries_are_positions_in_the_file_wherever_reading_began(file: int) -> None:
    before = packed([select(0), ("SET", "a", "1")])
    first, second = packed([("SET", "b", "22")]), packed([("INCR", "c")])
    for selected in (0, -1):
        write(file, before + first + second)
        chosen = ClientCommands(file, len(before), 0, Choice(), selected=selected)
        pipeline = chosen.take(len(before + first + second))
        begin, middle, end = len(before), len(before + first), len(before + first + second)
        plain = [(begin, middle, 0, False), (middle, end, 0, False)]
        assert pipeline.entries == ([] if selected == 0 else [(begin, begin, 0, True)]) + plain
        assert pipeline.parts[-1] == (begin, end)


def test_endless_dbs_are_not_all_noted(file: int) -> None:
    words: list[Words] = []
    for db in range(MAX_DBS + 5):
        words += [select(db), ("INCR", "n")]
    _, _, chosen = sent(file, packed(words), only(names=(b"INCR",)))
    assert chosen.dbs == set(range(MAX_DBS))


def test_a_choice_with_any_filter_is_not_all() -> None:
    assert only().is_all
    for one in (only(dbs=(0,)), only(names=(b"SET",)), only(globs=(b"*",))):
        assert not one.is_all
