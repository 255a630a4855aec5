"""The stream scanner, compiled and uncompiled: the same commands from the same bytes, for any split."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication.passwords import SECRETIVE
from tap.replication.scanner import StreamScanner
from tests.support import ROOT, uncompiled_scanner

SCANNERS = [StreamScanner, uncompiled_scanner()]


@pytest.fixture(params=SCANNERS, ids=["as installed", "uncompiled"])
def make(request: pytest.FixtureRequest) -> type[StreamScanner]:
    made: type[StreamScanner] = request.param
    return made


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def scanned(
    make: type[StreamScanner], data: bytes, cuts: list[int] | None = None, db: int | None = None
) -> tuple[object, ...]:
    """Everything that a scanner knows after these bytes."""
    scanner = make(db, keep_ends=True)
    edges = [0, *sorted(cuts or []), len(data)]
    for begin, end in itertools.pairwise(edges):
        scanner.feed(memoryview(data)[begin:end])
    counts = scanner.commands, scanner.command_bytes
    where = scanner.position, scanner.boundary
    state = scanner.db, scanner.in_transaction, scanner.broken, scanner.broken_at
    return counts, where, state, scanner.take(), scanner.take_ends(), [scanner.db_at(i) for i in range(0, len(data), 7)]


WORDS = st.sampled_from(
    [b"SET", b"set", b"ping", b"SELECT", b"MULTI", b"EXEC", b"DISCARD", b"ZREMRANGEBYSCORE", b"X" * 30, b"X" * 29 + b"Y"]
) | st.binary(max_size=60)
COMMANDS = st.lists(
    st.lists(WORDS | st.sampled_from([b"0", b"3", b"15", b"x" * 200]), min_size=1, max_size=5), max_size=12
)
# What a master sends, what it might send, and what no server sends.
PIECES = st.lists(
    st.lists(WORDS, min_size=1, max_size=4).map(lambda words: command(*words))
    | st.sampled_from(
        [b"\n", b"\r\n", b"*0\r\n", b"*1\r\n", b"$4\r\n", b"$-1\r\n", b"*-1\r\n", b"+OK\r\n", b"*01\r\n", b"$007\r\n"]
    )
    | st.sampled_from([b"*2\r\n$6\r\nSELECT\r\n$1\r\n", b"*1\r\n$99999999999999999999\r\n", b"*1\r\n$5\r\nhello!"])
    | st.binary(max_size=20),
    max_size=12,
).map(b"".join)


def test_the_names_that_may_carry_passwords_are_those_of_the_table() -> None:
    """The scanner has them as numbers."""
    tree = ast.parse((ROOT / "tap" / "replication" / "scanner.py").read_text())
    (compares,) = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "_is_secretive")
    compared = {node.id for node in ast.walk(compares) if isinstance(node, ast.Name) and node.id.isupper()}
    assert {name.encode() for name in compared} == SECRETIVE


# Names that may carry passwords, and their neighbours.
NOTICED = st.sampled_from(
    [*sorted(SECRETIVE), b"auth", b"Config", b"AUTHX", b"ACLS", b"MIGRATES", b"SET", b"SENTINELS", b"HELL", b"X" * 40]
)


@pytest.mark.parametrize("made", SCANNERS, ids=["as installed", "uncompiled"])
@given(said=st.lists(st.tuples(NOTICED, st.integers(0, 4)), max_size=60), cuts=st.lists(st.integers(0, 3000), max_size=9))
def test_commands_that_may_carry_passwords_are_noticed_before_their_words_have_passed(
    made: type[StreamScanner], said: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    """At the first byte after the name, for any split and whatever else is counted."""
    data, expected = b"", []
    for name, words in said:
        begin = len(data)
        data += command(name, *[b"word"] * words)
        if name.upper() in SECRETIVE:
            expected.append((name.upper(), data.index(name, begin) + len(name) + 2, words))
    scanner, found = made(0), []
    scanner.notice_secrets(lambda *what: found.append(what))
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(edges):
        before = len(found)
        scanner.feed(data[begin:end])
        for name, position, words in found[before:]:
            assert begin < position  # none of the words was in the earlier bytes
            assert position <= end
            assert name
            assert words >= 0
    assert found == expected


@given(COMMANDS, st.data())
@pytest.mark.parametrize("make", SCANNERS, ids=["as installed", "uncompiled"])
def test_another_scanner_can_continue_anywhere(
    make: type[StreamScanner], commands: list[list[bytes]], draw: st.DataObject
) -> None:
    data = b"".join(command(*words) for words in commands)
    cut = draw.draw(st.integers(0, len(data)))
    whole, first = make(0, keep_ends=True), make(0)
    whole.feed(data)
    first.feed(data[:cut])
    begun = first.unfinished
    assert bool(begun) == (first.boundary < cut)
    second = make(first.db, keep_ends=True, in_transaction=first.in_transaction)
    second.feed(begun + data[cut:])
    after = [(end, db, inside) for _, end, db, inside in whole.take_ends() if end > cut]
    assert [(end - len(begun) + cut, db, inside) for _, end, db, inside in second.take_ends()] == after
    assert (second.db, second.in_transaction, second.broken) == (whole.db, whole.in_transaction, "")


@given(PIECES, st.data())
def test_any_split_gives_the_same(data: bytes, draw: st.DataObject) -> None:
    whole = scanned(StreamScanner, data)
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=10))
    for make in SCANNERS:
        assert scanned(make, data, cuts) == whole
        assert scanned(make, data, list(range(len(data)))) == whole


@given(COMMANDS)
def test_every_command_is_counted_with_its_bytes(commands: list[list[bytes]]) -> None:
    data = b"".join(command(*words) for words in commands)
    for make in SCANNERS:
        scanner = make(keep_ends=True)
        scanner.feed(data)
        assert not scanner.broken
        assert scanner.commands == len(commands)
        assert scanner.boundary == scanner.position == scanner.command_bytes == len(data)
        expected: dict[str, tuple[int, int]] = {}
        for words in commands:
            name = words[0].upper().decode("latin-1") if len(words[0]) <= 48 else "(other)"
            count, size = expected.get(name, (0, 0))
            expected[name] = count + 1, size + len(command(*words))
        assert scanner.take() == expected
        assert scanner.take() == {}
        ends = scanner.take_ends()
        assert [data[begin:end] for begin, end, _, _ in ends] == [command(*words) for words in commands]


def test_select_and_multi_are_followed(make: type[StreamScanner]) -> None:
    scanner = make()
    assert scanner.db is None
    for words, db, inside in [
        ((b"SET", b"a", b"b"), None, False),
        ((b"SELECT", b"7"), 7, False),
        ((b"multi",), 7, True),
        ((b"SELECT", b"12"), 12, True),
        ((b"EXEC",), 12, False),
        ((b"MULTI",), 12, True),
        ((b"DISCARD",), 12, False),
    ]:
        scanner.feed(command(*words))
        assert (scanner.db, scanner.in_transaction) == (db, inside)


def test_the_db_of_an_earlier_position_is_remembered_up_to_a_limit(make: type[StreamScanner]) -> None:
    scanner = make(5)
    selects = [command(b"SELECT", b"%d" % (number % 10)) for number in range(300)]
    for select in selects:
        scanner.feed(select)
    size = len(selects[0])
    assert scanner.db_at(300 * size) == 299 % 10
    assert scanner.db_at(300 * size - 1) == 298 % 10
    assert scanner.db_at(45 * size) == 44 % 10
    assert scanner.db_at(0) is None  # too long ago
    young = make(5)
    young.feed(selects[0])
    assert young.db_at(0) == 5
    assert make().db_at(0) is None


@pytest.mark.slow
def test_a_hundred_thousand_names_are_not_all_kept(make: type[StreamScanner]) -> None:
    scanner = make()
    for number in range(100_000):
        scanner.feed(command(b"NAME%d" % number))
    taken = scanner.take()
    assert len(taken) <= 1100
    assert sum(count for count, _ in taken.values()) == 100_000


def test_the_names_kept_do_not_depend_on_the_compiler() -> None:
    names = [b"A_NAME_TOO_LONG_FOR_A_SLOT_%d" % number for number in range(990)]
    names += [b"SHORT%d" % number for number in range(50)] + names[:5]
    taken = []
    for make in SCANNERS:
        scanner = make()
        for name in names:
            scanner.feed(command(name))
        taken.append(scanner.take())
    assert taken[0] == taken[1]
    assert len(taken[0]) == 1001


@pytest.mark.parametrize(
    ("data", "at", "why"),
    [
        (b"+OK\r\n", 0, "byte 0x2b where a command's * was expected"),
        (command(b"PING") + b"x", 14, "byte 0x78 where a command's * was expected"),
        (b"*1\r\n$1000000000000000000\r\n", 23, "a length of more than 18 digits"),
        (b"*1\r\n$99999999999999\r\n", 19, "an argument of 99999999999999 bytes"),
        (b"*99999999999\r\n", 12, "a command of 99999999999 arguments"),
        (b"*1\r\n$4\r\nPINGPONG", 12, "byte 0x50 where an argument's CR was expected"),
        (b"*1\r\n:4\r\n", 4, "byte 0x3a where an argument's $ was expected"),
        (b"*1\r\n$04\r\nPING\r\n", 6, "a length with a leading zero"),
    ],
)
def test_nonsense_is_located(make: type[StreamScanner], data: bytes, at: int, why: str) -> None:
    scanner = make()
    scanner.feed(data)
    assert (scanner.broken, scanner.broken_at) == (why, at)
    assert scanner.position == len(data)
    scanner.feed(b"more")
    assert scanner.position == len(data) + 4
    assert scanner.broken_at == at


def test_a_value_larger_than_any_buffer_passes(make: type[StreamScanner]) -> None:
    scanner = make()
    scanner.feed(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % (1 << 30))
    chunk = bytes(1 << 20)
    for _ in range(1 << 10):
        scanner.feed(chunk)
    scanner.feed(b"\r\n" + command(b"PING"))
    assert scanner.commands == 2
    assert scanner.take()["SET"][1] > 1 << 30


# ---- for faults ----

PREFIXES = st.sampled_from([b"0", b"S", b"x" * 70, b"ping"])

NAMES = st.none() | st.frozensets(
    st.sampled_from(
        [b"SET", b"PING", b"MULTI", b"EXEC", b"SELECT", b"ZREMRANGEBYSCORE", b"SETEX", b"X" * 30, b"X" * 29 + b"Y"]
    )
    | st.integers(0, 99).map(b"N%d".__mod__),
    max_size=18,
)


@given(COMMANDS, NAMES, NAMES, PREFIXES, st.lists(st.integers(0, 300), max_size=4), st.data())
def test_watched_commands_are_found_for_any_split(
    commands: list[list[bytes]],
    names: frozenset[bytes] | None,
    keyed: frozenset[bytes] | None,
    prefix: bytes,
    seeks: list[int],
    draw: st.DataObject,
) -> None:
    data = b"".join(command(*words) for words in commands)
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=8))
    ends = list(itertools.accumulate(len(command(*words)) for words in commands))
    begins = [0, *ends[:-1]]

    def short(names: Collection[bytes]) -> set[tuple[bytes, int]]:
        return {(name[:16], len(name)) for name in names}

    def matches(name: bytes, first: bytes) -> bool:
        if names is None or short([name]) & short(names):
            return True
        return (keyed is None or bool(short([name]) & short(keyed))) and first.startswith(prefix[:64])

    matched = [
        number for number, words in enumerate(commands) if matches(words[0].upper(), words[1] if len(words) > 1 else b"")
    ]
    inside, outside = False, []
    for end, words in zip(ends, commands, strict=True):
        inside = words[0].upper() == b"MULTI" or (inside and words[0].upper() not in (b"EXEC", b"DISCARD"))
        if not inside:
            outside.append(end)
    for make in SCANNERS:
        scanner = make()
        scanner.watch(names, keyed, prefix)
        for seek in seeks:
            scanner.seek(seek, False)
            scanner.seek(seek, True)
        heads: list[tuple[int, int]] = []
        found: tuple[list[int], list[int]] = [], []
        landed: dict[tuple[int, bool], int] = {}
        for begin, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
            scanner.feed(memoryview(data)[begin:end])
            taken = scanner.take_matches()
            heads += taken[0]
            found[0].extend(taken[1])
            found[1].extend(taken[2])
            landed |= scanner.take_landed()
            undecided = scanner.undecided
            if undecided is not None:
                assert undecided in begins
                assert undecided < end
        assert [head[0] for head in heads] == [begins[number] for number in matched]
        name_sizes = [
            len(b"%d" % len(commands[n])) + len(b"%d" % len(commands[n][0])) + len(commands[n][0]) + 8 for n in matched
        ]
        assert [end - begin for begin, end in heads] == name_sizes
        assert found[0] == [ends[number] for number in matched]
        assert found[1] == [ends[number + 1] for number in matched if number + 1 < len(ends)]
        for seek in seeks:
            assert landed.get((seek, False)) == next((end for end in ends if end >= seek), None)
            assert landed.get((seek, True)) == next((end for end in outside if end >= seek), None)
