"""Segments from any network: the bytes of a connection come out in order, once, whatever happened on the way."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.capture import assembly, pending_segments
from tap.capture.assembly import (
    EARLY_TIME,
    GAP_TIME,
    MAX_EARLY,
    PROOF,
    Assembler,
    Bytes,
    Ended,
    Gap,
    Item,
    Opened,
    Unseen,
)
from tap.capture.layers import Segment
from tap.capture.segments import ACK, FIN, RST, SYN, Endpoint
from tap.capture.tcp_connection import REACH, HalfConnection, TcpConnection

CLIENT, SERVER = Endpoint("10.0.0.1", 50000), Endpoint("10.0.0.2", 6379)


def made(side: int, first: int, at: int, data: bytes = b"", flags: int = ACK, acknowledged: int = 0) -> Segment:
    ends = (CLIENT, SERVER) if side == 0 else (SERVER, CLIENT)
    return Segment(*ends, (first + at) % 2**32, acknowledged % 2**32, flags, data, 0)


def taken(segments: list[Segment], step: int = 1000) -> list[Item]:
    assembler = Assembler()
    items = [item for number, one in enumerate(segments) for item in assembler.reassemble(one, number * step)]
    for connection in assembler.connections.values():
        items += assembler.finish(connection, len(segments) * step)
    return items


def flowed(items: list[Item], side: int) -> bytes:
    return b"".join(item.data for item in items if isinstance(item, Bytes) and item.side == side)


@given(st.data())
def test_reordered_repeated_and_overlapping_segments_give_the_bytes_once(data: st.DataObject) -> None:
    first = data.draw(st.sampled_from([0, 5000, 2**32 - 150, 2**31 - 10]))
    stream = random.Random(1).randbytes(300)
    cuts = data.draw(st.lists(st.integers(1, 299), max_size=12))
    places = sorted({0, 300, *cuts})
    pieces = [(begin, end) for begin, end in itertools.pairwise(places)]
    extra = data.draw(st.lists(st.tuples(st.integers(0, 299), st.integers(1, 80)), max_size=6))
    pieces += [(begin, min(300, begin + size)) for begin, size in extra]
    order = data.draw(st.permutations(pieces))
    opening = [made(0, 7, 0, flags=SYN), made(1, first, -1, flags=SYN | ACK, acknowledged=8)]
    items = taken(opening + [made(1, first, begin, stream[begin:end], acknowledged=8) for begin, end in order])
    assert flowed(items, 1) == stream
    assert not any(isinstance(item, Gap) for item in items)
    assert [item.connection.from_start for item in items if isinstance(item, Opened)] == [True]


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_a_lost_segment_becomes_a_gap_of_its_size(lost: int, first: int) -> None:
    stream = random.Random(2).randbytes(100)
    opening = [made(0, 7, 0, flags=SYN), made(1, first, -1, flags=SYN | ACK, acknowledged=8)]
    rest = [made(1, first, at * 10, stream[at * 10 : at * 10 + 10]) for at in range(10) if at != lost]
    acknowledges = [made(0, 8, 0, acknowledged=first + 100)]
    for segments, step in ((opening + rest, 1000), (opening + rest + acknowledges * 3, 10**9)):
        items = taken(segments, step)
        assert flowed(items, 1) == stream[: lost * 10] + stream[lost * 10 + 10 :]
        assert [item.size for item in items if isinstance(item, Gap)] == [10]
        assert isinstance(items[-1], Bytes)


def test_bytes_cut_off_a_packet_become_a_gap_at_once() -> None:
    opening = [made(0, 7, 0, flags=SYN), made(1, 0, -1, flags=SYN | ACK, acknowledged=8)]
    cut = made(1, 0, 0, b"abc")
    cut.missing = 4
    items = taken([*opening, cut, made(1, 0, 7, b"xyz")])
    assert [item.size if isinstance(item, Gap) else item.data for item in items if isinstance(item, Gap | Bytes)] == [
        b"abc",
        4,
        b"xyz",
    ]
    lost = taken([*opening, made(1, 0, 0, b"abc"), made(1, 0, 7, b"xyz")])
    for found, is_cut in ((items, True), (lost, False)):
        assert [(item.size, item.is_cut) for item in found if isinstance(item, Gap)] == [(4, is_cut)]


def test_an_end_waits_for_the_bytes_before_it_and_ports_can_be_reused() -> None:
    opening = [made(0, 7, 0, flags=SYN), made(1, 0, -1, flags=SYN | ACK, acknowledged=8)]
    ending = [made(1, 0, 3, b"def", FIN | ACK), made(0, 8, 0, flags=FIN | ACK), made(1, 0, 0, b"abc")]
    again = [made(0, 900, 0, flags=SYN), made(1, 500, 0, b"new"), made(0, 901, 0, flags=RST)]
    items = taken(opening + ending + [made(0, 8, 1)] + again)
    ends = [(item.side, item.is_reset, item.closed) for item in items if isinstance(item, Ended)]
    assert ends == [(0, False, False), (1, False, True), (0, True, True)]
    assert flowed(items, 1) == b"abcdefnew"
    assert sum(isinstance(item, Opened) for item in items) == 2


# ---- what is believed ----

FIRST = 2**32 - 60  # of the server's bytes: the numbers come round
OPENING = [
    made(0, 7, 0, flags=SYN),
    made(1, FIRST, -1, flags=SYN | ACK, acknowledged=8),
    made(0, 8, 0, acknowledged=FIRST),
]
FAR = 900_000_000
MS = 1_000_000


def sent(begin: int, end: int) -> list[Segment]:
    """Segments of 10 bytes from the server, each acknowledged."""
    return [
        segment
        for at in range(begin, end)
        for segment in (
            made(1, FIRST, at * 10, b"%010d" % at, acknowledged=8),
            made(0, 8, 0, acknowledged=FIRST + at * 10 + 10),
        )
    ]


def all_of(begin: int, end: int) -> bytes:
    return b"".join(b"%010d" % at for at in range(begin, end))


def story(segments: list[Segment], step: int = MS) -> tuple[list[object], dict[str, int]]:
    """What comes out of the server's side and of connections, bytes joined; and what was disbelieved."""
    said: list[object] = []
    connections: list[TcpConnection] = []
    for item in taken(segments, step):
        if isinstance(item, Opened):
            connections.append(item.connection)
            said.append("from start" if item.connection.from_start else "from the middle")
        elif isinstance(item, Ended):
            said.append(("reset" if item.is_reset else "fin", item.side, item.closed))
        elif isinstance(item, Unseen) or item.connection.ends[item.side] == CLIENT:
            continue
        elif isinstance(item, Gap):
            said.append(item.size)
        else:
            before = said.pop() if isinstance(said[-1], bytes) else b""
            assert isinstance(before, bytes)
            said.append(before + item.data)
    return said, dict(sum((one.disbelieved for one in connections), Counter()))


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("flags", [RST, RST | ACK])
@pytest.mark.parametrize("away", [FAR, -FAR, REACH + 1000, 2**31 - 1000])
def test_a_reset_outside_the_window_is_ignored(side: int, flags: int, away: int) -> None:
    bad = made(side, (8, FIRST + 100)[side], away, flags=flags)
    assert story([*OPENING, *sent(0, 10), bad, *sent(10, 41)]) == (["from start", all_of(0, 41)], {"RST": 1})


@pytest.mark.parametrize("away", [1, 15, 1003, 70_000, REACH - 101])
def test_a_reset_that_may_be_in_the_window_is_ignored_if_its_sender_continues(away: int) -> None:
    """Windows may be scaled and bytes before it missing, so only later bytes show whether it was believed."""
    bad = made(1, FIRST + 100, away, flags=RST)
    late = sent(10, 200)
    assert story([*OPENING, *sent(0, 10), bad, *late]) == (["from start", all_of(0, 200)], {"RST": 1})


def test_a_reset_ends_the_connection_if_it_has_the_number_last_acknowledged_or_seen() -> None:
    in_flight = [made(1, FIRST + 100, at * 10, b"x" * 10) for at in range(5)]
    for at in (100, 120, 150):
        reset = made(1, FIRST, at, flags=RST)
        said, ignored = story(
            [*OPENING, *sent(0, 10), *in_flight, reset, made(0, 8, 0, b"more", acknowledged=FIRST + 150)]
        )
        assert (said, ignored) == (["from start", all_of(0, 10) + b"x" * 50, ("reset", 1, True)], {})
    old = made(1, FIRST, 90, flags=RST)
    assert story([*OPENING, *sent(0, 10), *in_flight, old]) == (["from start", all_of(0, 10) + b"x" * 50], {"RST": 1})


def test_a_refused_connection_is_reset() -> None:
    refusal = made(1, 0, 0, flags=RST | ACK, acknowledged=8)
    assert story([OPENING[0], refusal]) == (["from start", ("reset", 1, True)], {})


def test_a_reset_after_a_hole_ends_the_connection_after_a_gap() -> None:
    lost = [*OPENING, *sent(0, 10), *sent(11, 13)[:-1]]
    assert story([*lost, made(1, FIRST, 130, flags=RST)])[0] == (
        ["from start", all_of(0, 10), 10, all_of(11, 13), ("reset", 1, True)]
    )
    acknowledged = made(0, 8, 0, acknowledged=FIRST + 150)
    assert story([*OPENING, *sent(0, 10), acknowledged, made(1, FIRST, 150, flags=RST)])[0] == (
        ["from start", all_of(0, 10), 50, ("reset", 1, True)]
    )
    unknown = [*OPENING, *sent(0, 10), made(1, FIRST, 200, flags=RST)]
    assert story(unknown)[0] == ["from start", all_of(0, 10), 100, ("reset", 1, True)]
    assert story([*unknown, *sent(10, 20)[::2]], step=1000)[0] == ["from start", all_of(0, 20), ("reset", 1, True)]


def test_a_reset_that_waits_ends_the_connection_with_the_bytes_before_it() -> None:
    taking = Taking()
    assert taking.at(1, server(0, b"abc")) == [b"abc"]
    assert taking.at(2, made(1, FIRST, 6, flags=RST)) == []
    assert taking.at(3, server(3, b"d")) == [b"d"]
    assert taking.at(4, server(4, b"ef")) == [b"ef", "Ended"]
    assert taking.at(5, acknowledgement(6)) == []


@pytest.mark.parametrize("away", [FAR, -FAR, 3000])
def test_a_syn_on_a_live_connection_is_ignored(away: int) -> None:
    for bad in (made(0, 8, away, flags=SYN), made(1, FIRST, away, flags=SYN | ACK, acknowledged=FAR)):
        assert story([*OPENING, *sent(0, 10), bad, *sent(10, 41)]) == (["from start", all_of(0, 41)], {"SYN": 1})
        assert story([*OPENING, *sent(0, 10), bad]) == (["from start", all_of(0, 10)], {"SYN": 1})


@pytest.mark.parametrize("directions", ["both", "from the opener", "to the opener", "without the first packet"])
@pytest.mark.parametrize("first", [FAR, 500, -FAR])
def test_ports_can_be_reused_without_an_end_in_the_capture(directions: str, first: int) -> None:
    again = [
        made(0, first, -1, flags=SYN),
        made(1, 77, -1, flags=SYN | ACK, acknowledged=first),
        made(0, first, 0, acknowledged=77),
        made(1, 77, 0, b"new", acknowledged=first),
    ]
    if directions == "from the opener":
        again = [one for one in again if one.source == CLIENT]
    if directions == "to the opener":
        again = [one for one in again if one.source == SERVER]
    if directions == "without the first packet":
        again = again[1:]
    said, ignored = story([*OPENING, *sent(0, 10), *again])
    assert said == ["from start", all_of(0, 10), "from start", *([b"new"] if directions != "from the opener" else [])]
    assert not ignored


def test_a_syn_that_is_refused_on_a_live_connection_shows_that_it_had_ended() -> None:
    said, _ = story(
        [*OPENING, *sent(0, 10), made(0, FAR, 0, flags=SYN), made(1, 0, 0, flags=RST | ACK, acknowledged=FAR + 1)]
    )
    assert said == ["from start", all_of(0, 10), "from start", ("reset", 1, True)]


@pytest.mark.parametrize("away", [FAR, -FAR, -50])
def test_a_fin_with_a_distant_number_ends_nothing(away: int) -> None:
    for bad in (made(0, 8, away, flags=FIN | ACK, acknowledged=FIRST + 100), made(1, FIRST + 100, away, flags=FIN)):
        said, ignored = story([*OPENING, *sent(0, 10), bad, *sent(10, 41)])
        assert said == ["from start", all_of(0, 41)]
        assert ignored


def test_a_fin_waits_for_the_bytes_before_it_and_is_forgotten_if_the_direction_continues() -> None:
    early = made(1, FIRST, 200, flags=FIN | ACK, acknowledged=8)
    assert story([*OPENING, *sent(0, 10), early, *sent(10, 20)])[0] == ["from start", all_of(0, 20), ("fin", 1, False)]
    assert story([*OPENING, *sent(0, 10), early])[0] == ["from start", all_of(0, 10), 100, ("fin", 1, False)]
    for missing in (1, 2):
        near = made(1, FIRST, 100 + missing, flags=FIN | ACK, acknowledged=8)
        said = ["from start", all_of(0, 10), missing, ("fin", 1, False)]
        assert story([*OPENING, *sent(0, 10), near])[0] == said
    seen = [*OPENING, *sent(0, 10), early, made(0, 8, 0, acknowledged=FIRST + 201)]
    assert story(seen)[0] == ["from start", all_of(0, 10), 100, ("fin", 1, False)]
    beyond = made(1, FIRST, 195, flags=FIN | ACK, acknowledged=8)
    assert story([*OPENING, *sent(0, 10), beyond, *sent(10, 30)]) == (["from start", all_of(0, 30)], {"FIN": 1})


def test_a_segment_of_another_connection_is_ignored() -> None:
    for bad in (made(1, FIRST, FAR, b"bad", acknowledged=8), made(1, FIRST, 100, b"bad", acknowledged=FAR)):
        assert story([*OPENING, *sent(0, 10), bad, *sent(10, 41)]) == (["from start", all_of(0, 41)], {"segment": 1})


@pytest.mark.parametrize("acknowledges", [False, True])
@pytest.mark.parametrize("hole", [REACH + 10, FAR, 2**31 - 10_000])
def test_after_a_hole_of_any_size_the_connection_is_read_on(hole: int, acknowledges: bool) -> None:
    behind = [made(1, FIRST + hole, at * 10, b"%010d" % at, acknowledged=8) for at in range(10, 20)]
    answers = [made(0, 8, 0, acknowledged=FIRST + hole + at * 10 + 10) for at in range(10, 20)]
    segments = [one for pair in zip(behind, answers, strict=True) for one in pair] if acknowledges else behind
    said, ignored = story([*OPENING, *sent(0, 10), *segments])
    assert (said, ignored) == (["from start", all_of(0, 10), hole, all_of(10, 20)], {})


def test_after_a_hole_larger_than_the_numbers_can_express_another_connection_begins() -> None:
    behind = [made(1, FIRST + 3 * 2**30, at * 10, b"%010d" % at, acknowledged=8) for at in range(10, 20)]
    assert story([*OPENING, *sent(0, 10), *behind])[0] == ["from start", all_of(0, 10), "from the middle", all_of(10, 20)]


@pytest.mark.parametrize("is_over", [False, True])
def test_ports_can_be_reused_without_a_beginning_in_the_capture(is_over: bool) -> None:
    end = [made(1, FIRST, 100, flags=RST)] if is_over else []
    again = [made(1, FIRST - FAR, at * 10, b"%010d" % at, acknowledged=FAR) for at in range(PROOF)]
    said, _ = story([*OPENING, *sent(0, 10), *end, *again])
    assert said[-2:] == ["from the middle", all_of(0, PROOF)]
    said, _ = story([*OPENING, *sent(0, 10), *end, *again[1:]])
    assert "from the middle" not in said


def test_after_a_disbelieved_reset_the_rest_is_read() -> None:
    """One with the right number that never arrived, or not at that address."""
    said, _ = story([*OPENING, *sent(0, 10), made(1, FIRST, 100, flags=RST), *sent(10, 20)])
    assert said == ["from start", all_of(0, 10), ("reset", 1, True), "from the middle", all_of(10, 20)]


def test_unacknowledged_bytes_make_no_gap() -> None:
    """A segment that is near, and empty."""
    bad = made(1, FIRST, 100_000, b"bad", acknowledged=8)
    hole = [*sent(10, 11), *sent(12, 50)]
    said, _ = story([*OPENING, *sent(0, 10), bad, *hole], step=GAP_TIME // 10)
    assert said[:4] == ["from start", all_of(0, 11), 10, all_of(12, 50)]


@pytest.mark.parametrize("end", [RST, FIN])
def test_copies_of_all_packets_double_nothing(end: int) -> None:
    ends = [made(1, FIRST, 410, flags=RST)] if end == RST else [made(1, FIRST, 410, flags=FIN), made(0, 8, 0, flags=FIN)]
    segments = [*OPENING, *sent(0, 41), *ends]
    once = story(segments)
    assert story([*segments, *segments]) == once
    assert story([one for one in segments for _ in (0, 1)]) == once
    for lag in (2, 5, 20, 70):
        late = [*([None] * lag), *segments]
        pairs = itertools.zip_longest(segments, late)
        assert story([one for pair in pairs for one in pair if one is not None]) == once


@given(st.data())
def test_packets_with_distant_numbers_change_nothing(data: st.DataObject) -> None:
    segments = [*OPENING, *sent(0, 41)]
    whole = story(segments)[0]
    far = st.integers(2**31 - FAR, 2**31 + FAR)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(5, len(segments) - 2))
        side, flags = data.draw(st.integers(0, 1)), data.draw(st.sampled_from([RST, SYN, ACK, FIN | ACK, RST | ACK, 0]))
        bad = made(
            side, (8, FIRST)[side], data.draw(far), data.draw(st.sampled_from([b"", b"bad"])), flags, data.draw(far)
        )
        segments.insert(at, bad)
    assert story(segments)[0] == whole


# ---- how long, and how much, waits ----


class Taking:
    """An assembler that is fed segments at given times; each call returns the data and the sizes of gaps."""

    def __init__(self, *opening: Segment) -> None:
        self.assembler = Assembler()
        for one in opening or OPENING:
            list(self.assembler.reassemble(one, 0))

    def at(self, time: int, segment: Segment) -> list[bytes | int | str]:
        return [self._shown(item) for item in self.assembler.reassemble(segment, time)]

    def overdue(self, time: int) -> list[bytes | int | str]:
        return [self._shown(item) for item in self.assembler.overdue(time)]

    @staticmethod
    def _shown(item: Item) -> bytes | int | str:
        return item.data if isinstance(item, Bytes) else item.size if isinstance(item, Gap) else type(item).__name__


def server(at: int, data: bytes, acknowledged: int = 8) -> Segment:
    return made(1, FIRST, at, data, acknowledged=acknowledged)


def acknowledgement(at: int) -> Segment:
    return made(0, 8, 0, acknowledged=FIRST + at)


@pytest.mark.parametrize("acknowledged", [5, 7])
def test_an_acknowledged_hole_becomes_a_gap_after_its_time(acknowledged: int) -> None:
    taking = Taking()
    assert taking.at(10, server(0, b"abc")) == [b"abc"]
    assert taking.at(20, server(5, b"fg")) == []
    assert taking.at(30, acknowledgement(acknowledged)) == []
    assert taking.at(20 + GAP_TIME, acknowledgement(acknowledged)) == []
    assert taking.at(21 + GAP_TIME, acknowledgement(acknowledged)) == [2, b"fg"]


def test_a_hole_whose_last_byte_was_not_acknowledged_may_still_be_filled() -> None:
    taking = Taking()
    taking.at(10, server(0, b"abc"))
    taking.at(20, server(5, b"fg"))
    assert taking.at(5 * GAP_TIME, acknowledgement(4)) == []
    assert taking.at(6 * GAP_TIME, server(3, b"de")) == [b"de", b"fg"]


def test_the_time_of_a_hole_starts_at_its_own_first_segment() -> None:
    taking = Taking()
    taking.at(10, server(0, b"abc"))
    taking.at(20, server(5, b"fg"))
    assert taking.at(GAP_TIME, server(3, b"de")) == [b"de", b"fg"]
    taking.at(GAP_TIME + 10, server(9, b"j"))
    taking.at(GAP_TIME + 20, server(12, b"m"))
    assert taking.at(GAP_TIME + 30, acknowledgement(13)) == []
    assert taking.at(2 * GAP_TIME + 10, acknowledgement(13)) == []
    assert taking.at(2 * GAP_TIME + 11, acknowledgement(13)) == [2, b"j"]
    assert taking.at(3 * GAP_TIME + 11, acknowledgement(13)) == []
    assert taking.at(3 * GAP_TIME + 12, acknowledgement(13)) == [2, b"m"]


def test_no_more_waits_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_segments, "MAX_COUNT", 3)
    taking = Taking()
    for number in range(3):
        assert taking.at(1, server(10 + 2 * number, b"x")) == []
    assert taking.at(1, server(16, b"x")) == [10, b"x"]


def test_an_answer_waits_for_the_bytes_it_acknowledges_and_is_reported_unseen_after_its_time() -> None:
    for time, expected in ((10 + EARLY_TIME, []), (11 + EARLY_TIME, ["Unseen", b"ok"])):
        taking = Taking()
        assert taking.at(10, made(0, 8, 0, b"ok", acknowledged=FIRST + 3)) == []
        assert taking.overdue(time) == expected
    taking = Taking()
    taking.at(10, made(0, 8, 0, b"ok", acknowledged=FIRST + 3))
    assert taking.at(20, server(0, b"abc")) == [b"abc", b"ok"]
    assert taking.overdue(20 * EARLY_TIME) == []


def test_after_its_time_an_answer_proves_a_hole_up_to_what_it_acknowledges() -> None:
    for acknowledged, expected in ((4, ["Unseen", b"ok"]), (5, [2, b"ok", b"fg"]), (7, [2, b"fg", b"ok"])):
        taking = Taking()
        assert taking.at(1, server(0, b"abc")) == [b"abc"]
        assert taking.at(2, server(5, b"fg")) == []
        assert taking.at(3, made(0, 8, 0, b"ok", acknowledged=FIRST + acknowledged)) == []
        assert taking.overdue(4 + EARLY_TIME) == expected


def test_a_segment_that_acknowledges_nothing_new_does_not_wait() -> None:
    taking = Taking()
    assert taking.at(10, made(0, 8, 0, b"ok", flags=0, acknowledged=FIRST + 3)) == [b"ok"]


def test_no_more_answers_wait_than_may_be_kept() -> None:
    taking = Taking()
    for number in range(MAX_EARLY):
        assert taking.at(10, made(0, 8, number, b"x", acknowledged=FIRST + 3)) == []
    assert taking.at(10, made(0, 8, MAX_EARLY, b"x", acknowledged=FIRST + 3))[:2] == ["Unseen", b"x"]


def test_the_waiting_bytes_of_a_side_are_counted() -> None:
    taking = Taking()
    taking.at(10, made(0, 8, 0, b"ok", acknowledged=FIRST + 3))
    taking.at(10, server(5, b"fgh"))
    (connection,) = taking.assembler.connections.values()
    assert [connection.waiting(side) for side in (0, 1)] == [2, 3]
    assert not connection.lacks(1)
    taking.overdue(11 + EARLY_TIME)
    assert [connection.waiting(side) for side in (0, 1)] == [0, 3]
    assert [connection.lacks(side) for side in (0, 1)] == [False, True]


def test_of_many_closed_connections_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_CLOSED", 6)
    assembler = Assembler()
    for number in range(8):
        ends = Endpoint("10.0.0.1", 50_000 + number), SERVER
        list(assembler.reassemble(Segment(*ends, 7, 0, SYN, b"", 0), 0))
        if number % 2:
            list(assembler.reassemble(Segment(*ends, 8, 0, RST, b"", 0), 0))
    assert [one.port for one, _ in assembler.connections] == [50_000, 50_002, 50_003, 50_004, 50_005, 50_006, 50_007]


def test_of_an_overlapping_segment_only_the_new_bytes_come_out() -> None:
    taking = Taking()
    assert taking.at(1, server(0, b"abc")) == [b"abc"]
    assert taking.at(2, server(1, b"bcde")) == [b"de"]
    assert taking.at(3, server(2, b"cd")) == []
    assert taking.at(4, server(7, b"hij")) == []
    assert taking.at(5, server(4, b"efgh")) == [b"fgh", b"ij"]


def test_a_cut_segment_lacks_its_end_and_no_copy_changes_that() -> None:
    taking = Taking()
    cut = server(0, b"abc")
    cut.missing = 4
    assert taking.at(1, cut) == [b"abc", 4]
    assert taking.at(2, cut) == []
    later = server(3, b"")
    later.missing = 6
    assert taking.at(3, later) == [2]
    assert taking.at(4, server(9, b"jk")) == [b"jk"]


# ---- which connection a segment belongs to ----


def test_segments_of_connections_that_alternate_go_to_the_right_one() -> None:
    """Also if a host connects to itself, whoever speaks first, and if equal addresses are not the same objects."""
    third = Endpoint("10.0.0.1", 50001)
    pairs = [(CLIENT, SERVER), (third, SERVER), (CLIENT, third)]
    assembler = Assembler()
    found: dict[tuple[Endpoint, Endpoint], bytes] = {}
    for at in range(4):
        for opener, other in pairs:
            turns = [(opener, other), (other, opener), (opener, other)]
            if at % 2:
                turns.sort(key=lambda ends: ends[0] is opener)
            for ends in turns:
                source, target = ends
                if at == 2:
                    source, target = Endpoint(source.host, source.port), Endpoint(target.host, target.port)
                data = f"{at}{source.port}".encode()
                sequence = 8 + len(found.get((source, target), b""))
                for item in assembler.reassemble(Segment(source, target, sequence, 0, 0, data, 0), at):
                    if isinstance(item, Bytes):
                        assert item.connection.ends == (opener, other)
                        assert item.connection.ends[item.side] == source
                        key = source, target
                        found[key] = found.get(key, b"") + item.data
    assert len(assembler.connections) == len(pairs)
    for opener, other in pairs:
        assert found[opener, other] == b"".join(f"{at}{opener.port}".encode() * 2 for at in range(4))
        assert found[other, opener] == b"".join(f"{at}{other.port}".encode() for at in range(4))


def test_a_run_that_is_distant_in_both_directions_is_another_connection() -> None:
    run = [made(1, FIRST + FAR, at * 10, b"%010d" % at, acknowledged=8 + FAR) for at in range(10, 10 + PROOF)]
    assert story([*OPENING, *sent(0, 10), *run])[0] == [
        "from start", all_of(0, 10), "from the middle", all_of(10, 10 + PROOF)
    ]  # fmt: skip


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(
    "other", [made(0, 8, 0, acknowledged=FIRST + 100), made(1, FIRST, 90, b"%010d" % 9, acknowledged=8)]
)
def test_a_segment_without_new_bytes_does_not_interrupt_a_distant_run(at: int, other: Segment) -> None:
    run = [made(1, FIRST + FAR, at * 10, b"%010d" % at, acknowledged=8 + FAR) for at in range(10, 10 + PROOF)]
    said, _ = story([*OPENING, *sent(0, 10), *run[:at], other, *run[at:]])
    assert said == ["from start", all_of(0, 10), "from the middle", all_of(10, 10 + PROOF)]
    fresh = made(1, FIRST, 100, b"fresh", acknowledged=8)
    said, _ = story([*OPENING, *sent(0, 10), run[0], fresh, *run[1:]])
    assert said == ["from start", all_of(0, 10) + b"fresh"]


def test_a_distant_run_of_cut_segments_stays_together_and_lacks_the_cut_bytes() -> None:
    """The size of a segment is that on the wire."""
    cut = [
        Segment(SERVER, CLIENT, (FIRST + FAR + at * 10) % 2**32, 8, ACK, b"%06d" % at, 4) for at in range(10, 10 + PROOF)
    ]
    said, ignored = story([*OPENING, *sent(0, 10), *cut])
    assert said == ["from start", all_of(0, 10), FAR, b"000010", 4, b"000011", 4, b"000012", 4]
    assert not ignored
    apart = [*cut[:2], made(1, FIRST + FAR, 126, b"%06d" % 12, acknowledged=8)]  # not where the second one ends
    assert story([*OPENING, *sent(0, 10), *apart])[0] == ["from start", all_of(0, 10)]


def test_an_answer_to_a_distant_segment_is_believed_with_it_if_it_has_the_next_number() -> None:
    for away in (-1, 0, 1):
        far = made(1, FIRST + FAR, 100, b"x" * 10, acknowledged=8)
        answer = made(0, 8, 0, b"ok", acknowledged=FIRST + FAR + 110 + away)
        said, _ = story([*OPENING, *sent(0, 10), far, answer])
        assert said == ["from start", all_of(0, 10), *([FAR, b"x" * 10] if away == 0 else [])]


# ---- boundaries ----

NUMBERS = [0, 1000, 2**31, 2**32 - 1]


@pytest.mark.parametrize("following", NUMBERS)
def test_near_is_what_is_within_reach_of_what_was_seen_or_acknowledged(following: int) -> None:
    half = HalfConnection(following=following, position=70)
    for away, is_near in ((0, True), (REACH, True), (REACH + 1, False), (-70 - REACH, True), (-71 - REACH, False)):
        assert half.is_near((following + away) % 2**32) is is_near
    half.acknowledged = (following + FAR) % 2**32
    for away, is_near in ((REACH, True), (REACH + 1, False), (-REACH, True), (-REACH - 1, False)):
        assert half.is_near((following + FAR + away) % 2**32) is is_near
    assert half.is_near(following)
    assert HalfConnection().is_near(following)


@pytest.mark.parametrize("following", NUMBERS)
@pytest.mark.parametrize(
    ("acknowledged", "come_to", "not_come_to"),
    [
        (None, [0, -1, -REACH], [1, 2, -REACH - 1]),
        (-5, [0, -1, -5], [-6, 1]),
        (0, [0], [-1, 1]),
        (7, [0, 7], [-1, 6, 8]),
    ],
)
def test_a_direction_can_have_come_to_what_was_acknowledged_or_seen(
    following: int, acknowledged: int | None, come_to: list[int], not_come_to: list[int]
) -> None:
    half = HalfConnection(following=following, position=70)
    half.acknowledged = None if acknowledged is None else (following + acknowledged) % 2**32
    assert [away for away in come_to if not half.can_have_come_to((following + away) % 2**32)] == []
    assert [away for away in not_come_to if half.can_have_come_to((following + away) % 2**32)] == []
    half.pending.add(70 + 20, b"abc", 2)
    ends = [away for away in range(9, 40) if half.can_have_come_to((following + away) % 2**32)]
    assert ends == [25]
    half.fin = following
    assert half.can_have_come_to((following + 1) % 2**32)
    assert not half.can_have_come_to((following + 2) % 2**32)
    half.fin = (following + 1) % 2**32
    assert not half.can_have_come_to((following + 1) % 2**32)


@pytest.mark.parametrize("following", NUMBERS)
def test_bytes_are_lacking_that_were_acknowledged_and_not_seen_and_a_fin_is_none(following: int) -> None:
    connection = TcpConnection((CLIENT, SERVER), True)
    half = connection.halves[1]
    assert not connection.lacks(1)
    half.following = following
    assert not connection.lacks(1)
    for ahead, has_ended, lacks in ((-1, 0, 0), (0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1), (2, 0, 1)):
        half.acknowledged, half.has_ended = (following + ahead) % 2**32, bool(has_ended)
        assert connection.lacks(1) is bool(lacks)
        assert connection.lacks(0) is False
    half.following = None
    assert not connection.lacks(1)


def test_the_numbers_of_a_segment_are_those_of_its_connection() -> None:
    connection = TcpConnection((CLIENT, SERVER), True)
    assert connection.has(made(0, 7, 0, flags=SYN), 0)
    connection.halves[0].begin(8)
    connection.halves[1].begin(0)
    far = 8 + FAR
    for segment, side, has in (
        (made(0, 7, 0, flags=SYN), 0, True),
        (made(0, 8, 0, flags=SYN), 0, False),
        (made(1, 2**32 - 1, 0, flags=SYN | ACK, acknowledged=8), 1, True),
        (made(1, 0, 0, flags=SYN | ACK, acknowledged=8), 1, False),
        (made(0, 8, 0, acknowledged=5), 0, True),
        (made(0, far, 0, acknowledged=5), 0, False),
        (made(0, 8, 0, acknowledged=far), 0, False),
        (made(0, 8, 0, flags=0, acknowledged=far), 0, True),
        (made(0, 8, 0, flags=RST | ACK, acknowledged=far), 0, True),
        (made(0, far, 0, flags=RST, acknowledged=0), 0, False),
    ):
        assert connection.has(segment, side) is has


def test_what_is_not_believed_is_counted_by_what_it_would_have_done() -> None:
    connection = TcpConnection((CLIENT, SERVER), True)
    for flags in (RST | SYN | FIN, SYN | FIN | ACK, FIN | ACK, FIN, ACK, ACK | 8):
        connection.disbelieve(made(0, 8, 0, flags=flags))
    assert connection.disbelieved == {"RST": 1, "SYN": 1, "FIN": 2, "segment": 2}


def test_answers_of_several_connections_come_in_the_order_in_which_they_were_sent() -> None:
    assembler = Assembler()
    clients = [Endpoint("10.0.0.1", 50_000 + number) for number in range(3)]
    for one in clients:
        list(assembler.reassemble(Segment(one, SERVER, 7, 0, SYN, b"", 0), 0))
        list(assembler.reassemble(Segment(SERVER, one, 99, 8, SYN | ACK, b"", 0), 0))
        list(assembler.reassemble(Segment(SERVER, one, 100, 8, ACK, b"x", 0), 0))
    sent = Counter[int]()
    for time, number in ((10, 1), (20, 2), (30, 0), (40, 1)):
        segment = Segment(clients[number], SERVER, 8 + sent[number], 105 + sent[number], ACK, b"%d" % time, 0)
        assert list(assembler.reassemble(segment, time)) == []
        sent[number] += 2

    def given(time: int) -> list[bytes]:
        return [item.data for item in assembler.overdue(time) if isinstance(item, Bytes)]

    assert given(10 + EARLY_TIME) == []
    assert given(25 + EARLY_TIME) == [b"10", b"20"]
    list(assembler.reassemble(Segment(clients[1], SERVER, 12, 110, ACK, b"45", 0), 45))
    assert given(30 + EARLY_TIME) == []
    assert given(10**12) == [b"30", b"40", b"45"]
    assert given(10**13) == []


def test_an_answer_waits_for_bytes_within_reach_that_it_was_not_given_out_without_before() -> None:
    taking = Taking()
    assert taking.at(1, server(0, b"abc")) == [b"abc"]
    assert taking.at(2, made(0, 8, 0, b"1", acknowledged=FIRST + 3)) == [b"1"]
    assert taking.at(3, made(0, 8, 1, b"2", acknowledged=FIRST + 5)) == []
    assert taking.overdue(4 + EARLY_TIME) == ["Unseen", b"2"]
    late = 10 + EARLY_TIME
    assert taking.at(late, made(0, 8, 2, b"3", acknowledged=FIRST + 5)) == [b"3"]
    assert taking.at(late, made(0, 8, 3, b"4", acknowledged=FIRST + 6)) == []
    assert taking.at(late, server(3, b"def")) == [b"def", b"4"]
    assert taking.at(late, made(0, 8, 4, b"5", acknowledged=FIRST + 6)) == [b"5"]
    assert taking.at(late, made(0, 8, 5, b"6", acknowledged=FIRST + 6 + REACH)) == []


def test_a_direction_that_the_capture_lacks_is_waited_for_once() -> None:
    taking = Taking()
    assert taking.at(1, made(0, 8, 0, b"1", acknowledged=FIRST + 3)) == []
    assert taking.overdue(2 + EARLY_TIME) == ["Unseen", b"1"]
    assert taking.at(3 + EARLY_TIME, made(0, 8, 1, b"2", acknowledged=FIRST + 9)) == [b"2"]
    assert taking.at(4 + EARLY_TIME, server(5, b"fgh")) == []
    assert taking.at(5 + EARLY_TIME, made(0, 8, 2, b"3", acknowledged=FIRST + 9)) == []


def test_behind_a_fin_an_answer_waits_for_no_byte() -> None:
    taking = Taking()
    list(taking.assembler.reassemble(made(1, FIRST, 0, b"abc", FIN | ACK, 8), 1))
    assert taking.at(2, made(0, 8, 0, b"ok", acknowledged=FIRST + 4)) == [b"ok"]
    assert taking.at(3, made(0, 8, 2, b"no", acknowledged=FIRST + 5)) == []


@pytest.mark.parametrize(
    ("flags", "data", "opens"),
    [
        (ACK, b"", False),
        (FIN | ACK, b"", False),
        (RST, b"", False),
        (SYN, b"", True),
        (ACK, b"x", True),
        (RST, b"x", True),
    ],
)
def test_an_unknown_connection_begins_with_data_or_a_syn(flags: int, data: bytes, opens: bool) -> None:
    assembler = Assembler()
    items = list(assembler.reassemble(made(0, 7, 0, data, flags), 1))
    assert [type(item) for item in items[:1]] == [Opened] * opens
    assert len(assembler.connections) == opens


def test_a_connection_is_joined_in_its_middle() -> None:
    assembler = Assembler()
    for opening in OPENING:
        list(assembler.reassemble(opening, 0))
    joined = assembler.join(made(1, 500, 0, b"abc", acknowledged=2**32 - 3), (1000, 70), held=5)
    assert joined.ends == (SERVER, CLIENT)
    assert not joined.from_start
    assert list(assembler.connections.values()) == [joined]
    assert [(half.following, half.position, half.first) for half in joined.halves] == [(500, 1000, None), (2, 70, None)]
    segments = [made(1, 500, 0, b"abc", acknowledged=2), made(0, 2, 0, b"de", acknowledged=503)]
    items = [item for one in segments for item in assembler.reassemble(one, 1)]
    assert [(item.side, item.data) for item in items if isinstance(item, Bytes)] == [(0, b"abc"), (1, b"de")]
    assert [half.position for half in joined.halves] == [1003, 72]


def test_bytes_that_are_known_to_be_missing_are_skipped() -> None:
    assembler = Assembler()
    connection = next(iter(assembler.reassemble(made(0, 7, 0, b"abc", flags=0), 0))).connection
    list(assembler.reassemble(made(0, 7, 0, b"abc", flags=0), 0))
    for side, position, size in ((0, 2, 0), (0, 3, 0), (0, 4, 1), (0, 9, 5), (0, 8, 0), (1, 5, 0)):
        gaps = list(assembler.skip(connection, side, position, 5))
        assert gaps == ([Gap(connection, 5, side, size)] if size else [])
    assert [half.position for half in connection.halves] == [9, 0]
    assert [item.data for item in assembler.reassemble(made(0, 7, 9, b"j", flags=0), 6) if isinstance(item, Bytes)] == [
        b"j"
    ]
