"""How far a replica lags: what has come, what waits, what another connection to the master shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tap.replication import events
from tap.replication.inspected import FRESH_SECONDS, Inspected
from tap.replication.lag import MORE_THAN_A_READ, OVERDUE_SECONDS, Lag
from tap.replication.memory import Memory
from tap.replication.stream import Stream
from tests.relay.wire import command

A = "a" * 40
BASE = 1000
PING = command("PING")


class Link:
    """A stream after a full resync, and what it told."""

    def __init__(self, memory: Memory | None = None, **more: Any) -> None:
        self.told: list[Any] = []
        settings: dict[str, Any] = {"replid": A, "base": BASE, "db": 0, "every_command": False, **more}
        self.stream = Stream(self.told.append, memory or Memory(), 0, **settings)
        self.stream.begin()

    def tick(self, at: float, *, waiting: int = 0, held_back: bool = False) -> None:
        self.stream.tick(at, held_back=held_back, waiting=waiting)

    def acks(self, offset: int, at: float) -> Lag:
        self.stream.acknowledge(offset, None, 0, 1, at)
        ack = [event for event in self.told if isinstance(event, events.Ack)][-1]
        lag = self.stream.lag(at)
        assert (ack.lag_bytes, ack.lag_seconds, ack.lag_at_least) == (lag.bytes, lag.seconds, lag.at_least)
        return lag


def following(memory: Memory | None = None) -> Link:
    link = Link(memory)
    link.stream.receive(command("SET", "k", "v" * 70), 1.0)
    return link


SENT = len(command("SET", "k", "v" * 70))


def test_while_everything_is_read_the_lag_is_exact() -> None:
    link = following()
    assert link.stream.lag(1.0) == Lag(None, None)
    link.tick(1.1)
    assert link.acks(BASE + 10, 1.5) == Lag(SENT - 10, 0.5)


def test_until_the_next_acknowledgement_is_overdue_the_lag_is_that_of_the_last_one() -> None:
    link = following()
    assert link.acks(BASE + SENT, 1.5) == Lag(0, 0.5)
    link.stream.receive(PING, 2.0)
    assert link.stream.lag(1.5 + OVERDUE_SECONDS) == Lag(0, 0.5)
    assert link.stream.lag(4.5) == Lag(len(PING), 3.0)


def test_what_the_system_holds_counts_and_the_master_may_have_more() -> None:
    link = following()
    link.acks(BASE + SENT, 1.5)
    link.tick(1.6, held_back=True, waiting=5_000_000)
    assert link.stream.lag(10.0) == Lag(5_000_000, 8.5, True)
    link.tick(10.0, held_back=True, waiting=7_000_000)
    assert link.stream.lag(10.0) == Lag(7_000_000, 8.5, True), "it grows although nothing is read"
    link.tick(10.1)
    assert link.stream.lag(10.1) == Lag(0, 8.6)
    link.tick(10.2, waiting=MORE_THAN_A_READ)
    assert link.stream.lag(10.2) == Lag(MORE_THAN_A_READ, 8.7, True), "the tap does not keep up"


def test_what_waited_and_has_come_since_counts_once() -> None:
    link = following()
    link.acks(BASE + SENT, 1.5)
    link.tick(1.6, held_back=True, waiting=100)
    link.stream.receive(PING, 1.65)
    assert link.stream.lag(1.7) == Lag(100, 0.5, True)
    for _ in range(20):
        link.stream.receive(PING, 1.68)
    assert link.stream.lag(1.7) == Lag(21 * len(PING), 0.5, True)


def test_an_acknowledgement_of_a_replica_that_is_held_back_says_the_same() -> None:
    link = following()
    link.tick(1.1, held_back=True, waiting=5_000_000)
    assert link.acks(BASE + 10, 1.5) == Lag(SENT - 10 + 5_000_000, 0.5, True)


def test_another_link_to_the_master_shows_the_lag_of_one_that_is_held_back() -> None:
    memory = Memory("a", master="m:1")
    slow, fast = following(memory), following(Memory("b", memory, master="m:1"))
    slow.acks(BASE + SENT, 1.5)
    for link in (slow, fast):
        link.tick(1.6)
    slow.tick(1.7, held_back=True, waiting=100)
    for _ in range(100):
        fast.stream.receive(command("SET", "k", "v" * 70), 2.0)
    assert slow.stream.lag(9.0) == Lag(100 * SENT, 7.5, False, "link")
    fast.stream.receive(command("SET", "k", "v" * 70), 2.0)
    assert slow.stream.lag(9.0) == Lag(101 * SENT, 7.5, False, "link"), "it grows while nothing comes"
    fast.tick(9.0, held_back=True)
    assert slow.stream.lag(9.0) == Lag(100, 7.5, True)


def test_another_link_shows_what_does_not_come_on_one_that_is_read() -> None:
    memory = Memory("a", master="m:1")
    cut_off, fast = following(memory), following(Memory("b", memory, master="m:1"))
    for link in (cut_off, fast):
        link.tick(1.6)
    fast.stream.receive(PING, 2.0)
    assert cut_off.acks(BASE + SENT, 2.0) == Lag(len(PING), 1.0, False, "link")


def test_a_link_to_another_master_shows_nothing() -> None:
    memory = Memory("a", master="m:1")
    one, other = following(memory), following(Memory("b", memory, master="m:2"))
    for link in (one, other):
        link.tick(1.6)
    other.stream.receive(PING, 2.0)
    assert one.acks(BASE + SENT, 2.0) == Lag(0, 1.0)


def test_the_masters_own_word_counts_while_it_is_fresh_and_of_this_history() -> None:
    memory = Memory()
    link = following(memory)
    link.acks(BASE + 10, 1.5)
    link.tick(1.6, waiting=20, held_back=True)
    said = Inspected(1.6, 1.7, replid=A, offset=BASE + SENT + 500)
    memory.inspected = said
    assert link.stream.lag(1.8) == Lag(SENT + 490, 0.5, False, "master")
    assert link.stream.lag(1.7 + FRESH_SECONDS) == Lag(SENT + 490, 0.2 + FRESH_SECONDS, False, "master")
    assert link.stream.lag(1.8 + FRESH_SECONDS).at_least
    memory.inspected = replace(said, offset=BASE + SENT)  # less than what has come, or waits
    assert link.stream.lag(1.8) == Lag(SENT + 10, 0.5, False, "master")
    memory.inspected = replace(said, replid="b" * 40)
    assert link.stream.lag(1.8) == Lag(SENT + 10, 0.5, True, "wire")
    link.tick(1.9)
    memory.inspected = said
    assert link.stream.lag(1.9 + OVERDUE_SECONDS).known_from == "master"
    memory.inspected = replace(said, offset=BASE)
    assert link.stream.lag(1.9 + OVERDUE_SECONDS).known_from == "wire"


def test_until_a_replica_has_caught_up_the_master_may_have_more() -> None:
    link = Link()
    link.stream.continues(None, 0, 0, 0.0, previous_link=None, at_least=0)
    link.stream.receive(PING, 0.5)
    assert link.acks(BASE, 0.75) == Lag(len(PING), 0.25, True)
    for tick in range(5):
        link.tick(0.8 + tick / 10)
    assert link.acks(BASE + len(PING), 1.5) == Lag(0, 1.0)


def test_without_offsets_only_the_time_is_known() -> None:
    link = Link()
    link.stream.receive(PING, 0.0)
    link.stream.acknowledge(BASE + 100, None, 0, 1, 1.0)
    assert link.stream.lag(1.0) == Lag(None, None)
    assert link.stream.lag(9.0) == Lag(None, 8.0)


def test_a_replica_that_takes_no_more_lags_before_its_next_acknowledgement_is_overdue() -> None:
    link = following()
    link.acks(BASE + SENT, 1.5)
    link.tick(1.6, held_back=True, waiting=5_000_000)
    assert link.stream.lag(1.6) == Lag(5_000_000, 0.5, True)
