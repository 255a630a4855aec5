"""Replies in the master's place, each where its request's reply belongs."""

from __future__ import annotations

import pytest

from tap.replication.events import ResyncRefused
from tests.faults.lab import ASKS_ALL, CAPA, FULL, PING, PORT, SET, Lab, asks, command, pieces, shake_hands


def test_the_master_does_not_hear_a_request_that_is_answered_in_its_place() -> None:
    lab = Lab("answer '-LOADING Redis is loading' request=PSYNC")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    assert lab.at_replica.endswith(b"+OK\r\n-LOADING Redis is loading\r\n")
    assert lab.at_master == PING + PORT + CAPA
    assert [event.reply for event in lab.told if isinstance(event, ResyncRefused)] == ["-LOADING Redis is loading"]


@pytest.mark.parametrize("size", [1, 4, 100])
def test_an_answer_waits_for_the_replies_before_it(size: int) -> None:
    lab = Lab("answer +FINE request=REPLCONF")
    lab.replica(PING)
    lab.master(b"+PONG\r\n")
    lab.replica(*pieces(command("REPLCONF", "a", "b") + CAPA, size))
    lab = Lab("answer +FINE request=REPLCONF nth=2")
    lab.replica(PING + PORT + CAPA + command("REPLCONF", "version", "9"))
    assert lab.at_master == PING + PORT + command("REPLCONF", "version", "9")
    lab.master(*pieces(b"+PONG\r\n+OK\r\n+OK\r\n", size))
    assert lab.at_replica == b"+PONG\r\n+OK\r\n+FINE\r\n+OK\r\n"
    lab.replica(asks(1001))
    lab.master(b"+CONTINUE\r\n" + SET)
    assert lab.conversation.offset == 1000 + len(SET)


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("late", [False, True])
def test_faults_fire_on_a_replica_that_was_an_ordinary_client(*, size: int, late: bool) -> None:
    """Its earlier requests are not a handshake: they pass, and are not held."""
    lab = Lab("answer '-LOADING no' request=PSYNC", "rewrite capa=-eof", "cut at=stream:5b")
    ordinary = command("INFO") + command("SET", "capa", CAPA + ASKS_ALL)
    replies = b"$2\r\nok\r\n+OK\r\n"
    lab.replica(*pieces(ordinary, size))
    assert lab.at_master == ordinary
    if not late:
        lab.master(*pieces(replies, size))
    lab.replica(*pieces(CAPA + ASKS_ALL, size))
    assert lab.at_master == ordinary + command("REPLCONF", "capa", "psync2")
    lab.master(*pieces(replies * late + b"+OK\r\n", size))
    assert lab.at_replica == replies + b"+OK\r\n-LOADING no\r\n"
    lab.replica(*pieces(asks(1001), size))
    lab.master(*pieces(b"+CONTINUE\r\n" + SET, size))
    assert lab.cut is not None
    assert lab.at_replica.endswith(b"+CONTINUE\r\n" + SET[:5])


def test_the_masters_own_reply_is_replaced() -> None:
    lab = Lab(f"answer '+FULLRESYNC {'0' * 40} 7' reply=PSYNC")
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(b"\n" + FULL + b"$3\r\n")
    assert lab.at_replica.endswith(b"\n+FULLRESYNC " + b"0" * 40 + b" 7\r\n$3\r\n")
    assert lab.conversation.offset == 500
