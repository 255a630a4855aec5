"""Gaps in one connection while it is played: which bytes each takes, and what is read after it."""

from __future__ import annotations

import pytest

from tap.recording.comments import (
    rdb_omitted_json,
)
from tap.replication import events
from tap.replication.events import RecordingGap, Role, Side
from tests.recording.hand_made import (
    FULL,
    MASTER,
    PARTIAL,
    RDB,
    REPLICA,
    SET,
    SIZE,
    Story,
    ack,
    gap,
    partial,
)
from tests.relay.wire import BASE, asks, command


def lost(story: Story) -> list[tuple[Side, int, int, int | None, int | None, bool, tuple[str, ...]]]:
    return [
        (one.side, one.start, one.end, one.from_offset, one.to_offset, one.is_cut, one.lacks)
        for one in story.of(RecordingGap)
    ]


def test_a_gap_in_a_stream_is_reported_with_its_offsets() -> None:
    story = partial()
    story.lose(1, 50)
    begin = len(PARTIAL) + SIZE
    story.send(1, SET * 3)
    story.send(0, ack(BASE + 4 * SIZE + 50))
    story.player.close()
    assert lost(story) == [(MASTER, begin, begin + 50, BASE + SIZE, BASE + SIZE + 50, False, ("commands", "db"))]
    assert story.missing == [("gap", MASTER, begin, begin + 50, 50, BASE + SIZE, BASE + SIZE + 50, "")]
    assert [offset for _, offset, _ in story.places] == [
        BASE + SIZE + more for more in (0, 50 + SIZE, 50 + 2 * SIZE, 50 + 3 * SIZE)
    ]
    (link,) = story.ends
    assert (link.first_offset, link.last_offset, link.partial_resyncs) == (BASE, BASE + 4 * SIZE + 50, 1)


def test_a_gap_in_a_stream_without_offsets_ends_at_the_next_command() -> None:
    story = Story()
    for _ in range(2):
        story.send(0, ack(100))
    story.send(1, SET * 3)
    story.lose(1, 50)
    story.send(1, SET[9:] + SET * 3)
    story.send(0, ack(100))
    story.player.close()
    begin, end = 3 * SIZE, 4 * SIZE + 50 - 9
    assert lost(story) == [(MASTER, begin, begin + 50, None, None, False, ("commands", "db"))]
    assert story.missing == [("gap", MASTER, begin, end, 50, None, None, "")]
    assert [start for start, _, _ in story.places] == [0, SIZE, 2 * SIZE, *(end + number * SIZE for number in range(3))]


@pytest.mark.parametrize("cut", [0, 10, 30])
def test_an_acknowledgement_that_was_cut_where_reading_goes_on_is_passed_over(cut: int) -> None:
    story = partial()
    begin, size = len(asks(BASE)), len(ack(BASE))
    story.send(0, ack(BASE))
    story.lose(1, 50)
    story.send(0, ack(BASE + SIZE)[:cut])
    story.send(1, SET * 3)
    story.send(0, b"", flags=16, after=2)
    assert len(story.places) == 4
    story.send(0, ack(BASE + SIZE)[cut:])
    story.send(0, ack(BASE + 50))
    acks = [(begin, BASE), *([] if cut else [(begin + size, BASE + SIZE)]), (begin + 2 * size, BASE + 50)]
    assert [(one.start, one.offset) for one in story.of(events.Ack)] == acks
    assert (story.of(events.ReplicaTalkedBack), story.of(events.Opaque)) == ([], [])


@pytest.mark.parametrize("offset", [None, 5000])
def test_a_gap_takes_the_half_command_before_it_where_no_command_has_been_found_yet(offset: int | None) -> None:
    """offset: known from acknowledgements while the master was silent."""
    story = Story()
    for _ in range(2):
        story.send(0, ack(5000), after=0.1 if offset is None else 1.0)
    story.send(1, SET[:10])
    story.lose(1, 50)
    story.send(1, SET * 3)
    story.player.close()
    after = None if offset is None else offset + 60
    assert story.missing == [("gap", MASTER, 0, 60, 50, offset, after, "")]
    assert story.places[0] == (60, None if after is None else after + SIZE, None)


def test_one_whole_command_between_two_gaps_is_reported() -> None:
    """Only if the bytes between them begin with it: after others it may stand in a value."""
    for rest, offsets in ((b"", [BASE + 2 * SIZE + 50]), (SET[9:], [])):
        story = partial()
        begin = len(PARTIAL) + SIZE
        story.lose(1, 50)
        story.send(1, rest + SET)
        story.lose(1, 30)
        story.send(1, SET * 3)
        end = begin + 80 + len(rest) + SIZE
        story.send(0, ack(BASE + end - begin + 4 * SIZE))
        story.player.close()
        after = [BASE - len(PARTIAL) + end + number * SIZE for number in (1, 2, 3)]
        assert [offset for _, offset, _ in story.places] == [BASE + SIZE, *offsets, *after]
        assert sum(one.lost_bytes for one in story.player.account.missing) == 80
        assert [(one[2], one[3]) for one in story.missing] == (
            [(begin, begin + 50), (begin + 50 + SIZE, end)] if offsets else [(begin, end)]
        )


def test_missing_bytes_of_an_ordinary_connection_are_counted_and_nothing_else() -> None:
    story = Story(is_ours=True)
    story.send(0, command("GET", "a"))
    story.send(1, b"$-1\r\n")
    story.lose(1, 30)
    story.lose(0, 20)
    story.send(1, b"$-1\r\n", said=[gap(5, 35)])
    story.send(0, command("GET", "a"), said=[gap(20, 40, side=REPLICA)])
    story.player.close()
    (link,) = story.ends
    assert (link.role, link.bytes_from_master, link.bytes_from_replica) == (Role.ORDINARY, 40, 60)
    assert (story.missing, len(story.of(RecordingGap))) == ([], 2)


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_gap_in_a_handshake_takes_all_bytes_up_to_the_end_unless_an_answer_follows(is_answered: bool) -> None:
    story = Story(is_ours=True)
    story.send(0, command("PING"))
    story.lose(1, 7)
    story.send(0, command("PSYNC", "?", "-1"), said=[gap(0, 7)])
    story.send(1, b"\n")
    if is_answered:
        story.send(1, FULL + b"$100\r\n" + RDB[:50])
    story.player.close()
    assert story.missing == [("gap", MASTER, 0, 7 if is_answered else 8, 7, None, None, "")]


def test_after_an_rdb_without_its_end_commands_have_no_offsets() -> None:
    story = Story()
    story.open()
    story.send(0, command("PSYNC", "?", "-1"))
    head = FULL + b"$EOF:" + b"m" * 40 + b"\r\n"
    story.send(1, head + RDB[:100])
    story.lose(1, 50)
    story.send(1, RDB[150:200])
    story.lose(1, len(RDB) - 200 + 40)
    story.send(0, ack(BASE), after=2)  # by then the first gap is known
    story.send(1, SET * 3)
    story.send(0, ack(BASE))
    story.player.close()
    assert story.of(events.Opaque)[0].reason.startswith("the end of the RDB is not in the capture")
    begin = len(head + RDB) + 40
    assert story.places == [(begin + number * SIZE, None, None) for number in range(3)]
    assert [one[:5] for one in sorted(story.missing, key=lambda one: one[2])] == [
        ("gap", MASTER, len(head) + 100, len(head) + 150, 50),
        ("unread", MASTER, len(head) + 200, begin, len(RDB) - 160),
    ]


def test_a_gap_of_the_replica_lacks_requests_before_the_stream_and_acknowledgements_in_it() -> None:
    story = Story()
    story.open()
    story.send(0, command("PING"))
    story.send(1, b"+PONG\r\n")
    story.lose(0, 40)
    story.send(1, b"+OK\r\n")
    story.send(0, asks(BASE))
    story.send(1, PARTIAL + SET)
    story.lose(0, 37)
    story.send(0, ack(BASE + SIZE))
    story.player.close()
    first = len(command("PING"))
    second = first + 40 + len(asks(BASE))
    assert lost(story) == [
        (REPLICA, first, first + 40, None, None, False, ("handshake",)),
        (REPLICA, second, second + 37, None, None, False, ("acks",)),
    ]
    assert story.missing == [
        ("gap", REPLICA, first, first + 40, 40, None, None, ""),
        ("gap", REPLICA, second, second + 37, 37, None, None, ""),
    ]
    assert [one.start for one in story.of(events.Ack)] == [second + 37]
    assert story.ends[0].bytes_from_replica == second + 37 + len(ack(BASE + SIZE))


def test_while_an_rdb_passes_a_replica_has_only_acknowledgements_to_send() -> None:
    story = Story()
    story.open()
    story.send(0, command("PSYNC", "?", "-1"))
    story.send(1, FULL + b"$%d\r\n" % len(RDB) + RDB[:100])
    story.lose(0, 1)
    story.send(0, b"\n")
    story.send(1, RDB[100:])
    story.send(0, ack(BASE))
    story.player.close()
    begin = len(command("PSYNC", "?", "-1"))
    assert lost(story) == [(REPLICA, begin, begin + 1, None, None, False, ("acks",))]


def test_a_gap_in_an_rdb_and_the_first_commands_has_a_part_in_each() -> None:
    story = Story()
    story.open()
    story.send(0, command("PSYNC", "?", "-1"))
    head = FULL + b"$%d\r\n" % len(RDB)
    story.send(1, head + RDB[:100])
    story.lose(1, len(RDB) - 100 + 50)
    story.send(1, SET * 3)
    story.send(0, ack(BASE))
    story.player.close()
    rdb_end = len(head + RDB)
    assert lost(story) == [
        (MASTER, len(head) + 100, rdb_end, None, None, False, ("keys", "checksum")),
        (MASTER, rdb_end, rdb_end + 50, BASE, BASE + 50, False, ("commands", "db")),
    ]
    assert story.missing == [
        ("gap", MASTER, len(head) + 100, rdb_end, len(RDB) - 100, None, None, ""),
        ("gap", MASTER, rdb_end, rdb_end + 50, 50, BASE, BASE + 50, ""),
    ]
    assert [one.is_rdb for one in story.player.account.missing] == [True, False]
    assert [offset for _, offset, _ in story.places] == [BASE + 50 + number * SIZE for number in (1, 2, 3)]


def test_gaps_of_a_recording_are_those_that_the_tap_reported() -> None:
    story = partial(is_ours=True)
    begin = len(PARTIAL) + SIZE
    story.lose(1, 50)
    story.lose(0, 37)
    asked = len(asks(BASE))
    said = [gap(begin, begin + 50, BASE + SIZE, BASE + SIZE + 50), gap(asked, asked + 37, side=REPLICA)]
    story.send(1, SET * 3, said=said)
    story.player.close()
    assert [(one.side, one.start, one.end) for one in story.of(RecordingGap)] == [
        (MASTER, begin, begin + 50),
        (REPLICA, asked, asked + 37),
    ]
    assert story.missing == [
        ("gap", REPLICA, asked, asked + 37, 37, None, None, ""),
        ("gap", MASTER, begin, begin + 50, 50, BASE + SIZE, BASE + SIZE + 50, ""),
    ]
    assert story.places[-1] == (begin + 50 + 2 * SIZE, BASE + 4 * SIZE + 50, None)


def test_an_rdb_that_a_tap_left_out_is_no_gap_in_the_commands() -> None:
    story = Story(is_ours=True)
    story.send(0, command("PSYNC", "?", "-1"))
    head = FULL + b"$%d\r\n" % len(RDB)
    story.send(1, head)
    story.lose(1, len(RDB))
    end = len(head + RDB)
    story.send(1, SET, said=[rdb_omitted_json(len(head), end)])
    story.player.close()
    assert story.missing == [("rdb_omitted", MASTER, len(head), end, len(RDB), None, None, "")]
    assert story.places == [(end, BASE + SIZE, None)]
    assert story.of(RecordingGap) == []


def test_packets_that_were_cut_short_are_remarked_on_once() -> None:
    story = partial()
    begin = len(PARTIAL) + SIZE
    for _ in range(2):
        story.wire.send(1, SET)
        story.play(size=50)
    story.send(1, SET * 3)
    story.send(0, ack(BASE))
    story.player.close()
    assert lost(story)[0] == (
        MASTER,
        begin + 10,
        begin + SIZE,
        BASE + SIZE + 10,
        BASE + 2 * SIZE,
        True,
        ("commands", "db"),
    )
    assert [one[5] for one in lost(story)] == [True, True]
    assert story.player.remarks == [str(story.player.cuts)]
