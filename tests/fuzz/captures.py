"""Captures: pcap, pcapng, a recording with a tap's comments, and compressed forms of these."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import zstandard
from rich.console import Console

from tap.bus import Told
from tap.capture import pcapng
from tap.capture.concatenated_captures import count_parts
from tap.capture.files import check
from tap.capture.pcap import KINDS, NotACapture, reader_for
from tap.capture.pcapng import Packet
from tap.console.lines import ConciseLog, json_line
from tap.console.stats_report import report
from tap.errors import RecordingError
from tap.recording.comments import LinkState, state_json
from tap.recording.history import index
from tap.recording.player import Player
from tap.recording.reader import nothing, read
from tap.recording.seen_commands import SeenCommands
from tap.recording.stats import Stats
from tap.replication import events
from tests.fuzz.check import differences, pieces
from tests.fuzz.mutate import BYTES, DEPTHS, INTEGERS, NUMBERS, damaged
from tests.recording import frames
from tests.recording.wires import as_packets, streamed
from tests.relay.wire import command
from tests.support import FIXTURES, captures

FLAGS = (0, 1, 2, 4, 8, 16, 17, 18, 20, 24)
FIRST = 10**18  # nanoseconds


WRAPS: list[Callable[[bytes], bytes]] = [
    frames.frame,
    lambda one: frames.ethernet(0x8100, b"\0\7" + frames.of(one).to_bytes(2, "big") + one),
    lambda one: frames.ethernet(0x8847, frames.label(16, False) + frames.label(17, True) + one),
    lambda one: frames.frame(frames.vxlan(frames.frame(one))),
    lambda one: frames.frame(frames.gre(frames.of(one), one)),
    lambda one: frames.frame(frames.geneve(frames.of(one), one)),
]


# ---- packets, as lists of them ----


@cache
def _wires() -> list[list[tuple[int, bytes]]]:
    """Packets of raw IP, with their times."""
    dice = random.Random(1)
    found = [
        as_packets(capture, 1400, dice) for capture in captures() if sum(len(one.data) for one in capture.chunks) < 60_000
    ]
    found.append(streamed([command("SET", f"k{number}", "v" * number) for number in range(20)]).packets)
    return found


def _capture(rng: random.Random) -> list[Packet]:
    packets = [Packet(time, 101, data, len(data)) for time, data in rng.choice(_wires())]
    if rng.random() < 0.4:
        wrap = rng.choice(WRAPS)
        packets = [Packet(one.time, 1, data := wrap(one.data), len(data)) for one in packets]
    elif rng.random() < 0.2:
        packets = [Packet(one.time, 101, piece, len(piece)) for one in packets for piece in frames.pieces(one.data, 64)]
    changed = list(packets)
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        _change_packets(changed, rng)
    return changed[:3000]


def _change_packets(packets: list[Packet], rng: random.Random) -> None:
    """One change of what packets there are, or what is in one."""
    if not packets:
        return
    at = rng.randrange(len(packets))
    one = packets[at]
    match rng.randrange(10):
        case 0:
            del packets[at : at + rng.choice([1, 1, 5, 50])]
        case 1:
            packets[at:at] = packets[at : at + rng.choice([1, 5, 50])] * rng.choice([1, 1, 3, 20])
        case 2:
            other = rng.randrange(len(packets))
            packets[at], packets[other] = packets[other], packets[at]
        case 3:
            packets.insert(at, rng.choice([Packet(time, 101, data, len(data)) for time, data in rng.choice(_wires())]))
        case 4:
            packets[at] = Packet(
                rng.choice([0, 1, one.time + 10**9, one.time + 10**13, 2**63, 2**64 - 1]),
                one.link_type,
                one.data,
                one.size,
            )
        case 5:
            size = rng.randrange(len(one.data) + 1)
            packets[at] = Packet(one.time, one.link_type, one.data[:size], rng.choice([one.size, size, 2**32 - 1]))
        case 6:
            packets[at] = Packet(
                one.time,
                rng.choice([0, 1, 9, 12, 50, 51, 104, 108, 109, 113, 117, 228, 239, 258, 276, 999]),
                one.data,
                one.size,
            )
        case _:
            packets[at] = Packet(one.time, one.link_type, _changed_frame(one.data, rng), one.size)


def _changed_frame(frame: bytes, rng: random.Random) -> bytes:
    """Mostly in a header field of raw IP or Ethernet."""
    data = bytearray(frame)
    if not data or rng.random() < 0.3:
        return damaged(frame, rng)
    at = 0 if data[0] >> 4 in (4, 6) else 14
    tcp = at + (40 if data[at : at + 1] and data[at] >> 4 == 6 else 20)
    big = (rng.choice(INTEGERS) % 2**32).to_bytes(4, "big")
    place, value = rng.choice(
        [
            (at, bytes([rng.choice([0x40, 0x45, 0x4F, 0x60, 0x05])])),
            (at + 2, big[2:]),
            (at + 6, big[2:]),
            (at + 9, bytes([rng.randrange(256)])),
            (tcp, big[2:]),
            (tcp + 4, big),
            (tcp + 8, big),
            (tcp + 12, bytes([rng.randrange(16) << 4])),
            (tcp + 13, bytes([rng.choice(FLAGS)])),
            (12, big[2:]),
            (
                tcp + 4,
                (
                    int.from_bytes(data[tcp + 4 : tcp + 8], "big") + rng.choice([-1, 1, 1000, 2**24, 2**25, 2**31])
                    & 0xFFFFFFFF
                ).to_bytes(4, "big"),
            ),
        ]
    )
    data[place : place + len(value)] = value
    return bytes(data)


# ---- containers ----


def pcap(rng: random.Random) -> bytes:
    magic = rng.choice(list(KINDS))
    order, unit = KINDS[magic]
    packets = _capture(rng)
    out = [magic + struct.pack(order + "HHiIII", 2, 4, 0, 0, 262_144, packets[0].link_type if packets else 1)]
    for one in packets:
        seconds, rest = divmod(one.time, 10**9)
        head = [seconds % 2**32, rest // unit, len(one.data), min(one.size, 2**32 - 1)]
        if rng.random() < 0.002:
            head[rng.randrange(4)] = rng.choice(INTEGERS) % 2**32
        out += [struct.pack(order + "4I", *head), one.data]
    return _container_damaged(b"".join(out), rng)


def ng(rng: random.Random) -> bytes:
    order = rng.choice("<>")
    packets = _capture(rng)
    types = list(dict.fromkeys(one.link_type for one in packets)) or [1]
    blocks = [_section(order)]
    resolution = rng.choice(
        [b"", b"\x09", b"\x06", b"\x00", b"\x7f", b"\xff", b"\x8a", b"\x94", bytes([rng.randrange(256)])]
    )
    for kind in types:
        options = [(2, b"eth0"), *([(9, resolution)] if resolution else [])]
        if rng.random() < 0.1:
            options.append((14, (rng.choice(INTEGERS) % 2**64).to_bytes(8, "little")))
        blocks.append(_block(order, 1, struct.pack(order + "HHI", kind, 0, 0) + _options(order, options)))
    for one in packets:
        comments = (
            [(1, rng.choice([b"hello", b"\xff\xfe", b"x" * 3000, json.dumps(_comment(rng)).encode()]))]
            if rng.random() < 0.05
            else []
        )
        blocks.append(_packet(order, one, types.index(one.link_type), comments))
    return _container_damaged(b"".join(_change_blocks(blocks, order, rng)), rng)


def _section(order: str) -> bytes:
    return _block(order, pcapng.SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))


def _options(order: str, options: list[tuple[int, bytes]]) -> bytes:
    if not options:
        return b""
    made = [struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options]
    return b"".join(made) + bytes(4)


def _packet(order: str, one: Packet, interface: int, options: list[tuple[int, bytes]]) -> bytes:
    ticks = one.time % 2**64
    head = struct.pack(order + "5I", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(one.data), min(one.size, 2**32 - 1))
    return _block(order, 6, head + one.data + bytes(-len(one.data) % 4) + _options(order, options))


def _change_blocks(blocks: list[bytes], order: str, rng: random.Random) -> list[bytes]:
    """Changes of what blocks there are; lengths stay right."""
    for _ in range(rng.choice([0, 0, 1, 2])):
        at = rng.randrange(len(blocks))
        kind, body = struct.unpack_from(order + "I", blocks[at])[0], blocks[at][8:-4]
        match rng.randrange(6):
            case 0:
                blocks.insert(at, blocks[rng.randrange(len(blocks))])
            case 1 if len(blocks) > 2:
                del blocks[at]
            case 2:
                blocks[at] = _block(
                    order, rng.choice([0, 1, 2, 3, 4, 5, 6, 9, 10, 0xBAD, 0x80000001, pcapng.SECTION]), body
                )
            case 3:
                blocks.insert(at, _section(rng.choice("<>")))
            case 4:
                other = rng.randrange(len(blocks))
                blocks[at], blocks[other] = blocks[other], blocks[at]
            case _:
                blocks[at] = _block(order, kind, damaged(body, rng, most=2))
    return blocks


def _container_damaged(data: bytes, rng: random.Random) -> bytes:
    return damaged(data, rng, BYTES, 20) if rng.random() < 0.4 else data


# ---- recordings of ours ----


def _comment(rng: random.Random) -> object:
    """A comment that a tap might have written, or nearly."""
    kind = rng.choice(
        [
            "link_opened",
            "link_closed",
            "full_resync",
            "partial_resync",
            "handshake",
            "rdb_omitted",
            "recording_gap",
            "ack_ahead_of_master",
            "not_understood",
            "carried_db",
            "link_state",
            "fault_fired",
            "secured",
            *events.EVENTS,
        ]
    )
    said = {
        "event": kind,
        "time": 1e9,
        "link": "main",
        "connection": rng.choice([1, 1, 2, 3]),
        "replica": "127.0.0.1:6380",
        "peer": "127.0.0.1:50000",
        "master": "127.0.0.1:6379",
        "side": rng.choice(["master", "replica"]),
        "start": 0,
        "end": 50,
        "bytes": 50,
        "db": 3,
        "from_offset": 1000,
        "to_offset": 1050,
        "offset": 1000,
        "replid": "8" * 40,
        "by": "master",
        "how": "fin",
        "text": "",
        "role": "replica",
        "phase": "stream",
        "bytes_from_master": 5,
        "bytes_from_replica": 5,
        "standing": None,
        "begins": False,
        "said": [],
        "held": 0,
        "lost": [0, 0],
        "reason": {"code": "first_sync", "text": ""},
        "fault": "cut-1",
        "spec": "cut",
        "count": 1,
        "sent": "PING",
    }
    if kind in events.EVENTS:
        said |= dict.fromkeys(events.EVENTS[kind].__dataclass_fields__, 0) | said
    if kind == "link_state" and rng.random() < 0.7:
        said["standing"] = _standing(rng)
        said["begins"] = rng.random() < 0.2
    for _ in range(rng.choice([0, 1, 1, 2])):
        name = rng.choice(list(said))
        said[name] = _odd(rng)
    return said


def _standing(rng: random.Random) -> dict[str, object]:
    from tap.replication.standing import Standing

    said: dict[str, object] = {name: rng.choice([None, 0, 1, "", "x", True]) for name in Standing.__dataclass_fields__}
    said |= {
        "phase": rng.choice(["handshake", "psync", "waiting", "rdb", "loading", "stream", "opaque", "ordinary", "done"]),
        "role": "replica",
        "from_master": rng.choice([0, 5, 50, 2000]),
        "from_replica": rng.choice([0, 5, 50]),
        "offset": rng.choice([None, 0, 1000, 2**63]),
        "replid": rng.choice([None, "8" * 40]),
        "unfinished": rng.choice(["", "*3\r\n$3\r\nSE"]),
        "db": rng.choice([None, 0, 3]),
        "has_begun": rng.random() < 0.5,
        "in_transaction": rng.random() < 0.2,
    }
    return said


def _odd(rng: random.Random) -> object:
    return rng.choice(
        [
            None,
            True,
            False,
            0,
            -1,
            1,
            2**31,
            2**63,
            -(2**63),
            2**64,
            10**400,
            1e308,
            -1.5,
            "",
            "x",
            "1",
            "\0\x1b[31m",
            "\ud800",
            [],
            {},
            [[]],
            {"code": 3},
            rng.choice(NUMBERS),
            ["a", 1],
            {"event": "link_opened"},
            float("nan"),
            float("inf"),
        ]
    )


def _json(said: object, rng: random.Random) -> bytes:
    text = json.dumps(said)
    match rng.randrange(12):
        case 0:
            depth = rng.choice(DEPTHS)
            text = rng.choice(["[" * depth, '{"event":' * min(depth, 6000), "[" * depth + "]" * depth])
        case 1:
            text = text.replace("1000", rng.choice(["9" * 400, "9" * 5000, "1e400", "-0", "0.0", "1" + "0" * 30]), 1)
        case 2:
            text = damaged(text.encode(), rng).decode("latin-1")
        case 3:
            text = text.replace("{", '{"x":' + "[" * 5000 + "]" * 5000 + ",", 1)
    return text.encode("utf-8", "surrogatepass")


@cache
def _recorded() -> list[list[Packet]]:
    """Packets with the comments of a tap: of a link that opens, and of one without its beginning."""
    found = []
    for wire in _wires():
        packets = [Packet(time, 101, data, len(data)) for time, data in wire]
        said = {
            "event": "link_opened",
            "time": 1e9,
            "link": "main",
            "connection": 1,
            "replica": "127.0.0.1:50000",
            "peer": "127.0.0.1:50000",
            "master": "127.0.0.1:6379",
        }
        packets[0].comments = (json.dumps(said),)
        closed = said | {
            "event": "link_closed",
            "by": "master",
            "how": "fin",
            "text": "",
            "role": "replica",
            "phase": "stream",
            "offset": 5,
            "bytes_from_master": 1,
            "bytes_from_replica": 1,
        }
        packets[-1].comments = (json.dumps(closed),)
        found.append(packets)
        middle = [Packet(one.time, 101, one.data, one.size) for one in packets[len(packets) // 2 :]]
        if middle:
            state = LinkState(
                time=1e9,
                link="main",
                connection=1,
                replica="127.0.0.1:50000",
                peer="127.0.0.1:50000",
                master="127.0.0.1:6379",
                standing=None,
                begins=False,
                said=(),
                lost=(50, 900),
            )
            middle[0].comments = (state_json(state),)
            found.append(middle)
    return found


def recording(rng: random.Random) -> bytes:
    packets = [Packet(one.time, 101, one.data, one.size, one.comments) for one in rng.choice(_recorded())]
    for _ in range(rng.choice([0, 0, 1, 2])):
        _change_packets(packets, rng)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if packets:
            one = rng.choice(packets)
            one.comments = (*one.comments, _json(_comment(rng), rng).decode("utf-8", "replace"))[-3:]
    out = [pcapng.heading("redis-tap 0.0")]
    for one in packets[:3000]:
        comments = [(1, text.encode("utf-8", "replace")[: pcapng.MAX_COMMENT]) for text in one.comments]
        out.append(_packet("<", one, 0, comments))
    return _container_damaged(b"".join(out), rng)


def compressed(rng: random.Random) -> bytes:
    """One of the others, compressed whole or in frames; damaged before, after, or both."""
    plain = rng.choice([pcap, ng, recording])(rng)
    if rng.random() < 0.1:
        plain += rng.choice([b"\xff\xff\xff\xff", bytes(4), plain[-50:]]) * 20_000
    sizes = [len(plain)] if rng.random() < 0.5 else [rng.randint(1, 5000)] * (len(plain) // 2500 + 1)
    frames, at = [], 0
    pack: Callable[[bytes], bytes] = rng.choice([gzip.compress, zstandard.ZstdCompressor().compress])
    for size in sizes:
        frames.append(pack(plain[at : at + size]))
        at += size
    return _container_damaged(b"".join(frames), rng)


# ---- what is asked ----


def complaints(data: bytes, rng: random.Random) -> Iterator[str]:
    yield from _split(data, rng)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        path = Path(directory) / "in.pcapng"
        path.write_bytes(data)
        try:
            check(path)
        except RecordingError as error:
            if "\n" in str(error):
                yield f"more than a line: {error}"
        match rng.randrange(3):
            case 0:
                yield from _shown(path)
            case 1:
                _counted(path)
            case _:
                index(lambda player: _all(path, player)).chapters()


def _split(data: bytes, rng: random.Random) -> Iterator[str]:
    """The same packets and problems in any pieces; count_parts() raises nothing."""
    count_parts(iter([data]))
    try:
        whole = reader_for(data[:4])
    except NotACapture:
        return
    told = [*whole.feed(data), *whole.close()]
    other = reader_for(data[:4])
    most = rng.choice([1, 7, 100, 5000]) if len(data) < 20_000 else 5000
    parted = [packet for piece in pieces(data, rng, most) for packet in other.feed(piece)]
    parted += other.close()
    yield from differences(f"in pieces of up to {most}", told, parted)
    yield from differences("problems", list(whole.problems), list(other.problems))


def _all(path: Path, player: Player) -> None:
    for _ in read([path], player):
        pass


def _shown(path: Path) -> Iterator[str]:
    """As lines, and as JSON objects."""
    journal, once, lines = ConciseLog(), SeenCommands(), []

    def hear(told: Told) -> None:
        once.first(told, counts=True)
        lines.append(journal(told))
        json.loads(json_line(told))

    player = Player(hear, every_command=True, every_key=True)
    _all(path, player)
    said = [*player.account.lines(), *player.remarks, *once.remarks(), nothing(player) or ""]
    for line in said:
        if "\n" in line:
            yield f"more than a line: {line!r}"
    if sum(map(len, said)) > 20_000:
        yield f"{len(said)} problems of {sum(map(len, said))} characters"


def _counted(path: Path) -> None:
    figures = Stats()
    player = Player(figures.told, count=figures.take)
    _all(path, player)
    for one in player.account.lacking():
        figures.lacks(one)
    json.dumps(figures.as_dict())
    Console(file=io.StringIO(), width=100).print(report(figures, 100))


__all__ = ["FIXTURES", "complaints", "compressed", "ng", "os", "pcap", "recording"]
