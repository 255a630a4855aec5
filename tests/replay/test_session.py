"""The answers to a replica, or to any other client: transcripts, for any split of the bytes."""

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
def test_the_handshake_of_every_replica_is_accepted_whatever_its_pieces(cuts: list[int]) -> None:
    sent = b"".join(request for request, _ in HANDSHAKE) + command("PSYNC", "?", "-1")
    places = sorted({0, *(cut for cut in cuts if cut < len(sent)), len(sent)})
    asked = session()
    found = steps(asked, *(sent[begin:end] for begin, end in pairwise(places)))
    assert [step.data for step in found if isinstance(step, Reply)] == [reply for _, reply in HANDSHAKE]
    (wish,) = (step for step in found if isinstance(step, Wish))
    assert (wish.replid, wish.offset, wish.is_sync) == (None, -1, False)
    assert (asked.host, asked.port, asked.knows_psync2, asked.only_rdb) == ("10.0.0.7", 6380, True, False)


def test_a_replica_with_some_data_asks_for_the_next_byte() -> None:
    (wish,) = steps(session(), command("psync", REPLID.upper(), "1001"))
    assert isinstance(wish, Wish)
    assert (wish.replid, wish.offset) == (REPLID, 1001)


def test_redis_cli_takes_only_the_rdb() -> None:
    asked = session()
    *_, wish = steps(asked, command("REPLCONF", "capa", "eof"), command("REPLCONF", "rdb-only", "1"), b"SYNC\r\n")
    assert isinstance(wish, Wish)
    assert (wish.is_sync, asked.only_rdb, asked.knows_psync2) == (True, True, False)
    assert (wish.replid, wish.offset) == (None, -1)


def test_a_silent_client_is_unknown() -> None:
    one = session()
    assert (one.host, one.port, one.knows_psync2, one.only_rdb, one.in_stream) == (None, None, False, False, False)


def test_withdrawn_capabilities_do_not_count() -> None:
    one = session()
    steps(one, command("REPLCONF", "ip-address", "10.0.0.7", "listening-port", "6380", "rdb-only", "1"))
    assert (one.host, one.port, one.only_rdb) == ("10.0.0.7", 6380, True)
    steps(one, command("REPLCONF", "ip-address", "", "listening-port", "x", "rdb-only", "0"))
    assert (one.host, one.port, one.only_rdb) == (None, None, False)
    steps(one, command("REPLCONF", "capa", "psync2"), command("REPLCONF", "capa", "eof"))
    assert one.knows_psync2


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (command("QUIT") + command("PING"), OK),
        (b"*x\r\n" + command("PING"), b"-ERR Protocol error\r\n"),
        (b"\n\n" + command("PING") + b"\r\n" + command("PING"), b"+PONG\r\n+PONG\r\n"),
    ],
)
def test_requests_that_come_together_are_answered_up_to_the_one_that_ends_it(sent: bytes, reply: bytes) -> None:
    assert replied(sent) == reply


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
        (command("REPLCONF", "ACK"), b"-ERR syntax error\r\n"),
        (command("REPLCONF", "ACK", "5"), b""),
        (command("REPLCONF", "GETACK", "*"), b""),
        (command("PSYNC", "?"), b"-ERR wrong number of arguments for 'psync' command\r\n"),
        (command("PSYNC", "?", "1", "2", "3"), b"-ERR wrong number of arguments for 'psync' command\r\n"),
        (command("PSYNC", "?", "1" * 20), b"-ERR value is not an integer or out of range\r\n"),
        (command("PSYNC", REPLID, "x"), b"-ERR value is not an integer or out of range\r\n"),
        (command("PSYNC", REPLID, "1", "FAILOVER"), b"-ERR PSYNC FAILOVER can't be sent to a master.\r\n"),
        (command("QUIT"), OK),
        (b"*1\r\n:5\r\n", b"-ERR Protocol error\r\n"),
        (b"\x16\x03\x01", b"-ERR Protocol error\r\n"),
    ],
)
def test_other_requests_are_answered(request_: bytes, reply: bytes) -> None:
    assert replied(request_) == reply


SELF = (
    b"$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n1.2.3\r\n$5\r\nproto\r\n:%b\r\n$2\r\nid\r\n:1\r\n"
    b"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
)


@pytest.mark.parametrize(
    ("words", "head", "proto"), [((), b"*14\r\n", b"2"), (("2",), b"*14\r\n", b"2"), (("3",), b"%7\r\n", b"3")]
)
def test_hello_is_answered_in_the_requested_protocol(words: tuple[str, ...], head: bytes, proto: bytes) -> None:
    assert replied(command("HELLO", *words)) == head + SELF % proto


def test_the_role_of_a_master_without_replicas_says_so() -> None:
    assert role_reply(7, []) == b"*3\r\n$6\r\nmaster\r\n:7\r\n*0\r\n"


def test_an_error_is_one_line_in_which_a_long_name_is_cut_and_every_byte_can_stand() -> None:
    assert replied(command(b"\xff\r\n" + b"x" * 200)) == (
        b"-ERR unknown command '\xff  " + b"X" * 125 + b"': this is redis-tap, the master of a recording\r\n"
    )


@pytest.mark.parametrize("words", [("GET", "a"), ("SET", "a", "b"), ("FLUSHALL",), ("a\r\nb",), ("CLIENT", "LIST")])
def test_data_commands_are_unknown(words: tuple[str, ...]) -> None:
    said = replied(command(*words))
    assert said.startswith(b"-ERR unknown command '")
    assert said.count(b"\r\n") == 1


def test_a_filter_is_refused_because_the_rdb_is_sent_whole() -> None:
    assert replied(command("REPLCONF", "rdb-filter-only", "functions")).startswith(b"-ERR a recorded RDB is sent whole")


def test_in_the_stream_acks_are_accepted_and_nothing_is_answered() -> None:
    asked = session()
    steps(asked, command("PSYNC", "?", "-1"))
    sent = [
        b"\n",
        command("REPLCONF", "ACK", "36"),
        command("REPLCONF", "ACK", "50", "FACK", "36"),
        command("PSYNC", "?", "-1"),
        b"SYNC\r\n",
        command("REPLCONF", "ACK"),
        command("REPLCONF", "ACK", "60", "FACK"),
    ]
    found = steps(asked, *sent, command("REPLCONF", "GETACK", "*"), command("REPLCONF", "ACK", "x"))
    assert all(isinstance(step, Acknowledged) for step in found)
    assert [(step.offset, step.fsynced) for step in found if isinstance(step, Acknowledged)] == [
        *((36, None), (50, 36), (60, None))
    ]


@pytest.mark.parametrize("sent", [command("SET", "ACK", "5"), b"REPLCONF\r\n", b"*x\r\n", b"\0"])
def test_anything_else_in_the_stream_ends_the_connection_silently(sent: bytes) -> None:
    asked = session()
    steps(asked, command("PSYNC", "?", "-1"))
    (step,) = steps(asked, sent)
    assert isinstance(step, Farewell)
    assert step.data == b""
    assert step.why


@pytest.mark.parametrize("words", [("CLIENT",), ("SET", "ACK", "5"), ("GET", "GETACK"), ("CLIENT", "KILL")])
def test_what_only_resembles_a_request_of_a_replica_is_unknown(words: tuple[str, ...]) -> None:
    assert replied(command(*words)).startswith(b"-ERR unknown command '")


@pytest.mark.parametrize(
    "words",
    [
        ("AUTH", "pw"),
        ("SELECT", "3"),
        ("CLIENT", "SETNAME", "me"),
        ("CLIENT", "SETINFO", "LIB-NAME", "x"),
        ("client", "setname", "me"),
    ],
)
def test_clients_may_introduce_themselves(words: tuple[str, ...]) -> None:
    assert replied(command(*words)) == OK
