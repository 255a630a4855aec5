"""Helpers of the recording tests: reading back a recording, without the reader under test where it matters."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tap import Address, Config, LinkConfig
from tap.bus import Bus
from tap.capture import pcapng
from tap.capture.output import Output
from tap.capture.packets import Blocks, TcpFlow
from tap.capture.pcapng import Packet, PcapngReader
from tap.capture.segments import FIN, SYN
from tap.recorder.recorded_connection import RecordedConnection
from tap.recorder.recorder import Recorder
from tap.replication import events
from tap.replication.conversation import Conversation
from tests.relay.wire import BASE, BLOCK, GRANT, asks
from tests.support import WITHIN, TapThread, wait_until


def content(path: Path) -> bytes:
    data = path.read_bytes()
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if path.suffix == ".zst" else data


def packets(path: Path) -> list[Packet]:
    """All packets of a file that must be whole."""
    reader = PcapngReader()
    found = [*reader.feed(content(path)), *reader.close()]
    assert not reader.problems
    return found


def block(time: int, data: bytes, comments: Sequence[str] = ()) -> bytes:
    """The block of a packet, of pcapng."""
    options = pcapng.comments(comments) if comments else b""
    body = (
        struct.pack("<5I", 0, time >> 32, time & 0xFFFFFFFF, len(data), len(data))
        + data
        + bytes(-len(data) % 4)
        + options
    )
    return struct.pack("<II", 6, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))


def next_packets(flow: TcpFlow, side: int, flags: int, data: bytes = b"") -> list[bytes]:
    """The packets that hold the side's next bytes."""
    out = Blocks()
    flow.write(out, 0, side, flags, data)
    reader = PcapngReader()
    return [packet.data for packet in reader.feed(pcapng.heading("test") + bytes(out.view()))]


@dataclass(frozen=True)
class Segment:
    source: tuple[str, int]
    target: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: int
    data: bytes


def segment(packet: bytes) -> Segment:
    """A segment parsed as in the RFCs; the checksums have to be right."""
    if packet[0] >> 4 == 4:
        assert plain_sum(packet[:20]) == 0xFFFF
        assert int.from_bytes(packet[2:4], "big") == len(packet)
        hosts, tcp = (packet[12:16], packet[16:20]), packet[20:]
    else:
        assert int.from_bytes(packet[4:6], "big") == len(packet) - 40
        hosts, tcp = (packet[8:24], packet[24:40]), packet[40:]
    assert plain_sum(hosts[0] + hosts[1] + struct.pack("!HH", 6, len(tcp)) + tcp) == 0xFFFF
    source, target, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", tcp)
    names = [str(ipaddress.ip_address(host)) for host in hosts]
    data = tcp[(offset >> 4) * 4 :]
    return Segment((names[0], source), (names[1], target), sequence, acknowledged, flags, data)


def plain_sum(data: bytes) -> int:
    total = 0
    for word in struct.iter_unpack("!H", data + b"\0" * (len(data) % 2)):
        total += word[0]
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@contextlib.contextmanager
def listening(family: int = socket.AF_INET) -> Iterator[socket.socket]:
    with socket.socket(family) as sock:
        sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        sock.listen()
        sock.settimeout(WITHIN)
        yield sock


@contextlib.contextmanager
def tap_process(
    *options: str, wrapper: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], socket.socket, socket.socket]]:
    """A tap in its own process, with a replica that has asked for a partial resync and a master that has received it."""
    with listening() as listener:
        program = [sys.executable, "-m", "tap", "run", "--master", f"127.0.0.1:{listener.getsockname()[1]}", *options]
        with subprocess.Popen([*wrapper, *program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                found = re.search(r"listening on \S+:(\d+)", process.stderr.readline())
                assert found
                listener.accept()[0].close()  # it checks whether the master is there
                with socket.create_connection(("127.0.0.1", int(found[1])), WITHIN) as replica:
                    with listener.accept()[0] as master:
                        replica.sendall(asks(BASE))
                        assert master.recv(1000)
                        yield process, replica, master
            finally:
                process.kill()


def kill_while_it_records(options: Sequence[str], is_written: Callable[[], bool], seconds: float) -> None:
    """A tap that has recorded GRANT + BLOCK, and gets more for some seconds."""
    with tap_process(*options) as (process, replica, master):
        master.sendall(GRANT + BLOCK)
        threading.Thread(target=drain_until_gone, args=(replica,), daemon=True).start()
        wait_until(is_written)  # in time, with nothing after it
        kill_at = time.monotonic() + seconds
        while time.monotonic() < kill_at:
            master.sendall(BLOCK)
        process.kill()
        process.wait(WITHIN)


def drain(sock: socket.socket) -> None:
    while sock.recv(2**16):
        pass


def drain_until_gone(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        drain(sock)


def tshark(path: Path, *arguments: str) -> str:
    """Its output about a file. Skips the test if tshark is missing."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is missing")
    command = [program, "-r", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def followed(path: Path, stream: int = 0) -> tuple[bytes, bytes]:
    """The output of "follow TCP stream": from the opener, and from the other end."""
    said = tshark(path, "-q", "-z", f"follow,tcp,raw,{stream}")
    sides: tuple[bytearray, bytearray] = bytearray(), bytearray()
    for line in said.split("Node 1:")[1].splitlines()[1:]:
        if line.strip("\t0123456789abcdef"):
            continue
        sides[line.startswith("\t")].extend(bytes.fromhex(line.strip()))
    return bytes(sides[0]), bytes(sides[1])


def config(master: int | str, path: Path, **options: Any) -> Config:
    host = Address("127.0.0.1", master) if isinstance(master, int) else Address.parse(master)
    return Config(links=(LinkConfig(master=host),), record_to=path, **options)


def connect(bus: Bus, writes: Recorder, number: int, conversation: Conversation | None = None) -> RecordedConnection:
    """Connect a link to a recorder without a tap. conversation: None for one that is not read."""
    conversation = conversation or Conversation(lambda event: None, connection=number)
    link = writes.opened("link", conversation, ("10.0.0.1", number), ("::1", 1))
    assert link is not None
    bus.publish("link", number, "", events.LinkOpened(peer="", master=""))
    link.dialled(("10.0.0.2", 6379))
    return link


@contextlib.contextmanager
def linked(tap: TapThread, listener: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A replica, and its master behind the tap."""
    with socket.create_connection(("127.0.0.1", tap.port), WITHIN) as replica, listener.accept()[0] as master:
        yield replica, master


def hang(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the disk take nothing more until the event is set."""
    goes_on = threading.Event()
    append: Callable[[Output, bytes | memoryview], None] = Output.append

    def hangs(self: Output, encoded: bytes | memoryview) -> None:
        goes_on.wait(WITHIN)
        append(self, encoded)

    monkeypatch.setattr(Output, "append", hangs)
    return goes_on


def comments(path: Path) -> list[dict[str, Any]]:
    return [json.loads(comment) for packet in packets(path) for comment in packet.comments]


def segments(path: Path) -> list[Segment]:
    return [segment(packet.data) for packet in packets(path)]


def sides(path: Path) -> tuple[bytes, bytes]:
    """The bytes on the one link of a file, by sequence numbers: (from the replica, from the master)."""
    found = segments(path)
    replica = found[0].source
    flowed = bytearray(), bytearray()
    following: list[int | None] = [None, None]
    for one in found:
        side = one.source != replica
        assert following[side] in (None, one.sequence)
        following[side] = (one.sequence + len(one.data) + bool(one.flags & (SYN | FIN))) % 2**32
        flowed[side].extend(one.data)
    return bytes(flowed[0]), bytes(flowed[1])


def exchange(tap: TapThread, listener: socket.socket, pieces: Iterable[tuple[int, bytes]]) -> tuple[bytes, bytes]:
    """Send the pieces over a link of the tap, side 0 the replica, and close it. Returns what each side sent."""
    sent = bytearray(), bytearray()
    with linked(tap, listener) as (replica, master):
        readers = [threading.Thread(target=drain, args=(one,)) for one in (replica, master)]
        for reader in readers:
            reader.start()
        for side, piece in pieces:
            (replica, master)[side].sendall(piece)
            sent[side].extend(piece)
        replica.shutdown(socket.SHUT_WR)
        master.shutdown(socket.SHUT_WR)
        for reader in readers:
            reader.join(WITHIN)
    tap.wait_for(events.LinkClosed)
    return bytes(sent[0]), bytes(sent[1])
