"""Makes RDBs part by part, including ones that no available server writes: bytes for every part of the format.

Redis 8.0 and Valkey 9.1 rdb.c; for RDB 13 to 15 and 81 what tap.rdb.values says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tap.rdb.crc64 import Crc64

EOF = 0xFF


def rdb(version: int, *records: bytes, checksum: bool = True) -> bytes:
    """A whole RDB; VALKEY from version 80 on."""
    magic = b"REDIS%04d" % version if version < 80 else b"VALKEY%03d" % version
    body = magic + b"".join(records) + bytes([EOF])
    if version < 5:
        return body
    crc = Crc64()
    crc.feed(body)
    return body + (crc.value if checksum else 0).to_bytes(8, "little")


# ---- lengths and strings ----


def length(number: int, size: int = 0) -> bytes:
    """A length; size: of its form, 1, 2, 5 or 9 bytes, or the shortest one."""
    number %= 2**64
    if size == 1 or (size == 0 and number < 2**6):
        return bytes([number])
    if size == 2 or (size == 0 and number < 2**14):
        return (number | 0x4000).to_bytes(2, "big")
    if size == 5 or (size == 0 and number < 2**32):
        return b"\x80" + number.to_bytes(4, "big")
    return b"\x81" + number.to_bytes(8, "big")


def string(text: bytes) -> bytes:
    return length(len(text)) + text


def decimal(number: int) -> bytes:
    """A string that is a number of 32 bits."""
    kind, size = next(
        (kind, 2**kind) for kind in range(3) if -(2 ** (8 * 2**kind - 1)) <= number < 2 ** (8 * 2**kind - 1)
    )
    return bytes([0xC0 | kind]) + number.to_bytes(size, "little", signed=True)


def compressed(text: bytes) -> bytes:
    """A string as LZF."""
    packed = lzf(text)
    return b"\xc3" + length(len(packed)) + length(len(text)) + packed


def lzf(text: bytes) -> bytes:
    """The simplest compressor: a copy wherever the next three bytes came before."""
    out = bytearray()
    literal = bytearray()
    seen: dict[bytes, int] = {}
    i = 0

    def put_literal() -> None:
        for k in range(0, len(literal), 32):
            run = literal[k : k + 32]
            out.append(len(run) - 1)
            out.extend(run)
        literal.clear()

    while i < len(text):
        three = text[i : i + 3]
        before = seen.get(three, -1) if len(three) == 3 else -1
        seen[three] = i
        if before < 0 or i - before > 8192:
            literal.append(text[i])
            i += 1
            continue
        size = 3
        while size < 264 and i + size < len(text) and text[before + size] == text[i + size]:
            size += 1
        put_literal()
        distance = i - before - 1
        if size <= 8:
            out += bytes([(size - 2) << 5 | distance >> 8, distance & 255])
        else:
            out += bytes([7 << 5 | distance >> 8, size - 9, distance & 255])
        i += size
    put_literal()
    return bytes(out)


# ---- packed values ----


def listpack(entries: Iterable[bytes | int], count: int | None = None) -> bytes:
    packed = [listpack_entry(entry) for entry in entries]
    body = b"".join(packed)
    announced = min(len(packed), 65535) if count is None else count
    return (len(body) + 7).to_bytes(4, "little") + announced.to_bytes(2, "little") + body + b"\xff"


def listpack_entry(value: bytes | int) -> bytes:
    if isinstance(value, int):
        if 0 <= value < 128:
            entry = bytes([value])
        elif -4096 <= value < 4096:
            entry = (0xC000 | value & 0x1FFF).to_bytes(2, "big")
        else:
            kind, size = next(
                (kind, size) for kind, size in ((0xF1, 2), (0xF2, 3), (0xF3, 4), (0xF4, 8)) if fits(value, size)
            )
            entry = bytes([kind]) + value.to_bytes(size, "little", signed=True)
    elif len(value) < 64:
        entry = bytes([0x80 | len(value)]) + value
    elif len(value) < 4096:
        entry = (0xE000 | len(value)).to_bytes(2, "big") + value
    else:
        entry = b"\xf0" + len(value).to_bytes(4, "little") + value
    return entry + back_length(len(entry))


def fits(value: int, size: int) -> bool:
    return -(1 << 8 * size - 1) <= value < 1 << 8 * size - 1


def back_length(size: int) -> bytes:
    """As Redis up to 8.0 writes it."""
    groups = 1 if size <= 127 else 2 if size < 16383 else 3 if size < 2097151 else 4 if size < 268435455 else 5
    return bytes((size >> 7 * k & 127) | (128 if k < groups - 1 else 0) for k in range(groups - 1, -1, -1))


def ziplist(entries: Iterable[bytes | int]) -> bytes:
    body = bytearray()
    before = 0
    tail = 10
    count = 0
    for value in entries:
        entry = (bytes([before]) if before < 254 else b"\xfe" + before.to_bytes(4, "little")) + ziplist_data(value)
        tail = 10 + len(body)
        body += entry
        before = len(entry)
        count += 1
    head = (len(body) + 11).to_bytes(4, "little") + tail.to_bytes(4, "little") + min(count, 65535).to_bytes(2, "little")
    return head + bytes(body) + b"\xff"


def ziplist_data(value: bytes | int) -> bytes:
    if isinstance(value, int):
        if 0 <= value <= 12:
            return bytes([0xF1 + value])
        sizes = ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8))
        kind, size = next((kind, size) for kind, size in sizes if fits(value, size))
        return bytes([kind]) + value.to_bytes(size, "little", signed=True)
    if len(value) < 64:
        return bytes([len(value)]) + value
    if len(value) < 2**14:
        return (0x4000 | len(value)).to_bytes(2, "big") + value
    return b"\x80" + len(value).to_bytes(4, "big") + value


def intset(numbers: Iterable[int], width: int) -> bytes:
    ordered = sorted(set(numbers))
    head = width.to_bytes(4, "little") + len(ordered).to_bytes(4, "little")
    return head + b"".join(number.to_bytes(width, "little", signed=True) for number in ordered)


def zipmap(pairs: Sequence[tuple[bytes, bytes]], free: int = 0) -> bytes:
    body = b""
    for name, value in pairs:
        body += zipmap_length(len(name)) + name + zipmap_length(len(value)) + bytes([free]) + value + bytes(free)
    return bytes([min(len(pairs), 254)]) + body + b"\xff"


def zipmap_length(size: int) -> bytes:
    return bytes([size]) if size < 254 else b"\xfe" + size.to_bytes(4, "little")


# ---- streams ----


def node(names: Sequence[bytes | int], entries: Sequence[Sequence[bytes | int]], dead: Sequence[int] = ()) -> bytes:
    """A stream's node. An entry with as many values as there are names has these; another has names of its own.

    dead: the entries that are deleted.
    """
    said: list[bytes | int] = [len(entries) - len(dead), len(dead), len(names), *names, 0]
    for index, values in enumerate(entries):
        deleted = 1 if index in dead else 0
        same = len(values) == len(names)
        entry: list[bytes | int] = [deleted | (2 if same else 0), index, -index]
        if not same:
            entry.append(len(values) // 2)
        entry += values[: len(values) if same else len(values) // 2 * 2]
        said += [*entry, len(entry)]
    return listpack(said)


def identity(ms: int, seq: int) -> bytes:
    return ms.to_bytes(8, "big") + seq.to_bytes(8, "big")


def stream(version: int, nodes: Sequence[bytes], groups: Sequence[bytes] = (), producers: Sequence[bytes] = ()) -> bytes:
    """The value of a stream; nodes and producers as encoded strings."""
    said = length(len(nodes)) + b"".join(string(identity(k + 1, 1)) + blob for k, blob in enumerate(nodes))
    said += length(7) + length(2**40) + length(3)
    if version >= 2:
        said += length(1) + length(1) + length(0) + length(0) + length(9)
    said += length(len(groups)) + b"".join(groups)
    if version >= 4:
        said += length(100) + length(1000) + length(len(producers))
        said += b"".join(producers) + length(5) + length(2)
    return said


def group(version: int, name: bytes, pending: int, consumers: Sequence[tuple[bytes, int]], read: int = -1) -> bytes:
    """A group; consumers: their names, and how many of the pending entries they own. read: entries, -1 if unknown."""
    said = name + length(2**40) + length(0) + (length(read) if version >= 2 else b"") + length(pending)
    said += b"".join(identity(1, k) + (10**12 + k).to_bytes(8, "little") + length(k) for k in range(pending))
    said += length(len(consumers))
    for consumer, owned in consumers:
        said += consumer + (10**12).to_bytes(8, "little") + ((2**64 - 1).to_bytes(8, "little") if version >= 3 else b"")
        said += length(owned) + b"".join(identity(1, k) for k in range(owned))
    if version >= 5:
        said += length(1) + identity(1, 0)
    return said


def producer(name: bytes, ids: Sequence[bytes]) -> bytes:
    return name + length(len(ids)) + b"".join(one + length(2**40) + length(k) for k, one in enumerate(ids))


# ---- the rest ----


def key(kind: int, name: bytes, value: bytes) -> bytes:
    """A record; name and value encoded."""
    return bytes([kind]) + name + value


def aux(name: bytes, value: bytes) -> bytes:
    return b"\xfa" + name + value


def module_parts(*parts: bytes) -> bytes:
    return b"".join(parts) + length(0)


def key_metadata(*classes: bytes) -> bytes:
    return b"\xf3" + length(len(classes)) + b"".join(b"meta" + parts for parts in classes)


def array(elements: Sequence[tuple[int, int, bytes]], insert: int | None = None) -> bytes:
    """elements: index, kind and payload of each."""
    head = length(len(elements)) + (length(0) if insert is None else length(1) + length(insert))
    return head + b"".join(length(index) + length(kind) + payload for index, kind, payload in elements)


def template(number: int, names: Sequence[bytes]) -> bytes:
    """Opcode 242; names encoded."""
    return b"\xf2" + length(number) + length(len(names)) + b"".join(names)


def command(*arguments: bytes) -> bytes:
    said = b"".join(b"$%d\r\n%s\r\n" % (len(argument), argument) for argument in arguments)
    return b"\xf2*%d\r\n" % len(arguments) + said
