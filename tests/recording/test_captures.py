"""Captures that were once read wrongly: see fixtures/captures/README.md."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.console.lines import ConciseLog
from tap.recording.player import Player
from tap.recording.reader import nothing, read
from tap.replication import events
from tap.replication.events import Role
from tests.recording.frames import frame, vxlan
from tests.recording.support import config, exchange, listening
from tests.recording.wires import STREAM, as_packets, of, streamed, told
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import FIXTURES, Capture, TapThread, captures

CAPTURES = FIXTURES / "captures"


def played(path: Path) -> tuple[list[Told], Player]:
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for _ in read([path], player):
        pass
    return heard, player


def test_a_replica_that_asks_info_first_is_a_replica() -> None:
    heard, player = played(CAPTURES / "psync-behind-info.pcap")
    assert [one.role for one in of(heard, events.Identified)] == [Role.ORDINARY, Role.REPLICA]
    assert [one.offset for one in of(heard, events.FullResync)] == [1000]
    assert [(one.keys, one.bytes) for one in of(heard, events.RdbFinished)] == [(1, 42)]
    assert [(one.offset, one.name) for one in of(heard, events.Command)] == [(1023, "SELECT"), (1050, "SET")]
    assert (player.replicating, player.remarks, player.account.lines()) == (1, [], [])


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
def test_everything_is_reported(name: str, remarks: list[str]) -> None:
    heard, player = played(CAPTURES / f"{name}.pcap")
    commands = of(heard, events.Command)
    assert [one.offset for one in commands][:2] == [1023, 1114]
    assert (len(commands), commands[-1].offset) == (41, 4693)
    assert [one.offset for one in of(heard, events.FullResync)] == [1000]
    assert player.account.lines() == []
    assert player.remarks == remarks


# ---- packets cut short ----


def cut(packets: list[tuple[int, bytes]], size: int) -> list[Packet]:
    return [Packet(at, 101, data[:size], len(data)) for at, data in packets]


def test_cut_packets_are_reported_once_and_whole_ones_are_read() -> None:
    heard, player = played(CAPTURES / "snaplen-96.pcap")
    assert [one.name for one in of(heard, events.Command)] == ["SELECT"]
    assert not of(heard, events.Opaque)
    assert player.remarks == ["42 packets were cut to 96 bytes: capture with -s 0 (tcpdump, dumpcap, tshark)"]
    assert len(player.account.lines()) == 3
    assert all(gap.is_cut for gap in of(heard, events.RecordingGap))
    journal = ConciseLog()
    lines = [line for one in heard if (line := journal(one)) is not None]
    assert len([line for line in lines if "NOT RECORDED" in line]) == 1
    assert any(line.endswith("; packets are cut short, and further ones are not reported one by one") for line in lines)


def test_packets_cut_too_short_are_not_called_something_else_than_replication() -> None:
    player, packets = Player(lambda told: None), streamed(STREAM).packets
    for packet in cut(packets, 44):
        player.packet(packet)
    player.close()
    said = "were cut to 44 bytes: capture with -s 0 (tcpdump, dumpcap, tshark)"
    assert re.fullmatch(
        rf"no replication can be seen in it: 1 TCP connection; \d+ packets {re.escape(said)}", str(nothing(player))
    )
    for packet in cut(packets, 24):
        player.packet(packet)
    assert f"packets that hold no readable TCP: {len(packets)} cut off in their headers; " in str(nothing(player))


def test_packets_cut_by_a_mirror_are_reported_as_such() -> None:
    player = Player(lambda told: None)
    for at, data in streamed(STREAM).packets:
        packet = frame(vxlan(frame(data)[:150]))
        player.packet(Packet(at, 1, packet, len(packet)))
    player.close()
    (remark,) = player.remarks
    assert re.fullmatch(r"\d+ packets were cut by the device that mirrored them: set it to send whole packets", remark)


@pytest.mark.parametrize("size", [41, 60, 68, 76, 82, 96, 100, 120, 128, 160, 256, 300, 512])
@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_a_capture_of_any_snaplen_reports_nothing_untrue(capture: Capture, size: int) -> None:
    """A gap is a gap, in the handshake, too, and in either direction."""
    packets = as_packets(capture, 1448, random.Random(1))
    whole = {
        (one.connection, one.event.start): one.event
        for one in told(packets, every_command=True)
        if isinstance(one.event, events.Command)
    }
    heard = told(cut(packets, size), every_command=True)
    for one in heard:
        if isinstance(one.event, events.Command):
            expected = whole[one.connection, one.event.start]
            assert (one.event.name, one.event.args) == (expected.name, expected.args)
            assert one.event.offset in (None, expected.offset)
            assert one.event.db in (None, expected.db)
    assert all("not in the capture" in one.reason for one in of(heard, events.Opaque))


def test_a_command_between_two_cut_packets_is_read() -> None:
    long = command("SET", "long", "x" * 500)
    wire = streamed([STREAM[0], *[piece for number in range(10) for piece in (long, command("INCR", f"n:{number}"))]])
    heard = told(cut(wire.packets, 200), every_command=True)
    assert [one.args[-1] for one in of(heard, events.Command) if one.name == "INCR"] == [b"n:%d" % n for n in range(10)]
    assert all(one.offset is not None for one in of(heard, events.Command))
    journal = ConciseLog()
    lines = [line for one in heard if (line := journal(one)) is not None and "INCR" not in line]
    assert len([line for line in lines if "NOT RECORDED" in line or "the stream begins" in line]) == 3


# ---- copies ----


@pytest.mark.parametrize("options", [{}, {"record_rotate": ("4kb",)}], ids=["one file", "rotation"])
def test_a_copy_of_a_recording_doubles_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "one" / "link.pcapng"
    path.parent.mkdir()
    drops = "drop command=SET key=key:3 times=1"
    with listening() as listener:
        with TapThread(config(listener.getsockname()[1], path, faults=(drops,), **options)) as tap:
            exchange(tap, listener, [(0, asks(BASE)), (1, GRANT), *((1, piece) for piece in STREAM)])
    copy = tmp_path / "two"
    shutil.copytree(path.parent, copy)
    once, twice = shown_of([path.parent]), shown_of([path.parent, copy])
    assert len(of(once, events.Command)) == len(STREAM)
    assert twice == once


def shown_of(paths: list[Path]) -> list[Told]:
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for _ in read(paths, player):
        pass
    assert player.account.lines() == []
    return heard
