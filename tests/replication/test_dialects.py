"""Handshakes of programs other than Redis and Valkey, made up from their sources: reported like any replica's."""

from __future__ import annotations

import pytest

from tap.replication import events
from tap.replication.events import Event, Role
from tap.replication.memory import Memory
from tests.relay.wire import command
from tests.replication.talk import ID, PING, RDB, Talk, ack

GRANTED = f"+FULLRESYNC {ID} 100\r\n".encode()
DISK = b"$%d\r\n" % len(RDB) + RDB
UUID = "0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d"

R, M = "R", "M"
Turns = list[tuple[str, bytes]]

# KeyDB 6.3 replication.cpp, syncWithMaster: it waits for each reply except those after REPLCONF listening-port.
KEYDB: Turns = [
    (R, command("REPLPING")),
    (M, b"+PONG\r\n"),
    (
        R,
        command("REPLCONF", "listening-port", "6380")
        + command("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "activeExpire")
        + command("REPLCONF", "uuid", UUID),
    ),
    (M, b"+OK\r\n+OK active-replica\r\n+" + UUID.upper().encode() + b"\r\n"),
    (R, command("PSYNC", "?", "-1")),
    (M, b"\n\n" + GRANTED + DISK + PING),
    (R, ack(114)),
]
# With a master other than KeyDB it then says PING.
KEYDB_OF_REDIS: Turns = [
    (R, command("REPLPING")),
    (M, b"-ERR unknown command 'REPLPING', with args beginning with: \r\n"),
    (R, command("PING")),
    (M, b"+PONG\r\n"),
    (R, command("REPLCONF", "listening-port", "6380") + command("REPLCONF", "capa", "eof", "capa", "psync2")),
    (M, b"+OK\r\n+OK\r\n"),
    (R, command("REPLCONF", "uuid", UUID)),
    (M, b"-ERR Unrecognized REPLCONF option: uuid\r\n"),
    (R, command("PSYNC", "?", "-1")),
    (M, GRANTED + DISK + PING),
    (R, ack(114)),
]
# RedisShake 4.2 client.go and sync_standalone_reader.go.
REDISSHAKE: Turns = [
    (R, command("auth", "shake", "secret")),
    (M, b"+OK\r\n"),
    (R, command("ping")),
    (M, b"+PONG\r\n"),
    (R, command("info", "replication")),
    (M, b"$26\r\n# Replication\r\nrole:master\r\n"),
    (R, command("replconf", "listening-port", "0")),
    (M, b"+OK\r\n"),
    (R, command("REPLCONF", "CAPA", "EOF")),
    (M, b"+OK\r\n"),
    (R, command("PSYNC", "?", "-1")),
    (M, b"\n" + GRANTED),
    (M, DISK + PING),
    (R, command("replconf", "ack", "114")),
]
# Dragonfly replica.cc, as the replica of a Redis: inline requests, and a first ACK of 0.
DRAGONFLY: Turns = [
    (R, b"PING\r\n"),
    (M, b"+PONG\r\n"),
    (R, b"REPLCONF listening-port 6379\r\n"),
    (M, b"+OK\r\n"),
    (R, b"REPLCONF capa eof capa psync2\r\n"),
    (M, b"+OK\r\n"),
    (R, b"REPLCONF capa dragonfly\r\n"),
    (M, b"+OK\r\n"),
    (R, b"PSYNC ? -1\r\n"),
    (M, GRANTED + b"$EOF:" + b"f" * 40 + b"\r\n" + RDB + b"f" * 40),
    (R, b"REPLCONF ACK 0\r\n"),
    (M, PING),
    (R, b"REPLCONF ACK 114\r\n"),
]
# redis-replicator 3.9 RedisSocketReplicator.java: each request waits; its port is that of its own socket.
REPLICATOR: Turns = [
    (R, command("AUTH", "secret")),
    (M, b"+OK\r\n"),
    (R, command("PING")),
    (M, b"+PONG\r\n"),
    (R, command("REPLCONF", "listening-port", "51820")),
    (M, b"+OK\r\n"),
    (R, command("REPLCONF", "ip-address", "10.0.0.7")),
    (M, b"+OK\r\n"),
    (R, command("REPLCONF", "capa", "eof")),
    (M, b"+OK\r\n"),
    (R, command("REPLCONF", "capa", "psync2")),
    (M, b"+OK\r\n"),
    (R, command("PSYNC", "?", "-1")),
    (M, GRANTED + DISK + PING),
    (R, ack(114)),
]


def played(turns: Turns, size: int, memory: Memory | None = None, port: int = 0) -> Talk:
    talk = Talk(memory)
    talk.conversation.peer_port = port
    for who, data in turns:
        for at in range(0, len(data), size):
            getattr(talk, who)(data[at : at + size])
    return talk


def of(talk: Talk, kind: type[Event]) -> list[Event]:
    return [event for event in talk.told if isinstance(event, kind)]


@pytest.mark.parametrize(
    ("turns", "name", "handshakes"),
    [
        (KEYDB, "10.0.0.7:6380", 4),
        (KEYDB_OF_REDIS, "10.0.0.7:6380", 5),
        (REDISSHAKE, "10.0.0.7:40001", 4),
        (DRAGONFLY, "10.0.0.7:6379", 4),
        (REPLICATOR, "10.0.0.7:51820", 6),
    ],
    ids=["KeyDB", "KeyDB of a Redis", "RedisShake", "Dragonfly", "redis-replicator"],
)
@pytest.mark.parametrize("size", [1, 3, 1_000_000])
def test_a_dialect_is_reported_like_any_replica(turns: Turns, name: str, handshakes: int, size: int) -> None:
    talk = played(turns, size, port=40001)
    assert talk.conversation.offset == 114
    assert talk.conversation.role is Role.REPLICA
    assert talk.conversation.replica == name
    assert len(of(talk, events.Handshake)) == handshakes
    assert talk.kinds()[-1] == "ack"
    told = [kind for kind in talk.kinds() if kind not in ("handshake", "keepalive", "identified", "ack", "commands")]
    assert told == ["psync_requested", "full_resync", "rdb_started", "rdb_finished", "stream_started"]
    assert "secret" not in str([events.as_dict(event) for event in talk.told])
    full = of(talk, events.FullResync)[0]
    assert isinstance(full, events.FullResync)
    assert full.reason.code == "first_sync"


def test_keydbs_own_words_are_reported_with_the_answer() -> None:
    told = [(one.request[1:], one.reply) for one in of(played(KEYDB, 1000), events.Handshake)]  # type: ignore[attr-defined]
    assert told[0] == ((), "+PONG")
    assert told[2] == (("capa", "eof", "capa", "psync2", "capa", "activeExpire"), "+OK active-replica")
    assert told[3] == (("uuid", UUID), f"+{UUID.upper()}")
    assert [one.role for one in of(played(KEYDB, 1000), events.Identified)] == [Role.REPLICA]  # type: ignore[attr-defined]


def test_several_replicas_without_a_port_share_neither_name_nor_history() -> None:
    memory = Memory()
    first, second = (played(REDISSHAKE, 1000, memory, port) for port in (40001, 40002))
    assert {first.conversation.replica, second.conversation.replica} == {"10.0.0.7:40001", "10.0.0.7:40002"}
    first.conversation.close()
    third = played(REDISSHAKE, 1000, memory, 40003)
    full = of(third, events.FullResync)[0]
    assert isinstance(full, events.FullResync)
    assert full.reason.text.startswith("the replica has no history yet")
    assert memory.past("10.0.0.7:0") is None
    assert memory.past("10.0.0.7:40001") is None


def test_a_replica_that_announces_no_port_is_named_by_its_own() -> None:
    talk = played([(R, command("PSYNC", "?", "-1")), (M, GRANTED + DISK + PING)], 1000, port=40001)
    assert talk.conversation.replica == "10.0.0.7:40001"


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_dragonflies_use_their_own_protocol(size: int) -> None:
    main: Turns = [
        *DRAGONFLY[:6],
        (R, b"REPLCONF capa dragonfly\r\n"),
        (M, b"*4\r\n$40\r\n%s\r\n$5\r\nSYNC4\r\n:2\r\n:5\r\n" % (b"a" * 40)),
        (R, b"REPLCONF CLIENT-ID xyz\r\n"),
        (M, b"+OK\r\n"),
        (R, b"REPLCONF CLIENT-VERSION 5\r\n"),
        (M, b"+OK\r\n"),
        (R, b"DFLY SYNC SYNC4\r\n"),
        (M, b"+OK\r\n"),
        (R, b"DFLY STARTSTABLE SYNC4\r\n"),
        (M, b"+OK\r\n"),
    ]
    flow: Turns = [
        (R, b"DFLY FLOW " + b"a" * 40 + b" SYNC4 0\r\n"),
        (M, b"*2\r\n$4\r\nFULL\r\n$40\r\n" + b"e" * 40 + b"\r\n" + b"REDIS0009\x00binary"),
        (R, b"\x00\x00\x00\x07"),
    ]
    for turns, what in ((main, "SYNC"), (flow, "FLOW")):
        talk = played(turns, size)
        (identified,) = of(talk, events.Identified)
        assert isinstance(identified, events.Identified)
        assert identified.role is Role.DRAGONFLY
        assert identified.text == (
            f"replication between Dragonfly servers, in their own protocol (DFLY {what}): passed on, not read"
        )
        assert talk.conversation.only_counts
        assert "opaque" not in talk.kinds()
