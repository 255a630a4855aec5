"""One direction alone: what is swallowed, inserted, flipped and held, at exactly which byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tap.faults.lane import Lane

DATA = b"0123456789"


def out(lane: Lane) -> bytes:
    found = b""
    while (item := lane.flow.take(0.0)) is not None:
        assert isinstance(item, bytes | memoryview)
        found += bytes(item)
    return found


def feed(lane: Lane, data: bytes, decided: int | None = None) -> bytes:
    """What comes out."""
    lane.feed(memoryview(data), lane.out + len(lane._pending) + len(data) if decided is None else decided, 1.0)
    return out(lane)


def test_untouched_bytes_pass_and_are_counted() -> None:
    lane = Lane(100)
    assert lane.passes(memoryview(DATA), 110)
    assert lane.out == 110
    assert not lane.passes(memoryview(DATA), 119)
    assert lane.out == 110
    assert lane.is_idle


@pytest.mark.parametrize("what", ["mark", "skip", "copy", "flip", "stop", "held", "stall"])
def test_bytes_with_an_effect_do_not_simply_pass(what: str) -> None:
    lane = Lane(0)
    copied = bytearray()
    begin: dict[str, Callable[[], object]] = {
        "mark": lambda: lane.mark(5, print, "me"),
        "skip": lambda: lane.skip(on=True),
        "copy": lambda: lane.copy(copied),
        "flip": lambda: lane.flip(1, on=True),
        "stop": lane.stop,
        "held": lambda: lane.feed(memoryview(b"ab"), 1, 0.0),
        "stall": lambda: lane.flow.stall(on=True),
    }
    end: dict[str, Callable[[], object]] = {
        "mark": lambda: lane.forget("me"),
        "skip": lambda: lane.skip(on=False),
        "copy": lambda: lane.end_copy(copied),
        "flip": lambda: lane.flip(1, on=False),
        "held": lambda: lane.release(0.0),
        "stall": lambda: lane.flow.stall(on=False),
    }
    begin[what]()
    assert not lane.is_idle
    assert not lane.passes(memoryview(DATA), 100)
    if what in end:
        end[what]()
        out(lane)
        assert lane.is_idle
        assert lane.passes(memoryview(DATA), 100)


def test_bytes_before_a_mark_pass_and_its_own_byte_does_not() -> None:
    lane = Lane(0)
    lane.mark(11, lambda: lane.insert(b"!"))
    assert lane.passes(memoryview(DATA), 10)
    assert not lane.passes(memoryview(b"a"), 11)  # the mark acts with the byte before it
    assert feed(lane, b"a") == b"a!"
    assert lane.passes(memoryview(DATA), 21)
    lane.mark(25, lambda: None, "me")
    lane.mark(24, lambda: lane.insert(b"?"))
    assert not lane.passes(memoryview(DATA), 31)
    assert feed(lane, DATA) == b"012?3456789"


@pytest.mark.parametrize("size", [1, 3, 10])
def test_marks_act_between_their_bytes_and_in_the_order_they_were_set(size: int) -> None:
    lane = Lane(0)
    for position, text in ((4, b"b"), (0, b"a"), (4, b"c"), (10, b"d"), (11, b"e")):
        lane.mark(position, lambda text=text: lane.insert(text))  # type: ignore[misc]
    said = b"".join(feed(lane, DATA[at : at + size]) for at in range(0, 10, size))
    assert said == b"a0123bc456789d"
    assert lane.out == 10
    assert feed(lane, b"x") == b"xe"


def test_a_mark_that_has_passed_acts_with_the_next_bytes_and_before_them() -> None:
    lane = Lane(0)
    feed(lane, DATA)
    lane.mark(3, lambda: lane.insert(b"!"))
    assert out(lane) == b""
    assert feed(lane, b"abc") == b"!abc"
    lane.mark(lane.out, lambda: lane.insert(b"?"))
    lane.reach(2.0)
    assert out(lane) == b"?"
    lane.mark(lane.out + 1, lambda: lane.insert(b"?"))
    lane.reach(2.0)
    assert out(lane) == b""


def test_swallowed_bytes_count_and_two_swallowing_faults_both_have_to_end() -> None:
    lane = Lane(0)
    lane.mark(2, lambda: lane.skip(on=True))
    lane.mark(4, lambda: lane.skip(on=True))
    lane.mark(6, lambda: lane.skip(on=False))
    lane.mark(8, lambda: lane.skip(on=False))
    assert feed(lane, DATA) == b"0189"
    assert lane.out == 10


def test_masks_add_up_and_each_ends_separately() -> None:
    lane = Lane(0)
    lane.mark(1, lambda: lane.flip(0x0F, on=True))
    lane.mark(2, lambda: lane.flip(0xF0, on=True))
    lane.mark(3, lambda: lane.flip(0x0F, on=False))
    lane.mark(4, lambda: lane.flip(0xF0, on=False))
    assert feed(lane, bytes(6)) == b"\x00\x0f\xff\xf0\x00\x00"


def test_copies_hold_what_passes_swallowed_or_not() -> None:
    lane = Lane(0)
    first, second = bytearray(), bytearray()
    lane.mark(1, lambda: lane.copy(first))
    lane.mark(2, lambda: lane.skip(on=True))
    lane.mark(3, lambda: lane.copy(second))
    lane.mark(5, lambda: lane.end_copy(first))
    lane.mark(6, lambda: lane.flip(0xFF, on=True))
    feed(lane, DATA)
    assert (bytes(first), bytes(second)) == (b"1234", b"3456789")


@pytest.mark.parametrize("size", [1, 4, 10])
def test_undecided_bytes_wait_and_go_once_decided(size: int) -> None:
    lane = Lane(100)
    said = b""
    for at in range(0, 10, size):
        piece = DATA[at : at + size]
        assert bytes(lane.peek(memoryview(piece))) == DATA[len(said) : at + size]
        said += feed(lane, piece, 103)
    assert said == b"012"
    assert lane.out == 103
    assert bytes(lane.peek(memoryview(b""))) == b"3456789"
    lane.decide(105, 2.0)
    assert out(lane) == b"34"
    lane.decide(104, 2.0)  # decided bytes remain decided
    assert (out(lane), lane.out) == (b"", 105)
    lane.decide(200, 2.0)
    assert (out(lane), lane.out) == (b"56789", 110)
    lane.decide(300, 2.0)
    assert lane.out == 110


def test_after_a_stop_nothing_passes_and_nothing_is_kept() -> None:
    lane = Lane(0)
    lane.mark(4, lane.stop)
    lane.mark(4, lambda: lane.insert(b"!"))
    assert feed(lane, DATA) == b"0123"
    assert lane.out == 4
    assert lane._pending == b""
    assert feed(lane, DATA) == b""


def test_marks_of_a_forgotten_owner_do_not_act_and_the_others_do_in_order() -> None:
    lane = Lane(0)
    for number in range(9, -1, -1):
        text = b"%c" % (97 + number)
        lane.mark(number, lambda text=text: lane.insert(text), number % 2)  # type: ignore[misc]
    lane.forget(1)
    assert feed(lane, DATA) == b"a01c23e45g67i89"


def test_after_giving_up_bytes_pass_unchanged() -> None:
    lane = Lane(0)
    copied = bytearray()
    lane.mark(2, lambda: lane.skip(on=True))
    lane.mark(3, lambda: lane.flip(1, on=True))
    lane.mark(4, lambda: lane.copy(copied))
    lane.mark(5, lambda: lane.insert(b"!"))
    assert feed(lane, DATA, 5) == b"01!"
    lane.give_up(2.0)
    assert out(lane) == b"56789"
    assert lane.is_idle
    assert feed(lane, b"x") == b"x"
    assert copied == b"4"


def test_a_failing_fault_leaves_the_rest_to_be_given_up() -> None:
    def fail() -> None:
        raise RuntimeError

    lane = Lane(0)
    lane.mark(3, fail)
    with pytest.raises(RuntimeError):
        lane.feed(memoryview(DATA), 10, 0.0)
    lane.give_up(0.0)
    assert out(lane) == DATA


def test_released_bytes_pass_their_marks() -> None:
    lane = Lane(0)
    feed(lane, DATA, 2)
    lane.mark(5, lambda: lane.insert(b"!"))
    lane.release(7.0)
    assert out(lane) == b"234!56789"
    assert lane._now == 7.0
