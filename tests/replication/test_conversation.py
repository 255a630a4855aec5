"""Whole conversations that no capture has, and the laws for arbitrary bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Side
from tap.replication.memory import Memory
from tap.replication.phase import Phase
from tap.replication.stream import MAX_COMMAND
from tests.replication.talk import (
    ACK_0,
    ID,
    MARK,
    PING,
    PSYNC,
    RDB,
    TRICKY_RDB,
    UNREADABLE,
    Talk,
    ack,
    following,
)


def test_a_full_resync_has_its_phases() -> None:
    talk = Talk()
    phases = [talk.conversation.phase]
    for side, data in [
        ("R", PING),
        ("M", b"+PONG\r\n"),
        ("R", PSYNC),
        ("M", f"+FULLRESYNC {ID} 0\r\n".encode()),
        ("M", f"$EOF:{MARK}\r\n".encode()),
        ("M", RDB),
        ("M", MARK.encode()),
        ("R", ACK_0),
        ("M", PING),
    ]:
        getattr(talk, side)(data)
        phases.append(talk.conversation.phase)
    assert [phase.value for phase in phases] == [
        "connect", "handshake", "handshake", "psync", "waiting", "rdb", "rdb", "loading", "stream", "stream",
    ]  # fmt: skip
    assert talk.conversation.offset == len(PING)


def test_no_command_is_reported_before_its_stream() -> None:
    talk = Talk(every_command=True).R(f"PSYNC {ID} 1\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + PING).quiet()
    assert talk.kinds()[-5:] == ["partial_resync", "stream_started", "command", "commands", "caught_up"]
    busy = Talk(every_command=True).R(f"PSYNC {ID} 1\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode())
    busy.M(PING * 100_000)
    assert busy.kinds()[2:5] == ["partial_resync", "stream_started", "command"]
    assert busy.kinds().count("command") == 100_000


def test_only_its_size_decides_whether_a_command_is_too_large_to_report() -> None:
    for size in (MAX_COMMAND - 100, MAX_COMMAND + 1):
        large = b"*3\r\n$3\r\nset\r\n$3\r\nkey\r\n$%d\r\n%s\r\n" % (size, bytes(size))
        for piece in (len(large), 100_000, 1000):
            talk = Talk(every_command=True).R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$3\r\nabc".encode())
            for begin in range(0, len(large), piece):
                talk.M(large[begin : begin + piece])
            command = next(event for event in talk.told if isinstance(event, events.Command))
            assert command.omitted_bytes == (0 if size < MAX_COMMAND else len(large))
            assert (command.name, command.args[:1]) == ("SET", (b"key",))
            assert len(command.args) == (2 if size < MAX_COMMAND else 1)


def test_nonsense_makes_a_connection_opaque_and_is_counted() -> None:
    for talk, side in [
        (Talk().R(b"\x16\x03\x01\x00"), Side.REPLICA),
        (Talk().R(b"\x16\x03\x01\x00\x80\n\x10"), Side.REPLICA),
        (Talk().R(b"MGET \xff\n"), Side.REPLICA),
        (Talk().M(b"220 mail.example ESMTP\r\n"), Side.MASTER),
        (Talk().R(PSYNC).M(b"+SOMETHINGNEW\r\n"), Side.MASTER),
        (Talk().R(PSYNC).M(b"+CONTINUE\r\n"), Side.MASTER),
        (Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n+what\r\n".encode()), Side.MASTER),
        (Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$1000000000000000000\r\n".encode()), Side.MASTER),
        (Talk().R(PSYNC).M(b"x" * 100_000), Side.MASTER),
        (Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$0\r\n+x".encode()), Side.MASTER),
    ]:
        opaque = talk.last()
        assert isinstance(opaque, events.Opaque), talk.told
        assert opaque.side is side
        assert talk.conversation.phase is Phase.OPAQUE
        before = len(talk.told)
        talk.M(b"more").R(b"more")
        assert len(talk.told) == before


def test_an_opaque_stream_still_counts_offsets_and_acknowledgements() -> None:
    talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 100\r\n$3\r\nabc".encode()).M(PING + b"junk")
    opaque = talk.last()
    assert isinstance(opaque, events.Opaque)
    assert opaque.reason == "in the stream (offset 115): byte 0x6a where a command's * was expected"
    assert talk.conversation.offset == 118
    talk.M(b"12").R(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n114\r\n")
    ack = talk.last()
    assert isinstance(ack, events.Ack)
    assert (ack.offset, ack.lag_bytes) == (114, 6)


def test_a_connection_that_ends_inside_a_transaction_says_so() -> None:
    talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$3\r\nabc".encode()).M(b"*1\r\n$5\r\nMULTI\r\n" + PING[:5])
    talk.conversation.close()
    batch = talk.last()
    assert isinstance(batch, events.Commands)
    assert batch.in_transaction
    assert batch.offset == 15


# Lines of the protocol as well as noise: noise alone never gets past the first line.
LINES = st.sampled_from(
    [
        PING, PSYNC, ACK_0, b"SYNC\r\n", b"\n", b"+OK\r\n", b"+PONG\r\n", b"-ERR x\r\n", RDB, MARK.encode(), b"\r\n",
        f"+FULLRESYNC {ID} 0\r\n".encode(), f"+CONTINUE {ID}\r\n".encode(), b"+CONTINUE\r\n", b"+RDBCHANNELSYNC 4\r\n",
        b"+DUALCHANNELSYNC\r\n", f"$EOF:{MARK}\r\n".encode(), b"$5\r\nhello", f"$ENDOFF:0 {ID} -1 4\r\n".encode(),
        f"*3\r\n$5\r\nPSYNC\r\n$40\r\n{ID}\r\n$1\r\n1\r\n".encode(), b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n",
        TRICKY_RDB, UNREADABLE,
        b"*5\r\n$8\r\nREPLCONF\r\n$8\r\nrdb-only\r\n$1\r\n1\r\n$11\r\nrdb-channel\r\n$1\r\n1\r\n", b"PSYNC x y\r\n",
        b"REPLCONF main-ch-client-id 4 rdb-channel 1\r\n", b"REPLCONF set-rdb-client-id 4\r\n", b"REPLCONF\r\n",
        b"REPLCONF ACK 99 FACK 98\r\n", b"REPLCONF ACK x\r\n", b"PSYNC\r\n", b"AUTH secret\r\n",
        b"REPLCONF ACK " + b"9" * 5000 + b"\r\n", b"PSYNC ? " + b"9" * 5000 + b"\r\n",
        b"+FULLRESYNC %s %s\r\n" % (ID.encode(), b"9" * 5000), b"$" + b"9" * 5000 + b"\r\n",
        b"$ENDOFF:%s %s -1 4\r\n" % (b"9" * 5000, ID.encode()), b"CLIENT SETNAME sentinel-1-cmd\r\n",
        b"*3\r\n$7\r\nCLUSTER\r\n$9\r\nSYNCSLOTS\r\n$6\r\nRANGES\r\n", b"*200\r\n$7\r\ncluster\r\n$9\r\nsyncslots\r\n",
        b"*200\r\n$4\r\nMSET\r\n", b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n",
        b"*3\r\n$4\r\nAUTH\r\n$19\r\ninternal connection\r\n$1\r\nx\r\n",
    ]
)  # fmt: skip
DATA = LINES | st.binary(min_size=1, max_size=30)
TURNS = st.lists(st.tuples(st.sampled_from([1, 2]), st.sampled_from("RM"), DATA), max_size=25)


def told_of(turns: list[tuple[int, str, bytes]], size: int = 0) -> list[tuple[int, Event]]:
    memory, told = Memory(), []
    talks = {}
    for number in (1, 2):
        talks[number] = Conversation(
            lambda event, number=number: told.append((number, event)),  # type: ignore[misc]
            memory=memory,
            connection=number,
            every_command=True,
            every_key=True,
        )
    for number, side, data in turns:
        for begin in range(0, len(data), size or len(data)):
            piece = data[begin : begin + (size or len(data))]
            if side == "M":
                talks[number].receive_from_master(piece)
            else:
                talks[number].receive_from_replica(piece)
    for talk in talks.values():
        for second in range(4):
            talk.tick(second)
        talk.close()
    return told


@given(TURNS, st.integers(1, 7))
def test_no_bytes_raise_and_any_split_gives_the_same(turns: list[tuple[int, str, bytes]], size: int) -> None:
    assert told_of(turns, size) == told_of(turns)


@given(TURNS)
def test_no_event_shows_a_secret(turns: list[tuple[int, str, bytes]]) -> None:
    for _, event in told_of([(1, "R", b"AUTH hunter2\r\n"), *turns]):
        assert "hunter2" not in str(events.as_dict(event))


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"+OK\r\n", [("reply", "+OK", 1)]),
        (b"-ERR unknown command 'x'\r\n", [("error", "-ERR unknown command 'x'", 1)]),
        (b"$5\r\nhello\r\n:1\r\n", [("reply", "$5", 1), ("reply", ":1", 1)]),
        (b"$4\r\n\x00\xff\x80\x01\r\n", [("reply", "$4", 1)]),
        (b"+\xff\xfe\r\n", [("reply", "+\\xff\\xfe", 1)]),
        (PING, [("command", "ping", 1)]),
        (b"AUTH secret\r\n", [("command", "AUTH ***", 1)]),
        (b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", [("command", "GET k", 1)]),
        (b"*2\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n", [("command", "REPLCONF capa", 1)]),
        (b"\n\r\n*0\r\n", []),
        (b"+OK\r\n" * 25, [("reply", "+OK", 1), ("reply", "+OK", 9), ("reply", "+OK", 15)]),
        (b"-A\r\n+B\r\n" * 10, [("error", "-A", 1), ("reply", "+B", 1), ("error", "-A", 9), ("reply", "+B", 9)]),
    ],
)
def test_a_replica_that_talks_back_is_reported_and_still_acknowledges(
    said: bytes, told: list[tuple[str, str, int]], size: int
) -> None:
    talk = following(behind=3)
    said += ack(114)
    for begin in range(0, len(said), size):
        talk.R(said[begin : begin + size])
    talk.conversation.close()
    found = [event for event in talk.told if isinstance(event, events.ReplicaTalkedBack)]
    assert sum(one.count for one in found) == sum(count for _, _, count in told)
    if len(found) == len(told):
        assert sorted((one.what, one.text, one.count) for one in found) == sorted(told)
    assert [event.offset for event in talk.told if isinstance(event, events.Ack)] == [114]
    assert "opaque" not in talk.kinds()


def test_a_flood_of_replies_is_reported_a_few_times() -> None:
    talk = following().R(b"+OK\r\n" * 12345)
    talk.conversation.close()
    found = [event for event in talk.told if isinstance(event, events.ReplicaTalkedBack)]
    assert [one.count for one in found] == [1, 9, 90, 900, 9000, 2345]


def test_a_replicas_words_come_after_the_beginning_of_its_stream() -> None:
    for said in (b"+OK\r\n", ack(900)):
        talk = Talk().R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode()).R(said)
        assert talk.kinds()[2:4] == ["partial_resync", "stream_started"]


@pytest.mark.parametrize("continued", [True, False])
def test_an_impossible_ack_leaves_no_offset(*, continued: bool) -> None:
    memory = Memory()
    talk = Talk(memory)
    if continued:
        talk.R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode()).quiet()
    else:
        talk.R(PSYNC).M(f"+FULLRESYNC {ID} 100\r\n$3\r\nabc".encode())
    talk.R(ack(100)).M(PING).R(ack(114))
    assert talk.conversation.offset == 114
    assert "ack_ahead_of_master" not in talk.kinds()
    talk.R(ack(115)).R(ack(116)).M(PING).R(ack(120))
    for tick in range(20):
        talk.conversation.tick(tick / 10)
    (ahead,) = (event for event in talk.told if isinstance(event, events.AckAheadOfMaster))
    assert (ahead.offset, ahead.sent) == (115, 114)
    assert talk.conversation.offset is None
    acks = [event for event in talk.told if isinstance(event, events.Ack)]
    assert [one.lag_bytes for one in acks] == [0, 0, None, None, None]
    commands = [event for event in talk.told if isinstance(event, events.Commands)]
    assert [one.offset for one in commands] == [114, None]
    talk.conversation.close()
    # The count of this connection says nothing about the lag of the next one.
    again = Talk(memory).R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode()).quiet()
    partial = next(event for event in again.told if isinstance(event, events.PartialResync))
    assert partial.bytes_behind_at_least == 0
    assert again.conversation.offset == 100


def test_an_ack_may_be_ahead_if_a_fault_sent_more() -> None:
    talk = following(behind=1)
    assert talk.conversation.stream is not None
    talk.conversation.stream.is_padded = True
    talk.R(ack(128)).R(ack(129))
    assert talk.kinds().count("ack_ahead_of_master") == 1
    assert talk.conversation.offset == 114
    assert isinstance(talk.last(), events.Ack)
