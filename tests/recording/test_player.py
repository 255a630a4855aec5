"""A capture reports what was reported live: for any segments and container, and wherever it begins."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.recording.comments import LinkState, rdb_omitted_json, state_json, told_json
from tap.recording.player import Player
from tap.recording.reader import MAX_KINDS, nothing, play
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tap.replication.standing import Standing
from tests.conftest import need
from tests.recording.frames import ethernet, frame, gre, ipv4, pieces, udp, vxlan
from tests.recording.support import comments, config, exchange, listening, segment
from tests.recording.wires import STREAM, Wire, as_packets, file, of, replayed, same, streamed, told
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import ROOT, Capture, Play, Servers, TapThread, captures, client, follow, is_up, level, wait_until

ACK = command("REPLCONF", "ACK", str(BASE))


@pytest.mark.parametrize("size", [7, 1448, 60_000])
@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_segments_of_any_size_report_what_the_bytes_report(capture: Capture, size: int) -> None:
    same_story(capture, told(as_packets(capture, size, random.Random(size)), every_command=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_segments_captured_before_what_they_answer_report_the_same(capture: Capture, seed: int) -> None:
    dice = random.Random(seed)
    packets = as_packets(capture, 1448, dice)
    movable = {number: found for number, (_, data) in enumerate(packets) if (found := segment(data)).data}
    for one, other in itertools.pairwise(movable):
        (early, first), (late, second) = packets[one], packets[other]
        ports = [{found.source[1], found.target[1]} for found in (movable[one], movable[other])]
        if one % 3 == seed and ports[0] == ports[1] and late - early < 50_000_000:
            packets[one], packets[other] = (early, second), (late, first)
    same_story(capture, told(packets, every_command=True))


def same_story(capture: Capture, heard: list[Told]) -> None:
    """The captured segments report what the bytes report."""
    expected = Play(every_command=True).all(capture.chunks)
    for connection in {connection for connection, _ in expected}:
        ours = [one.event for one in heard if one.connection == connection]
        for kind in (events.FullResync, events.PartialResync, events.StreamStarted, events.Command, events.Handshake):
            theirs = [event for number, event in expected if number == connection and isinstance(event, kind)]
            if kind is events.PartialResync:  # how far it was behind depends on the ticks
                assert [one.offset for one in ours if isinstance(one, events.PartialResync)] == [
                    one.offset for one in theirs if isinstance(one, events.PartialResync)
                ]
            else:
                assert [one for one in ours if isinstance(one, kind)] == theirs
        acks = [event.offset for number, event in expected if number == connection and isinstance(event, events.Ack)]
        assert [one.offset for one in ours if isinstance(one, events.Ack)] == acks


# ---- captures without the beginning ----


@given(st.lists(st.integers(1, 12_000), max_size=30), st.integers(5, 40))
def test_a_capture_that_begins_in_a_stream_finds_the_next_command(cuts: list[int], first: int) -> None:
    stream = b"".join(STREAM)
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    wire = streamed([stream[begin:end] for begin, end in itertools.pairwise(places)])
    heard = told(wire.packets[first:], every_command=True)
    found = of(heard, events.Command)
    whole = [one.args for one in of(told(wire.packets, every_command=True), events.Command)]
    if found:
        assert [one.args for one in found] == whole[-len(found) :]
        assert {one.offset for one in found} == {None}
        assert of(heard, events.StreamStarted)[0].offset is None


@pytest.mark.parametrize("lost", range(8, 60, 7))
def test_after_lost_segments_offsets_are_known_again(lost: int) -> None:
    wire = streamed([b"".join(STREAM)[at : at + 400] for at in range(0, len(b"".join(STREAM)), 400)])
    everything = {one.args: one.offset for one in of(told(wire.packets, every_command=True), events.Command)}
    heard = told(wire.packets[:lost] + wire.packets[lost + 1 :], every_command=True)
    (gap,) = of(heard, events.RecordingGap)
    if gap.side is Side.MASTER:
        assert gap.from_offset == BASE + gap.start - len(GRANT)
        assert gap.to_offset - gap.from_offset == gap.bytes == 400 or lost > 58
    seen = {one.args: one.offset for one in of(heard, events.Command)}
    assert seen.items() <= everything.items()
    assert len(seen) > len(everything) - 30


RDB = (ROOT / "fixtures/rdb/redis-7.0.15-lists.rdb").read_bytes()
MARK = b"0123456789" * 4


def resynced(header: bytes, payload: bytes) -> Wire:
    """A full resync and a stream, in small segments, with acknowledgements as a replica sends them."""
    wire = Wire()
    wire.open()
    wire.send(0, command("REPLCONF", "listening-port", "7777"))
    wire.send(1, b"+OK\r\n")
    wire.send(0, command("PSYNC", "?", "-1"))
    wire.send(1, b"+FULLRESYNC %s %d\r\n" % (b"a" * 40, BASE))
    wire.send(1, header)
    for at in range(0, len(payload), 100):
        wire.send(1, payload[at : at + 100])
    wire.send(0, ACK)
    for piece in STREAM:
        wire.send(1, piece)
        wire.send(0, ACK)
    return wire


@pytest.mark.parametrize("count", [1, 5, 18])
@pytest.mark.parametrize(
    ("header", "mark"), [(b"$%d\r\n" % len(RDB), b""), (b"$EOF:" + MARK + b"\r\n", MARK)], ids=["disk", "diskless"]
)
def test_after_missing_bytes_of_an_rdb_offsets_are_known(header: bytes, mark: bytes, count: int) -> None:
    """Except for a diskless one that lacks its end, until that is known."""
    wire = resynced(header, RDB + mark)
    everything = of(told(wire.packets, every_command=True), events.Command)
    master = [number for number, (_, data) in enumerate(wire.packets) if segment(data).source[1] == 6379]
    rdb_start = next(number for number in master if segment(wire.packets[number][1]).data.startswith(b"REDIS"))
    pieces = [number for number in master if number >= rdb_start]
    in_rdb = -(-len(RDB + mark) // 100)
    for first in range(in_rdb):
        lost = pieces[first : first + count]
        heard = told([one for number, one in enumerate(wire.packets) if number not in lost], every_command=True)
        found = of(heard, events.Command)
        ends_known = not mark or first + count < in_rdb  # the mark is in the last piece
        of_stream = max(0, first + count - in_rdb)
        assert [one.args for one in found] == [one.args for one in everything[of_stream:]]
        if ends_known:
            assert [one.offset for one in found] == [one.offset for one in everything[of_stream:]]
            (problem,) = of(heard, events.RdbProblem)
            (finished,) = of(heard, events.RdbFinished)
            assert (problem.problem, problem.position, finished.checksum) == ("missing", 100 * first, "unread")
            assert finished.bytes == len(RDB)
        else:
            assert {one.offset for one in found} == {None}
        assert sum(gap.bytes for gap in of(heard, events.RecordingGap)) == sum(
            len(segment(wire.packets[number][1]).data) for number in lost
        )


def test_an_rdb_of_known_size_ends_there_whatever_the_replica_says_before_its_end_is_missed() -> None:
    """There was another gap before, and the last missing bytes are noticed only after the acknowledgement."""
    wire = resynced(b"$%d\r\n" % len(RDB), RDB)
    everything = of(told(wire.packets, every_command=True), events.Command)
    pieces = [number for number, (_, data) in enumerate(wire.packets) if segment(data).data in RDB]
    pieces = [number for number in pieces if segment(wire.packets[number][1]).data]
    lost = pieces[3], pieces[-1]
    heard = told([one for number, one in enumerate(wire.packets) if number not in lost], every_command=True)
    assert of(heard, events.Command) == everything
    (finished,) = of(heard, events.RdbFinished)
    assert finished.bytes == len(RDB)


def test_other_traffic_is_not_reported() -> None:
    web = Wire(40000)
    web.open()
    web.send(0, b"GET / HTTP/1.1\r\n\r\n")
    web.send(1, b"HTTP/1.1 200 OK\r\n\r\n")
    heard = told(sorted([*web.packets, *streamed(STREAM).packets, (10**18, b"\x45 no tcp")]))
    assert {one.link for one in heard} == {"127.0.0.1:6379"}
    assert len(of(heard, events.LinkOpened)) == 1


def test_a_writing_client_without_its_beginning_is_not_taken_for_a_master() -> None:
    wire = Wire(40000)
    for one in STREAM:
        wire.send(0, one * 100)
        wire.send(1, b"+OK\r\n" * 100)
    assert told(wire.packets, every_command=True) == []


# ---- files ----


@pytest.mark.parametrize("kind", ["pcapng", "<us", ">us", "<ns", ">ns"])
def test_every_container_reports_the_same(tmp_path: Path, kind: str) -> None:
    wire = streamed(STREAM)
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    path = file(tmp_path / "capture", wire.packets, kind)
    assert play(path, player) == []
    player.close()
    assert heard == told(wire.packets, every_command=True)
    path.write_bytes(path.read_bytes()[:-3])
    assert len(play(path, Player(lambda one: None))) == 1


@pytest.mark.parametrize(
    "wrap", [frame, lambda packet: frame(vxlan(frame(packet))), lambda packet: frame(ipv4(4, packet))]
)
def test_a_link_in_a_tunnel_is_reported_as_one_without(wrap: Callable[[bytes], bytes]) -> None:
    packets = streamed(STREAM).packets
    plain = told(packets, every_command=True)
    wrapped = [Packet(at, 1, wrap(data), len(wrap(data))) for at, data in packets]
    assert told(wrapped, every_command=True) == plain
    fragments = [
        Packet(at, 101, one, len(one)) for at, data in packets for one in pieces(data, 64, at // 1_000_000 % 2**16)
    ]
    assert len(fragments) > len(packets)
    assert told(fragments, every_command=True) == plain


def test_a_copy_of_each_packet_from_inside_a_tunnel_doubles_nothing() -> None:
    packets = streamed(STREAM).packets
    for lag in (1, 5, 30):
        copies = [(at + lag * 1_000_000 + 1, vxlan(frame(data))) for at, data in packets]
        heard = told(sorted([*packets, *copies]), every_command=True)
        assert [one.event for one in heard] == [one.event for one in told(packets, every_command=True)]


def test_unread_packets_are_named_by_kind() -> None:
    player = Player(lambda one: None)
    for data in (frame(udp(53, b"")), ethernet(0x0806, bytes(28)), frame(udp(53, b"")), frame(gre(0x6559, bytes(20)))):
        player.packet(Packet(10**18, 1, data, len(data)))
    kinds = "2 UDP, 1 ARP, 1 GRE with an unknown protocol 0x6559"
    assert nothing(player) == f"no replication in it: 0 TCP connections; packets that hold no readable TCP: {kinds}"
    for number in range(100):
        player.packet(Packet(10**18, 1, ethernet(0x0700 + number, b""), 14))
    assert str(nothing(player)).endswith(f"EtherType 0x0708, and {103 - MAX_KINDS} more kinds")


def test_a_rest_shorter_than_measured_moves_no_moment() -> None:
    wire = streamed(STREAM)
    heard: list[Told] = []
    player = Player(heard.append, every_command=True, at_once=True)
    for at, data in wire.packets:
        player.packet(Packet(at, 101, data, len(data)))
        player.rest(0.1)
    player.close()
    times = [
        {one.event.offset: one.time for one in story if isinstance(one.event, events.Command)}
        for story in (heard, told(wire.packets, every_command=True, at_once=True))
    ]
    assert times[0] == times[1]


def test_the_packets_of_the_last_moment_are_read_and_later_ones_only_counted_as_there() -> None:
    wire = streamed(STREAM[:3])
    times = [at for at, _ in wire.packets]
    for until, count in ((times[-1], len(times)), (times[3], 4), (times[3] - 1, 3), (times[0] - 1, 0)):
        player = Player(lambda told: None, until=until)
        for at, data in wire.packets:
            player.packet(Packet(at, 101, data, len(data)))
        assert player.packets == count
        assert player.account.last == times[-1]


def test_a_copy_of_a_comment_is_one_of_the_same_moment() -> None:
    wire = Wire()
    wire.open()
    stopped = told_json(Told(1.0, "", 0, "", events.RecordingStopped(text="full")))
    (_, data) = wire.packets[-1]
    for times, count in (((1, 1, 1), 1), ((1, 2, 1), 3), ((1, 1, 2, 2), 2)):
        heard: list[Told] = []
        player = Player(heard.append)
        for time in times:
            player.packet(Packet(time * 10**9, 101, data, len(data), (stopped,)))
        assert len(of(heard, events.RecordingStopped)) == count
        assert (player.account.first, player.account.last) == (10**9, max(times) * 10**9)


@pytest.mark.parametrize("follows", [True, False])
def test_what_waits_for_lost_bytes_is_reported_soon_whatever_comes_when(follows: bool) -> None:
    """Whether the next packet comes an hour later, or the capture is still being made and none does."""
    wire = streamed(STREAM[:3])
    wire.flow.skip(1, len(STREAM[3]))
    offset = BASE + sum(map(len, STREAM[:4]))
    wire.send(0, command("REPLCONF", "ACK", str(offset)))  # acknowledges bytes that are not in the capture
    began = wire.now / 1e9
    if follows:
        wire.send(0, command("REPLCONF", "ACK", str(offset)), at=wire.now + 3600 * 10**9)
    heard: list[Told] = []
    player = Player(heard.append)
    for at, data in wire.packets:
        player.packet(Packet(at, 101, data, len(data)))
    if not follows:
        player.rest(60)
    times = [one.time - began for one in heard if isinstance(one.event, events.Ack) and one.event.offset == offset]
    assert [0.1 < time < 1 for time in times] == [True, *[False] * follows]


# ---- recordings of ours ----


def test_a_recording_reports_what_the_tap_reported(tmp_path: Path, servers: Servers, server_name: str) -> None:
    path = tmp_path / "one.pcapng"
    master, replica = servers.start(server_name), servers.start(server_name)
    client(master).set("before", "x" * 1000)
    with TapThread(config(master.port, path, every_command=True)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        writer = client(master)
        for number in range(300):
            writer.set(f"key:{number}", "v" * number)
        level(master, replica)
        tap.cut()
        tap.wait_for(events.PartialResync)
        client(master).set("after", "y")
        level(master, replica)
    same(tap.told, replayed(path, every_command=True))


def test_the_effects_of_faults_are_reported_again(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with listening() as listener:
        wanted = config(
            listener.getsockname()[1], path, every_command=True, faults=("drop command=SET key=key:3 times=1",)
        )
        with TapThread(wanted) as tap:
            exchange(tap, listener, [(0, asks(BASE)), (1, GRANT + b"".join(STREAM))])
            tap.wait_for(events.FaultFired)
    same(tap.told, replayed(path, every_command=True))


def test_changed_requests_are_reported_again(tmp_path: Path, servers: Servers, any_server: str) -> None:
    """The bytes are those of the replica."""
    path = tmp_path / "one.pcapng"
    master, replica = servers.start(any_server), servers.start(any_server)
    with TapThread(config(master.port, path, mask=("capa:psync2",), announce="keep")) as tap:
        follow(replica, tap.port)
        level(master, replica)
    same(tap.told, replayed(path))
    sent = [event.sent for event in of(tap.told, events.Handshake) if event.sent is not None]
    assert sent[0] == ("REPLCONF", "listening-port", str(replica.port), "ip-address", "127.0.0.1")
    assert "psync2" not in sent[1]


def test_without_rdb_the_stream_has_its_offsets(tmp_path: Path, servers: Servers, any_server: str) -> None:
    path = tmp_path / "one.pcapng"
    master, replica = servers.start(any_server), servers.start(any_server)
    client(master).set("in-the-snapshot", "x" * 300_000)
    with TapThread(config(master.port, path, record_without_rdb=True, every_command=True)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        client(master).set("in-the-stream", "y")
        level(master, replica)
    same(tap.told, replayed(path, every_command=True))
    assert "rdb_omitted" in [said["event"] for said in comments(path)]


def commands_of(path: Path) -> list[tuple[int | None, str, tuple[bytes, ...]]]:
    """Those so far, of a file that may still be written."""
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    play(path, player)
    player.close()
    return [(one.offset, one.name, one.args) for one in of(heard, events.Command)]


def test_a_tcpdump_of_the_same_link_gives_the_same_commands_and_offsets(tmp_path: Path, servers: Servers) -> None:
    program = shutil.which("tcpdump")
    if program is None or os.geteuid():
        pytest.skip("tcpdump is missing, or not for this user")
    name = need("redis-7.0")
    master, replica = servers.start(name), servers.start(name)
    ours, theirs = tmp_path / "ours.pcapng", tmp_path / "theirs.pcap"
    filter_ = ["tcp", "port", str(master.port)]
    arguments = [
        "-i",
        "lo",
        "-s",
        "0",
        "-B",
        "65536",
        "--immediate-mode",
        "-U",
        "-w",
        str(theirs),
        "-Z",
        "root",
        *filter_,
    ]
    with subprocess.Popen([program, *arguments], stderr=subprocess.PIPE, text=True) as tcpdump:
        assert tcpdump.stderr is not None
        while "listening" not in (line := tcpdump.stderr.readline()):
            assert line
        with TapThread(config(master.port, ours, every_command=True)) as tap:
            follow(replica, tap.port)
            wait_until(lambda: is_up(replica))
            writer = client(master)
            for number in range(2000):
                writer.set(f"key:{number}", "v" * number)
            level(master, replica)
        recorded = commands_of(ours)
        wait_until(lambda: len(commands_of(theirs)) >= len(recorded), what="tcpdump has written all of them")
        tcpdump.send_signal(signal.SIGINT)
        tcpdump.wait(30)
    seen = commands_of(theirs)
    assert len(recorded) > 2000
    assert seen == recorded == [(one.offset, one.name, one.args) for one in tap.events(events.Command)]


# ---- a file that begins with the states of its connections ----

ID = "d" * 40
SET_A = command("SET", "a", "1")


def stands(number: int, position: int, offset: int | None) -> LinkState:
    """A state in a stream of db 3, whose next byte has that position and follows that offset."""
    conversation = Conversation(lambda event: None, connection=number)
    conversation.join(position, 50, ID, offset)
    standing = dataclasses.replace(conversation.standing(at_boundary=True), db=3)
    return state(number, standing)


def state(number: int, standing: Standing | None, lost: tuple[int, int] = (0, 0)) -> LinkState:
    return LinkState(
        time=1.5, link="main", connection=number, replica="r", peer="a:1", master="b:2", standing=standing, begins=False,
        said=(), held=0, lost=lost,
    )  # fmt: skip


def states_and_bytes(*items: LinkState | int | bytes) -> list[Told]:
    """What is reported when a tap states where a connection is, after some bytes of the master, and some lost ones."""
    wire = Wire()
    wire.open()
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for item in items:
        wire.packets.clear()
        if isinstance(item, int):
            wire.flow.skip(1, item)
            continue
        if isinstance(item, LinkState):
            wire.send(0, flags=0)
        else:
            wire.send(1, item)
        comments = (state_json(item),) if isinstance(item, LinkState) else ()
        for at, data in wire.packets:
            player.packet(Packet(at, 101, data, len(data), comments))
    player.close()
    return heard


def placed(heard: list[Told]) -> list[tuple[int, int | None, int | None, int]]:
    """The connection, offset, db and position of each command."""
    return [
        (one.connection, one.event.offset, one.event.db, one.event.start)
        for one in heard
        if isinstance(one.event, events.Command)
    ]


SIZE = len(SET_A)
FIRST = (4, 5000 + SIZE, 3, 100)


def test_a_connection_is_read_from_its_state_on() -> None:
    heard = states_and_bytes(stands(4, 100, 5000), SET_A, SET_A)
    assert placed(heard) == [FIRST, (4, 5000 + 2 * SIZE, 3, 100 + SIZE)]
    assert {one.link for one in heard} == {"main"}
    assert not of(heard, events.RecordingGap)


def test_a_state_without_news_changes_nothing() -> None:
    heard = states_and_bytes(stands(4, 100, 5000), SET_A, stands(4, 100 + SIZE, 5000 + SIZE), SET_A)
    assert placed(heard) == [FIRST, (4, 5000 + 2 * SIZE, 3, 100 + SIZE)]
    assert not of(heard, events.RecordingGap)


def test_missing_files_between_two_states_are_a_gap() -> None:
    behind = 100 + SIZE + 70
    heard = states_and_bytes(stands(4, 100, 5000), SET_A, 70, stands(4, behind, 5070 + SIZE), SET_A)
    assert placed(heard) == [FIRST, (4, 5070 + 2 * SIZE, 3, behind)]
    (gap,) = of(heard, events.RecordingGap)
    assert (gap.start, gap.end, gap.side, gap.bytes) == (100 + SIZE, behind, events.Side.MASTER, 70)
    assert (gap.from_offset, gap.to_offset) == (5000 + SIZE, 5070 + SIZE)


def test_another_connection_with_the_same_addresses_is_separate() -> None:
    heard = states_and_bytes(stands(4, 100, 5000), SET_A, stands(5, 10, 9000), SET_A)
    assert placed(heard) == [FIRST, (5, 9000 + SIZE, 3, 10)]
    assert not of(heard, events.RecordingGap)


def test_after_a_state_the_other_comments_of_its_packet_are_heard_too() -> None:
    wire = Wire()
    wire.open()
    wire.packets.clear()
    wire.send(0, flags=0)
    stopped = Told(1.0, "", 0, "", events.RecordingStopped(text="full"))
    heard: list[Told] = []
    player = Player(heard.append)
    ((at, data),) = wire.packets
    player.packet(Packet(at, 101, data, len(data), (state_json(stands(4, 100, 5000)), told_json(stopped))))
    player.close()
    assert [one.text for one in of(heard, events.RecordingStopped)] == ["full"]


def test_a_state_repeats_what_the_tap_said_of_the_bytes_that_follow() -> None:
    reason = events.Reason(code="offset_out_of_backlog", text="as the tap saw it")
    full = events.FullResync(start=0, end=9, replid=ID, offset=BASE, reason=reason)
    said = Told(1.0, "main", 4, "r", full).as_dict()
    begun = dataclasses.replace(state(4, None), begins=True, said=(said,))
    wire = Wire()
    wire.open()
    wire.packets.clear()
    wire.send(0, flags=0)
    wire.send(0, command("PSYNC", "?", "-1"))
    wire.send(1, b"+FULLRESYNC %s %d\r\n" % (ID.encode(), BASE))
    heard: list[Told] = []
    player = Player(heard.append)
    for number, (at, data) in enumerate(wire.packets):
        player.packet(Packet(at, 101, data, len(data), () if number else (state_json(begun),)))
    player.close()
    assert [one.reason for one in of(heard, events.FullResync)] == [reason]


def test_after_a_handshake_that_was_too_long_the_stream_is_not_understood() -> None:
    heard = states_and_bytes(state(4, None, lost=(30, 40)), SET_A)
    (opaque,) = of(heard, events.Opaque)
    assert (opaque.start, opaque.side) == (40, events.Side.MASTER)
    assert opaque.reason.endswith("; its handshake was too long to stand in this file, too")


def test_an_omitted_rdb_is_missing_with_its_place() -> None:
    head = b"+FULLRESYNC %s %d\r\n$70\r\n" % (ID.encode(), BASE)
    wire, player = Wire(), Player(lambda told: None)
    opened = Told(1.0, "main", 1, "", events.LinkOpened(peer="a:1", master="b:2"))
    said: dict[int, str] = {0: told_json(opened)}
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    wire.send(1, head)
    wire.flow.skip(1, 70)
    said[len(wire.packets)] = rdb_omitted_json(len(head), len(head) + 70)
    wire.send(1, SET_A)
    for number, (at, data) in enumerate(wire.packets):
        player.packet(Packet(at, 101, data, len(data), (said[number],) if number in said else ()))
    player.close()
    (missing,) = player.account.missing
    assert (missing.cause, missing.is_rdb, missing.side) == ("rdb_omitted", True, Side.MASTER)
    assert (missing.start, missing.end, missing.lost_bytes) == (len(head), len(head) + 70, 70)
