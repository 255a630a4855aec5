"""Flipped bits: in which byte, and which bits."""

from __future__ import annotations

import pytest

from tap.replication.events import Side
from tests.faults.lab import CAPA, PING, PORT, SET, Lab, command, pieces, resync_partially


@pytest.mark.parametrize("edge", ["start", "inside", "end"])
@pytest.mark.parametrize("size", [1, 14, 1000])
def test_a_command_without_arguments_is_corrupted_without_waiting_for_the_next(edge: str, size: int) -> None:
    lab = Lab(f"corrupt command=PING edge={edge} mask=0x80")
    start = resync_partially(lab)
    lab.master(*pieces(PING, size))
    came = bytearray(PING)
    came[{"start": 0, "inside": 11, "end": 13}[edge]] ^= 0x80
    assert lab.at_replica[start:] == bytes(came)
    lab.master(*pieces(SET + PING, size))
    assert lab.at_replica[start:] == bytes(came) + SET + PING


def test_bits_to_flip_are_drawn_from_all_eight() -> None:
    lab = Lab("corrupt command=SET times=all")
    start = resync_partially(lab)
    one = command("SET", "user:1", "ann")
    at = one.index(b"user")
    lab.master(one * 4000)
    came = lab.at_replica[start:]
    flipped = [came[begin + at] ^ one[at] for begin in range(0, len(came), len(one))]
    assert set(flipped) == set(range(1, 256))


@pytest.mark.parametrize(
    ("edge", "at"), [("start", 0), ("inside", len(PORT) // 2), ("", len(PORT) // 2), ("end", len(PORT) - 1)]
)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_request_is_damaged_at_its_edge_or_inside(edge: str, at: int, size: int) -> None:
    lab = Lab(f"corrupt request=REPLCONF mask=0x01 {edge and f'edge={edge}'}")
    lab.replica(PING)
    lab.master(b"+PONG\r\n")
    lab.replica(*pieces(PORT + CAPA, size))
    damaged = bytearray(PORT)
    damaged[at] ^= 1
    assert lab.at_master == PING + bytes(damaged) + CAPA
    assert lab.fired[0].position == len(PING) + at
    assert lab.fired[0].side is Side.REPLICA
