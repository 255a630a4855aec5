"""Stretches of one connection that cannot be reported, as they begin and end."""

from __future__ import annotations

import pytest

from tap.recording.gap_tracker import GapTracker
from tap.recording.missing import MAX_KEPT, Missing
from tap.replication.events import Side

REPLID = "a" * 40


class Told:
    """time: seconds, by the clock."""

    def __init__(self) -> None:
        self.time = 1.0
        self.put: list[Missing] = []
        self.gaps = GapTracker(self.put.append, lambda: round(self.time * 1e9))

    def brief(self) -> list[tuple[object, ...]]:
        return [
            (one.cause, one.side, one.start, one.end, one.lost_bytes, one.is_rdb, one.from_offset, one.to_offset)
            for one in self.put
        ]


@pytest.fixture
def told() -> Told:
    return Told()


def test_lost_bytes_are_put_at_once_with_the_time_of_the_last_ones(told: Told) -> None:
    told.time = 2.0
    told.gaps.heard(Side.MASTER)
    told.time = 3.5
    told.gaps.gap(Side.MASTER, 10, 15, REPLID, (100, 105))
    told.gaps.gap(Side.REPLICA, 1, 2)
    assert told.brief() == [
        ("gap", Side.MASTER, 10, 15, 5, False, 100, 105),
        ("gap", Side.REPLICA, 1, 2, 1, False, None, None),
    ]
    assert [(one.since, one.until, one.replid) for one in told.put] == [(2.0, 3.5, REPLID), (1.0, 3.5, None)]


def test_a_gap_in_a_stream_reaches_to_where_it_is_understood_again(told: Told) -> None:
    told.gaps.begin_gap(10, REPLID, 100, 5)
    told.gaps.begin_gap(17, REPLID, 107, 3)  # before anything was understood
    assert told.gaps.is_open(Side.MASTER)
    assert told.put == []
    told.time = 9.0
    told.gaps.end(Side.MASTER, 40, 130)
    told.gaps.end(Side.MASTER, 50, 140)
    assert told.brief() == [("gap", Side.MASTER, 10, 40, 8, False, 100, 130)]
    assert (told.put[0].since, told.put[0].until) == (1.0, 9.0)
    assert not told.gaps.is_open(Side.MASTER)


def test_a_gap_that_begins_without_an_offset_ends_without_one(told: Told) -> None:
    told.gaps.begin_gap(10, REPLID, None, 5)
    told.gaps.end(Side.MASTER, 40, 130)
    assert told.brief() == [("gap", Side.MASTER, 10, 40, 5, False, None, None)]
    assert told.put[0].replid is None


def test_unread_bytes_have_a_reason_and_bytes_read_after_all_do_not_count(told: Told) -> None:
    told.time = 4.0
    told.gaps.begin_unread(Side.REPLICA, 10, "nonsense")
    told.gaps.begin_unread(Side.REPLICA, 12, "more of it")
    told.gaps.end(Side.REPLICA, 30)
    assert [(one.cause, one.start, one.end, one.reason, one.since) for one in told.put] == [
        ("unread", 10, 30, "nonsense", 4.0)
    ]
    told.gaps.begin_unread(Side.MASTER, 50, "nonsense")
    told.gaps.forget()
    told.gaps.end(Side.MASTER, 60)
    told.gaps.begin_unread(Side.MASTER, 70, "nothing follows")
    told.gaps.end(Side.MASTER, 70)
    assert len(told.put) == 1


@pytest.mark.parametrize("is_understood", [True, False])
def test_the_bytes_after_gaps_in_a_handshake_show_how_much_is_lost(told: Told, is_understood: bool) -> None:
    told.gaps.gap_in_replies(10, 15, None, (None, None))
    told.gaps.gap_in_replies(20, 21, None, (None, None))
    assert told.put == []
    told.gaps.end_replies(is_understood=is_understood)
    told.gaps.end(Side.MASTER, 90)
    if is_understood:
        assert [one[2:5] for one in told.brief()] == [(10, 15, 5), (20, 21, 1)]
    else:
        assert [one[2:5] for one in told.brief()] == [(10, 90, 6)]


@pytest.mark.parametrize("is_whole", [True, False])
def test_gaps_in_an_rdb_are_its_own_once_its_end_is_seen(told: Told, is_whole: bool) -> None:
    told.gaps.gap_in_rdb(10, 20, None, (None, None), is_sure=True)
    told.gaps.gap_in_rdb(30, 40, None, (None, None), is_sure=False)
    told.gaps.gap_in_rdb(50, 60, REPLID, (5, 9), is_sure=False)  # known to reach into the stream
    assert [one[2] for one in told.brief()] == [10, 50]
    told.gaps.end_rdb(100, is_whole=is_whole)
    told.gaps.end_rdb(100, is_whole=True)
    assert [(one[2], one[5]) for one in told.brief()] == [(10, True), (50, False), (30, is_whole)]


def test_an_unreadable_rdb_is_unread_to_its_end(told: Told) -> None:
    told.gaps.bad_rdb(30, "of an unknown type")
    told.gaps.end_rdb(80, is_whole=True)
    told.gaps.bad_rdb(90, "at its very end")
    told.gaps.end_rdb(90, is_whole=True)
    assert told.brief() == [("unread", Side.MASTER, 30, 80, 0, True, None, None)]
    told.gaps.rdb_omitted(5, 25)
    assert told.brief()[-1] == ("rdb_omitted", Side.MASTER, 5, 25, 20, True, None, None)


def test_beyond_the_reported_number_no_gap_is_held(told: Told) -> None:
    for number in range(MAX_KEPT + 3):
        told.gaps.gap_in_replies(2 * number, 2 * number + 1, None, (None, None))
    assert len(told.put) == 3
    told.gaps.end_replies(is_understood=True)
    assert len(told.put) == MAX_KEPT + 3
