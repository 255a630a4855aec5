"""Captures that were read wrongly once: see fixtures/captures/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tap.bus import Told
from tap.recording.reader import Player, read
from tap.replication import events
from tests.recording.wires import of
from tests.support import FIXTURES

CAPTURES = FIXTURES / "captures"


def played(path: Path) -> tuple[list[Told], Player]:
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for _ in read([path], player):
        pass
    return heard, player


@pytest.mark.parametrize(
    ("name", "remarks"),
    [
        ("replica-whole", []),
        ("vxlan", []),
        (
            "rst-outside-of-the-window",
            ["10.0.0.1:6379/1: ignored 1 RST with sequence numbers that are not the connection's"],
        ),
    ],
)
def test_everything_is_told(name: str, remarks: list[str]) -> None:
    heard, player = played(CAPTURES / f"{name}.pcap")
    commands = of(heard, events.Command)
    assert [one.offset for one in commands][:2] == [1023, 1114]
    assert (len(commands), commands[-1].offset) == (41, 4693)
    assert [one.offset for one in of(heard, events.FullResync)] == [1000]
    assert player.account.lines() == []
    assert player.remarks == remarks
