"""The stream of one connection: offsets, batches, lag, and a partial resync with what it brings."""

from __future__ import annotations

from typing import Any

import pytest

from tap.replication import events
from tap.replication.events import Event
from tap.replication.memory import Memory
from tap.replication.stream import ACK_BATCH_SECONDS, BATCH_SECONDS, Stream
from tests.relay.wire import command

A, B = "a" * 40, "b" * 40
BASE, START = 1000, 300
SELECT_3, SET, PING = command("SELECT", "3"), command("SET", "k", "v"), command("PING")


class Read:
    """A stream and its events."""

    def __init__(self, memory: Memory | None = None, **more: Any) -> None:
        self.told: list[Event] = []
        settings: dict[str, Any] = {"replid": A, "base": BASE, "db": 0, "every_command": False, **more}
        self.stream = Stream(self.told.append, memory or Memory(), START, **settings)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    def acked(self, offset: int, at: float) -> None:
        self.stream.acknowledge(offset, None, 7, 9, at)


def test_an_offset_is_that_of_the_last_byte_received() -> None:
    read = Read()
    assert read.stream.offset == BASE
    assert read.stream.receive(SET[:5], 0.0) is None
    assert read.stream.offset == BASE + 5
    read.stream.receive(SET[5:] + PING, 0.0)
    assert (read.stream.offset, read.stream.received, read.stream.db) == (BASE + len(SET + PING), len(SET + PING), 0)


def test_the_beginning_is_reported_once_with_the_first_acknowledgement_and_its_batch_after_it() -> None:
    read = Read(db=None)
    read.stream.receive(SELECT_3 + SET + SET[:4], 0.0)
    assert read.told == []
    read.acked(BASE + len(SELECT_3), 1.0)
    begun, batch, ack = read.told
    assert isinstance(begun, events.StreamStarted)
    assert (begun.start, begun.offset, begun.replid, begun.db) == (START, BASE, A, None)
    assert isinstance(batch, events.Commands)
    whole = len(SELECT_3 + SET)
    assert (batch.start, batch.end, batch.offset, batch.count, batch.bytes) == (
        START,
        START + whole,
        BASE + whole,
        2,
        whole,
    )
    assert batch.db == 3
    assert isinstance(ack, events.Ack)
    assert (ack.start, ack.end, ack.offset, ack.lag_bytes) == (7, 9, BASE + len(SELECT_3), len(SET) + 4)
    assert read.stream.lag(1.0).bytes == ack.lag_bytes


def test_batches_come_with_acknowledgements_that_are_not_too_many_or_with_time() -> None:
    read = Read()
    at = 10.0
    for step in (0.0, ACK_BATCH_SECONDS - 0.01, ACK_BATCH_SECONDS):
        read.stream.receive(PING, at + step)
        read.acked(BASE + read.stream.received, at + step)
    assert [batch.count for batch in read.of(events.Commands)] == [1, 2]
    read.stream.receive(PING, at + 1)
    read.stream.tick(at + ACK_BATCH_SECONDS + BATCH_SECONDS - 0.01, held_back=False)
    assert len(read.of(events.Commands)) == 2
    read.stream.tick(at + ACK_BATCH_SECONDS + BATCH_SECONDS, held_back=False)
    assert [batch.count for batch in read.of(events.Commands)] == [1, 2, 1]
    read.stream.receive(PING, 20.0)
    read.stream.end()
    read.stream.end()
    assert [batch.count for batch in read.of(events.Commands)] == [1, 2, 1, 1]


def test_an_acknowledgement_of_bytes_that_never_came_makes_the_offsets_unknown_once() -> None:
    read = Read()
    read.stream.receive(PING, 0.0)
    sent = BASE + len(PING)
    read.acked(sent, 0.0)
    assert read.stream.offset == sent
    read.acked(sent + 1, 1.0)
    read.acked(sent + 9, 2.0)
    [ahead] = read.of(events.AckAheadOfMaster)
    assert (ahead.offset, ahead.sent, ahead.by_fault) == (sent + 1, sent, False)
    after: Any = read.stream
    assert (after.offset, after.lag(2.0).bytes, after.granted) == (None, None, BASE)
    assert read.of(events.Ack)[-1].lag_bytes is None


def test_if_a_fault_has_sent_more_an_acknowledgement_may_be_ahead() -> None:
    read = Read()
    read.stream.is_padded = True
    read.acked(BASE + 5, 1.0)
    [ahead] = read.of(events.AckAheadOfMaster)
    assert ahead.by_fault
    assert (read.stream.offset, read.stream.lag(1.0).bytes) == (BASE, 0)


@pytest.mark.parametrize("size", [1, 1000])
def test_nonsense_is_reported_with_its_place_and_everything_after_it_counted(size: int) -> None:
    read = Read()
    data = PING + b"nonsense\r\n"
    found = [read.stream.receive(data[at : at + size], 0.0) for at in range(0, len(data), size)]
    [(place, why)] = [one for one in found if one is not None]
    assert place == START + len(PING)
    assert why.startswith(f"in the stream (offset {BASE + len(PING) + 1}): ")
    assert read.stream.offset == BASE + len(data)
    assert not read.stream.is_read
    assert [batch.count for batch in read.of(events.Commands)] == [1]


def test_if_not_even_the_first_byte_is_understood_there_is_no_offset() -> None:
    read = Read()
    read.stream.receive(b"\x28\xb5\x2f\xfd", 0.0)
    assert (read.stream.offset, read.stream.received) == (None, 4)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_joined_within_a_command_it_is_read_from_the_end_of_that_one_on(size: int) -> None:
    read = Read(unfinished=SET[:9])
    assert read.stream.is_within_command
    data = SET[9:] + SELECT_3 + PING
    for at in range(0, len(data), size):
        read.stream.receive(data[at : at + size], 0.0)
    left = len(SET) - 9
    assert (read.stream.begins_at, read.stream.granted, read.stream.db) == (START + left, BASE + left, 3)
    assert read.stream.offset == BASE + len(data)
    assert read.stream.is_read


def test_a_partial_resync_is_reported_at_once_and_the_missed_bytes_when_the_master_pauses() -> None:
    read = Read()
    read.stream.continues(B, 40, 60, 0.0, previous_link="orders", at_least=30)
    resync, begun = read.told
    assert isinstance(resync, events.PartialResync)
    assert (resync.start, resync.end, resync.replid, resync.previous_replid, resync.offset) == (40, 60, A, B, BASE)
    assert (resync.bytes_behind, resync.bytes_behind_at_least, resync.previous_link) == (None, 30, "orders")
    assert isinstance(begun, events.StreamStarted)
    assert read.stream.previous == B
    for number in range(5):
        read.stream.receive(PING, number / 10)
        read.stream.tick(number / 10, held_back=False)
    read.acked(BASE + 14, 0.5)
    assert {event.kind for event in read.told[2:]} == {"commands", "ack"}
    for number in range(5, 9):
        read.stream.tick(number / 10, held_back=False)
    (found,) = read.of(events.CaughtUp)
    assert (found.start, found.end, found.offset) == (START, START + 70, BASE + 70)
    assert (found.bytes, found.at_least, found.at_most, found.seconds) == (None, 30, 70, 0.4)


def test_a_stream_that_is_not_measured_says_nothing_of_what_was_lacked() -> None:
    read = Read(measures=False)
    read.stream.continues(None, 40, 60, 0.0, previous_link=None, at_least=0)
    for number in range(9):
        read.stream.tick(number / 10, held_back=False)
    assert [event.kind for event in read.told] == ["partial_resync", "stream_started"]


def test_where_the_last_command_ends_that_is_no_ping() -> None:
    memory = Memory()
    read = Read(memory)
    read.stream.receive(PING + SET + PING, 0.0)
    read.acked(BASE, 1.0)
    data = BASE + len(PING + SET)
    assert memory.history(A).has_data(data - 15, data + 14) is True
    assert memory.history(A).has_data(data, data + 14) is None, "the batch does not say which came last"
    read.stream.receive(PING, 1.0)
    read.acked(BASE, 2.0)
    assert memory.history(A).has_data(data + 14, data + 28) is False
    assert read.stream.pings == 3


def test_an_id_announced_by_another_connection_places_the_earlier_bytes() -> None:
    memory = Memory()
    read = Read(memory, replid=None, base=None)
    read.stream.receive(SELECT_3, 0.0)
    assert read.stream.offset is None
    read.stream.rebase(A, BASE)
    assert read.stream.offset == BASE + len(SELECT_3)
    assert memory.history(A).db_at(BASE + len(SELECT_3)) == 3


def test_every_command_is_reported_if_wanted_and_passwords_are_not() -> None:
    read = Read(every_command=True, max_command=200)
    large = command("SET", "large", "x" * 500)
    read.stream.begin()
    read.stream.receive(SELECT_3 + command("ACL", "SETUSER", "ann", ">sesame") + large, 0.0)
    select, acl, big = read.of(events.Command)
    assert (select.name, select.args, select.end, select.offset) == (
        "SELECT",
        (b"3",),
        START + len(SELECT_3),
        1000 + len(SELECT_3),
    )
    assert b"sesame" not in b"".join(acl.args)
    assert (acl.db, big.name, big.args[:1], big.omitted_bytes) == (3, "SET", (b"large",), len(large))
