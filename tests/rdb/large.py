"""An RDB larger than any memory, made as it is read: python -m tests.rdb.large keys|lines CASE...

Prints for each as JSON what the reader found, and the most memory that this process ever held.
"""

from __future__ import annotations

import json
import random
import re
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tap.rdb.jsonl import JsonLines
from tap.rdb.keys import KeyReader
from tap.rdb.parser import Parser
from tap.rdb.summary import Summary
from tap.rdb.tape import Tape

MB = 2**20
PIECE = 256 * 1024  # bytes that are fed at a time
LONGEST = 264  # bytes that one item of LZF makes

Parts = Iterator[bytes]


def length(number: int) -> bytes:
    return b"\x81" + number.to_bytes(8, "big")


def string(text: bytes) -> bytes:
    return length(len(text)) + text


def times(part: bytes, count: int) -> Parts:
    """The part repeated *count* times, in handy pieces."""
    many = max(1, PIECE // len(part))
    for _ in range(count // many):
        yield part * many
    yield part * (count % many)


def text_of(size: int) -> bytes:
    return "".join(random.Random(size).choices("abcdefghijklmnopqrstuvwxyz", k=size)).encode()


# ---- strings: raw, or compressed ----


def raw(head: bytes, part: bytes, count: int, tail: bytes) -> Parts:
    """A string: the head, the part many times, the tail."""
    yield length(len(head) + len(part) * count + len(tail)) + head
    yield from times(part, count)
    yield tail


def compressed(head: bytes, part: bytes, count: int, tail: bytes) -> Parts:
    """The same, compressed: all parts after the first are copies of the output one part before."""
    assert 8 <= len(part) <= 8192
    distance = len(part) - 1
    copied = len(part) * (count - 1)
    whole, rest = divmod(copied, LONGEST)
    if 0 < rest < 9:  # the shortest item that is written like the others makes 9
        whole, rest = whole - 1, rest + LONGEST
    lasts = [part for part in (rest - 9, 9) if part > 0] if rest > LONGEST else [rest] if rest else []
    begin = literals(head + part)
    end = b"".join(copy(size, distance) for size in lasts) + literals(tail)
    yield b"\xc3" + length(len(begin) + 3 * whole + len(end)) + length(len(head) + len(part) * count + len(tail)) + begin
    yield from times(copy(LONGEST, distance), whole)
    yield end


def literals(data: bytes) -> bytes:
    runs = [data[at : at + 32] for at in range(0, len(data), 32)]
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


def copy(size: int, distance: int) -> bytes:
    return bytes([7 << 5 | distance >> 8, size - 9, distance & 255])


Written = Callable[[bytes, bytes, int, bytes], Parts]


# ---- packed values ----


def entry(text: bytes) -> bytes:
    """An entry of a listpack."""
    assert len(text) < 4096
    body = (bytes([0x80 | len(text)]) if len(text) < 64 else bytes([0xE0 | len(text) >> 8, len(text) & 255])) + text
    return body + (bytes([len(body)]) if len(body) < 128 else bytes([len(body) >> 7, len(body) & 127 | 128]))


def number(value: int) -> bytes:
    return b"\xf3" + struct.pack("<i", value) + b"\x05"


def listpack(write: Written, head: bytes, part: bytes, count: int) -> Parts:
    """The head and the part are entries. Its header does not know their number."""
    size = 6 + len(head) + len(part) * count + 1
    return write(struct.pack("<IH", size, 65535) + head, part, count, b"\xff")


def ziplist(write: Written, text: bytes, count: int) -> Parts:
    """The text, of less than 64 bytes, many times."""
    each = 2 + len(text)
    size = 10 + each * count + 1
    header = struct.pack("<IIH", size, size - 1 - each, 65535)
    same = bytes([each, len(text)]) + text
    first = bytes([0, len(text)]) + text
    return write(header + first, same, count - 1, b"\xff")


# ---- values ----


def long_string(write: Written, part: bytes, size: int = 256 * MB) -> Parts:
    yield b"\0" + string(b"key")
    yield from write(b"", part, size // len(part), b"end")


def hash_table(fields: int) -> Parts:
    yield b"\x04" + string(b"key") + length(fields)
    yield from times(b"".join(b"\x08field%03d\x05value" % i for i in range(1000)), fields // 1000)


def hash_listpack(write: Written, fields: int) -> Parts:
    part = b"".join(entry(b"field%03d" % i) + entry(b"the value of %d" % i) for i in range(250))
    yield b"\x10" + string(b"key")
    yield from listpack(write, b"", part, fields // 250)


def hash_with_expiries(write: Written, fields: int) -> Parts:
    part = b"".join(entry(b"field%03d" % i) + entry(b"value") + number(2**30) for i in range(250))
    yield b"\x19" + string(b"key") + bytes(8)
    yield from listpack(write, b"", part, fields // 250)


def sorted_set(members: int) -> Parts:
    yield b"\x05" + string(b"key") + length(members)
    yield from times(b"".join(b"\x09member%03d" % i + struct.pack("<d", i / 3) for i in range(1000)), members // 1000)


def int_set(members: int) -> Parts:
    yield b"\x0b" + string(b"key") + length(8 + 4 * members) + struct.pack("<II", 4, members)
    for begin in range(0, members, 50000):
        yield struct.pack("<50000i", *range(begin, begin + 50000))


def list_of(write: Written, nodes: int) -> Parts:
    part = b"".join(entry(b"element %d" % i) for i in range(500))
    yield b"\x12" + string(b"key") + length(nodes)
    for _ in range(nodes):
        yield b"\x02"
        yield from listpack(write, b"", part, MB // len(part) + 1)


def old_list_of(write: Written, nodes: int) -> Parts:
    yield b"\x0e" + string(b"key") + length(nodes)
    for _ in range(nodes):
        yield from ziplist(write, b"an element of a ziplist", MB // 25 + 1)


def stream(write: Written, nodes: int, entries: int, value: bytes) -> Parts:
    head = number(entries) + number(0) + number(1) + entry(b"a field") + number(0)
    part = number(2) + number(0) + number(1) + entry(value) + number(4)
    yield b"\x15" + string(b"key") + length(nodes)
    for node in range(nodes):
        yield string(struct.pack(">QQ", node, 0))
        yield from listpack(write, head, part, entries)
    yield length(nodes * entries) + 7 * length(0) + length(0)


def stream_of_long(values: int) -> Parts:
    """Entries of which each is a node, with a value of 64 MB."""
    size = 64 * MB
    body = b"\xf0" + struct.pack("<I", size)
    entry_size = size + 5
    back = bytes([entry_size >> 21, *(entry_size >> bits & 127 | 128 for bits in (14, 7, 0))])
    before = number(1) + number(0) + number(1) + entry(b"f") + number(0) + number(2) + number(0) + number(0) + body
    yield b"\x15" + string(b"key") + length(values)
    for node in range(values):
        yield string(struct.pack(">QQ", node, 0))
        whole = 6 + len(before) + size + len(back + number(4)) + 1
        yield length(whole) + struct.pack("<IH", whole, 65535) + before
        yield from times(text_of(1024), size // 1024)
        yield back + number(4) + b"\xff"
    yield length(values) + 7 * length(0) + length(0)


def mixed(long: int, larger: int, small: int) -> Parts:
    """Many long strings of 512 MB, larger ones of 100 kB, and hundreds of small ones."""
    for _ in range(long):
        yield from long_string(raw, text_of(1024), 512 * MB)
    noise = random.Random(1).randbytes(100000)
    for i in range(larger):
        yield b"\0" + string(b"100 kB %d" % i) + string(noise)
    many = b"".join(b"\0" + string(b"small %d" % i) + string(noise[i : i + 1000]) for i in range(100))
    yield from times(many, small)


# By name: keys, elements of all of them, and the RDB without its first line and its end.
CASES: dict[str, tuple[int, int, Callable[[], Parts]]] = {
    "string-raw": (1, 1, lambda: long_string(raw, random.Random(1).randbytes(8192))),
    "string-text": (1, 1, lambda: long_string(raw, text_of(8192))),
    "string-lzf": (1, 1, lambda: long_string(compressed, text_of(8192))),
    "hash-table": (1, 5_000_000, lambda: hash_table(5_000_000)),
    "hash-listpack-raw": (1, 5_000_000, lambda: hash_listpack(raw, 5_000_000)),
    "hash-listpack-lzf": (1, 5_000_000, lambda: hash_listpack(compressed, 5_000_000)),
    "hash-expiries-lzf": (1, 2_000_000, lambda: hash_with_expiries(compressed, 2_000_000)),
    "zset": (1, 3_000_000, lambda: sorted_set(3_000_000)),
    "intset": (1, 10_000_000, lambda: int_set(10_000_000)),
    "list-raw": (1, 128 * 500 * 165, lambda: list_of(raw, 128)),
    "list-lzf": (1, 128 * 500 * 165, lambda: list_of(compressed, 128)),
    "list-ziplists": (1, 128 * 41944, lambda: old_list_of(raw, 128)),
    "stream-raw": (1, 4 * 200_000, lambda: stream(raw, 4, 200_000, text_of(100))),
    "stream-lzf": (1, 4 * 200_000, lambda: stream(compressed, 4, 200_000, text_of(100))),
    "stream-long": (1, 4, lambda: stream_of_long(4)),
    "mixed": (1000 + 100_000, 1000 + 100_000, lambda: mixed(0, 1000, 1000)),
    "2-gigabytes": (2 + 5000 + 562_500, 2 + 5000 + 562_500, lambda: mixed(2, 5000, 5625)),
}


def pieces(parts: Parts) -> Iterator[bytes]:
    """In pieces as from a socket."""
    held = bytearray(b"REDIS0012\xfe\x00")
    for part in parts:
        held += part
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held) + b"\xff" + bytes(8)


def peak() -> int:
    """The peak memory of this process. getrusage() would count its parent's before the exec, too."""
    said = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert said is not None
    return int(said[1]) << 10


def run(case: str, reader_name: str) -> dict[str, Any]:
    keys = elements = written = size = 0
    last = b""

    def count(found: list[Any]) -> None:
        nonlocal keys, elements
        keys += len(found)
        elements += sum(key.elements for key in found)

    def write(data: memoryview) -> None:
        nonlocal written, last
        written += len(data)
        last = (last + bytes(data[-100:]))[-100:]

    key_reader = KeyReader(count)
    summary = Summary()
    lines = JsonLines(write, spool=tempfile.TemporaryFile)

    def both(tape: Tape) -> None:
        key_reader(tape)
        summary(tape)

    parser = Parser(lines, values=True) if reader_name == "lines" else Parser(both)
    for piece in pieces(CASES[case][2]()):
        size += len(piece)
        assert parser.feed(piece) == len(piece)
    assert parser.close() is None, parser.problem
    lines.close()
    if reader_name == "lines":
        keys = lines.records
        found = re.search(rb'"elements":(\d+)}\n$', last)
        elements = int(found[1]) if found else -1  # of the last key, if it is large
    else:
        assert (keys, elements) == (summary.keys, summary.databases[0].elements)
    return {"peak": peak(), "size": size, "written": written, "keys": keys, "elements": elements}


if __name__ == "__main__":
    for name in sys.argv[2:]:
        print(json.dumps(run(name, sys.argv[1])))
