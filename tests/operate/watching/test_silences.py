"""Silence of a side, by the clock of a capture."""

from __future__ import annotations

from tap.bus import Told
from tap.operate.watching.silences import Silences
from tap.recording.player import Player
from tap.replication import events
from tap.replication.events import Side
from tests.operate.watching.watched import packets_of
from tests.recording.wires import STREAM, Wire, of, streamed
from tests.relay.wire import BASE, command


def test_a_replica_that_stops_to_acknowledge_is_silent_until_it_goes_on() -> None:
    heard: list[Told] = []
    player = Player(heard.append)
    wire = streamed(STREAM[:2])
    for packet in packets_of(wire.packets):
        player.packet(packet)
    silences = Silences()
    for _ in range(20):
        silences.tick(player.links, player.now / 1e9)
        player.rest(0.5)
    (link,) = player.links
    (silent,) = of(heard, events.Silent)
    assert silent.side is Side.REPLICA
    one = silences.of(link)
    assert one is not None
    assert 8 < (one.seconds(Side.REPLICA, player.now / 1e9) or 0) < 11
    wire.packets.clear()
    offset = BASE + sum(map(len, STREAM[:2]))
    wire.send(0, command("REPLCONF", "ACK", str(offset)), at=player.now + 10**9)
    for packet in packets_of(wire.packets):
        player.packet(packet)
    silences.tick(player.links, player.now / 1e9)
    assert [one.side for one in of(heard, events.SilentOver)] == [Side.REPLICA]


def test_a_connection_that_has_ended_is_forgotten() -> None:
    player = Player(lambda told: None)
    wire: Wire = streamed(STREAM[:2])
    for packet in packets_of(wire.packets):
        player.packet(packet)
    silences = Silences()
    silences.tick(player.links, player.now / 1e9)
    (link,) = player.links
    assert silences.of(link) is not None
    silences.tick([], player.now / 1e9)
    assert silences.of(link) is None
