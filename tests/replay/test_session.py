"""What a replica, or anybody else, is answered: transcripts, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replay.session import Acknowledged, Farewell, Reply, Session, Step, Wish, role_reply
from tests.relay.wire import REPLID, command

OK = b"+OK\r\n"
HANDSHAKE = [
    (command("PING"), b"+PONG\r\n"),
    (command("AUTH", "default", "whatever"), OK),
    (command("REPLCONF", "listening-port", "6380"), OK),
    (command("REPLCONF", "ip-address", "10.0.0.7"), OK),
    (command("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "rdb-channel-repl"), OK),
    (command("REPLCONF", "version", "9.1.2"), OK),
    (command("REPLCONF", "SET-CLUSTER-NODE-ID", "0" * 40), OK),
    (command("REPLCONF", "of-a-later-version", "1"), OK),
]


def session() -> Session:
    return Session(lambda: b"role:master\r\n", lambda: role_reply(50, [("10.0.0.7", 6380, 36)]), "1.2.3")


def steps(asked: Session, *pieces: bytes) -> list[Step]:
    return [step for piece in pieces for step in asked.receive(piece)]


def replied(*pieces: bytes) -> bytes:
    return b"".join(step.data for step in steps(session(), *pieces) if isinstance(step, Reply | Farewell))


@given(st.lists(st.integers(0, 500), max_size=8))
def test_the_handshake_of_every_replica_is_taken_whatever_its_pieces(cuts: list[int]) -> None:
    sent = b"".join(request for request, _ in HANDSHAKE) + command("PSYNC", "?", "-1")
    places = sorted({0, *(cut for cut in cuts if cut < len(sent)), len(sent)})
    asked = session()
    found = steps(asked, *(sent[begin:end] for begin, end in pairwise(places)))
    assert [step.data for step in found if isinstance(step, Reply)] == [reply for _, reply in HANDSHAKE]
    (wish,) = (step for step in found if isinstance(step, Wish))
    assert (wish.replid, wish.offset, wish.is_sync) == (None, -1, False)
    assert (asked.host, asked.port, asked.knows_psync2, asked.only_rdb) == ("10.0.0.7", 6380, True, False)


def test_who_has_some_of_it_says_what_it_wants_next() -> None:
    (wish,) = steps(session(), command("psync", REPLID.upper(), "1001"))
    assert isinstance(wish, Wish)
    assert (wish.replid, wish.offset) == (REPLID, 1001)


def test_redis_cli_takes_the_rdb_alone() -> None:
    asked = session()
    *_, wish = steps(asked, command("REPLCONF", "capa", "eof"), command("REPLCONF", "rdb-only", "1"), b"SYNC\r\n")
    assert isinstance(wish, Wish)
    assert (wish.is_sync, asked.only_rdb, asked.knows_psync2) == (True, True, False)


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (command("PING", "hello"), b"$5\r\nhello\r\n"),
        (b"PING\r\n", b"+PONG\r\n"),
        (command("INFO", "replication"), b"$13\r\nrole:master\r\n\r\n"),
        (
            command("ROLE"),
            b"*3\r\n$6\r\nmaster\r\n:50\r\n*1\r\n*3\r\n$8\r\n10.0.0.7\r\n$4\r\n6380\r\n$2\r\n36\r\n",
        ),
        (command("HELLO", "4"), b"-NOPROTO unsupported protocol version\r\n"),
        (command("REPLCONF"), OK),
        (command("REPLCONF", "capa"), b"-ERR syntax error\r\n"),
        (command("REPLCONF", "ACK", "5"), b""),
        (command("REPLCONF", "GETACK", "*"), b""),
        (command("PSYNC", "?"), b"-ERR wrong number of arguments for 'psync' command\r\n"),
        (command("PSYNC", REPLID, "x"), b"-ERR value is not an integer or out of range\r\n"),
        (command("PSYNC", REPLID, "1", "FAILOVER"), b"-ERR PSYNC FAILOVER can't be sent to a master.\r\n"),
        (command("QUIT"), OK),
        (b"*1\r\n:5\r\n", b"-ERR Protocol error\r\n"),
        (b"\x16\x03\x01", b"-ERR Protocol error\r\n"),
    ],
)
def test_what_else_is_asked(request_: bytes, reply: bytes) -> None:
    assert replied(request_) == reply


def test_hello_is_answered_in_the_protocol_that_it_asks_for() -> None:
    assert replied(command("HELLO")).startswith(b"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n1.2.3\r\n")
    assert replied(command("HELLO", "3")).startswith(b"%7\r\n$6\r\nserver\r\n")


@pytest.mark.parametrize("words", [("GET", "a"), ("SET", "a", "b"), ("FLUSHALL",), ("a\r\nb",), ("CLIENT", "LIST")])
def test_data_commands_are_unknown(words: tuple[str, ...]) -> None:
    said = replied(command(*words))
    assert said.startswith(b"-ERR unknown command '")
    assert said.count(b"\r\n") == 1


def test_a_filter_is_refused_for_the_rdb_is_sent_whole() -> None:
    assert replied(command("REPLCONF", "rdb-filter-only", "functions")).startswith(b"-ERR a recorded RDB is sent whole")


def test_in_the_stream_acks_are_taken_and_nothing_is_answered() -> None:
    asked = session()
    steps(asked, command("PSYNC", "?", "-1"))
    sent = [
        b"\n",
        command("REPLCONF", "ACK", "36"),
        command("REPLCONF", "ACK", "50", "FACK", "36"),
        command("PSYNC", "?", "-1"),
    ]
    found = steps(asked, *sent, command("REPLCONF", "GETACK", "*"), command("REPLCONF", "ACK", "x"))
    assert all(isinstance(step, Acknowledged) for step in found)
    assert [(step.offset, step.fsynced) for step in found if isinstance(step, Acknowledged)] == [(36, None), (50, 36)]


@pytest.mark.parametrize("sent", [command("SET", "a", "b"), b"*x\r\n", b"\0"])
def test_anything_else_in_the_stream_ends_the_connection_without_a_word(sent: bytes) -> None:
    asked = session()
    steps(asked, command("PSYNC", "?", "-1"))
    (step,) = steps(asked, sent)
    assert isinstance(step, Farewell)
    assert step.data == b""
    assert step.why


@pytest.mark.parametrize("words", [("CLIENT",), ("SET", "ACK", "5"), ("GET", "GETACK"), ("CLIENT", "KILL")])
def test_what_only_looks_like_a_request_of_a_replica_is_unknown(words: tuple[str, ...]) -> None:
    assert replied(command(*words)).startswith(b"-ERR unknown command '")


@pytest.mark.parametrize(
    "words", [("AUTH", "pw"), ("SELECT", "3"), ("CLIENT", "SETNAME", "me"), ("client", "setname", "me")]
)
def test_what_clients_say_of_themselves_is_taken(words: tuple[str, ...]) -> None:
    assert replied(command(*words)) == OK
