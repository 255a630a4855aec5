"""Connections without their beginning, or with one direction only: their bytes decide whether they replicate."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.recording.player import Player
from tap.recording.reader import nothing, play
from tap.recording.role_evidence import ENOUGH_ACKS, MAX_HELD, Missed, RoleEvidence, RoleVerdict, Undecided
from tap.replication import events
from tap.replication.events import Side
from tests.recording.support import segment
from tests.recording.wires import STREAM, Wire, as_packets, file, of, told
from tests.relay.wire import BASE, REPLID, command
from tests.replication.talk import RDB
from tests.replication.test_one_sided import some
from tests.support import Capture, captures

ACK = command("REPLCONF", "ACK", "1500")
ACK_FACK = command("REPLCONF", "ACK", "1500", "FACK", "1400")
PSYNC = command("PSYNC", "?", "-1")
GRANT = f"+FULLRESYNC {REPLID} {BASE}\r\n".encode()
MARK = b"0123456789" * 4
SET = command("SET", "key", "value")


# ---- what decides ----


@pytest.mark.parametrize(
    ("said", "evidence"),
    [
        (ACK, RoleEvidence.ACKS),
        (ACK * 3 + b"\n" + ACK_FACK, RoleEvidence.ACKS),
        (command("replconf", "ack", "7"), RoleEvidence.ACKS),
        (command("REPLCONF", "listening-port", "7777"), RoleEvidence.REQUEST),
        (PSYNC, RoleEvidence.REQUEST),
        (command("INFO") + command("psync", "?", "-1"), RoleEvidence.REQUEST),
        (b"PING\r\nSYNC\r\n", RoleEvidence.REQUEST),
    ],
)
def test_a_replica_is_recognized_by_bytes_that_only_it_sends(said: bytes, evidence: RoleEvidence) -> None:
    for end in (0, 1):
        verdict = Undecided().heard(end, said)
        assert verdict is not None
        assert (verdict.replica, verdict.evidence) == (end, evidence)


@pytest.mark.parametrize(
    "said",
    [
        GRANT,
        b"\n\n+PONG\r\n+OK\r\n-ERR Unrecognized REPLCONF option\r\n" + GRANT,
        f"+CONTINUE {REPLID}\r\n".encode() + SET,
        b"+RDBCHANNELSYNC 17\r\n",
        b"+DUALCHANNELSYNC\r\n",
        f"$ENDOFF:100 {REPLID} -1 17\r\n".encode(),
        b"$EOF:" + MARK + b"\r\nREDIS0011",
    ],
)
def test_a_master_is_recognized_by_what_only_it_grants(said: bytes) -> None:
    assert Undecided().heard(1, said) == RoleVerdict(0, RoleEvidence.GRANT)


@pytest.mark.parametrize(
    "said",
    [
        SET * 1000,
        command("SELECT", "3") + command("MULTI") + SET + command("EXEC") + command("PING"),
        command("SET", "acks", ACK * 40),
        command("SET", "session", command("PING") + PSYNC + GRANT),
        b"$%d\r\n%s\r\n" % (len(GRANT), GRANT),
        b"+OK\r\n" * 100,
        b"+CONTINUE\r\n",
        b"+FULLRESYNC of a script\r\n",
        b":1\r\n",
        command("message", "channel", PSYNC),
        b'+1700000000.1 [0 10.0.0.9:50000] "REPLCONF" "ACK" "7"\r\n',
        command("REPLCONF", "GETACK", "*"),
        ACK + command("GET", "key"),
        b"\n",
        RDB,
    ],
)
def test_bytes_that_any_client_may_send_decide_nothing(said: bytes) -> None:
    for end in (0, 1):
        undecided = Undecided()
        assert undecided.heard(end, said) is None
        assert undecided.heard(1 - end, b"+OK\r\n") is None
        assert undecided.heard(end, said) is None


def test_a_replica_that_also_sends_other_things_is_recognized_by_several_acknowledgements() -> None:
    undecided = Undecided()
    assert undecided.heard(0, b"-ERR unknown command\r\n") is None
    verdicts = [undecided.heard(0, ACK) for _ in range(ENOUGH_ACKS)]
    assert verdicts == [None] * (ENOUGH_ACKS - 1) + [RoleVerdict(0, RoleEvidence.ACKS)]


@pytest.mark.parametrize(
    ("said", "is_whole"),
    [
        ([(0, command("PING") + command("PSYNC", "?", "-1"))], True),
        ([(0, command("PING")), (0, command("PSYNC", "?", "-1"))], True),
        ([(1, command("PING")), (1, command("PSYNC", "?", "-1"))], True),
        ([(0, b"ping\r\nPSYNC ? -1\r\n")], True),
        ([(0, b"PING\r\n"), (0, b"PSYNC ? -1\r\n")], True),
        ([(0, b"PINGS\r\n"), (0, b"PSYNC ? -1\r\n")], False),
        ([(0, command("PSYNC", "?", "-1"))], False),
        ([(0, command("REPLCONF", "capa", "eof") + command("PING"))], False),
        ([(1, b"\n"), (0, command("PING") + command("PSYNC", "?", "-1"))], False),
    ],
)
def test_a_handshake_that_begins_with_a_ping_of_the_replica_is_whole(
    said: list[tuple[int, bytes]], is_whole: bool
) -> None:
    undecided = Undecided()
    verdicts = [undecided.heard(end, data) for end, data in said]
    assert verdicts[-1] == RoleVerdict(said[-1][0], RoleEvidence.REQUEST, is_whole=is_whole)
    assert verdicts[:-1] == [None] * (len(said) - 1)


PING = command("PING")


@pytest.mark.parametrize(
    ("before", "last", "kept"),
    [
        ([(0, PING)], (0, PSYNC), True),
        ([(0, PING), (1, b"+PONG\r\n")], (0, PSYNC), False),
        ([(1, b"+OK\r\n")], (0, PSYNC), True),
        ([(0, command("INFO")), (1, b"$0\r\n\r\n")], (0, PSYNC), False),
        ([(0, PING), (1, Missed(7))], (0, PSYNC), False),
        ([(0, PING)], (1, GRANT), False),
        ([(1, SET), (1, Missed(7))], (0, ACK), True),
    ],
    ids=["whole", "both ends", "replies", "other requests", "gap", "grant", "acknowledgement"],
)
def test_bytes_before_the_evidence_are_kept_or_counted(
    before: list[tuple[int, bytes | Missed]], last: tuple[int, bytes], kept: bool
) -> None:
    undecided = Undecided()
    sizes = [0, 0]
    for end, item in before:
        verdict = undecided.missing(end, item) if isinstance(item, Missed) else undecided.heard(end, item)
        assert verdict is None
        sizes[end] += item.size if isinstance(item, Missed) else len(item)
    assert undecided.heard(*last) is not None
    assert list(undecided.held) == [*(before if kept else []), last]
    assert undecided.skipped == ([0, 0] if kept else sizes)


def test_a_handshake_after_bytes_that_were_dropped_is_not_whole() -> None:
    undecided = Undecided()
    undecided.skipped = [0, 5]
    assert undecided.heard(0, PING + PSYNC) == RoleVerdict(0, RoleEvidence.REQUEST)


def test_only_the_very_next_missing_bytes_complete_an_acknowledgement() -> None:
    for between in ((1, SET), (0, b"\n"), (0, SET)):
        undecided = Undecided()
        assert undecided.heard(0, ACK[:30]) is None
        assert undecided.heard(*between) is None
        assert undecided.missing(0, Missed(len(ACK) - 30)) is None
    for end, cut in ((1, ACK[:30]), (0, SET[:9])):
        undecided = Undecided()
        assert undecided.heard(end, cut) is None
        assert undecided.missing(0, Missed(5)) is None


def test_a_truncated_acknowledgement_counts() -> None:
    undecided = Undecided()
    assert undecided.heard(0, ACK[:30]) is None
    assert undecided.missing(0, Missed(len(ACK) - 30)) == RoleVerdict(0, RoleEvidence.ACKS)
    assert undecided.skipped == [0, 0]


def test_no_amount_decides_and_little_is_held() -> None:
    undecided = Undecided()
    size = 0
    for _ in range(3000):
        assert undecided.heard(1, SET * 50) is None
        size += len(SET * 50)
        held = sum(len(one) for _, one in undecided.held if isinstance(one, bytes))
        assert held <= MAX_HELD
        assert undecided.skipped == [0, size - held]
    assert undecided.heard(0, ACK) == RoleVerdict(0, RoleEvidence.ACKS)
    assert undecided.held[-1] == (0, ACK)
    undecided.heard(0, b"+OK\r\n")
    undecided = Undecided()
    for data in (SET, command("GET", "key")):
        undecided.heard(0, data)
        undecided.heard(1, b"+OK\r\n")
    assert not undecided.held


# ---- incomplete links ----


def resynced(grant: bytes = GRANT + b"$%d\r\n" % len(RDB) + RDB) -> Wire:
    """A replica's link, in the order of a real one."""
    wire = Wire()
    wire.open()
    for request in (command("PING"), command("REPLCONF", "listening-port", "7777"), command("REPLCONF", "capa", "eof")):
        wire.send(0, request)
        wire.send(1, b"+PONG\r\n" if b"PING" in request else b"+OK\r\n")
    wire.send(0, PSYNC)
    wire.send(1, b"\n")
    wire.send(1, grant)
    wire.send(0, command("REPLCONF", "ACK", str(BASE)))
    offset = BASE
    for number, piece in enumerate(STREAM):
        wire.send(1, piece)
        offset += len(piece)
        if number % 5 == 0:
            wire.send(0, command("REPLCONF", "ACK", str(offset)))
    return wire


def alone(packets: Sequence[tuple[int, bytes]], port: int) -> list[tuple[int, bytes]]:
    return [(at, data) for at, data in packets if segment(data).source[1] == port]


def played(packets: list[tuple[int, bytes]]) -> tuple[list[Told], list[str]]:
    """What is reported and remarked."""
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for at, data in packets:
        player.packet(Packet(at, 101, data, len(data)))
    player.close()
    assert (nothing(player) is None) == bool(heard)
    return heard, player.remarks


def without_ranges(told: Sequence[Told], *kinds: type[events.Event]) -> list[events.Event]:
    return [dataclasses.replace(one.event) for one in told if isinstance(one.event, kinds)]


def test_the_masters_direction_alone_gives_its_rdb_and_its_stream() -> None:
    packets = resynced().packets
    heard, remarks = played(alone(packets, 6379))
    kinds = (events.RdbStarted, events.RdbFinished, events.StreamStarted, events.Command)
    assert without_ranges(heard, *kinds) == without_ranges(told(packets, every_command=True), *kinds)
    (full,) = of(heard, events.FullResync)
    assert (full.replid, full.offset, full.reason.code) == (REPLID, BASE, "unknown")
    assert not of(heard, events.RecordingGap)
    assert remarks == [
        "127.0.0.1:6379: only what the master sent was captured; requests and acknowledgements are not reported"
    ]


def test_the_replicas_direction_alone_gives_its_requests_and_acknowledgements() -> None:
    packets = resynced().packets
    heard, remarks = played(alone(packets, 50000))
    both = told(packets, every_command=True)
    for kind in (events.Identified, events.PsyncRequested):
        assert of(heard, kind) == of(both, kind)
    assert [one.offset for one in of(heard, events.Ack)] == [one.offset for one in of(both, events.Ack)]
    assert {one.lag_bytes for one in of(heard, events.Ack)} == {None}
    assert [(one.request, one.reply) for one in of(heard, events.Handshake)] == [
        (one.request, None) for one in of(both, events.Handshake)
    ]
    assert not of(heard, events.Opaque) + of(heard, events.RecordingGap)
    assert remarks == [
        "127.0.0.1:6379: only what the replica sent was captured; resyncs, RDB and stream are not reported"
    ]


@pytest.mark.parametrize("port", [6379, 50000])
def test_each_direction_alone_is_reported_from_any_packet_on(port: int) -> None:
    """If the deciding bytes are still to come: of the master the grant, of the replica two acknowledgements."""
    packets = alone(resynced().packets, port)
    decides = [number for number, (_, data) in enumerate(packets) if GRANT in segment(data).data or port != 6379]
    whole = of(told(packets, every_command=True), events.Command if port == 6379 else events.Ack)
    for first in range(len(packets)):
        heard, _ = played(packets[first:])
        assert bool(heard) == (first <= decides[0 if port == 6379 else -2])
        found = of(heard, events.Command if port == 6379 else events.Ack)
        expected = whole if port == 6379 else whole[len(whole) - len(found) :]
        assert [one.offset for one in found] == [one.offset for one in expected if heard]


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
@pytest.mark.parametrize("port", [6379, None])
def test_one_direction_of_real_links_is_reported(capture: Capture, port: int | None) -> None:
    packets = as_packets(capture, 10**6, random.Random(1))
    kept = [one for one in packets if (segment(one[1]).source[1] == 6379) == (port == 6379)]
    both, heard = ([(one.connection, one.event) for one in told(some_, every_command=True)] for some_ in (packets, kept))
    if port is None:
        assert some(heard, events.Ack, "offset") == some(both, events.Ack, "offset")
        # The order of events on two connections is less exact: an acknowledgement waits for the other side.
        assert dict(some(heard, events.Identified, "role")) == dict(some(both, events.Identified, "role"))
        return
    assert some(heard, events.FullResync, "offset") == some(both, events.FullResync, "offset")
    assert some(heard, events.RdbFinished, "bytes", "keys") == some(both, events.RdbFinished, "bytes", "keys")
    assert some(heard, events.Command, "name", "args") == some(both, events.Command, "name", "args")


def test_replies_alone_are_not_replication_even_from_their_beginning() -> None:
    wire = Wire()
    wire.open()
    for number in range(3000):
        wire.send(0, command("GET", f"key:{number}"))
        wire.send(1, b"$5\r\nvalue\r\n" if number % 3 else b"*2\r\n$3\r\nSET\r\n$1\r\nx\r\n")
    for port in (6379, 50000):
        assert played(alone(wire.packets, port)) == ([], [])
    assert played(wire.packets) == ([], [])


@pytest.mark.parametrize("lost", range(4, 16))
def test_a_client_with_missing_packets_is_not_a_replica(lost: int) -> None:
    wire = Wire()
    wire.open()
    for number in range(20):
        wire.send(0, command("SET", f"key:{number}", "x"))
        wire.send(1, b"+OK\r\n")
    for packets in (wire.packets, wire.packets[3:]):
        assert played(packets[:lost] + packets[lost + 1 :]) == ([], [])


def test_a_link_without_writes_is_recognized_by_its_acknowledgements() -> None:
    packets = [one for one in resynced().packets[3:] if ACK[:27] in segment(one[1]).data or not segment(one[1]).data]
    heard, _ = played(packets)
    assert [one.offset for one in of(heard, events.Ack)] == [
        one.offset for one in of(told(resynced().packets), events.Ack)
    ]
    assert not of(heard, events.Command)
    assert played(packets[-1:]) == ([], [])


@pytest.mark.parametrize("lost", range(3, 11))
def test_a_missing_packet_of_the_handshake_takes_nothing_from_the_stream(lost: int) -> None:
    """Except the answer to PSYNC, which alone gives the offset."""
    packets = resynced().packets
    heard, remarks = played(packets[:lost] + packets[lost + 1 :])
    whole = of(told(packets, every_command=True), events.Command)
    assert [(one.name, one.args, one.offset) for one in of(heard, events.Command)] == [
        (one.name, one.args, one.offset) for one in whole
    ]
    assert not of(heard, events.Opaque)
    assert remarks == []


REPLIES = {4: (0, 7), 6: (7, 12), 8: (12, 17), 10: (17, 18)}  # packets of resynced(), and the master's bytes in them
ANSWER, STREAM_BEGINS = 11, 18 + len(GRANT + b"$%d\r\n" % len(RDB) + RDB)


@pytest.mark.parametrize(
    "lost", [some for count in (1, 2, 3) for some in itertools.combinations((*REPLIES, ANSWER), count)], ids=str
)
def test_each_missing_reply_is_in_the_account_once(
    lost: tuple[int, ...],
) -> None:
    player = Player(lambda one: None)
    for number, (at, data) in enumerate(resynced().packets):
        if number not in lost:
            player.packet(Packet(at, 101, data, len(data)))
    player.close()
    missing = sorted((one.start, one.end, one.lost_bytes) for one in player.account.missing)
    gaps = [REPLIES.get(number, (18, STREAM_BEGINS)) for number in lost]
    assert all(any(start <= begin and end <= stop for start, stop, _ in missing) for begin, end in gaps)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(missing))
    assert sum(size for _, _, size in missing) == sum(end - begin for begin, end in gaps)


SET_UP = {5, 7}  # packets; behind a reply that is missing, too, these are taken for an ordinary client's


@pytest.mark.parametrize("first", range(3, 14))
@pytest.mark.parametrize("opens", [True, False], ids=["from the start", "met in the middle"])
def test_whatever_packets_are_missing_each_command_is_told_or_missing(first: int, opens: bool) -> None:
    """Of each pair of packets."""
    packets = resynced().packets[0 if opens else 3 :][:26]
    whole = {one.start: one for one in of(told(packets, every_command=True), events.Command)}
    sizes = [len(segment(data).data) for _, data in packets]
    for lost in ((first, other) for other in range(first, 16)):
        heard: list[Told] = []
        player = Player(heard.append, every_command=True)
        for number, (at, data) in enumerate(packets):
            if number not in lost:
                player.packet(Packet(at, 101, data, len(data)))
        player.close()
        if not heard:  # it is not known for a replication
            continue
        missing = player.account.missing
        lost_bytes = sum(one.lost_bytes for one in missing)
        if SET_UP.isdisjoint(number if opens else number + 3 for number in lost):
            assert lost_bytes == sum(sizes[number] for number in set(lost))
        assert lost_bytes == sum(one.bytes for one in of(heard, events.RecordingGap))
        found = {one.start: one for one in of(heard, events.Command)}
        for start, one in whole.items():
            is_missing = any(
                gap.side is Side.MASTER and gap.may_hold_commands and gap.start <= start and one.end <= gap.end
                for gap in missing
            )
            assert is_missing != (start in found)
            if start in found:
                assert (found[start].end, found[start].name, found[start].args) == (one.end, one.name, one.args)
                assert found[start].offset in (one.offset, None)
                assert found[start].db in (one.db, None)
        assert found.keys() <= whole.keys()


def test_bytes_keep_their_positions_after_refuted_evidence() -> None:
    """What looked like a replica turns out to be the master, and the other end the replica."""
    wrong = b"+OK\r\n" * 3
    wire = Wire()
    wire.send(1, ACK)
    wire.send(1, wrong)
    wire.send(0, ACK)
    wire.send(0, PSYNC)
    wire.send(1, GRANT + b"$%d\r\n" % len(RDB) + RDB)
    wire.send(1, SET)
    begin = len(ACK + wrong + GRANT + b"$%d\r\n" % len(RDB) + RDB)
    heard = told(wire.packets, every_command=True)
    assert [(one.start, one.end) for one in of(heard, events.Command)] == [(begin, begin + len(SET))]
    assert {one.replica for one in heard} == {"127.0.0.1:50000"}


def test_the_ends_are_named_correctly_whichever_was_heard_first() -> None:
    packets = resynced().packets[-30:]
    for first in range(5):
        heard, _ = played(packets[first:])
        assert {(one.link, one.replica) for one in heard} == {("127.0.0.1:6379", "127.0.0.1:50000")}


# ---- one direction after the other ----


@pytest.mark.parametrize("first", [6379, 50000])
@pytest.mark.parametrize("kind", ["pcapng", "<us"])
def test_one_direction_after_the_other_in_a_file_reports_the_same(tmp_path: Path, first: int, kind: str) -> None:
    wire = resynced()
    packets = [(10**18 + (at - 10**18) * 10, data) for at, data in wire.packets]  # a link of more than a moment
    apart = [*alone(packets, first), *(one for one in packets if segment(one[1]).source[1] != first)]
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    assert play(file(tmp_path / "capture", apart, kind), player) == []
    player.close()
    expected = told(packets, every_command=True)
    assert [one.event for one in heard] == [one.event for one in expected]
    assert player.remarks == []


@pytest.mark.parametrize("first", [6379, 50000])
def test_one_direction_after_the_other_in_a_pipe_is_left_out_and_reported(first: int) -> None:
    packets = [(10**18 + (at - 10**18) * 100, data) for at, data in resynced().packets]
    rest = [one for one in packets if segment(one[1]).source[1] != first]
    heard, remarks = played([*alone(packets, first), *rest])
    expected, _ = played(alone(packets, first))
    assert [one.event for one in heard] == [one.event for one in expected]
    assert remarks == [
        "127.0.0.1:6379: the bytes of one side come after all those of the other, and are left out; give the capture "
        "as a file, not through a pipe"
    ]
