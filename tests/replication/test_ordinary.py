"""PSYNC decides what a connection is, whatever came before on it."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Role, Side
from tap.replication.memory import Memory
from tap.replication.phase import Phase
from tests.relay.wire import command
from tests.replication.framing import REPLIES, REQUESTS
from tests.replication.talk import ACK_0, ID, PING, PSYNC, RDB, Talk

GRANTED = f"+FULLRESYNC {ID} 100\r\n".encode()
FULL = GRANTED + b"$%d\r\n" % len(RDB) + RDB + PING
UNTIL_NOW = "a replica, an ordinary connection until now"


def whole(talk: Talk) -> None:
    """It asked, and follows the stream."""
    assert talk.conversation.offset == 114
    kinds = talk.kinds()
    assert kinds[-3:] == ["rdb_started", "rdb_finished", "stream_started"]
    assert "opaque" not in kinds


def requests_of(talk: Talk) -> list[tuple[str, ...]]:
    return [event.request for event in talk.told if isinstance(event, events.Handshake)]


def roles(talk: Talk) -> list[Role]:
    return [event.role for event in talk.told if isinstance(event, events.Identified)]


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        (command("INFO"), b"$20\r\n# Server\r\nredis_ver\n\r\n"),
        (command("info", "replication"), b"$5\r\n+FULL\r\n"),
        (command("CONFIG", "GET", "maxmemory"), b"*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n"),
        (command("ROLE"), b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"),
        (command("COMMAND", "DOCS"), b"*2\r\n$3\r\nget\r\n*2\r\n$7\r\nsummary\r\n$1\r\nx\r\n"),
        (command("ECHO", PSYNC), b"$%d\r\n%s\r\n" % (len(PSYNC), PSYNC)),
        (command("TIME"), b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
        (command("SET", "k", PSYNC * 5), b"+OK\r\n"),
        (command("MULTI") + command("INCR", "n") + command("EXEC"), b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n"),
        (command("SUBSCRIBE", "a", "b"),
         command("subscribe", "a", "1") + b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"),
        (command("MONITOR"), b'+OK\r\n+1700000000.1 [0 127.0.0.1:5] "GET" "k"\r\n'),
        (command("HELLO", "3") + command("CLIENT", "TRACKING", "ON") + command("GET", "k"),
         b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n+OK\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n_\r\n"),
        (command("BLPOP", "l", "0"), b"*-1\r\n"),
        (b"info\r\n", b"$0\r\n\r\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 5, 1_000_000])
@pytest.mark.parametrize("turns", [1, 70])
def test_a_psync_is_seen_after_any_other_word(asked: bytes, reply: bytes, size: int, turns: int) -> None:
    talk = Talk()

    def say(to: str, data: bytes) -> None:
        for at in range(0, len(data), size):
            getattr(talk, to)(data[at : at + size])

    for _ in range(turns):
        say("R", asked)
        say("M", reply)
    assert talk.conversation.is_followed
    assert roles(talk) == [Role.ORDINARY]
    before = len(requests_of(talk))
    say("R", command("REPLCONF", "listening-port", "7000"))
    say("M", b"+OK\r\n")
    say("R", PSYNC)
    assert talk.conversation.phase is Phase.PSYNC
    say("M", FULL)
    whole(talk)
    assert roles(talk) == [Role.ORDINARY, Role.REPLICA]
    identified = [event for event in talk.told if isinstance(event, events.Identified)][-1]
    assert identified.text.startswith(UNTIL_NOW)
    assert identified.replica == "10.0.0.7:7000"
    assert requests_of(talk)[before:] == [("REPLCONF", "listening-port", "7000")]


def test_sync_is_seen_too() -> None:
    talk = Talk().R(command("INFO")).M(b"$1\r\nx\r\n").R(b"SYNC\r\n").M(b"$%d\r\n" % len(RDB) + RDB + PING)
    assert roles(talk) == [Role.ORDINARY, Role.SYNC_CLIENT]
    assert talk.kinds()[-3:] == ["rdb_started", "rdb_finished", "stream_started"]


def test_pending_replies_are_not_the_answer() -> None:
    """A client that does not wait: its master still answers in order."""
    late = b"$24\r\n+FULLRESYNC abc 1\r\n+OK\r\n\r\n"
    for cut in range(len(late) * 2):
        talk = Talk().R(command("GET", "a") + command("GET", "b"))
        talk.M((late * 2)[:cut])
        talk.R(command("REPLCONF", "capa", "eof") + PSYNC)
        talk.M((late * 2)[cut:] + b"+OK\r\n" + FULL)
        whole(talk)
        assert requests_of(talk) == [("REPLCONF", "capa", "eof")]
        told = [event.reply for event in talk.told if isinstance(event, events.Handshake)]
        assert told == ["+OK"]


def test_a_refusal_and_another_attempt_are_reported() -> None:
    talk = Talk().R(command("ROLE")).M(b"*0\r\n").R(PSYNC).M(b"-LOADING Redis is loading\r\n")
    refused = talk.last()
    assert isinstance(refused, events.ResyncRefused)
    talk.R(command("INFO")).M(b"$1\r\nx\r\n").R(PSYNC).M(FULL)
    whole(talk)


def test_an_ordinary_client_is_reported_once_however_often_it_says_replconf() -> None:
    talk = Talk()
    for _ in range(100):
        talk.R(command("GET", "k")).M(b"$-1\r\n").R(command("REPLCONF", "capa", "eof")).M(b"+OK\r\n")
    assert roles(talk) == [Role.ORDINARY]
    assert len(requests_of(talk)) == 100
    talk.R(command("GET", "k"))
    assert talk.conversation.phase is Phase.ORDINARY


def test_acknowledgements_of_an_ordinary_client_mean_nothing() -> None:
    talk = Talk()
    for _ in range(3):
        talk.R(command("GET", "k")).M(b"$-1\r\n").R(ACK_0)
    talk.R(PSYNC).M(FULL)
    whole(talk)


@pytest.mark.parametrize("silent", [command("CLIENT", "REPLY", "SKIP") + command("SET", "a", "b"), command("GET", "k")])
def test_a_grant_is_the_answer_whatever_was_counted(silent: bytes) -> None:
    """Requests without a reply: the count is wrong for good."""
    for answer in (FULL, b"\n\n" + FULL):
        for size in (1, 1_000_000):
            talk = Talk().R(silent * 3).R(command("REPLCONF", "capa", "eof")).M(b"+OK\r\n").R(PSYNC)
            for at in range(0, len(answer), size):
                talk.M(answer[at : at + size])
            whole(talk)


def test_messages_of_subscriptions_do_not_change_the_count() -> None:
    message = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"
    talk = Talk().R(command("SUBSCRIBE", "c")).M(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n" + message * 5)
    talk.R(command("PING")).M(message + b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" + message)
    talk.R(command("UNSUBSCRIBE")).M(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n")
    talk.R(command("REPLCONF", "listening-port", "1")).M(b"+OK\r\n").R(PSYNC).M(FULL)
    whole(talk)


@pytest.mark.parametrize("nonsense", [b"*x\r\n", b"*1\r\n+\r\n", b"*1\r\n$3\r\nGETxx"])
def test_a_client_whose_requests_no_server_accepts_asks_for_nothing(nonsense: bytes) -> None:
    talk = Talk().R(command("GET", "k")).M(b"$-1\r\n").R(nonsense + PSYNC)
    assert talk.conversation.only_counts
    talk.M(b"-ERR Protocol error\r\n").R(PSYNC).M(FULL).conversation.close()
    assert roles(talk) == [Role.ORDINARY]
    assert "opaque" not in talk.kinds()


def test_without_a_count_of_replies_a_psync_is_still_seen() -> None:
    talk = Talk().R(command("GET", "k")).M(b"HTTP/1.1 200 OK\r\n\r\n").R(PSYNC)
    assert roles(talk) == [Role.ORDINARY, Role.REPLICA]
    talk.M(b"HTTP/1.1 400 Bad Request\r\n")
    assert isinstance(talk.last(), events.Opaque)
    whole(Talk().R(command("GET", "k")).M(b"what is no reply\r\n").R(PSYNC).M(FULL))


def test_slot_migrations_are_not_followed() -> None:
    talk = Talk().R(command("CLUSTER", "SYNCSLOTS", "ESTABLISH", "SOURCE", "x")).M(b"+OK\r\n").R(PSYNC)
    assert talk.conversation.only_counts
    assert roles(talk) == [Role.SLOT_MIGRATION]


@given(
    st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6),
    st.lists(st.sampled_from(REPLIES), max_size=6),
    st.lists(st.integers(0), max_size=20),
)
def test_any_split_gives_the_same_story(
    asked: list[tuple[bytes, int]], said: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    turns = [
        (Side.REPLICA, command("SET", "a", "b") + b"".join(data for data, _ in asked)),
        (Side.MASTER, b"+OK\r\n" + b"".join(data for data, _ in said)),
        (Side.REPLICA, command("REPLCONF", "listening-port", "1") + PSYNC),
        (Side.MASTER, b"+OK\r\n" + FULL),
    ]
    stories = []
    for at_once in (True, False):
        told: list[Event] = []
        conversation = Conversation(told.append, memory=Memory())
        for side, data in turns:
            places = sorted({0, len(data), *(() if at_once else (cut % (len(data) + 1) for cut in cuts))})
            for begin, end in itertools.pairwise(places):
                if side is Side.REPLICA:
                    conversation.receive_from_replica(data[begin:end])
                else:
                    conversation.receive_from_master(data[begin:end])
        conversation.close()
        stories.append([event for event in told if not isinstance(event, events.RdbProgress)])
    assert stories[0] == stories[1]
    asks = sum(count for _, count in asked)
    gets = sum(count for _, count in said)
    if asks <= gets:
        assert [event.kind for event in stories[0]][-3:] == ["rdb_finished", "stream_started", "commands"]


def test_bulk_data_of_an_ordinary_client_need_not_be_read() -> None:
    talk = Talk().R(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nabc")
    conversation = talk.conversation
    assert conversation.skippable(Side.REPLICA) == 999_997
    conversation.skipped(Side.REPLICA, 999_997)
    assert conversation.skippable(Side.REPLICA) == 0
    talk.R(b"\r\n").M(b"+OK\r\n").R(command("GET", "k")).M(b"$1000000\r\n")
    assert conversation.skippable(Side.MASTER) == 1_000_000
    conversation.skipped(Side.MASTER, 1_000_000)
    talk.M(b"\r\n").R(PSYNC).M(FULL)
    whole(talk)
    assert conversation.skippable(Side.MASTER) == 0


def test_replies_of_any_kind_may_be_skipped() -> None:
    """Earlier replies cannot come after the request that matters: it waited for them."""
    talk = Talk().R(command("LRANGE", "l", "0", "-1") * 5).M(b"*2\r\n$1\r\na\r\n")
    assert talk.conversation.skippable(Side.MASTER) == math.inf
    talk.conversation.skipped(Side.MASTER, 10_000_000)
    talk.M(b"what comes in between\r\n").R(command("REPLCONF", "capa", "eof")).M(b"+OK\r\n").R(PSYNC).M(FULL)
    whole(talk)
    assert requests_of(talk) == [("REPLCONF", "capa", "eof")]
