"""A capture of a busy port: of hundreds of connections only the links are reported, whatever is missing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.bus import Told
from tap.replication import events
from tests.recording import busy
from tests.recording.support import segment
from tests.recording.wires import Wire, of, told
from tests.support import Capture, captures, thinned

Packets = list[tuple[int, bytes]]
REPLICA = "10.9.9.9"
LINK_PORT = 40000
CLIENTS = 300
SECONDS = 20

LINKS = {capture.name: capture for capture in captures()}


def link(capture: Capture) -> Packets:
    """The traffic of a real replica and its master, from an address of its own."""
    wires: dict[int, Wire] = {}
    for chunk in capture.chunks:
        if chunk.connection not in wires:
            wires[chunk.connection] = wire = Wire(LINK_PORT + chunk.connection, (REPLICA, "10.0.0.1"))
            wire.now += int((SECONDS / 4 + chunk.at) * 1e9) - 3_000_000
            wire.open()
        if chunk.data:
            at = 10**18 + int((SECONDS / 4 + chunk.at) * 1e9)
            wires[chunk.connection].send(int(chunk.side == "master"), chunk.data, at=at)
    return sorted(one for wire in wires.values() for one in wire.packets)


def clients(seed: int, count: int = CLIENTS) -> Packets:
    """Clients of all kinds; of some, one direction was not captured, of others the beginning."""
    packets: Packets = []
    for number in range(count):
        dice = random.Random(f"{seed} {number}")
        kind = busy.KINDS[number % len(busy.KINDS)]
        found = busy.client(kind, dice, 50000 + number, int(dice.random() * SECONDS * 1e9))
        lacks = dice.choice((None, None, None, 6379, 50000 + number))
        found = [one for one in found if segment(one[1]).source[1] != lacks]
        packets += found[dice.choice((0, 0, 1, 3, 4, dice.randrange(len(found)))) :]
    return packets


def whose(heard: list[Told]) -> set[str]:
    return {one.replica.rsplit(":", 1)[0] for one in heard}


def story(heard: list[Told]) -> list[tuple[str, int | None, tuple[bytes, ...]]]:
    return sorted((one.name, one.offset, one.args) for one in of(heard, events.Command))


@pytest.fixture(scope="module")
def crowd() -> Packets:
    return clients(1)


@pytest.mark.parametrize("name", ["redis-7.0-diskless", "redis-8.0-rdb-channel", "valkey-9-dual-channel"])
def test_only_the_link_is_reported_and_as_if_it_were_alone(crowd: Packets, name: str) -> None:
    packets = link(LINKS[name])
    heard = told(sorted(crowd + packets), every_command=True)
    assert story(heard) == story(told(packets, every_command=True)) != []
    assert whose(heard) <= {REPLICA, "127.0.0.1"}


@pytest.mark.parametrize("rate", [0, 0.001, 0.02])
@pytest.mark.parametrize("seed", thinned(range(8), 4))
def test_only_the_link_is_reported_wherever_the_capture_begins_and_ends(crowd: Packets, seed: int, rate: float) -> None:
    """And whatever the capture lacks."""
    dice = random.Random(f"{seed} {rate}")
    packets = sorted(crowd + link(LINKS["redis-7.0-missed"]))
    begin = dice.randrange(len(packets) // 2)
    end = dice.randrange(begin, len(packets))
    heard = told([one for one in packets[begin:end] if dice.random() >= rate], every_command=True)
    assert whose(heard) <= {REPLICA, "127.0.0.1"}


@given(
    st.sampled_from(busy.KINDS),
    st.integers(0, 2**32),
    st.integers(0, 200),
    st.integers(0, 200),
    st.sets(st.integers(0, 100), max_size=5),
    st.sampled_from([None, None, 6379, 50000]),
)
def test_no_client_of_any_kind_is_a_link(
    kind: busy.Kind, seed: int, begin: int, end: int, lost: set[int], lacks: int | None
) -> None:
    packets = busy.client(kind, random.Random(seed))
    begin = begin % len(packets)
    packets = packets[begin : len(packets) - end % (len(packets) - begin)]
    packets = [one for number, one in enumerate(packets) if number not in lost and segment(one[1]).source[1] != lacks]
    assert told(packets, every_command=True) == []


@pytest.mark.parametrize("kind", thinned(busy.KINDS, 3), ids=lambda kind: str(kind.__name__))
def test_no_client_is_a_link_from_any_packet_on(kind: busy.Kind) -> None:
    """Also if it is the last thing in a capture, or its packets are the only ones."""
    packets = busy.client(kind, random.Random(7))
    for first in range(len(packets)):
        kept = packets[first:]
        assert told(kept, every_command=True) == []
        for port in (6379, 50000):
            assert told([one for one in kept if segment(one[1]).source[1] == port]) == []


@pytest.mark.parametrize("name", sorted(LINKS))
def test_a_link_is_reported_from_any_packet_on(name: str) -> None:
    """If a request, a grant or an acknowledgement is still to come; and every command is reported correctly."""
    packets = link(LINKS[name])
    names = {(one.name, one.args) for one in of(told(packets, every_command=True), events.Command)}
    for first in range(len(packets)):
        heard = told(packets[first:], every_command=True)
        assert {(one.name, one.args) for one in of(heard, events.Command)} <= names
