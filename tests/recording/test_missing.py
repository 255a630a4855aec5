"""What a reading could not report: each stretch once, with its offsets, and which answers it concerns."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.capture.segments import FIN, RST
from tap.recording import missing as missing_module
from tap.recording.filters import Filters
from tap.recording.missing import MAX_PROBLEMS, SHOWN, Account, Joins, Missing, Whole, sentences
from tap.recording.moments import Moment
from tap.recording.player import Player
from tap.recording.reader import read
from tap.replication.events import Command, Identified, PartialResync, RecordingGap, Side, StreamStarted
from tests.conftest import need
from tests.counting import growth
from tests.recording.support import config
from tests.recording.wires import STREAM, Wire, as_packets, of, streamed
from tests.relay.wire import BASE, GRANT, REPLID, asks, command
from tests.support import (
    FIXTURES,
    MATRIX,
    Capture,
    Servers,
    TapThread,
    captures,
    client,
    crossed,
    follow,
    is_up,
    level,
    wait_until,
)

LOST = FIXTURES / "captures" / "one-command-lost.pcap"
ZSTD = FIXTURES / "compressed" / "redis-8.10-zstd-one-channel-disk.pcapng"
OTHER = "f" * 40


def account(packets: list[tuple[int, bytes]]) -> tuple[Account, list[Told]]:
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for time, data in packets:
        player.packet(Packet(time, 101, data, len(data)))
    player.close()
    return player.account, heard


def of_file(path: Path) -> Account:
    player = Player(lambda told: None)
    for _ in read([path], player):
        pass
    return player.account


def missing(
    begin: int | None, end: int | None, *, link: str = "main", replid: str = REPLID, side: Side = Side.MASTER
) -> Missing:
    return Missing(
        cause="gap",
        link=link,
        connection=1,
        side=side,
        start=50,
        end=60,
        lost_bytes=10,
        is_rdb=False,
        replid=replid,
        from_offset=begin,
        to_offset=end,
        since=1000.0,
        until=1002.0,
        reason="",
    )


# ---- finding ----


@pytest.mark.parametrize("size", [7, 1448])
@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_a_complete_capture_lacks_nothing(capture: Capture, size: int) -> None:
    found, _ = account(as_packets(capture, size, random.Random(size)))
    assert (found.missing, found.lines()) == ([], [])


def test_the_whole_fixture_lacks_nothing() -> None:
    assert of_file(FIXTURES / "captures" / "replica-whole.pcap").lines() == []


def test_a_lost_command_is_one_stretch_with_its_offsets() -> None:
    (one,) = of_file(LOST).missing
    assert (one.cause, one.side, one.bytes, one.lost_bytes) == ("gap", Side.MASTER, 92, 92)
    assert (one.from_offset, one.to_offset, one.start, one.end) == (2485, 2577, 1598, 1690)
    assert one.replid == "1234567890" * 4
    assert 0 < one.until - one.since < 1
    (line,) = of_file(LOST).lines()
    assert line.startswith("10.0.0.1:6379/1: 92 bytes of the stream are missing, offsets 2485 to 2577 (after 2026-")


@pytest.mark.parametrize(("begin", "end"), [(0, 5), (20, 30), (90, 104), (300, 300 + 1000)])
def test_a_gap_in_a_command_takes_the_whole_command(begin: int, end: int) -> None:
    """Reported and missing bytes together are all of the stream."""
    stream = b"".join(STREAM)
    wire = streamed([stream[:begin]] if begin else [])
    wire.flow.skip(1, end - begin)
    for at in range(end, len(stream), 500):
        wire.send(1, stream[at : at + 500])
        wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    found, heard = account(wire.packets)
    (one,) = found.missing
    assert (one.cause, one.lost_bytes) == ("gap", end - begin)
    assert one.from_offset is not None
    assert one.to_offset is not None
    assert one.end - one.start == one.to_offset - one.from_offset
    commands = of(heard, Command)
    told = {(event.offset - event.end + event.start, event.offset) for event in commands}
    ends = itertools.accumulate(map(len, STREAM))
    whole = {(BASE + at - len(piece), BASE + at) for piece, at in zip(STREAM, ends, strict=True)}
    lacking = {(first, last) for first, last in whole if one.from_offset <= first and last <= one.to_offset}
    assert told | lacking == whole
    assert not told & lacking
    assert BASE + begin >= one.from_offset
    assert BASE + end <= one.to_offset


def test_gaps_without_a_command_between_them_are_one_stretch() -> None:
    value = command("SET", "k", "v" * 5000)
    wire = streamed([STREAM[0]])
    wire.send(1, value[:1000])
    wire.flow.skip(1, 100)
    wire.send(1, value[1100:2000])
    wire.flow.skip(1, 100)
    wire.send(1, value[2100:] + STREAM[1] * 3)
    wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    found, heard = account(wire.packets)
    (one,) = found.missing
    first = BASE + len(STREAM[0])
    assert (one.from_offset, one.to_offset, one.lost_bytes) == (first, first + len(value), 200)
    assert len(of(heard, RecordingGap)) == 2
    (line,) = found.lines()
    assert f"{len(value)} bytes of the stream cannot be read, as 200 of them are missing, offsets" in line


def test_after_a_gap_in_the_handshake_offsets_are_unknown() -> None:
    wire = Wire()
    wire.open()
    wire.send(0, asks(BASE))
    wire.flow.skip(1, len(GRANT))
    for piece in STREAM:
        wire.send(1, piece)
        wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    found, _ = account(wire.packets)
    (one,) = found.missing
    assert (one.cause, one.start, one.end) == ("gap", 0, len(GRANT))
    assert (one.replid, one.from_offset, one.to_offset) == (None, None, None)
    assert re.search(rf"{len(GRANT)} bytes from the master are missing, bytes 0 to {len(GRANT)} \(", found.lines()[0])


def test_an_acknowledgement_shows_that_a_grant_is_missing_and_the_stream_is_looked_for() -> None:
    """The gap ends at the first command found: what came before it cannot be read."""
    lost, inside, stream = b"+CONTINUE\r\n", command("SET", "a", "b")[5:], b"".join(STREAM)
    wire = Wire()
    wire.open()
    wire.send(0, asks(BASE))
    wire.flow.skip(1, len(lost))
    wire.send(1, b"\n")
    wire.send(0, b"", at=wire.now + 60 * 10**9)
    wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    wire.send(1, inside)
    wire.send(1, stream)
    found, heard = account(wire.packets)
    (one,) = found.missing
    assert (one.cause, one.side, one.start, one.end) == ("gap", Side.MASTER, 0, len(lost + b"\n" + inside))
    assert one.lost_bytes == len(lost)
    assert len(of(heard, Command)) == len(STREAM)


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_a_command_is_reported_or_something_is_missing(capture: Capture) -> None:
    whole = as_packets(capture, 1448, random.Random(1))
    live = {(one.connection, one.event.start): one.event for one in commands(account(whole)[1])}
    for seed in range(5):
        dice = random.Random(seed)
        found, heard = account([one for one in whole if dice.random() > (0.01, 0.05, 0.2)[seed % 3]])
        told = {(one.connection, one.event.start) for one in commands(heard)}
        links = {one.connection for one in heard if isinstance(one.event, Identified | StreamStarted)}
        gaps: dict[int, list[tuple[int, int]]] = {one: [] for one in links}
        for gap in found.missing:
            if gap.may_hold_commands:
                gaps[gap.connection].append((gap.start, gap.end))
        for (connection, start), event in live.items():
            if (connection, start) in told:
                assert not any(begin <= start and event.end <= end for begin, end in gaps[connection])
            elif connection in links:
                assert gaps[connection]


def commands(heard: list[Told]) -> list[Any]:
    return [one for one in heard if isinstance(one.event, Command)]


@pytest.mark.parametrize("end", ["fin", "reset", "acknowledgement"])
def test_bytes_lost_at_the_end_are_missing_too(end: str) -> None:
    wire = streamed(STREAM[:5])
    wire.flow.skip(1, 50)
    if end == "fin":
        wire.send(1, flags=FIN)
    wire.send(0, flags=0)
    if end == "reset":
        wire.send(0, flags=RST)
    (one,) = account(wire.packets)[0].missing
    assert (one.cause, one.bytes, one.to_offset) == ("gap", 50, BASE + sum(map(len, STREAM[:5])) + 50)


def test_a_number_that_may_be_that_of_a_fin_is_not_a_missing_byte() -> None:
    wire = streamed(STREAM[:5])
    wire.flow.skip(1, 1)
    wire.send(0, flags=0)
    assert account(wire.packets)[0].missing == []


def test_lost_bytes_of_a_replica_are_missing_too() -> None:
    wire = streamed(STREAM[:5])
    wire.flow.skip(0, 30)
    wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    wire.send(1, STREAM[5])
    (one,) = account(wire.packets)[0].missing
    assert (one.side, one.bytes, one.may_hold_commands) == (Side.REPLICA, 30, False)


def test_a_gap_in_an_rdb_hides_no_command() -> None:
    data = b"REDIS0011\xfe\x00" + b"\x00\x03key\x05value" * 30 + b"\xff" + bytes(8)
    wire = Wire()
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    wire.send(1, b"+FULLRESYNC %b %d\r\n$%d\r\n" % (REPLID.encode(), BASE, len(data)) + data[:100])
    wire.flow.skip(1, 50)
    wire.send(1, data[150:])
    wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    wire.send(1, STREAM[0])
    found, heard = account(wire.packets)
    (one,) = found.missing
    assert (one.cause, one.bytes, one.is_rdb, one.may_hold_commands) == ("gap", 50, True, False)
    assert [event.offset for event in of(heard, Command)] == [BASE + len(STREAM[0])]
    assert f"50 bytes of an RDB are missing, bytes {one.start} to {one.end} from the master" in found.lines()[0]


@pytest.mark.parametrize("is_disk", [True, False])
def test_a_gap_in_an_rdb_without_a_known_end_may_hide_commands(is_disk: bool) -> None:
    """A diskless RDB may have ended in it, and the stream begun."""
    wire = Wire()
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    header = b"$900\r\n" if is_disk else b"$EOF:" + b"f" * 40 + b"\r\n"
    data = b"REDIS0011\xfe\x00" + b"\x00\x03key\x05value" * 30
    wire.send(1, b"+FULLRESYNC %b %d\r\n" % (REPLID.encode(), BASE) + header + data[:100])
    wire.flow.skip(1, 50)
    wire.send(1, data[150:])
    (one,) = account(wire.packets)[0].missing
    assert (one.cause, one.bytes, one.is_rdb, one.may_hold_commands) == ("gap", 50, is_disk, not is_disk)


def test_an_unreadable_rdb_is_unread() -> None:
    data = b"REDIS0011\xfe\x00\x99" + bytes(100)
    wire = Wire()
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    header = b"+FULLRESYNC %b %d\r\n$%d\r\n" % (REPLID.encode(), BASE, len(data))
    wire.send(1, header + data)
    wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    (one,) = account(wire.packets)[0].missing
    assert (one.cause, one.is_rdb, one.lost_bytes, one.end) == ("unread", True, 0, len(header + data))
    assert one.reason


def test_compressed_streams_are_unread_to_their_ends() -> None:
    first, second = of_file(ZSTD).missing
    assert [(one.cause, one.lost_bytes, one.bytes, one.connection) for one in (first, second)] == [
        ("unread", 0, 333, 2),
        ("unread", 0, 229, 3),
    ]
    # Offsets count the bytes of a stream before compression, so its end is unknown.
    assert [(one.from_offset, one.to_offset) for one in (first, second)] == [(0, None), (1679, None)]
    assert "333 bytes of the stream cannot be read, from offset 0 on: " in of_file(ZSTD).lines()[0]


def test_after_nonsense_a_stream_is_unread_to_its_end() -> None:
    wire = streamed([*STREAM[:3], b"nonsense\r\n", *STREAM[3:6]])
    (one,) = account(wire.packets)[0].missing
    sizes = list(itertools.accumulate(map(len, STREAM)))
    assert (one.cause, one.from_offset, one.to_offset) == ("unread", BASE + sizes[2], BASE + sizes[5] + 10)


def test_a_master_that_is_not_understood_is_unread_from_that_byte_on() -> None:
    wire = Wire()
    wire.open()
    wire.send(0, asks(BASE))
    wire.send(1, b"+NOVELTY\r\n")
    wire.send(1, b"more of it")
    (one,) = account(wire.packets)[0].missing
    assert (one.cause, one.start, one.end) == ("unread", 0, 20)


# ---- which answers it concerns ----


@pytest.mark.parametrize(
    ("begin", "end", "concerns"),
    [
        (None, 2000, False),
        (None, 2001, True),
        (2100, None, True),
        (2101, None, False),
        (2050, 2060, True),
    ],
)
def test_a_gap_outside_the_selection_does_not_concern_the_answer(begin: Moment, end: Moment, concerns: bool) -> None:
    assert Filters(begin=begin, end=end).may_lack(missing(2000, 2100)) == concerns


@pytest.mark.parametrize(
    ("begin", "end", "concerns"), [(0, 999, False), (0, 1001, True), (1001, 1003, True), (1003, 1009, False)]
)
def test_a_gap_outside_the_selected_times_does_not_concern_the_answer(begin: int, end: int, concerns: bool) -> None:
    first, last = (datetime.fromtimestamp(at).astimezone() for at in (begin, end))
    assert Filters(begin=first, end=last).may_lack(missing(None, None)) == concerns


def test_a_gap_without_offsets_may_concern_any_answer() -> None:
    assert Filters(begin=1, end=2).may_lack(missing(None, None))


def test_a_filter_excludes_only_gaps_that_hold_no_commands() -> None:
    wanted = Filters(dbs=[1], names=["DEL"], globs=["a"])
    assert wanted.may_lack(missing(1, 2))
    assert not wanted.may_lack(missing(1, 2, side=Side.REPLICA))
    assert not Filters(links=["other"]).may_lack(missing(1, 2))
    assert Filters(links=["main/1"]).may_lack(missing(1, 2))


@pytest.mark.parametrize(
    ("begin", "end", "replid", "follows"),
    [
        (2000, 2100, REPLID, False),
        (2000, 2101, REPLID, True),
        (2000, 2101, OTHER, False),  # it began before
        (None, None, OTHER, True),  # and may have continued later
    ],
)
def test_gaps_before_an_answer_take_nothing_from_it(
    begin: int | None, end: int | None, replid: str, follows: bool
) -> None:
    whole = Whole((REPLID,), 2100, 1001 * 10**9)
    assert whole.precedes(missing(begin, end, replid=replid)) == follows
    assert not Whole((REPLID,), 2100, 1003 * 10**9).precedes(missing(None, None))
    assert Whole((), None, 0).precedes(missing(begin, end))


@pytest.mark.parametrize(
    ("end", "replid", "seconds", "follows"),
    [
        (None, REPLID, 1002, True),
        (None, REPLID, 1002.0000005, False),
        (2101, OTHER, 1000, True),
        (2101, OTHER, 1001, False),
    ],
)
def test_without_a_common_offset_a_gap_may_come_later_up_to_the_moment_of_the_answer(
    end: int | None, replid: str, seconds: float, follows: bool
) -> None:
    """The gap lasts from 1000 to 1002 s; one that has offsets began before the bytes that follow it."""
    whole = Whole((REPLID,), 2100, int(seconds * 10**9))
    assert whole.precedes(missing(None if end is None else 2000, end, replid=replid)) is follows


def test_a_gap_whose_offsets_are_not_both_known_is_lacking_whatever_others_brought() -> None:
    found = Account()
    assert (found.first, found.last, found.lacking(joins=lambda link, connection: True)) == (0, 0, [])
    found.read("main", 2, REPLID, 0, 3000)
    for number, (begin, end) in enumerate(((2000, None), (None, 2100), (None, None))):
        found.lacks(replace(missing(begin, end), connection=5 + number))
    found.lacks(replace(missing(2000, 2100), replid=None, connection=9))
    found.lacks(replace(missing(2000, 2100), connection=10))
    assert [one.connection for one in found.lacking(joins=lambda link, connection: True)] == [5, 6, 7, 9]


def test_stretches_beyond_those_that_are_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing_module, "MAX_KEPT", 2)
    found = Account()
    for number in range(5):
        found.lacks(replace(missing(2000, 2010), start=100 * number, end=100 * number + 10))
    assert (len(found.missing), found.uncounted) == (2, 3)


def lacking(found: Account, joins: Joins = lambda link, connection: True) -> list[int | None]:
    return [one.from_offset for one in found.lacking(joins=joins)]


def test_bytes_that_another_connection_brought_are_not_lacking_if_they_are_joined() -> None:
    found = Account()
    found.read("main", 2, REPLID, 0, 2000)
    found.read("main", 2, REPLID, 2100, 3000)
    found.lacks(missing(2000, 2100))
    assert lacking(found) == [2000]
    found.read("other", 3, REPLID, 1990, 2099)
    assert lacking(found) == [2000]
    found.read("other", 3, REPLID, 2099, 2100)
    assert lacking(found) == []
    assert lacking(found, lambda link, connection: link == "main") == [2000]
    assert [one.from_offset for one in found.lacking()] == [2000]


def test_a_history_that_continues_under_another_id_is_the_same_up_to_there() -> None:
    def goes_on(replid: str, previous: str, offset: int) -> PartialResync:
        return PartialResync(start=0, end=0, replid=replid, previous_replid=previous, offset=offset, bytes_behind=0)

    for replids in ((REPLID, OTHER), (OTHER, REPLID)):
        found = Account()
        found.lacks(missing(2000, 2100, replid=replids[0]))
        found.lacks(missing(2400, 2600, replid=replids[0]))
        found.read("main", 2, replids[1], 1000, 5000)
        assert lacking(found) == [2000, 2400]
        found.resynced(goes_on(OTHER, REPLID, 2500))
        assert lacking(found) == [2400]


def test_a_second_replica_fills_the_gap_of_the_first() -> None:
    first, second = Wire(), Wire(50001)
    for wire in (first, second):
        wire.open()
        wire.send(0, asks(BASE))
        wire.send(1, b"+CONTINUE %b\r\n" % REPLID.encode())
    for number, piece in enumerate(STREAM[:20]):
        if number == 10:
            first.flow.skip(1, len(piece))
        else:
            first.send(1, piece)
        second.send(1, piece)
        for wire in (first, second):
            wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    found, _ = account(sorted(first.packets + second.packets))
    assert len(found.missing) == 1
    assert lacking(found) == []
    assert lacking(found, lambda link, connection: (link, connection) != ("127.0.0.1:6379", 2)) != []
    assert lacking(found, lambda link, connection: (link, connection) == ("127.0.0.1:6379", 2)) == []


# ---- reporting ----


def test_the_first_stretches_are_reported_one_by_one_and_the_rest_is_counted() -> None:
    many = [missing(number, number + 10) for number in range(SHOWN + 3)]
    *lines, last = sentences(many)
    assert lines == [str(one) for one in many[:SHOWN]]
    assert last == "and 3 more such stretches, of 30 bytes in all"
    assert sentences(many[:SHOWN]) == lines
    assert sentences(many[:SHOWN], 7)[-1] == "and 7 more such stretches, of more than 0 bytes in all"


def test_one_byte_is_singular() -> None:
    one = replace(missing(7, 8), end=51, lost_bytes=1)
    assert str(one).startswith("main/1: 1 byte of the stream is missing, offsets 7 to 8 (after ")


def test_adjacent_stretches_are_one() -> None:
    found = Account()
    for begin, end in ((50, 60), (60, 75), (80, 90)):
        found.lacks(replace(missing(begin, end), start=begin, end=end, lost_bytes=end - begin))
    assert [(one.start, one.end, one.from_offset, one.to_offset, one.lost_bytes) for one in found.missing] == [
        (50, 75, 50, 75, 25),
        (80, 90, 80, 90, 10),
    ]


def test_bytes_of_another_link_are_joined_unless_each_link_counts_by_itself() -> None:
    found = Account()
    found.lacks(missing(2000, 2100))
    found.read("other", 3, REPLID, 1500, 3000)

    def every(link: str, connection: int) -> bool:
        return True

    assert found.lacking(joins=every) == []
    assert found.lacking(joins=every, by_link=True) == found.missing
    assert found.lines(joins=every) == []
    assert found.lines(joins=every, by_link=True) == [str(found.missing[0])]
    assert found.lines(lambda one: False) == []
    found.read("main", 9, REPLID, 2000, 2100)
    assert found.lacking(joins=every, by_link=True) == []


def test_offsets_reach_from_the_first_byte_to_the_last_that_joined_connections_brought() -> None:
    found = Account()
    found.read("main", 1, REPLID, 500, 500)
    assert found.offsets(lambda link, connection: True) is None
    for number, (link, begin, end) in enumerate((("main", 700, 900), ("main", 100, 200), ("other", 50, 5000))):
        found.read(link, number, (REPLID, OTHER)[number % 2], begin, end)
    assert found.offsets(lambda link, connection: link == "main") == (100, 900)
    assert found.offsets(lambda link, connection: True) == (50, 5000)
    assert found.offsets(lambda link, connection: False) is None


def test_only_gaps_of_one_kind_and_side_that_touch_become_one() -> None:
    first = replace(missing(50, 60), start=50, end=60)
    after = replace(missing(60, 75), start=60, end=75)
    for other in (
        replace(after, side=Side.REPLICA),
        replace(after, is_rdb=True),
        replace(after, cause="unread", reason="odd"),
        replace(after, connection=2),
        replace(after, link="other"),
        replace(after, start=61),
    ):
        found = Account()
        found.lacks(first)
        found.lacks(other)
        assert found.missing == [first, other]
    for before, later in ((None, REPLID), (REPLID, None), (REPLID, OTHER)):
        found = Account()
        found.lacks(replace(first, replid=before, from_offset=None))
        found.lacks(replace(after, replid=later, until=1005.0, lost_bytes=3))
        (one,) = found.missing
        expected = replace(first, replid=REPLID, from_offset=None, to_offset=75, end=75, until=1005.0, lost_bytes=13)
        assert one == expected


def test_a_remark_is_kept_once() -> None:
    player = Player(lambda told: None)
    for _ in range(2):
        player.remark("a RST outside of the window was ignored")
    assert player.remarks == ["a RST outside of the window was ignored"]
    assert player.account.lines() == []


def test_of_each_kind_of_remarks_the_first_few_are_shown_and_the_others_counted() -> None:
    account = Account()
    for number in range(1000):
        account.remark(f"link {number} is odd", "such links")
        account.remark(f"link {number} is odd", "such links")
    account.remark("all is well")
    assert len(account.remarks) == SHOWN + 2
    assert account.remarks[-2] == f"and {1000 - SHOWN} more such links; the last: link 999 is odd"
    assert account.remarks[-1] == "all is well"


def test_lines_about_very_many_files_are_limited() -> None:
    account = Account(problems=[f"{number}.pcap: it is empty" for number in range(1000)])
    assert len(account.lines()) == MAX_PROBLEMS + 1
    assert account.lines()[-1] == f"and {1000 - MAX_PROBLEMS} more such lines on other files"


def joining(count: int) -> Callable[[], object]:
    """Many links with a history each, all of which lack something that none brought."""
    account = Account()
    for number in range(count):
        account.read(f"link-{number}", number, f"{number:040}", 0, 10)
        account.lacks(replace(missing(20, 30, replid=f"{number:040}"), link=f"link-{number}"))

    def ask() -> None:
        assert len(account.lacking(joins=lambda link, connection: True, by_link=True)) == count

    return ask


def test_lacking_bytes_are_found_quickly_however_many_histories_there_are() -> None:
    assert growth(joining, 100) < 2.3


# ---- real servers ----


RECORDED: dict[str, dict[str, Any]] = {
    "plain": {},
    "rotated": {"record_rotate": ("30kb",)},
    "without rdb": {"record_without_rdb": True},
    "redacted": {"record_redact": ("values",)},
    "opaque": {"opaque": True},
}


@pytest.mark.parametrize(("name", "recorded"), crossed(MATRIX, list(RECORDED)))
def test_a_recording_of_a_healthy_pair_lacks_nothing(tmp_path: Path, servers: Servers, name: str, recorded: str) -> None:
    options = RECORDED[recorded]
    master, replica = servers.start(need(name)), servers.start(name)
    client(master).set("before", "x" * 10_000)
    path = tmp_path / "one.pcapng"
    with TapThread(config(master.port, path, **options)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        with client(master) as writer:
            for number in range(300):
                writer.set(f"key:{number}", bytes(range(256)))
            with writer.pipeline(transaction=True) as transaction:
                transaction.incr("count").delete("key:1", "key:2").execute()
        level(master, replica)
        tap.cut()
        wait_until(lambda: is_up(replica))
        client(master).set("after", "y")
        level(master, replica)
        client(replica).replicaof("no", "one")
    paths = sorted(tmp_path.glob("*.pcapng"))
    for begin in range(len(paths)):
        player = Player(lambda told: None, every_command=True, every_key=True)
        for _ in read(paths[begin:], player):
            pass
        leaves_out = bool(options.keys() & {"record_without_rdb", "record_redact"})
        assert player.account.lines(lambda one: one.cause != "rdb_omitted") == []
        assert bool(player.account.missing) == (leaves_out and begin == 0)
        assert player.remarks == []
