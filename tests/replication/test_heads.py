"""Name, keys and size of commands, read from their first bytes: the same as of the whole command, for any split."""

from __future__ import annotations

import itertools

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap.replication.dbs import reach
from tap.replication.heads import HEAD, Head, HeadReader
from tap.replication.scanner import StreamScanner
from tests.replication.test_scanner import SCANNERS, command

PLAIN = st.lists(
    st.tuples(
        st.sampled_from([b"SET", b"set", b"DEL", b"MSET", b"PING", b"MULTI", b"EXEC", b"XGROUP", b"RENAME", b"EVAL"])
        | st.sampled_from([b"copy", b"MOVE", b"SWAPDB", b"FLUSHALL", b"SORT"]),
        st.lists(
            st.sampled_from([b"key:1", b"", b"DB", b"3", b"STORE", b"*1\r\n$4\r\nPING\r\n", b"x" * 300]), max_size=5
        ),
    ).map(lambda pair: (pair[0], *pair[1])),
    max_size=12,
)


def heads(data: bytes, cuts: list[int], make: type[StreamScanner] = StreamScanner) -> list[Head]:
    scanner = make(0, keep_ends=True)
    reader = HeadReader(scanner)
    found: list[Head] = []
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
        scanner.feed(data[begin:end])
        found += reader.read(data[begin:end])
    return found


@pytest.mark.parametrize("make", SCANNERS, ids=["as installed", "uncompiled"])
@given(PLAIN, st.data())
def test_heads_equal_those_of_the_whole_commands(
    make: type[StreamScanner], commands: list[tuple[bytes, ...]], draw: st.DataObject
) -> None:
    expected: list[Head] = []
    data = b""
    for words in commands:
        whole = hiredis.pack_command(words)  # type: ignore[arg-type]
        data += whole
        expected.append((len(data), len(whole), 0, words[0].decode().upper(), *reach(words[0].upper(), words[1:])))
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=8))
    assert heads(data, cuts, make) == expected


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3 * HEAD), max_size=6))
def test_of_a_large_command_the_beginning_is_enough(cuts: list[int]) -> None:
    many = [b"k%d" % number for number in range(8_000)]  # some after the part that is read
    data = command(b"SET", b"large", b"x" * HEAD) + b"\n" + command(b"DEL", *many) + command(b"SET", b"y" * HEAD, b"")
    found = heads(data, cuts)
    assert [(name, size) for _, size, _, name, *_ in found] == [
        ("SET", len(command(b"SET", b"large", b"x" * HEAD))),
        ("DEL", len(command(b"DEL", *many))),
        ("SET", len(command(b"SET", b"y" * HEAD, b""))),
    ]
    assert found[0][4] == (b"large",)
    assert list(found[1][4]) == many[: len(found[1][4])]
    assert len(found[1][4]) > 5000
    assert found[2][4] == ()
    assert found == heads(data, [])


def test_impossible_names_do_not_fill_the_memory() -> None:
    data = b"".join(command(b"N%d" % number, b"key") for number in range(2000)) + command(b"a\nb", b"key")
    found = heads(data, [])
    assert found[999][3] == "N999"
    assert {head[3] for head in found[1000:]} == {"(other)"}
    assert found[1500][4] == (b"key",)
