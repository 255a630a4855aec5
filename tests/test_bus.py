"""Who hears what."""

from __future__ import annotations

import pytest

from tap.bus import COUNTLESS, INBOX_EVENTS, Bus, Inbox, Told
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event
from tests.relay.wire import asks, command

ACK = events.Ack(start=0, end=1, offset=5, fsynced=None, lag_bytes=0, lag_seconds=0.0)
KEEPALIVE = events.Keepalive(start=0, end=1, side=events.Side.MASTER)


def test_acknowledgements_come_to_those_who_want_them() -> None:
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


def test_an_observer_that_fails_hears_no_more(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()

    def fail(told: Told) -> None:
        raise ValueError(told.event.kind)

    bus.subscribe(fail)
    bus.publish("main", 1, "", ACK)
    bus.publish("main", 1, "", KEEPALIVE)
    assert [record.message[:21] for record in caplog.records] == ["an observer failed an"]
    assert not bus.takes(events.Ack)


@pytest.mark.parametrize("kind", COUNTLESS)
def test_what_no_inbox_has_room_for_is_not_made_and_counted(kind: type[Event]) -> None:
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
    inboxes[1].get()
    assert bus.takes(kind)
    assert not any(bus.takes(other) for other in COUNTLESS if other is not kind)


def test_commands_that_nobody_wants_are_not_told_and_the_rest_is() -> None:
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


def test_a_conversation_makes_none_that_nobody_wants_and_knows_of_them_all_the_same() -> None:
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
    assert (conversation.stream.acked, conversation.stream.lag_bytes) == (1014, 0)
    wanted = True
    conversation.receive_from_replica(command("REPLCONF", "ACK", "1014"), 2.0)
    assert isinstance(told[-1], events.Ack)
