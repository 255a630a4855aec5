"""Where a stream can be read from if its start was not captured."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.recording import boundary
from tap.recording.boundary import MAX_WAIT, PROOF, BoundaryFinder, RequestFinder
from tap.replication.scanner import StreamScanner
from tests.recording.wires import STREAM
from tests.relay.wire import command


@given(st.integers(0, 12_000), st.lists(st.integers(0, 12_000), max_size=20))
def test_the_next_command_is_the_same_for_any_split(begin: int, cuts: list[int]) -> None:
    inner = command("SET", "in", "a value") + b"junk" + command("PING")
    stream = (b"".join(STREAM) + command("SET", "resp", inner) + b"".join(STREAM))[begin:]
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})

    def found(pieces: Iterator[bytes]) -> int:
        finder = BoundaryFinder()
        for piece in pieces:
            if finder.feed(piece) is not None:
                return finder.skipped
        return finder.skipped if finder.close() is not None else -1

    assert found(stream[at:to] for at, to in itertools.pairwise(places)) == found(iter([stream]))


def test_a_beginning_inside_a_value_is_not_one() -> None:
    inside = command("SET", "a", "b") + b"and more of the value\r\n"
    finder = BoundaryFinder()
    rest = b"".join(command("INCR", f"n{number}") for number in range(PROOF))
    assert finder.feed(b"tail\r\n" + inside + rest) == rest
    assert finder.skipped == len(b"tail\r\n" + inside)


def test_fewer_commands_than_prove_it_wait_for_the_next_or_for_the_end() -> None:
    finder = BoundaryFinder()
    few = command("PING") * (PROOF - 1)
    assert finder.feed(b"x" + few) is None
    assert finder.kept == len(few)
    assert finder.close() == few
    assert finder.kept == 0
    other = BoundaryFinder()
    other.feed(b"x" + few)
    assert other.feed(command("PING")) == few + command("PING")


def test_a_command_that_has_begun_is_waited_for_up_to_a_limit() -> None:
    finder = BoundaryFinder()
    endless = b"*2\r\n$3\r\nSET\r\n$100000000\r\n"
    assert finder.feed(endless + bytes(MAX_WAIT - len(endless) - 1)) is None
    assert finder.skipped == 0
    proof = command("PING") * PROOF
    assert finder.feed(bytes(100) + proof) == proof


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (command("PING"), True),
        (command("PING") + b"*2\r\n$3\r\nSE", True),
        (command("PING")[:-1], False),
        (b"x" + command("PING"), False),
        (command("PING") + b"nonsense", False),
        (b"", False),
    ],
)
def test_the_first_byte_may_begin_a_command(data: bytes, is_one: bool) -> None:
    finder = BoundaryFinder()
    finder.feed(data)
    assert finder.begins_with_command() is is_one


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "words", [("REPLCONF", "ACK", "5"), ("replconf", "capa", "eof"), ("PSYNC", "?", "-1"), ("SYNC",)]
)
def test_a_request_that_only_replicas_make_is_found(words: tuple[str, ...], size: int) -> None:
    before = command("GET", "REPLCONF") + command("SYNCED", "x") + b"noise" * 30
    data = before + command(*words) + b"rest"
    finder = RequestFinder()
    found = None
    for at in range(0, len(data), size):
        assert finder.kept <= 40 + size
        found = finder.feed(data[at : at + size])
        if found is not None:
            break
    assert found is not None
    assert (command(*words) + b"rest").startswith(found)
    assert finder.skipped == len(before)


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [1400, 100_000])
def test_candidates_for_a_command_cost_no_more_than_bytes(cuts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything after each fits, for a megabyte."""
    read = 0

    class Counting(StreamScanner):
        def feed(self, data: bytes) -> None:
            nonlocal read
            super().feed(data)
            read += self.broken_at if self.broken else len(data)

    one = b"*9999999\r\n$1\r\nA"
    data = (b"$%d\r\n%b\r\n" % (len(one), one)) * 100_000
    monkeypatch.setattr(boundary, "StreamScanner", Counting)
    monkeypatch.setattr(boundary, "MAX_WAIT", 2**14)
    monkeypatch.setattr(boundary, "MAX_IN_VAIN", 2**18)
    finder = BoundaryFinder()
    for at in range(0, len(data), cuts):
        assert finder.feed(data[at : at + cuts]) is None
    assert finder.skipped > len(data) - 2**15
    assert read < 2**18 + (boundary.IN_VAIN_EACH + 2 + 2**14 / cuts) * len(data)
