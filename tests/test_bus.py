"""Who hears what."""

from __future__ import annotations

import pytest

from tap.bus import Bus, Told
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
    bus.subscribe(lambda told: rest.append(told.event), acks=False)
    assert not bus.hears_acks()
    end_hearing = bus.subscribe(lambda told: everything.append(told.event))
    assert bus.hears_acks()
    for event in (ACK, KEEPALIVE):
        bus.publish("main", 1, "", event)
    assert (everything, rest) == ([ACK, KEEPALIVE], [KEEPALIVE])
    end_hearing()
    end_hearing()
    assert not bus.hears_acks()


def test_an_observer_that_fails_hears_no_more(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()

    def fail(told: Told) -> None:
        raise ValueError(told.event.kind)

    bus.subscribe(fail)
    bus.publish("main", 1, "", ACK)
    bus.publish("main", 1, "", KEEPALIVE)
    assert [record.message[:21] for record in caplog.records] == ["an observer failed an"]
    assert not bus.hears_acks()


def test_a_conversation_makes_none_that_nobody_wants_and_knows_of_them_all_the_same() -> None:
    told: list[Event] = []
    wanted = False
    conversation = Conversation(told.append, wants_acks=lambda: wanted)
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
