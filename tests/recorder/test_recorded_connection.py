"""Bytes that the disk refuses may announce a password: the bytes after them are hidden all the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tap.bus import Bus, Told
from tap.capture.packets import Blocks
from tap.capture.pcapng import PcapngReader, heading
from tap.capture.pcapng import comments as comments_of
from tap.capture.segments import ACK, FIN, PUSH, RST, SYN
from tap.recorder import filling
from tap.recorder import recorded_connection as module
from tap.recorder.recorded_connection import RecordedConnection
from tap.recorder.recorder import Recorder
from tap.recording.comments import LinkState
from tap.redaction.grammars import Redact
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tap.replication.memory import Memory
from tap.units import Limits
from tests.recording import test_gaps as gaps
from tests.recording.packed import state_of
from tests.recording.support import comments, connect, hang, packets, segment, segments
from tests.recording.test_gaps import Lossy, assert_reported_as_it_was
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import wait_inside

PASSWORD = b"Pa55-W0rd-of-Ann"
PING = command("PING")


def recorded(path: Path, pieces: list[tuple[Side, bytes, bool]]) -> bytes:
    """The file. pieces: each with whether the disk takes it."""
    asyncio.run(_record(path, pieces))
    return path.read_bytes()


async def _record(path: Path, pieces: list[tuple[Side, bytes, bool]]) -> None:
    bus = Bus()
    writes = Lossy(path, bus, sync="none")
    writes.open()
    fed(bus, writes, pieces)
    await writes.close()


def fed(bus: Bus, writes: Lossy, pieces: list[tuple[Side, bytes, bool]]) -> RecordedConnection:
    """A connection that has received these pieces: by whom, what, and whether the recorder had room for it."""
    conversation = Conversation(lambda event: None, connection=1)
    link = connect(bus, writes, 1, conversation)
    for side, data, is_taken in pieces:
        writes.is_stuck = not is_taken
        if side is Side.MASTER:
            conversation.receive_from_master(data, 1.0)
        else:
            conversation.receive_from_replica(data, 1.0)
        link.received(side, memoryview(bytearray(data)))
    return link


def assert_hidden(said: bytes) -> None:
    for size in range(6, len(PASSWORD) + 1):
        for at in range(len(PASSWORD) - size + 1):
            assert PASSWORD[at : at + size] not in said


BULK = b"$%d\r\n%b\r\n" % (len(PASSWORD), PASSWORD)
REQUEST = command("AUTH", PASSWORD)
REPLY = b"*2\r\n$11\r\nrequirepass\r\n" + BULK
STREAM = command("CONFIG", "SET", "requirepass", PASSWORD)


@pytest.mark.parametrize("lost", range(1, len(REQUEST)))
def test_a_password_in_a_request_is_hidden(tmp_path: Path, lost: int) -> None:
    for number, begin in enumerate((0, max(0, lost - 1))):
        pieces = [
            (Side.REPLICA, PING + REQUEST[:begin], True),
            (Side.REPLICA, REQUEST[begin:lost], False),
            (Side.REPLICA, REQUEST[lost : lost + 1], True),
            (Side.REPLICA, REQUEST[lost + 1 :] + PING, True),
            (Side.MASTER, b"+PONG\r\n+OK\r\n+PONG\r\n", True),
        ]
        assert_hidden(recorded(tmp_path / f"{number}.pcapng", pieces))


@pytest.mark.parametrize("lost", range(1, len(REPLY)))
def test_a_password_in_a_reply_is_hidden(tmp_path: Path, lost: int) -> None:
    for number, begin in enumerate((0, max(0, lost - 1))):
        pieces = [
            (Side.REPLICA, command("CONFIG", "GET", "requirepass"), True),
            (Side.MASTER, REPLY[:begin], True),
            (Side.MASTER, REPLY[begin:lost], False),
            (Side.MASTER, REPLY[lost : lost + 1], True),  # recording continues after the first bytes
            (Side.MASTER, REPLY[lost + 1 :], True),
            (Side.REPLICA, PING, True),
            (Side.MASTER, b"+PONG\r\n+PONG\r\n$2\r\nOK\r\n", True),
        ]
        said = recorded(tmp_path / f"{number}.pcapng", pieces)
        assert_hidden(said)
        assert b"\r\n$2\r\nOK\r\n" in said


@pytest.mark.parametrize("lost", range(1, len(STREAM)))
def test_a_password_in_a_command_of_the_stream_is_hidden(tmp_path: Path, lost: int) -> None:
    for number, begin in enumerate((0, max(0, lost - 1))):
        pieces = [
            (Side.REPLICA, asks(BASE), True),
            (Side.MASTER, GRANT, True),
            (Side.MASTER, PING + STREAM[:begin], True),
            (Side.MASTER, STREAM[begin:lost], False),
            (Side.MASTER, STREAM[lost : lost + 1], True),
            (Side.MASTER, STREAM[lost + 1 :] + PING, True),
            (Side.REPLICA, command("REPLCONF", "ACK", "1200"), True),
            (Side.MASTER, PING, True),
        ]
        assert_hidden(recorded(tmp_path / f"{number}.pcapng", pieces))


def test_the_request_for_a_password_may_be_lost_too(tmp_path: Path) -> None:
    pieces = [
        (Side.REPLICA, PING, True),
        (Side.REPLICA, command("CONFIG", "GET", "requirepass"), False),
        (Side.MASTER, b"+PONG\r\n" + REPLY + b"+SHOWN\r\n", True),
        (Side.REPLICA, PING, True),
    ]
    said = recorded(tmp_path / "one.pcapng", pieces)
    assert_hidden(said)
    assert b"+SHOWN\r\n" in said


def test_the_plant_would_show_if_it_were_not_a_password(tmp_path: Path) -> None:
    pieces = [(Side.REPLICA, command("SET", "k", PASSWORD), True), (Side.MASTER, b"+OK\r\n", True)]
    with pytest.raises(AssertionError):
        assert_hidden(recorded(tmp_path / "one.pcapng", pieces))


# ---- whatever the disk accepts, and wherever files end ----


@pytest.mark.parametrize("seeds", [range(first, first + 8) for first in range(0, 40, 8)], ids=str)
def test_each_byte_is_kept_or_reported_missing_and_kept_bytes_can_be_read(seeds: range) -> None:
    for seed in seeds:
        story, files = gaps.recorded(seed)
        assert_reported_as_it_was(story, files)
        first = {one.source: one.sequence + 1 for one in map(segment, (one.data for one in files[0])) if one.flags & SYN}
        spans: dict[Side, set[int]] = {Side.REPLICA: set(), Side.MASTER: set()}
        said = [json.loads(comment) for file in files for packet in file for comment in packet.comments]
        for one in (segment(packet.data) for file in files for packet in file):
            side = Side.MASTER if one.source[1] == 6379 else Side.REPLICA
            at = (one.sequence - first[one.source]) % 2**32
            if one.data:
                spans[side].update(range(at, at + len(one.data)))
                was = story.sent[side][at : at + len(one.data)]
                assert story.redact or all(mine in (b, ord("*")) for mine, b in zip(one.data, was, strict=True))
        for side, kept in spans.items():
            missing = [(one.start, one.end) for one in story.gaps if one.side is side]
            if side is Side.MASTER:
                missing += [(one["start"], one["end"]) for one in said if one["event"] == "rdb_omitted"]
            left_out = [at for begin, end in missing for at in range(begin, end)]
            assert kept.isdisjoint(left_out)
            assert len(left_out) == len(set(left_out))
            assert kept.union(left_out) == set(range(len(story.sent[side])))
        states = sum(one["event"] == "link_state" for one in said)
        assert len(files) - 1 <= states <= len(files) - 1 + sum(one.side is Side.MASTER for one in story.gaps)
        heard = [one for one in said if one["event"] == "recording_gap"]
        assert [(one["start"], one["end"]) for one in heard] == [(one.start, one.end) for one in story.gaps]
        assert sum(one.flags & FIN for file in files for one in map(segment, (one.data for one in file))) == 2 * FIN


CAPA = command("REPLCONF", "capa", "eof")
ASKED = (Side.REPLICA, PING + CAPA, True)


@pytest.mark.parametrize(
    ("pieces", "before", "at_end"),
    [
        ([(Side.REPLICA, PING, False), (Side.REPLICA, CAPA, True)], [(Side.REPLICA, 0, 14)], []),
        (
            [(Side.REPLICA, PING, True), (Side.REPLICA, CAPA, False), (Side.REPLICA, PING, False),
             (Side.REPLICA, PING, True), (Side.REPLICA, PING, False)],
            [(Side.REPLICA, 14, 28 + len(CAPA))],
            [(Side.REPLICA, 42 + len(CAPA), 56 + len(CAPA))],
        ),
        # once a reply is lost, nothing more is kept of the master's part of a handshake: it could not be understood
        (
            [ASKED, (Side.MASTER, b"+PONG\r\n", False), (Side.MASTER, b"+OK\r\n", True), (Side.REPLICA, PING, True)],
            [],
            [(Side.MASTER, 0, 12)],
        ),
        (
            [ASKED, (Side.MASTER, b"+PONG\r\n", False), (Side.REPLICA, PING, False), (Side.REPLICA, PING, True)],
            [(Side.REPLICA, len(ASKED[1]), len(ASKED[1] + PING))],
            [(Side.MASTER, 0, 7)],
        ),
    ],
)  # fmt: skip
def test_of_a_handshake_a_gap_of_the_replica_ends_with_its_next_bytes_and_one_of_the_master_does_not(
    tmp_path: Path,
    pieces: list[tuple[Side, bytes, bool]],
    before: list[tuple[Side, int, int]],
    at_end: list[tuple[Side, int, int]],
) -> None:
    path = tmp_path / "a.pcapng"
    gaps: list[tuple[Side, int, int]] = []

    def hear(told: Told) -> None:
        if isinstance(told.event, events.RecordingGap):
            gaps.append((told.event.side, told.event.start, told.event.end))

    async def record() -> None:
        bus = Bus()
        bus.subscribe(hear)
        writes = Lossy(path, bus, sync="none")
        writes.open()
        link = fed(bus, writes, pieces)
        assert gaps == before
        link.settle(at_end=True)
        assert gaps == before + at_end
        await writes.close()

    asyncio.run(record())
    assert all(one["event"] != "link_state" for one in comments(path))
    kept = sum(len(data) for side, data, is_taken in pieces if is_taken and side is Side.REPLICA)
    assert sum(len(one.data) for one in segments(path)) == kept


# ---- the beginning of the next file in a rotation ----


ASKS_AND_GRANTS = [(Side.REPLICA, asks(BASE)), (Side.MASTER, GRANT)]


def states(
    path: Path,
    said: list[tuple[Side, bytes]],
    lost: str = "",
    secured: events.Secured | None = None,
    rotate: Limits = Limits(size=2**30),  # noqa: B008
) -> list[tuple[LinkState, list[bytes]]]:
    """At first and after each item: what the next file would begin with, and the data that follows there."""
    found: list[tuple[LinkState, list[bytes]]] = []

    async def record() -> None:
        bus = Bus()
        writes = Recorder(path, bus, sync="none", rotate=rotate)
        writes.open()
        conversation = Conversation(lambda event: bus.publish("link", 1, "", event), connection=1)
        if lost:
            conversation.lost(Side.MASTER, lost)
        link = connect(bus, writes, 1, conversation)
        if secured is not None:
            bus.publish("link", 1, "", secured)
        for side, data in [(Side.REPLICA, b""), *said]:
            if side is Side.MASTER:
                conversation.receive_from_master(data, 1.0)
            else:
                conversation.receive_from_replica(data, 1.0)
            link.received(side, memoryview(bytearray(data)))
            out = Blocks()
            link.begin_file(out, 5_000_000_000, at_boundary=False)
            packets = list(PcapngReader().feed(heading("test") + bytes(out.view())))
            (state,) = [one for packet in packets for text in packet.comments if (one := state_of(text))]
            found.append((state, [packet.data[40:] for packet in packets if len(packet.data) > 40]))
        await writes.close()

    asyncio.run(record())
    return found


def test_a_file_repeats_a_handshake_until_it_ends_and_then_states_where_the_link_is(tmp_path: Path) -> None:
    said = [
        (Side.REPLICA, PING),
        (Side.MASTER, b"+PONG\r\n"),
        (Side.REPLICA, command("PSYNC", "?", "-1")),
        (Side.MASTER, b"+FULLRESYNC " + b"a" * 40 + b" 100\r\n"),
        (Side.MASTER, b"$100\r\nREDIS0011"),
        (Side.MASTER, b"more"),
    ]
    found = states(tmp_path / "a.pcapng", said)
    assert [state.begins for state, _ in found] == [True] * 5 + [False] * 2
    assert {(state.time, state.link, state.connection, state.lost) for state, _ in found} == {(5.0, "link", 1, (0, 0))}
    assert [state.standing is None for state, _ in found] == [True] * 5 + [False] * 2
    assert [[one["event"] for one in state.said] for state, _ in found] == [*[[]] * 4, ["full_resync"], [], []]
    assert [data for _, data in found] == [[data for _, data in said[:count]] for count in range(5)] + [[], []]


def test_a_state_repeats_no_resync_that_its_standing_tells(tmp_path: Path) -> None:
    """Of a recording in one file, which repeats no bytes when it goes on in another one after all."""
    said = [*ASKS_AND_GRANTS, (Side.MASTER, PING)]
    for rotate, repeats in ((Limits(), []), (Limits(size=2**30), ["partial_resync"])):
        found = states(tmp_path / f"{len(repeats)}.pcapng", said, rotate=rotate)
        assert [state.begins for state, _ in found] == [bool(repeats)] * 2 + [False] * 2
        assert [[one["event"] for one in state.said] for state, _ in found][-2:] == [[], []]


def test_every_file_says_which_legs_speak_tls(tmp_path: Path) -> None:
    secured = events.Secured(side=Side.MASTER, version="TLSv1.3", cipher="c", certificate="CN=m", verified=True)
    found = states(tmp_path / "a.pcapng", [*ASKS_AND_GRANTS, (Side.MASTER, PING)], secured=secured)
    assert [[one["event"] for one in state.said] for state, _ in found][:2] == [["secured"], ["secured"]]
    assert [state.standing is None for state, _ in found] == [True, True, False, False]
    assert [[one["cipher"] for one in state.said if one["event"] == "secured"] for state, _ in found] == [["c"]] * 4


def test_a_link_that_is_not_understood_has_no_handshake_that_is_repeated(tmp_path: Path) -> None:
    found = states(tmp_path / "a.pcapng", [(Side.MASTER, b"+PONG\r\n")], lost="it is opaque")
    assert [(state.begins, state.standing is None, data) for state, data in found] == [(False, False, [])] * 2


def test_a_handshake_that_is_too_long_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BEGINNING", 2 * len(PING))
    found = states(tmp_path / "a.pcapng", [(Side.REPLICA, PING)] * 3)
    assert [state.begins for state, _ in found] == [True, True, True, False]
    assert [state.lost for state, _ in found] == [(0, 0)] * 3 + [(3 * len(PING), 0)]


# ---- reads that need no decision ----

RDB = b"REDIS0011\xff" + bytes(8)
FULL = b"+FULLRESYNC %s %d\r\n$%d\r\n" % (b"a" * 40, BASE, len(RDB))
ACKS = command("REPLCONF", "ACK", str(BASE))
SET = command("SET", "k", "v")


def decided(path: Path, monkeypatch: pytest.MonkeyPatch, said: list[tuple[Side, bytes]], **options: Any) -> list[bool]:
    """For each read, whether anything had to be decided."""
    found: list[bool] = []
    take = RecordedConnection.take

    def noting(self: RecordedConnection, number: int, data: memoryview, begin: int) -> None:
        found[-1] = True
        take(self, number, data, begin)

    async def record() -> None:
        bus = Bus()
        writes = Recorder(path, bus, sync="none", **options)
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        for side, data in said:
            writes._filling.pass_on()  # so that there is room
            found.append(False)
            if side is Side.MASTER:
                conversation.receive_from_master(data, 1.0)
            else:
                conversation.receive_from_replica(data, 1.0)
            link.received(side, memoryview(bytearray(data)))
        await writes.close()

    monkeypatch.setattr(RecordedConnection, "take", noting)
    asyncio.run(record())
    return found


ASKS, GRANTS = (Side.REPLICA, command("PSYNC", "?", "-1")), (Side.MASTER, FULL)
LOADS, STREAMS, CONFIRMS = (Side.MASTER, RDB), (Side.MASTER, SET), (Side.REPLICA, ACKS)


@pytest.mark.parametrize(
    ("options", "said", "expected"),
    [
        ({}, [ASKS, GRANTS, LOADS, STREAMS, CONFIRMS, STREAMS], [True, True, False, False, False, False]),
        # a request that is split: what looks like an acknowledgement may be a value of it
        ({}, [ASKS, GRANTS, (Side.REPLICA, ACKS[:9]), (Side.REPLICA, ACKS[9:]), CONFIRMS], [True] * 4 + [False]),
        # and the master's bytes meanwhile need no decision
        (
            {},
            [ASKS, GRANTS, LOADS, STREAMS, (Side.REPLICA, ACKS[:9]), STREAMS, (Side.REPLICA, ACKS[9:]), STREAMS],
            [True, True, False, False, True, False, True, False],
        ),
        # until the handshake is over it is kept for the next file
        (
            {"rotate": Limits(size=2**30)},
            [ASKS, (Side.MASTER, FULL[:60]), (Side.MASTER, FULL[60:]), LOADS, STREAMS, STREAMS, CONFIRMS, CONFIRMS],
            [True] * 3 + [False] * 3 + [True, False],
        ),
        # of an RDB that is left out each read is split, and the read after it has the comment on it
        ({"without_rdb": True}, [ASKS, GRANTS, LOADS, STREAMS, STREAMS], [True] * 4 + [False]),
        ({"without_rdb": True}, [ASKS, GRANTS, (Side.MASTER, RDB + SET), STREAMS], [True] * 3 + [False]),
        # after a partial resync there is none to leave out
        ({"without_rdb": True}, [*ASKS_AND_GRANTS, STREAMS, STREAMS], [True, True, False, False]),
        # keys and values are replaced, acknowledgements are not
        ({"redact": ["values"]}, [ASKS, GRANTS, LOADS, STREAMS, CONFIRMS, STREAMS, CONFIRMS], [True] * 6 + [False]),
        # a reply may hold passwords, the stream after it holds none
        (
            {},
            [
                (Side.REPLICA, command("CONFIG", "GET", "requirepass")), (Side.MASTER, REPLY), ASKS, GRANTS, STREAMS,
                LOADS, STREAMS,
            ],
            [True] * 4 + [False] * 3,
        ),
        (
            {},
            [
                (Side.REPLICA, command("CONFIG", "GET", "requirepass")), (Side.MASTER, REPLY), (Side.REPLICA, asks(BASE)),
                (Side.MASTER, GRANT), STREAMS, STREAMS,
            ],
            [True] * 4 + [False] * 2,
        ),
        # and so may a reply in several reads
        (
            {},
            [
                (Side.REPLICA, command("CONFIG", "GET", "requirepass")), (Side.MASTER, REPLY[:20]),
                (Side.MASTER, REPLY[20:-3]), (Side.MASTER, REPLY[-3:]),
            ],
            [True, True, True, True],
        ),
        # and one after replies that held none
        (
            {},
            [
                (Side.REPLICA, PING), (Side.MASTER, b"+PONG\r\n"), (Side.MASTER, b"\n"),
                (Side.REPLICA, command("CONFIG", "GET", "requirepass")), (Side.MASTER, REPLY),
            ],
            [True, True, False, True, True],
        ),
        # a command of the stream holds one
        (
            {},
            [ASKS, GRANTS, LOADS, (Side.MASTER, STREAM[:20]), (Side.MASTER, STREAM[20:-5]), (Side.MASTER, STREAM[-5:]),
             STREAMS],
            [True] * 2 + [False] + [True] * 3 + [False],
        ),
    ],
)  # fmt: skip
def test_only_reads_that_may_change_or_hide_bytes_need_a_decision(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    said: list[tuple[Side, bytes]],
    expected: list[bool],
) -> None:
    assert decided(tmp_path / "a.pcapng", monkeypatch, said, **options) == expected
    assert_hidden(b"".join(path.read_bytes() for path in tmp_path.iterdir()))


def test_a_decision_about_one_side_does_not_affect_the_other(tmp_path: Path) -> None:
    """A password that reads as an acknowledgement, after bytes of the master that are searched for passwords."""
    request = command("AUTH", ACKS)
    begin = request.index(ACKS)
    pieces = [
        (Side.REPLICA, command("CONFIG", "GET", "requirepass") + request[:begin], True),
        (Side.MASTER, b"+PONG\r\n", True),
        (Side.REPLICA, ACKS, True),
        (Side.REPLICA, request[begin + len(ACKS) :], True),
    ]
    assert b"ACK" not in recorded(tmp_path / "a.pcapng", pieces)


def test_the_comment_on_an_omitted_rdb_stands_at_the_next_bytes(tmp_path: Path) -> None:
    """However soon they come."""
    path = tmp_path / "a.pcapng"

    async def record() -> None:
        bus = Bus()
        writes = Recorder(path, bus, sync="none", without_rdb=True)
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        for side, data in (ASKS, GRANTS, LOADS, STREAMS):
            writes._filling.pass_on()
            if side is Side.MASTER:
                conversation.receive_from_master(data, 1.0)
            else:
                conversation.receive_from_replica(data, 1.0)
            link.received(side, memoryview(bytearray(data)))
        await writes.close()

    asyncio.run(record())
    (said,) = [packet for packet in packets(path) if any("rdb_omitted" in comment for comment in packet.comments)]
    assert said.data.endswith(SET)


@pytest.mark.parametrize("between", [b"", SET])
def test_several_commands_of_one_read_may_hold_passwords(tmp_path: Path, between: bytes) -> None:
    pieces = [(*ASKS, True), (Side.MASTER, FULL + RDB + between + STREAM + between + STREAM + SET, True)]
    said = recorded(tmp_path / "a.pcapng", pieces)
    assert_hidden(said)
    assert said.count(SET) == 1 + 2 * (between == SET)


def test_a_gap_does_not_end_before_the_offset_of_the_stream_is_known(tmp_path: Path) -> None:
    """With two connections, the main one has a stream before the other announces where it begins."""
    path = tmp_path / "a.pcapng"
    capable = (Side.REPLICA, command("REPLCONF", "capa", "rdb-channel-repl"), True)
    pieces = [capable, (Side.MASTER, b"+OK\r\n", True), (*ASKS, True), (Side.MASTER, b"+RDBCHANNELSYNC 7\r\n", True)]
    pieces += [(Side.MASTER, SET, False), (Side.REPLICA, b"\n", True)]
    assert b"link_state" not in recorded(path, pieces)
    assert b"link_state" in recorded(tmp_path / "b.pcapng", [*pieces, (Side.REPLICA, ACKS, True)])


@pytest.mark.parametrize("redact", [[], ["values"]], ids=["plain", "redacted"])
@pytest.mark.parametrize(("cut", "by"), [(cut, (Side.MASTER, Side.REPLICA)[cut % 2]) for cut in range(len(SET))])
def test_a_file_ends_between_two_commands_and_no_byte_is_lost_there(
    tmp_path: Path, redact: list[Redact], cut: int, by: Side
) -> None:
    """Nor at a reset, whichever side sends it."""

    async def record() -> None:
        bus = Bus()
        writes = Recorder(tmp_path / "a.pcapng", bus, sync="none", without_rdb=True, redact=redact, rotate=Limits(2**30))
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        last = Side.MASTER, SET[cut:] + SET[:9]
        for side, data in (ASKS, GRANTS, LOADS, STREAMS, (Side.MASTER, SET[:cut]), last):
            writes._filling.pass_on()
            if data is last[1]:
                writes._filling.file_is_due()
            if side is Side.MASTER:
                conversation.receive_from_master(data, 1.0)
            else:
                conversation.receive_from_replica(data, 1.0)
            link.received(side, memoryview(bytearray(data)))
        link.ended(by, "reset")
        await writes.close()

    asyncio.run(record())
    said = [b"".join(one.data for one in segments(path) if one.source[1] == 6379) for path in sorted(tmp_path.iterdir())]
    assert [len(one) for one in said] == [len(FULL + SET + SET), 9]
    assert said[1][:8] == SET[:8]


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_file_that_a_replica_fills_ends_after_its_bytes(tmp_path: Path, count: int) -> None:
    """Although the master's last command ends at a position that is one of the replica's, too."""

    async def record() -> None:
        bus = Bus()
        writes = Recorder(tmp_path / "a.pcapng", bus, sync="none", rotate=Limits(2**30))
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        last = Side.REPLICA, ACKS * count
        for side, data in (ASKS, GRANTS, LOADS, STREAMS, CONFIRMS, last, CONFIRMS):
            writes._filling.pass_on()
            if data is last[1]:
                writes._filling.file_is_due()
            if side is Side.MASTER:
                conversation.receive_from_master(data, 1.0)
            else:
                conversation.receive_from_replica(data, 1.0)
            link.received(side, memoryview(bytearray(data)))
        await writes.close()

    asyncio.run(record())
    said = [b"".join(one.data for one in segments(path) if one.source[1] != 6379) for path in sorted(tmp_path.iterdir())]
    assert said == [ASKS[1] + ACKS * (1 + count), ACKS]


def test_a_file_does_not_end_before_a_part_of_an_rdb_that_is_left_out(tmp_path: Path) -> None:
    async def record() -> None:
        bus = Bus()
        writes = Recorder(tmp_path / "a.pcapng", bus, sync="none", without_rdb=True, rotate=Limits(2**30))
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        for number, (side, data) in enumerate(
            (ASKS, (Side.MASTER, FULL + RDB[:9]), (Side.MASTER, RDB[9:] + SET), STREAMS)
        ):
            writes._filling.pass_on()
            if number == 1:
                writes._filling.file_is_due()
            if side is Side.MASTER:
                conversation.receive_from_master(data, 1.0)
            else:
                conversation.receive_from_replica(data, 1.0)
            link.received(side, memoryview(bytearray(data)))
        await writes.close()

    asyncio.run(record())
    said = [b"".join(one.data for one in segments(path) if one.source[1] == 6379) for path in sorted(tmp_path.iterdir())]
    assert said == [FULL + SET, SET]


def test_of_a_redacted_link_all_but_replication_is_blank_however_the_reads_fall(tmp_path: Path) -> None:
    reply = b"+secret\r\n$6\r\nsecret\r\n"
    said = reply + FULL
    asked = command("GET", "k") + command("GET", "k") + ASKS[1]
    for cut in (1, len(reply) - 1, len(reply), len(reply) + 1, len(said) - 1, len(said)):
        path = tmp_path / f"{cut}.pcapng"

        async def record(path: Path = path, cut: int = cut) -> None:
            bus = Bus()
            writes = Recorder(path, bus, sync="none", redact=["values"])
            writes.open()
            conversation = Conversation(lambda event: None, connection=1)
            link = connect(bus, writes, 1, conversation)
            pieces = [(Side.REPLICA, asked), (Side.MASTER, said[:cut]), (Side.MASTER, said[cut:]), LOADS, STREAMS]
            for side, data in pieces:
                if side is Side.MASTER:
                    conversation.receive_from_master(data, 1.0)
                else:
                    conversation.receive_from_replica(data, 1.0)
                link.received(side, memoryview(bytearray(data)))
            await writes.close()

        asyncio.run(record())
        kept = b"".join(one.data for one in segments(path) if one.source[1] == 6379)
        value = kept[-3:-2]
        assert kept == b"*" * len(reply) + FULL + command("SET", "k", value)
        (omitted,) = [one for one in comments(path) if one["event"] == "rdb_omitted"]
        assert (omitted["start"], omitted["end"]) == (len(said), len(said + RDB))


def test_what_a_redacted_link_says_that_is_not_understood_is_blank(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"

    async def record() -> None:
        bus = Bus()
        writes = Recorder(path, bus, sync="none", redact=["keys"])
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        conversation.lost(Side.MASTER, "it began elsewhere")
        link = connect(bus, writes, 1, conversation)
        for data in (b"+PONG\r\n", b"+FULLRESYNC"):
            conversation.receive_from_master(data, 1.0)
            link.received(Side.MASTER, memoryview(bytearray(data)))
        await writes.close()

    asyncio.run(record())
    assert [one.data for one in segments(path) if one.data] == [b"*" * 7, b"*" * 11]
    assert [one["event"] for one in comments(path)] == ["not_understood", "link_opened"]


@pytest.mark.parametrize("rotates", [True, False])
def test_a_stream_that_goes_on_in_a_db_states_it_for_a_reader_of_this_file_alone(tmp_path: Path, rotates: bool) -> None:
    """The file in which an earlier connection selected the db may have been deleted by then."""
    path = tmp_path / "a.pcapng"
    selects = command("SELECT", "3")

    async def record() -> None:
        bus = Bus()
        writes = Recorder(path, bus, sync="none", rotate=Limits(2**30) if rotates else Limits())
        writes.open()
        memory = Memory()
        asks_on = command("PSYNC", "a" * 40, str(BASE + len(selects) + 1))
        goes_on = [(Side.REPLICA, asks_on), (Side.MASTER, b"+CONTINUE\r\n")]
        stories = [[ASKS, (Side.MASTER, FULL + RDB), CONFIRMS, (Side.MASTER, selects)], [*goes_on, STREAMS, STREAMS]]
        for number, said in enumerate(stories, 1):
            conversation = Conversation(lambda event: None, memory=memory, connection=number)
            link = connect(bus, writes, number, conversation)
            for side, data in said:
                if side is Side.MASTER:
                    conversation.receive_from_master(data, 1.0)
                else:
                    conversation.receive_from_replica(data, 1.0)
                link.received(side, memoryview(bytearray(data)))
        await writes.close()

    asyncio.run(record())
    found = [one["db"] for file in sorted(tmp_path.iterdir()) for one in comments(file) if one["event"] == "carried_db"]
    assert found == [3] * rotates


def test_packets_that_were_never_written_are_missing_in_stretches(tmp_path: Path) -> None:
    found: list[tuple[Side, int, int]] = []
    said: list[tuple[int, list[dict[str, Any]]]] = []

    async def record() -> None:
        bus = Bus()
        writes = Recorder(tmp_path / "a.pcapng", bus, sync="none")
        writes.open()
        link = connect(bus, writes, 1)
        assert link.tcp is not None
        out = Blocks()
        for number, size, skipped in ((1, 10, 0), (0, 3, 0), (1, 5, 0), (1, 0, 7), (1, 4, 0), (0, 0, 2), (0, 1, 0)):
            if skipped:
                link.tcp.skip(number, skipped)
            else:
                link.tcp.write(out, 10**18, number, PUSH, bytes(size), b"")
        link.tcp.write(out, 10**18, 1, 0, b"", comments_of(["a comment"]))
        link.tcp.write(out, 10**18, 0, FIN, b"", b"")
        packets = list(PcapngReader().feed(heading("test") + bytes(out.view())))
        found.extend((gap.side, gap.start, gap.end) for gap in link.missing(packets))
        instead = Blocks()
        link.restated(instead, packets)
        for one in PcapngReader().feed(heading("test") + bytes(instead.view())):
            flags = segment(one.data).flags
            assert not segment(one.data).data
            said.append((flags & FIN, [json.loads(text) for text in one.comments if text != "a comment"]))
            ends.append(segment(one.data).sequence)
        assert ends[-1] == segment(packets[-1].data).sequence
        await writes.close()

    ends: list[int] = []
    asyncio.run(record())
    assert found == [(Side.REPLICA, 0, 3), (Side.REPLICA, 5, 6), (Side.MASTER, 0, 15), (Side.MASTER, 22, 26)]
    gaps = [(one["side"], one["start"], one["end"]) for _, some in said for one in some]
    assert gaps == [(side.value, start, end) for side, start, end in found]
    assert [fin for fin, _ in said] == [0] * 5 + [FIN]


def test_a_gap_is_said_in_each_file_in_which_bytes_were_lost(tmp_path: Path) -> None:
    gaps: list[tuple[int, int]] = []

    async def record() -> None:
        bus = Bus()
        bus.subscribe(
            lambda told: (
                gaps.append((told.event.start, told.event.end)) if isinstance(told.event, events.RecordingGap) else None
            )
        )
        writes = Lossy(tmp_path / "a.pcapng", bus, sync="none", rotate=Limits(2**30))
        writes.open()
        link = connect(bus, writes, 1)
        writes.is_stuck = True
        for size in (10, 0, 0, 20, 0):
            if size:
                link.received(Side.MASTER, memoryview(bytes(size)))
            writes.rotate()
        await writes.close()

    asyncio.run(record())
    assert gaps == [(0, 10), (10, 30)]
    said = [sum(one["event"] == "recording_gap" for one in comments(path)) for path in sorted(tmp_path.iterdir())]
    assert said == [1, 0, 0, 1, 0, 0]


def test_a_gap_ends_with_an_acknowledgement_though_others_have_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledgements needed no decision before it."""
    monkeypatch.setattr(filling, "QUEUE_BYTES", 1_000_000)
    monkeypatch.setattr(filling, "GATHER_BYTES", 100_000)
    gaps: list[events.RecordingGap] = []

    async def record() -> None:
        bus = Bus()
        bus.subscribe(lambda told: gaps.append(told.event) if isinstance(told.event, events.RecordingGap) else None)
        writes = Recorder(tmp_path / "a.pcapng", bus, sync="none")
        writes.open()
        goes_on = hang(monkeypatch)
        conversation = Conversation(lambda event: None, connection=1)
        link, other = connect(bus, writes, 1, conversation), connect(bus, writes, 2)

        def receive(side: Side, data: bytes) -> None:
            if side is Side.MASTER:
                conversation.receive_from_master(data, 1.0)
            else:
                conversation.receive_from_replica(data, 1.0)
            link.received(side, memoryview(bytearray(data)))

        for side, data in (ASKS, GRANTS, LOADS, STREAMS, CONFIRMS, STREAMS, CONFIRMS):
            writes._filling.pass_on()
            receive(side, data)
        while not writes.trouble:
            receive(Side.MASTER, command("SET", "k", bytes(10_000)))
        goes_on.set()
        await wait_inside(lambda: writes.waiting < 200_000)
        for _ in range(50):
            other.received(Side.MASTER, memoryview(bytes(10_000)))
        assert gaps == []
        receive(*CONFIRMS)
        assert [(one.side, one.end) for one in gaps] == [(Side.MASTER, conversation.from_master)]
        await writes.close()

    asyncio.run(record())
    assert len(gaps) == 1


# ---- its packets ----


@pytest.mark.parametrize(
    ("ends", "how", "flags"),
    [
        ([], "fin", [(0, FIN), (1, FIN)]),
        ([], "reset", [(1, RST)]),
        ([(Side.REPLICA, "fin")], "fin", [(0, FIN), (1, FIN)]),
        ([(Side.MASTER, "fin")], "fin", [(1, FIN), (0, FIN)]),
        ([(Side.MASTER, "fin"), (Side.MASTER, "fin")], "fin", [(1, FIN), (0, FIN)]),
        ([(Side.MASTER, "fin"), (Side.REPLICA, "fin")], "fin", [(1, FIN), (0, FIN)]),
        ([(Side.MASTER, "fin"), (Side.REPLICA, "fin")], "reset", [(1, FIN), (0, FIN)]),
        ([(Side.REPLICA, "fin")], "reset", [(0, FIN), (1, RST)]),
        ([(Side.MASTER, "fin")], "reset", [(1, FIN), (0, FIN)]),
        ([(Side.REPLICA, "reset")], "reset", [(0, RST)]),
        ([(Side.MASTER, "reset"), (Side.REPLICA, "fin")], "reset", [(1, RST)]),
        (None, "fin", [(1, RST)]),
        (None, "error", [(1, RST)]),
    ],
)
def test_a_connection_opens_when_it_did_and_ends_as_its_sides_did(
    tmp_path: Path, ends: list[tuple[Side, str]] | None, how: str, flags: list[tuple[int, int]]
) -> None:
    """ends: None where the master was never reached."""
    path = tmp_path / "a.pcapng"

    async def record() -> None:
        bus = Bus()
        writes = Recorder(path, bus, sync="none")
        writes.open()
        link = writes.opened("link", Conversation(lambda event: None, connection=1), ("10.0.0.1", 1), ("10.0.0.9", 9))
        assert link is not None
        if ends is not None:
            link.dialled(("10.0.0.2", 6379))
        for side, end in ends or ():
            link.ended(side, end)
        link.comments.append("{}")
        link.closed(how)
        await writes.close()

    asyncio.run(record())
    found = packets(path)
    ones = [segment(one.data) for one in found]
    master = ("10.0.0.9", 9) if ends is None else ("10.0.0.2", 6379)
    assert {ones[0].source, ones[0].target} == {("10.0.0.1", 1), master}
    assert ones[0].target == master
    assert [one.flags & (SYN | ACK) for one in ones[:2]] == [SYN, ACK if ends is None else SYN | ACK]
    assert [(int(one.source == master), one.flags & (FIN | RST)) for one in ones if one.flags & (FIN | RST)] == flags
    assert [comment for one in found for comment in one.comments] == ["{}"]
    if ends is not None:
        dialled = found[1].time // 1000
        assert ones[0].sequence == dialled % 2**32
        assert ones[1].sequence == (dialled + 2**30) % 2**32
    assert [one.time for one in found] == sorted(one.time for one in found)


def test_a_gap_has_the_offsets_of_the_stream_that_it_reaches_into(tmp_path: Path) -> None:
    async def run() -> None:
        bus = Bus()
        writes = Recorder(tmp_path / "a.pcapng", bus, sync="none")
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        assert link.gap(1, 2, 5) == events.RecordingGap(
            start=2, end=5, side=Side.MASTER, bytes=3, from_offset=None, to_offset=None
        )
        conversation.receive_from_replica(ASKS[1], 1.0)
        conversation.receive_from_master(FULL + RDB + SET, 1.0)
        begins = len(FULL + RDB)
        found = [(link.gap(*where).from_offset, link.gap(*where).to_offset) for where in (
            (1, begins - 5, begins), (1, begins, begins + 3), (1, begins + 1, begins + 9), (0, begins, begins + 3)
        )]  # fmt: skip
        assert found == [(None, None), (BASE, BASE + 3), (BASE + 1, BASE + 9), (None, None)]
        assert link.gap(0, begins, begins + 3).side is Side.REPLICA
        assert link.gap(1, begins - 5, begins + 3).to_offset == BASE + 3
        await writes.close()

    asyncio.run(run())
