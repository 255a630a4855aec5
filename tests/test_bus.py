"""Which observers receive which events."""

from __future__ import annotations

import time

import pytest

from tap.bus import COUNTLESS, EVENT_BYTES, INBOX_BYTES, INBOX_EVENTS, LAST_RESORT_BYTES, Bus, Inbox, Told, memory_of
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event
from tests.relay.wire import asks, command

ACK = events.Ack(start=0, end=1, offset=5, fsynced=None, lag_bytes=0, lag_seconds=0.0)
KEEPALIVE = events.Keepalive(start=0, end=1, side=events.Side.MASTER)


def test_acknowledgements_reach_those_who_want_them() -> None:
    bus = Bus()
    everything: list[Event] = []
    rest: list[Event] = []
    bus.subscribe(lambda told: rest.append(told.event), without=[events.Ack])
    assert not bus.takes(events.Ack)
    end_hearing = bus.subscribe(lambda told: everything.append(told.event))
    assert bus.takes(events.Ack)
    for event in (ACK, KEEPALIVE):
        bus.publish("main", 1, "", event)
    assert (everything, rest) == ([ACK, KEEPALIVE], [KEEPALIVE])
    end_hearing()
    end_hearing()
    assert not bus.takes(events.Ack)


def test_a_failing_observer_receives_no_more(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()

    def fail(told: Told) -> None:
        raise ValueError(told.event.kind)

    bus.subscribe(fail)
    bus.publish("main", 1, "", ACK)
    bus.publish("main", 1, "", KEEPALIVE)
    assert [record.message[:21] for record in caplog.records] == ["an observer failed an"]
    assert not bus.takes(events.Ack)


@pytest.mark.parametrize("kind", COUNTLESS)
def test_events_without_room_in_any_inbox_are_counted_but_not_made(kind: type[Event]) -> None:
    bus = Bus()
    overrun: list[int] = []
    inboxes = [Inbox(), Inbox(lambda: overrun.append(1))]
    for inbox in inboxes:
        bus.subscribe(inbox.offer, without=[one for one in COUNTLESS if one is not kind], inbox=inbox)
    told = Told(0.0, "main", 1, "", KEEPALIVE)
    assert bus.takes(kind)
    for _ in range(INBOX_EVENTS):
        inboxes[1].offer(told)
    assert bus.takes(kind)  # the other one has room
    assert not overrun
    for _ in range(INBOX_EVENTS):
        inboxes[0].offer(told)
    assert not bus.takes(kind)
    assert not bus.takes(kind)
    assert ([inbox.dropped for inbox in inboxes], overrun) == ([2, 2], [1])
    for _ in range(INBOX_EVENTS // 2):  # not at the first free place: few long stretches are missing
        inboxes[1].get()
    assert not bus.takes(kind)
    inboxes[1].get()
    assert bus.takes(kind)
    assert not any(bus.takes(other) for other in COUNTLESS if other is not kind)


def set_to(number: int, size: int = 10) -> events.Command:
    return events.Command(
        start=number,
        end=number + size,
        offset=number,
        db=0,
        name="SET",
        args=(b"key", b"x" * size),
        in_transaction=False,
    )


def partial(number: int) -> events.PartialResync:
    return events.PartialResync(start=0, end=1, replid="a" * 40, previous_replid=None, offset=number, bytes_behind=0)


def read(inbox: Inbox) -> list[Event]:
    inbox.settle()
    return [inbox.get().event for _ in range(inbox.qsize())]


def test_a_full_inbox_takes_all_but_the_countless_and_says_where_those_are_missing() -> None:
    bus, inbox = Bus(), Inbox()
    bus.subscribe(inbox.offer, inbox=inbox)
    told: list[Event] = []
    for number in range(3 * INBOX_EVENTS):
        event: Event = partial(number) if number % 100 == 99 else ACK if number % 3 == 0 else set_to(number)
        told.append(event)
        if not isinstance(event, COUNTLESS) or bus.takes(type(event)):
            bus.publish("main", 1, "", event)
    got = read(inbox)
    assert [one for one in got if isinstance(one, events.PartialResync)] == [
        one for one in told if isinstance(one, events.PartialResync)
    ]
    assert inbox.dropped == 3 * INBOX_EVENTS - sum(not isinstance(one, events.EventsDropped) for one in got)
    at = 0
    for event in got:
        if isinstance(event, events.EventsDropped):
            missing = told[at : at + event.count]
            assert event.count == sum(event.by_kind.values())
            assert event.by_kind == {
                kind.kind: sum(type(one) is kind for one in missing)
                for kind in dict.fromkeys(type(one) for one in missing)
            }
            at += event.count
        else:
            assert event == told[at]
            at += 1
    assert at == len(told)


def test_events_missing_at_the_end_are_reported_with_the_time_of_the_first() -> None:
    inbox = Inbox()
    for number in range(INBOX_EVENTS):
        inbox.offer(Told(0.0, "main", 1, "", set_to(number)))
    began = time.time()
    inbox.drop(events.Ack)
    ended = time.time()
    inbox.drop(events.Command)
    assert inbox.is_missing_some
    inbox.settle()
    assert not inbox.is_missing_some
    *_, last = [inbox.get() for _ in range(inbox.qsize())]
    assert last.event == events.EventsDropped(count=2, by_kind={"ack": 1, "command": 1})
    assert began <= last.time <= ended
    assert (last.link, last.connection, last.replica) == ("", 0, "")


def test_the_strings_of_an_event_are_measured_wherever_they_are() -> None:
    reason = events.Reason(code="first_sync", text="four", causes=("one", "two"))
    assert memory_of(reason) == len("first_syncfourwireonetwo")
    assert memory_of(events.Listening(address="1234:1", host="1234", port=1, master=None)) == 10
    assert memory_of((reason, {"key": b"12", "other": 1}, None)) == memory_of(reason) + len("key12other")
    assert memory_of(events.Ack(start=0, end=1, offset=2, fsynced=None, lag_bytes=0, lag_seconds=0.0)) == 0


def test_large_commands_wait_in_bounded_memory() -> None:
    inbox = Inbox()
    large = Told(0.0, "main", 1, "", set_to(0, 2**20))
    for _ in range(1000):
        inbox.offer(large)
    assert inbox.qsize() <= INBOX_BYTES // 2**20 + 1
    inbox.offer(Told(0.0, "main", 1, "", partial(7)))
    assert [one for one in read(inbox) if isinstance(one, events.PartialResync)] == [partial(7)]
    assert inbox.has_room


def test_a_storm_of_connections_before_a_blocked_reader_has_a_last_resort() -> None:
    inbox = Inbox()
    opened = events.LinkOpened(peer="10.0.0.7:12345", master="10.0.0.5:6379")
    for _ in range(2 * LAST_RESORT_BYTES // EVENT_BYTES):
        inbox.offer(Told(0.0, "main", 1, "10.0.0.7", opened))
    assert inbox.dropped > LAST_RESORT_BYTES // EVENT_BYTES
    assert 0.9 < inbox.qsize() * EVENT_BYTES / LAST_RESORT_BYTES < 1
    got = read(inbox)
    assert got[-1] == events.EventsDropped(count=inbox.dropped, by_kind={"link_opened": inbox.dropped})
    inbox.offer(Told(0.0, "main", 1, "10.0.0.7", opened))
    assert read(inbox) == [opened]


def test_events_left_out_for_lack_of_time_are_reported_in_place() -> None:
    inbox = Inbox()
    for event in (ACK, set_to(1), partial(1), partial(2), ACK):
        inbox.offer(Told(0.0, "main", 1, "", event))
    inbox.drop(events.Ack)
    inbox.offer(Told(0.0, "main", 1, "", set_to(2)))
    inbox.leave_out_countless()
    assert read(inbox) == [
        events.EventsDropped(count=2, by_kind={"ack": 1, "command": 1}),
        partial(1),
        partial(2),
        events.EventsDropped(count=3, by_kind={"ack": 2, "command": 1}),
    ]
    assert inbox.dropped == 5


def test_unwanted_commands_are_not_reported_and_the_rest_is() -> None:
    told: list[Event] = []
    wanted = True
    conversation = Conversation(told.append, every_command=True, wants=lambda kind: wanted)
    conversation.receive_from_replica(asks(1000))
    conversation.receive_from_master(b"+CONTINUE\r\n")
    for number in range(20):
        conversation.tick(number / 10)
    for value in ("told", "not told", "told again"):
        wanted = not value.startswith("not")
        conversation.receive_from_master(command("SET", "key", value))
    commands = [event for event in told if isinstance(event, events.Command)]
    assert [event.args[1] for event in commands] == [b"told", b"told again"]
    assert conversation.offset is not None
    assert commands[-1].offset == conversation.offset


def test_a_conversation_makes_no_unwanted_commands_and_still_counts_them() -> None:
    told: list[Event] = []
    wanted = False
    conversation = Conversation(told.append, wants=lambda kind: wanted)
    conversation.receive_from_replica(asks(1000))
    conversation.receive_from_master(b"+CONTINUE\r\n" + command("PING"))
    for number in range(20):
        conversation.tick(number / 10)
    for offset in (1000, 1014):
        conversation.receive_from_replica(command("REPLCONF", "ACK", str(offset)), 2.0)
    assert not any(isinstance(event, events.Ack) for event in told)
    assert conversation.stream is not None
    assert (conversation.stream.acked, conversation.stream.lag(1e9).bytes) == (1014, 0)
    wanted = True
    conversation.receive_from_replica(command("REPLCONF", "ACK", "1014"), 2.0)
    assert isinstance(told[-1], events.Ack)
