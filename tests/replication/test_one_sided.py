"""One side alone is reported as far as it goes; what only the other side says is None or empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tap.replication import events
from tap.replication.events import Event, Role, Side
from tap.replication.memory import Memory
from tap.replication.phase import Phase
from tests.replication.talk import ID, MARK, PING, PSYNC, RDB, UNREADABLE, Talk
from tests.support import Capture, Play, captures

GRANTED = f"+FULLRESYNC {ID} 100\r\n".encode()
SELECT = b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"


def master_alone(*pieces: bytes, memory: Memory | None = None, requests: int = 50) -> Talk:
    """The master's bytes after requests that are missing."""
    talk = Talk(memory, every_command=True)
    talk.conversation.skip_from_replica(requests)
    for piece in pieces:
        talk.M(piece)
    return talk


def told_at_every_cut(data: bytes) -> Iterator[Talk]:
    yield master_alone(*(data[at : at + 1] for at in range(len(data))))
    for cut in range(len(data)):
        yield master_alone(data[:cut], data[cut:])


def of(talk: Talk, kind: type[Event]) -> list[Any]:
    return [event for event in talk.told if isinstance(event, kind)]


HANDSHAKE = b"+PONG\r\n+OK\r\n-ERR Unrecognized REPLCONF option: new\r\n$11\r\nrole:master\r\n*2\r\n$2\r\nab\r\n:1\r\n"


@pytest.mark.parametrize(
    "payload",
    [b"$%d\r\n" % len(RDB) + RDB, b"$EOF:%s\r\n" % MARK.encode() + RDB + MARK.encode()],
    ids=["disk", "diskless"],
)
def test_a_full_resync_is_reported_from_the_master_alone(payload: bytes) -> None:
    data = HANDSHAKE + b"\n\n" + GRANTED + b"\n" + payload + SELECT + SET
    whole = master_alone(data)
    kinds = [kind for kind in whole.kinds() if kind not in ("handshake", "keepalive")]
    assert kinds == ["identified", "full_resync", "rdb_started", "rdb_finished", "stream_started", "command", "command"]
    replies = [(event.request, event.reply) for event in of(whole, events.Handshake)]
    assert replies == [
        ((), "+PONG"),
        ((), "+OK"),
        ((), "-ERR Unrecognized REPLCONF option: new"),
        ((), "$11"),
        ((), "*2"),
    ]
    (full,) = of(whole, events.FullResync)
    assert (full.replid, full.offset, full.reason.code) == (ID, 100, "unknown")
    assert full.start == data.index(b"+FULL")
    assert [(event.name, event.db, event.offset) for event in of(whole, events.Command)] == [
        ("SELECT", 3, 100 + len(SELECT)),
        ("SET", 3, 100 + len(SELECT + SET)),
    ]
    assert whole.conversation.role is Role.REPLICA
    assert whole.conversation.phase is Phase.STREAM
    for talk in told_at_every_cut(data):
        assert talk.told == whole.told


def test_an_unreadable_diskless_rdb_ends_with_its_mark_without_an_acknowledgement() -> None:
    data = GRANTED + b"$EOF:%s\r\n" % MARK.encode() + UNREADABLE + MARK.encode() + SET
    for talk in told_at_every_cut(data):
        assert [event.offset for event in of(talk, events.Command)] == [100 + len(SET)]


def test_a_partial_resync_is_reported_from_the_master_alone_without_its_offset() -> None:
    talk = master_alone(b"+PONG\r\n", b"+OK\r\n", f"+CONTINUE {ID}\r\n".encode() + SET, SET).quiet()
    (partial,) = of(talk, events.PartialResync)
    assert (partial.replid, partial.offset, partial.previous_replid) == (ID, None, None)
    (caught_up,) = of(talk, events.CaughtUp)
    assert (caught_up.at_most, caught_up.offset) == (2 * len(SET), None)
    assert [(event.name, event.db, event.offset) for event in of(talk, events.Command)] == [("SET", None, None)] * 2
    assert talk.kinds()[-6:] == ["partial_resync", "stream_started", "command", "command", "commands", "caught_up"]


@pytest.mark.parametrize("names", [b"+OK\r\n", b"+OK\r\n+OK\r\n"])
def test_the_two_connections_of_a_sync_are_joined_from_the_master_alone(names: bytes) -> None:
    """Redis: the RDB channel is the one without a PING; its replica's main connection waits."""
    memory = Memory()
    main = master_alone(b"+PONG\r\n+OK\r\n+RDBCHANNELSYNC 7\r\n" + SET, memory=memory)
    other = master_alone(b"+PONG\r\n+OK\r\n" + GRANTED.replace(b"100", b"50"), memory=memory)
    assert other.conversation.role is Role.REPLICA
    channel = master_alone(names + GRANTED, b"$EOF:%s\r\n" % MARK.encode() + RDB + MARK.encode(), memory=memory)
    assert channel.conversation.role is Role.RDB_CHANNEL
    assert channel.conversation.phase is Phase.DONE
    assert main.kinds()[-5:] == ["full_resync", "rdb_started", "rdb_finished", "stream_started", "command"]
    assert [event.offset for event in of(main, events.Command)] == [100 + len(SET)]


def test_two_connections_of_valkey_are_joined_from_the_master_alone() -> None:
    memory = Memory()
    main = master_alone(b"+PONG\r\n+OK\r\n+DUALCHANNELSYNC\r\n", memory=memory)
    channel = master_alone(b"+OK\r\n", f"$ENDOFF:100 {ID} 3 7\r\n".encode(), memory=memory)
    main.M(b"+OK\r\n" + f"+CONTINUE {ID}\r\n".encode() + SET)
    channel.M(b"$EOF:%s\r\n" % MARK.encode() + RDB + MARK.encode())
    assert channel.conversation.role is Role.RDB_CHANNEL
    assert [(event.db, event.offset) for event in of(main, events.Command)] == [(3, 100 + len(SET))]
    assert of(main, events.FullResync)[0].offset == 100


def test_two_replicas_of_one_host_that_wait_for_their_rdb_are_not_mixed_up() -> None:
    memory = Memory()
    mains = [master_alone(memory=memory) for _ in range(2)]
    for number, main in enumerate(mains):
        main.conversation.connection = number
        main.M(b"+PONG\r\n+OK\r\n+DUALCHANNELSYNC\r\n")
    channel = master_alone(b"+OK\r\n", f"$ENDOFF:100 {ID} 3 7\r\n".encode(), memory=memory)
    for main in mains:
        main.M(b"+OK\r\n" + f"+CONTINUE {ID}\r\n".encode() + SET)
        assert [(event.db, event.offset) for event in of(main, events.Command)] == [(None, None)]
    assert channel.conversation.role is Role.RDB_CHANNEL
    assert of(channel, events.FullResync)[0].offset == 100


def test_a_main_connection_whose_rdb_channel_is_unknown_reports_its_commands_at_its_end() -> None:
    talk = master_alone(b"+PONG\r\n+OK\r\n+RDBCHANNELSYNC 7\r\n" + SET)
    assert of(talk, events.Command) == []
    talk.conversation.close()
    assert [event.offset for event in of(talk, events.Command)] == [None]


def test_replies_to_a_client_are_not_replication_to_the_master_alone() -> None:
    inside = b"$%d\r\n" % len(GRANTED) + GRANTED + b"\r\n"
    of_a_script = b"+CONTINUE\r\n+FULLRESYNC now 7\r\n"
    talk = master_alone(HANDSHAKE + inside + b"*3\r\n" + inside * 3 + of_a_script + b"+OK\r\n" * 9)
    assert set(talk.kinds()) == {"handshake"}
    assert talk.conversation.role is None


def test_a_replica_alone_is_reported_as_far_as_it_goes() -> None:
    talk = Talk(every_command=True).R(PING)
    talk.conversation.skip_replies(7)
    talk.R(b"*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n7777\r\n")
    talk.conversation.skip_replies(5)
    talk.R(PSYNC)
    talk.conversation.skip_replies(4000)
    talk.R(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n300\r\n")
    assert talk.kinds() == ["handshake", "handshake", "identified", "psync_requested", "ack"]
    assert [(event.request[0], event.reply) for event in of(talk, events.Handshake)] == [
        ("ping", None),
        ("REPLCONF", None),
    ]
    (ack,) = of(talk, events.Ack)
    assert (ack.offset, ack.lag_bytes, ack.lag_seconds) == (300, None, None)
    conversation = talk.conversation
    assert (conversation.replica, conversation.offset, conversation.phase) == ("10.0.0.7:7777", 300, Phase.STREAM)
    assert conversation.from_master == 4012


def test_a_missing_answer_is_inferred_from_its_rdb() -> None:
    talk = Talk(every_command=True).R(PSYNC).M(GRANTED[:20])
    assert talk.conversation.skip_replies(len(GRANTED) - 20)
    talk.M(b"$%d\r\n" % len(RDB) + RDB + SET)
    (full,) = of(talk, events.FullResync)
    assert (full.replid, full.offset, full.reason.text) == (None, None, "the answer that granted it was not seen")
    assert [event.offset for event in of(talk, events.Command)] == [None]


def test_missing_bytes_of_a_handshake_do_not_shift_later_replies() -> None:
    """A PING that is missing, and half a reply."""
    talk = Talk(every_command=True)
    talk.conversation.skip_from_replica(14)
    talk.M(b"+PO")
    talk.conversation.skip_replies(4)
    talk.R(b"*2\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n").M(b"+OK\r\n")
    talk.R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + SET).quiet()
    assert [event.offset for event in of(talk, events.Command)] == [100 + len(SET)]
    assert of(talk, events.PartialResync)[0].offset == 100


# ---- real servers ----


def alone(capture: Capture, side: str) -> list[tuple[int, Event]]:
    """A capture without the other side's bytes."""
    play = Play(every_command=True)
    for chunk in capture.chunks:
        if chunk.side == side or not chunk.data:
            play.play(chunk)
            continue
        conversation = play.conversation(chunk.connection)
        if side == "master":
            conversation.skip_from_replica(len(chunk.data))
        else:
            conversation.skip_replies(len(chunk.data))
    return play.told


Heard = list[tuple[int, Event]]


def some(heard: Heard, kind: type[Event], *fields: str) -> list[tuple[Any, ...]]:
    """The connections of the events of a kind, with these fields of them; without any, the events."""
    return [
        (number, *([getattr(event, field) for field in fields] or [event]))
        for number, event in heard
        if isinstance(event, kind)
    ]


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_real_masters_are_understood_alone(capture: Capture) -> None:
    told, both = alone(capture, "master"), Play(every_command=True).all(capture.chunks)
    assert some(told, events.FullResync, "replid", "offset") == some(both, events.FullResync, "replid", "offset")
    for kind in (events.RdbStarted, events.RdbFinished, events.Opaque):
        assert some(told, kind) == some(both, kind)
    granted = some(both, events.PartialResync, "replid")
    assert some(told, events.PartialResync, "replid") == granted
    commands = some(told, events.Command, "offset", "start", "name", "args")
    expected = some(both, events.Command, "offset", "start", "name", "args")
    assert commands == [
        (number, None if number in dict(granted) else offset, *what) for number, offset, *what in expected
    ]


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_real_replicas_are_understood_alone(capture: Capture) -> None:
    told, both = alone(capture, "replica"), Play(every_command=True).all(capture.chunks)
    for kind in (events.PsyncRequested, events.SyncRequested):
        expected = some(both, kind)  # a step of Valkey's two connections may be among ours
        assert [one for one in some(told, kind) if one in expected] == expected
    assert some(told, events.Identified, "role", "replica") == some(both, events.Identified, "role", "replica")
    fields = ("start", "offset", "fsynced")
    assert some(told, events.Ack, *fields) == some(both, events.Ack, *fields)
    assert not some(told, events.Opaque) + some(told, events.Command)
    assert {side for _, side in some(told, events.Keepalive, "side")} <= {Side.REPLICA}
