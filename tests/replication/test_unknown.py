"""Servers newer than any known: what is not understood is an event, the bytes flow, offsets continue."""

from __future__ import annotations

import pytest

from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Role
from tap.replication.memory import Memory
from tap.replication.phase import Phase
from tests.relay.wire import BASE, GRANT, asks, command
from tests.replication.talk import ID, MARK, PING, PSYNC, RDB, Talk

GRANTED = f"+FULLRESYNC {ID} 100\r\n".encode()
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"


def array(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def ack(offset: int) -> bytes:
    return array(b"REPLCONF", b"ACK", b"%d" % offset)


def only(talk: Talk, kind: type[events.Event]) -> events.Event:
    (found,) = (event for event in talk.told if isinstance(event, kind))
    return found


@pytest.mark.parametrize(
    "reply", [b"+OK\r\n", b"+FINE but-new 7\r\n", b"-ERR no\r\n", b"*2\r\n$2\r\nab\r\n:1\r\n", b",1.5\r\n"]
)
def test_an_unknown_replconf_and_an_unknown_reply_are_reported(reply: bytes) -> None:
    unknown = array(b"REPLCONF", b"rdb-no-compress", b"1", b"shiny", b"\x00\xff")
    talk = Talk().R(PING).M(b"+PONG\r\n").R(unknown + array(b"REPLCONF", b"odd")).M(reply + b"+OK\r\n")
    told = [event for event in talk.told if isinstance(event, events.Handshake)]
    assert told[1].request == ("REPLCONF", "rdb-no-compress", "1", "shiny", "\\x00\\xff")
    assert told[1].reply == reply.split(b"\r\n")[0].decode()
    assert told[2].request == ("REPLCONF", "odd")
    talk.R(PSYNC).M(GRANTED + b"$%d\r\n" % len(RDB) + RDB + PING)
    assert talk.conversation.offset == 114


def test_additional_words_in_an_answer_do_not_matter() -> None:
    talk = Talk().R(PSYNC).M(GRANTED.replace(b"\r\n", b" lz4 1\r\n") + b"$%d\r\n" % len(RDB) + RDB + PING)
    assert talk.conversation.offset == 114
    talk = Talk().R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID} lz4\r\n".encode() + PING)
    assert talk.conversation.offset == 114
    main = Talk().R(PSYNC).M(b"+RDBCHANNELSYNC 7 and more\r\n" + PING)
    assert main.conversation.phase is Phase.WAITING
    channel = Talk().R(array(b"REPLCONF", b"rdb-only", b"1", b"rdb-channel", b"1")).M(b"+OK\r\n")
    channel.R(b"SYNC\r\n").M(f"$ENDOFF:7 {ID} 0 33 and more\r\n$3\r\nabc".encode())
    assert isinstance(channel.last(), events.RdbFinished)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"+STREAMSYNC 9\r\n", "an unknown answer to PSYNC: +STREAMSYNC 9"),
        (b":7\r\n", "an unknown answer to PSYNC: :7"),
        (GRANTED + b"$ZSTD:9\r\n", "an unknown RDB header: $ZSTD:9"),
        (GRANTED + b"$EOF:short\r\n", "an unknown RDB header: $EOF:short"),
        (GRANTED + b"VCS\x01\n", r"where the RDB was expected: VCS\x01"),
    ],
)
def test_an_unknown_answer_or_payload_is_opaque_and_the_replica_still_reports_its_offset(
    said: bytes, reason: str
) -> None:
    talk = Talk().R(PSYNC).M(said)
    opaque = only(talk, events.Opaque)
    assert isinstance(opaque, events.Opaque)
    assert opaque.reason == reason
    assert opaque.start == said.rindex(said.split(b"\n")[-2])
    talk.M(b"what nobody knows").R(ack(114) + array(b"REPLCONF", b"ACK", b"150", b"FACK", b"140"))
    told = [event for event in talk.told if isinstance(event, events.Ack)]
    assert [(event.offset, event.fsynced, event.lag_bytes) for event in told] == [(114, None, None), (150, 140, None)]
    assert talk.conversation.offset == 150
    assert talk.conversation.from_master == len(said) + len(b"what nobody knows")


@pytest.mark.parametrize(
    ("rdb", "text"),
    [
        (b"REDIS0099" + b"\xff" + bytes(8), "RDB version 99"),
        (b"VALKEY123" + b"\xff" + bytes(8), "RDB version 123"),
        (b"SHINY0001" + b"\xff" + bytes(8), "this is not an RDB"),
        (b"REDIS0012\xe0\x03abc\xff" + bytes(8), "224, which this redis-tap does not know"),
        (b"REDIS0012\x99\x01kvalue\xff" + bytes(8), "value type 153, which this redis-tap does not know"),
    ],
)
@pytest.mark.parametrize("diskless", [False, True])
def test_an_unknown_rdb_is_a_problem_of_the_rdb_alone(rdb: bytes, text: str, *, diskless: bool) -> None:
    header, end = (f"$EOF:{MARK}\r\n", MARK) if diskless else (f"${len(rdb)}\r\n", "")
    talk = Talk().R(PSYNC).M(GRANTED + header.encode() + rdb + end.encode()).R(ack(100)).M(SET).R(ack(100 + len(SET)))
    problem = only(talk, events.RdbProblem)
    assert isinstance(problem, events.RdbProblem)
    assert text in problem.text
    finished = only(talk, events.RdbFinished)
    assert isinstance(finished, events.RdbFinished)
    assert (finished.bytes, finished.checksum) == (len(rdb), "unread")
    assert talk.conversation.offset == 100 + len(SET)
    assert not [event for event in talk.told if isinstance(event, events.Opaque)]
    assert talk.last() == events.Ack(
        start=talk.conversation.from_replica - len(ack(128)),
        end=talk.conversation.from_replica,
        offset=100 + len(SET),
        fsynced=None,
        lag_bytes=0,
        lag_seconds=0.0,
    )


def test_a_stream_in_an_unknown_framing_is_counted() -> None:
    talk = Talk().R(PSYNC).M(GRANTED + b"$%d\r\n" % len(RDB) + RDB + PING + b"VCS1" + bytes(10)).R(ack(114))
    opaque = only(talk, events.Opaque)
    assert isinstance(opaque, events.Opaque)
    assert opaque.reason == "in the stream (offset 115): byte 0x56 where a command's * was expected"
    assert talk.conversation.offset == 128
    assert isinstance(talk.last(), events.Ack)


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("understood", [b"", PING])
def test_a_stream_that_is_no_longer_understood_has_begun_before(size: int, understood: bytes) -> None:
    talk = Talk().R(f"PSYNC {ID} 101\r\n".encode())
    said = f"+CONTINUE {ID}\r\n".encode() + understood + b"\x28\xb5\x2f\xfd" * 100
    for begin in range(0, len(said), size):
        talk.M(said[begin : begin + size])
    batch = ["commands"] if understood else []
    assert talk.kinds()[2:] == ["partial_resync", "stream_started", *batch, "opaque"]
    partial = only(talk, events.PartialResync)
    assert isinstance(partial, events.PartialResync)
    assert partial.bytes_behind is None
    assert not [event for event in talk.quiet().told if isinstance(event, events.CaughtUp)]


def test_unreadable_bytes_of_a_replica_come_after_the_beginning_of_its_stream() -> None:
    talk = Talk().R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode()).R(b"*x\r\n")
    assert talk.kinds()[2:] == ["partial_resync", "stream_started", "opaque"]


def test_a_second_connection_that_is_not_understood_keeps_the_offsets_of_the_first() -> None:
    memory = Memory()
    main, channel = Talk(memory), Talk(memory)
    main.R(PSYNC).M(b"+RDBCHANNELSYNC 7\r\n" + PING)
    channel.R(array(b"REPLCONF", b"rdb-only", b"1", b"rdb-channel", b"1", b"main-ch-client-id", b"7")).M(b"+OK\r\n")
    channel.R(PSYNC).M(GRANTED + b"$ZSTD:9\r\nwhat nobody knows")
    assert channel.conversation.phase is Phase.OPAQUE
    assert channel.kinds().count("opaque") == 1
    main.M(SET).R(ack(100)).R(ack(114 + len(SET)))
    assert main.conversation.offset == 114 + len(SET)
    assert main.kinds()[-4:] == ["stream_started", "commands", "ack", "ack"]
    assert "opaque" not in main.kinds()


# ---- connections that do not replicate ----

ESTABLISH = array(
    b"CLUSTER", b"SYNCSLOTS", b"ESTABLISH", b"SOURCE", b"a" * 40, b"NAME", b"b" * 40, b"SLOTSRANGE", b"0", b"9"
)
RANGES = array(b"cluster", b"syncslots", b"ranges", b"a" * 40, *(b"%d" % (slot * 3) for slot in range(200)))
SECRET = array(b"AUTH", b"internal connection", b"s" * 40)

STRANGERS = [
    (ESTABLISH, Role.SLOT_MIGRATION, "a slot migration of Valkey, from the node that dialled"),
    (RANGES, Role.SLOT_MIGRATION, "a slot migration of Redis, to the node that dialled"),
    (
        SECRET + array(b"CLUSTER", b"SYNCSLOTS", b"RDBCHANNEL", b"a" * 40),
        Role.SLOT_MIGRATION,
        "a slot migration of Redis, the snapshot's connection",
    ),
    (
        array(b"CLUSTER", b"SYNCSLOTS", b"SHINY"),
        Role.SLOT_MIGRATION,
        "a slot migration of a kind that this redis-tap does not know",
    ),
    (
        array(b"SELECT", b"0") + array(b"RESTORE-ASKING", b"key", b"0", b"v" * 100_000),
        Role.SLOT_MIGRATION,
        "a slot migration, keys that MIGRATE moves here",
    ),
    (array(b"CLUSTER", b"NODES"), Role.ORDINARY, "an ordinary connection"),
    (array(b"CLUSTER", b"ADDSLOTS", *(b"%d" % slot for slot in range(200))), Role.ORDINARY, "an ordinary connection"),
    (array(b"CLUSTER", b"x" * 2000), Role.ORDINARY, "an ordinary connection"),
    (array(b"MSET", *(b"%d" % number for number in range(200))), Role.ORDINARY, "an ordinary connection"),
    (array(b"CLIENT", b"SETNAME", b"sentinel-1463d823-cmd") + array(b"INFO"), Role.ORDINARY, "a connection of Sentinel"),
    (
        SECRET + array(b"_FT.SEARCH", b"index"),
        Role.ORDINARY,
        "an internal connection of a cluster's node or of its module",
    ),
    (array(b"raft.ae", b"1"), Role.ORDINARY, "a connection to a module (RAFT.AE)"),
    (b"cluster info\r\n", Role.ORDINARY, "an ordinary connection"),
]


@pytest.mark.parametrize(("said", "role", "text"), STRANGERS)
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_a_connection_without_replication_is_named_for_any_split(said: bytes, role: Role, text: str, size: int) -> None:
    talk = Talk()
    for begin in range(0, len(said), size):
        talk.R(said[begin : begin + size])
    identified = only(talk, events.Identified)
    assert isinstance(identified, events.Identified)
    assert (identified.role, identified.text) == (role, f"{text}, no replication: passed on, not read")
    assert talk.conversation.phase is Phase.ORDINARY
    talk.M(b"+OK\r\n").R(b"\x00 anything").conversation.close()
    assert talk.kinds().count("identified") == 1
    assert "opaque" not in talk.kinds()
    assert "s" * 40 not in str([events.as_dict(event) for event in talk.told])


def test_a_name_of_any_bytes_is_reported_byte_by_byte() -> None:
    """As text, upper case may have other characters, which are not bytes."""
    told: list[events.Event] = []
    conversation = Conversation(told.append, every_command=True)
    conversation.receive_from_replica(asks(BASE))
    conversation.receive_from_master(GRANT + command(b"\xff\xb5\xdfset", "k"))
    conversation.close()
    assert [one.name for one in told if isinstance(one, events.Command)] == ["\xff\xb5\xdfSET"]


@pytest.mark.parametrize(
    "said", [b"*q\r\n$4\r\nINFO\r\n", b"*9999999999\r\n$4\r\nINFO\r\n", b"*2\r\n$4\r\nINFOxx$4\r\nINFO\r\n"]
)
def test_nonsense_is_reported_as_nonsense_for_any_split(said: bytes) -> None:
    whole = Talk().R(said).told
    talk = Talk()
    for at in range(len(said)):
        talk.R(said[at : at + 1])
    assert talk.told == whole


def test_the_end_of_understanding_does_not_depend_on_the_split() -> None:
    """For a client that was ordinary when it asked."""
    said = b"+RDBCHANNELSYNC 5\r\n"
    told = []
    for size in (1, len(said)):
        talk = Talk().R(array(b"PING")).M(b"+PONG\r\n").R(b"GET a\r\n" * 20).M(b"+OK\r\n" * 2)
        talk.R(array(b"PSYNC", b"a" * 40, b"1")).R(array(b"SYNC") * 2)
        for at in range(0, len(said), size):
            talk.M(said[at : at + size])
        told.append(talk.told)
    assert [one.start for one in told[0] if isinstance(one, events.Opaque)] == [7 + 10]
    assert told[0] == told[1]
