"""Idle links are not ticked, and no report shows that."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.recording.player import Player
from tap.replication.stream import Stream
from tests.counting import growth
from tests.recording.wires import Wire, as_packets, told
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import captures, thinned

SECOND = 10**9


def busy(seed: int) -> list[tuple[int, bytes]]:
    """Links that come, write, acknowledge, rest for up to minutes, end or not, and come back with what they had."""
    dice = random.Random(seed)
    packets: list[tuple[int, bytes]] = []
    for port in range(1024, 1024 + dice.randint(1, 8)):
        now = 10**18 + dice.randrange(30 * SECOND)
        for _ in range(dice.choice([1, 1, 2, 3])):
            wire = Wire(port)
            wire.now = now
            wire.open()
            wire.send(0, command("REPLCONF", "listening-port", str(port)))
            wire.send(1, b"+OK\r\n")
            offset = BASE + 1000 * dice.randrange(3)
            wire.send(0, asks(offset))
            wire.send(1, GRANT)
            for _ in range(dice.randrange(40)):
                wire.now += dice.choice([0, 10**6, 10**8, 3 * 10**8, SECOND, SECOND + 1, 5 * SECOND, 40 * SECOND])
                if dice.random() < 0.6:
                    data = command("SET", "k", "v" * dice.choice([1, 100, 3000]))
                    offset += len(data)
                    wire.send(1, data if dice.random() < 0.9 else data[: len(data) // 2])
                else:
                    wire.send(0, command("REPLCONF", "ACK", str(offset)))
            if dice.random() < 0.5:
                wire.send(1, flags=17)
                wire.send(0, flags=17)
            packets += wire.packets
            now = wire.now + dice.randrange(3 * SECOND)
    return sorted(packets)


def ticked_always(monkeypatch: pytest.MonkeyPatch, tell: Callable[[], list[Told]]) -> list[Told]:
    with monkeypatch.context() as patched:
        patched.setattr(Stream, "rests", lambda self, at: False)
        return tell()


@pytest.mark.parametrize("seed", thinned(range(60), 4))
def test_reports_equal_those_of_links_that_are_always_ticked(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = busy(seed)
    assert ticked_always(monkeypatch, lambda: told(packets)) == told(packets)


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: capture.name)
def test_captures_of_real_servers_report_the_same(monkeypatch: pytest.MonkeyPatch, capture: object) -> None:
    packets = as_packets(capture, 500, random.Random(5))  # type: ignore[arg-type]
    slowly = [(10**18 + (at - 10**18) * 30, data) for at, data in packets]
    for one in (packets, slowly):
        assert ticked_always(monkeypatch, lambda one=one: told(one)) == told(one)  # type: ignore[misc]


def with_idle_links(count: int) -> Callable[[], object]:
    """Many links that rest for five minutes, during which there are other packets."""
    packets: list[tuple[int, bytes]] = []
    for number in range(count + 1):
        wire = Wire(1024 + number)
        wire.open()
        wire.send(0, asks(BASE))
        wire.send(1, GRANT)
        if number == count:
            wire.packets += [(wire.now + second * SECOND, b"") for second in range(300)]
        packets += wire.packets
    player = Player(lambda one: None)

    def play() -> None:
        for at, data in sorted(packets, key=lambda one: one[0]):
            player.packet(Packet(at, 101, data, len(data)))
        player.close()

    return play


def test_idle_links_cost_nothing_while_time_passes() -> None:
    """Twice as many links take twice as long to open, and the time between costs nothing."""
    assert growth(with_idle_links, 30) < 1.7
