"""Requests of a replica, changed by the rules of a link, whatever faults are armed."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.faults.rules import Rules
from tap.replication.events import Event, FaultFired, Handshake, Opaque, RdbProblem
from tap.replication.phase import Phase
from tests.faults.lab import ASKS_ALL, CAPA, PING, PORT, REPLID, Lab, ack, asks, command, pieces, resync_partially

E = TypeVar("E", bound=Event)

HOST = "10.0.0.7"
ANNOUNCED = command("REPLCONF", "listening-port", "6380", "ip-address", HOST)
REDIS_8 = command("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "rdb-channel-repl")
RDB_CHANNEL = ("REPLCONF", "capa", "eof", "rdb-only", "1", "rdb-channel", "1", "main-ch-client-id", "6")


def told(lab: Lab, kind: type[E]) -> list[E]:
    return [event for event in lab.told if isinstance(event, kind)]


@pytest.mark.parametrize(
    ("rules", "sent", "expected"),
    [
        (Rules(host=HOST), PORT, ANNOUNCED),
        (Rules(host="::1"), PORT, command("REPLCONF", "listening-port", "6380", "ip-address", "::1")),
        (Rules(host=HOST), command("replconf", "LISTENING-PORT", "1"),
         command("replconf", "LISTENING-PORT", "1", "ip-address", HOST)),
        (Rules(host=HOST), command("REPLCONF", "listening-port", "6380", "ip-address", "x"), None),
        (Rules(host=HOST), command("REPLCONF", "ip-address", "x"), None),
        (Rules(host=HOST), command("REPLCONF", "listening-port"), None),
        (Rules(host=HOST), CAPA, None),
        (Rules(host=HOST), command(*RDB_CHANNEL, "listening-port", "6380"),
         command(*RDB_CHANNEL, "listening-port", "6380", "ip-address", HOST)),
        (Rules(), PORT, None),
        (Rules(["psync2"]), CAPA, command("REPLCONF", "capa", "eof")),
        (Rules(["psync2", "eof"]), CAPA, command("REPLCONF")),
        (Rules(["PSYNC2"]), CAPA, command("REPLCONF", "capa", "eof")),
        (Rules(["eof"]), REDIS_8, command("REPLCONF", "capa", "psync2")),
        (Rules(["rdb-channel-repl"]), REDIS_8, CAPA),
        (Rules(["compression"]), command("REPLCONF", "capa", "eof", "capa", "lz4", "capa", "zstd"),
         command("REPLCONF", "capa", "eof")),
        (Rules(["lz4"]), command("REPLCONF", "capa", "lz4", "capa", "zstd"), command("REPLCONF", "capa", "zstd")),
        (Rules(["nobody-has-it"]), REDIS_8, None),
        (Rules(["eof"], HOST), command("CLIENT", "capa", "eof"), None),
        (Rules(["eof"], HOST), command("CLIENT", "listening-port", "1"), None),
    ],
)  # fmt: skip
def test_a_request_is_changed(rules: Rules, sent: bytes, expected: bytes | None) -> None:
    for size in (1, 1000):
        lab = Lab(rules=rules)
        lab.replica(PING)
        lab.master(b"+PONG\r\n")
        lab.replica(*pieces(sent, size))
        lab.master(b"+OK\r\n")
        assert lab.at_master == PING + (sent if expected is None else expected)
        assert lab.at_replica == b"+PONG\r\n+OK\r\n"
        assert not told(lab, FaultFired)


def test_the_handshake_reports_what_was_asked_and_what_was_sent() -> None:
    lab = Lab(rules=Rules(["psync2"], HOST))
    resync_partially(lab)
    assert [(event.request, event.sent) for event in told(lab, Handshake)] == [
        (("PING",), None),
        (("REPLCONF", "listening-port", "6380"), ("REPLCONF", "listening-port", "6380", "ip-address", HOST)),
        (("REPLCONF", "capa", "eof", "capa", "psync2"), ("REPLCONF", "capa", "eof")),
    ]


def test_an_address_that_the_replica_announces_itself_comes_last_and_counts() -> None:
    lab = Lab(rules=Rules(host=HOST))
    own = command("REPLCONF", "ip-address", "192.168.1.1")
    lab.replica(PING + PORT + own)
    assert lab.at_master == PING + ANNOUNCED + own
    lab.master(b"+PONG\r\n+OK\r\n+OK\r\n")
    assert lab.conversation.replica == "192.168.1.1:6380"


def test_rules_end_when_the_stream_begins() -> None:
    lab = Lab(rules=Rules(["eof"], HOST))
    assert not lab.faults.is_idle
    resync_partially(lab)
    lab.replica(ack(1000)[:5])  # the last request that waits until it is whole
    before = lab.at_master
    lab.wait(0.1)
    assert lab.faults.is_idle
    assert lab.at_master == before + ack(1000)[:5]
    lab.replica(ack(1000)[5:] + PORT)
    assert lab.at_master == before + ack(1000) + PORT


def test_rules_have_ended_with_the_handshake_before_the_next_tick() -> None:
    lab = Lab(rules=Rules(["eof"], HOST))
    resync_partially(lab)
    before = lab.at_master
    lab.replica(PORT + CAPA)
    assert lab.at_master == before + PORT + CAPA


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_rules_apply_to_a_replica_that_was_an_ordinary_client(size: int) -> None:
    lab = Lab(rules=Rules(["eof"], HOST))
    ordinary = command("INFO") + command("SET", "key", PORT + CAPA)
    lab.replica(*pieces(ordinary, size))
    assert lab.at_master == ordinary
    lab.wait(0.1)
    lab.replica(*pieces(PORT + CAPA, size))
    changed = command("REPLCONF", "listening-port", "6380", "ip-address", HOST) + command("REPLCONF", "capa", "psync2")
    assert lab.at_master == ordinary + changed


def test_rules_end_when_a_stream_begins_beside_its_rdb() -> None:
    """The main one of two connections has a stream while its replica still waits for the RDB on the other."""
    lab = Lab(rules=Rules(["eof"], HOST))
    lab.replica(REDIS_8)
    lab.master(b"+OK\r\n")
    lab.replica(ASKS_ALL)
    lab.wait(0.1)
    assert not lab.faults.is_idle
    lab.master(b"+RDBCHANNELSYNC 7\r\n")
    lab.wait(0.1)
    assert lab.conversation.phase is Phase.WAITING
    assert lab.faults.is_idle


def test_rules_end_when_no_replica_can_ask_any_more() -> None:
    lab = Lab(rules=Rules(["eof"], HOST))
    lab.replica(command("GET", "key") + b"*x\r\n" + PORT)
    assert lab.at_master == command("GET", "key") + b"*x\r\n" + PORT
    lab.wait(0.1)
    assert lab.faults.is_idle


def test_a_fault_changes_what_the_rules_have_left() -> None:
    lab = Lab("rewrite ip-address=1.2.3.4", rules=Rules(["psync2"], HOST))
    lab.replica(PING + PORT + CAPA)
    assert lab.at_master == PING + command("REPLCONF", "listening-port", "6380", "ip-address", "1.2.3.4") + command(
        "REPLCONF", "capa", "eof"
    )
    assert [event.text for event in told(lab, FaultFired)] == [f"ip-address 1.2.3.4 instead of {HOST}"]


def test_removing_a_fault_leaves_the_rules() -> None:
    lab = Lab("delay 1ms name=slow", rules=Rules(["psync2"]))
    lab.replica(PING)
    lab.plan.remove("slow")
    lab.replica(CAPA)
    lab.wait(0.1)
    assert lab.at_master == PING + command("REPLCONF", "capa", "eof")


@given(cuts=st.lists(st.integers(0, 400), max_size=12), rdb=st.booleans())
def test_the_output_does_not_depend_on_how_tcp_split_the_input(cuts: list[int], rdb: bool) -> None:
    def play(cuts: list[int]) -> tuple[bytes, bytes, list[Event]]:
        lab = Lab(rules=Rules(["psync2"], HOST))
        turns = [
            (lab.replica, PING),
            (lab.master, b"+PONG\r\n"),
            (lab.replica, PORT + CAPA + command("REPLCONF", "version", "9.1.2")),
            (lab.master, b"+OK\r\n+OK\r\n+OK\r\n"),
            (lab.replica, ASKS_ALL if rdb else asks(1001)),
            (lab.master, f"+FULLRESYNC {REPLID} 9\r\n$3\r\nREDPING".encode() if rdb else b"+CONTINUE\r\n" + PING),
            (lab.replica, b"\n" + ack(9) if rdb else ack(1000) + ack(1014)),
            (lab.master, PING * 3),
        ]
        for send, data in turns:
            send(*pieces(data, {cut % len(data) for cut in cuts}))
        return lab.at_master, lab.at_replica, [event for event in lab.told if isinstance(event, Handshake)]

    assert play(cuts) == play([])
    at_master, at_replica, _ = play(cuts)
    assert at_master.startswith(PING + ANNOUNCED + command("REPLCONF", "capa", "eof"))
    assert at_replica.startswith(b"+PONG\r\n" + b"+OK\r\n" * 3)


# ---- unreadable bytes, and the way out ----

LZ4 = command("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "lz4")
COMPRESSED = b"VCS\x01" + bytes(range(256))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_compressed_stream_passes_with_a_hint(size: int) -> None:
    lab = Lab()
    lab.replica(PING + PORT + LZ4)
    lab.master(b"+PONG\r\n+OK\r\n+OK\r\n")
    lab.replica(asks(1001))
    lab.master(b"+CONTINUE\r\n")
    before = lab.conversation.from_master
    lab.master(*pieces(COMPRESSED, size))
    lab.replica(ack(5000))
    (opaque,) = told(lab, Opaque)
    assert (opaque.start, opaque.end) == (before, before)
    assert "the replica offered capa lz4, which redis-tap cannot read: --mask capa:compression has them do without" in (
        opaque.reason
    )
    assert lab.conversation.from_master == before + len(COMPRESSED)
    assert lab.at_replica.endswith(COMPRESSED)
    assert lab.conversation.offset is None  # the offset would count uncompressed bytes
    assert lab.conversation.stream is not None
    assert lab.conversation.stream.lag(1e9).bytes is None


@pytest.mark.parametrize(
    ("capa", "hint"),
    [
        (("capa", "eof", "capa", "new"), "offered capa new, which redis-tap cannot read: --mask capa:new has"),
        (("capa", "zstd", "capa", "lz4", "capa", "new"), "capa zstd, lz4, new, which redis-tap cannot read: "
         "--mask capa:compression --mask capa:new has"),
        (("capa", "eof"), None),
    ],
)  # fmt: skip
def test_the_hint_names_what_the_replica_offered(capa: tuple[str, ...], hint: str | None) -> None:
    for answer in (b"+NEWSYNC 1\r\n", f"+FULLRESYNC {REPLID} 9\r\n$NEW:9\r\n".encode()):
        lab = Lab()
        lab.replica(PING + PORT + command("REPLCONF", *capa))
        lab.master(b"+PONG\r\n+OK\r\n+OK\r\n")
        lab.replica(ASKS_ALL)
        lab.master(answer)
        (opaque,) = told(lab, Opaque)
        if hint is None:
            assert "--mask" not in opaque.reason
        else:
            assert hint in opaque.reason


def test_a_masked_capability_gives_no_hint() -> None:
    lab = Lab(rules=Rules(["lz4"]))
    lab.replica(PING + LZ4)
    lab.master(b"+PONG\r\n+OK\r\n")
    lab.replica(asks(1001))
    lab.master(b"+NEW\r\n")
    (opaque,) = told(lab, Opaque)
    assert "--mask" not in opaque.reason


def test_damage_inside_a_stream_gives_no_hint() -> None:
    lab = Lab()
    lab.replica(PING + LZ4)
    lab.master(b"+PONG\r\n+OK\r\n")
    lab.replica(asks(1001))
    lab.master(b"+CONTINUE\r\n" + PING + b"nonsense")
    (opaque,) = told(lab, Opaque)
    assert "--mask" not in opaque.reason
    assert lab.conversation.offset == 1000 + len(PING + b"nonsense")


def test_a_compressed_rdb_passes_with_a_hint() -> None:
    lab = Lab()
    lab.replica(PING + PORT + LZ4)
    lab.master(b"+PONG\r\n+OK\r\n+OK\r\n")
    lab.replica(ASKS_ALL)
    lab.master(f"+FULLRESYNC {REPLID} 9\r\n${len(COMPRESSED)}\r\n".encode() + COMPRESSED + PING)
    (problem,) = told(lab, RdbProblem)
    assert problem.text.endswith("--mask capa:compression has them do without")
    assert lab.conversation.offset == 9 + len(PING)
