"""Looks for bytes that the parser cannot handle: python -m tests.rdb.fuzz SECONDS [SEED]

Begins with the fixtures and with made RDBs, damages them, and tells each in several ways: whole, in pieces, without
values, uncompiled, and in front of other bytes. What all of them have to agree about is in complaints(). A failing
input is saved to found-<number>.rdb here; the one being read when the process dies is in reading.rdb.
"""

from __future__ import annotations

import faulthandler
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.rdb import make
from tests.rdb.story import Story, of_keys, read, uncompiled_parser
from tests.support import FIXTURES

BYTEWISE = 6000  # bytes; longer inputs are not read byte by byte
UNCOMPILED = 3000  # bytes
MOST_TIME = 60.0  # seconds; for one reading
MOST_MEMORY = 1024  # MiB; of this process, inputs and tokens included
INTERESTING = bytes(
    [0, 1, 2, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0x82, 0xBF, *range(0xC0, 0xC5), *range(0xF0, 0x100), 0xDF, 0xE0, 0xEF]
)
LENGTHS = [0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 65535, 65536, 65537]


# ---- what has to be true ----


def complaints(data: bytes, rng: random.Random, bare: type | None) -> Iterator[str]:
    """What is wrong with how this is reported. bare: the uncompiled parser."""
    size = rng.choice([None, len(data)])
    whole = read(data, size=size)
    ways: list[tuple[str, Story]] = []
    if len(data) <= BYTEWISE:
        ways.append(("byte by byte", read(data, [1] * len(data), size=size)))
    for most in (16, 1000, 100_000):
        if len(data) // most < 20_000:
            sizes = [rng.randint(1, most) for _ in range(2 * len(data) // most + 1)]
            ways.append((f"in pieces of up to {most}", read(data, sizes, size=size)))
    if bare is not None and len(data) <= UNCOMPILED:
        ways.append(("uncompiled", read(data, size=size, kind=bare)))
    for way, told in ways:
        yield from differences(way, whole, told)
    keys = read(data, values=False, size=size)
    yield from depth_differences(whole, keys)
    yield from differences(
        "keys in pieces", keys, read(data, [rng.randint(1, 40) for _ in range(1000)], values=False, size=size)
    )
    if whole.checksum:
        alone = read(data[: whole.consumed], size=size and whole.consumed)
        followed = read(data[: whole.consumed] + b"*1\r\n$4\r\nPING\r\n", size=size and whole.consumed)
        if alone.checksum:  # with fewer bytes to come, a count can be too large
            yield from differences("with more behind it", alone, followed)
    elif whole.consumed != len(data):
        yield f"{whole.consumed} bytes of {len(data)} taken, and no end"
    if whole.problem is not None and not whole.problem.text:
        yield "a problem without a word"


def differences(way: str, whole: Story, told: Story) -> Iterator[str]:
    if told.problem != whole.problem:
        yield f"{way}: {told.problem!r}\n  whole: {whole.problem!r}"
    if told.checksum != whole.checksum:
        yield f"{way}: checksum {told.checksum!r}, whole: {whole.checksum!r}"
    if told.consumed != whole.consumed:
        yield f"{way}: {told.consumed} bytes, whole: {whole.consumed}"
    if told.tokens != whole.tokens:
        pairs = enumerate(zip(told.tokens, whole.tokens, strict=False))
        k = next((k for k, (a, b) in pairs if a != b), min(len(told.tokens), len(whole.tokens)))
        yield f"{way}: token {k} of {len(told.tokens)} is {cut(told.tokens[k:])}, whole: {cut(whole.tokens[k:])}"


def depth_differences(values: Story, keys: Story) -> Iterator[str]:
    if values.problem != keys.problem:
        yield f"values: {values.problem!r}\n  keys: {keys.problem!r}"
    if of_keys(values) != of_keys(keys):
        yield "other keys without values"


def cut(tokens: list[tuple[int | bytes, ...]]) -> str:
    return repr(tokens[:1])[:200]


# ---- damage ----


def flip(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def replace(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    data[rng.randrange(len(data))] = rng.choice(INTERESTING)


def cut_off(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    del data[rng.randrange(len(data)) :]


def take_out(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    i = rng.randrange(len(data))
    del data[i : i + rng.choice([1, 1, 2, 4, 8, 50])]


def put_in(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    i = rng.randrange(len(data))
    data[i:i] = rng.choice(
        [bytes([rng.choice(INTERESTING)]), rng.randbytes(rng.randint(1, 9)), bytes(rng.randint(1, 99))]
    )


def splice(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    other = rng.choice(seeds)
    i, j = rng.randrange(len(data)), rng.randrange(len(other))
    data[i:] = other[j : j + 200_000]


def repeat(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    i = rng.randrange(len(data))
    data[i:i] = data[i : i + rng.randint(1, 60)] * rng.choice([1, 1, 2, 30])


def number(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    """A number of 2, 4 or 8 bytes, or a length, where something else was."""
    i, value = rng.randrange(len(data)), rng.choice(LENGTHS) + rng.choice([0, 0, -1, 1])
    size = rng.choice([2, 4, 8])
    written = rng.choice(
        [
            (value % 2 ** (8 * size)).to_bytes(size, rng.choice(["big", "little"])),
            make.length(value),
            make.length(value, 9),
        ]
    )
    data[i : i + len(written)] = written


def type_byte(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    """Another type where a type byte may be."""
    places = [i for i in range(9, min(len(data), 5000)) if data[i] <= 33]
    if places:
        data[rng.choice(places)] = rng.randrange(41)


def magic(data: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    data[:9] = rng.choice([b"REDIS%04d" % rng.randint(0, 16), b"VALKEY%03d" % rng.randint(79, 82)])


DAMAGE: list[Callable[[bytearray, random.Random, list[bytes]], None]] = [
    flip, replace, replace, cut_off, take_out, put_in, splice, repeat, number, number, type_byte, type_byte, magic,
]  # fmt: skip


def damaged(seed: bytes, rng: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        if data:
            rng.choice(DAMAGE)(data, rng, seeds)
    return bytes(data[:3_000_000])


# ---- sound RDBs ----


class Maker:
    """Makes RDBs of everything that the parser knows."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.large = rng.random() < 0.1
        self.room = 1_000_000 if self.large else 30_000  # bytes of text to come; without limit some are immense

    def text(self) -> bytes:
        rng = self.rng
        size = rng.choice([0, 1, 2, 5, 20, 62, 63, 64, 200, rng.randint(0, 2000)])
        if self.large and rng.random() < 0.05:
            size = rng.choice([4095, 4096, 16382, 16383, 16384, 65535, 65536, 65537, 70_000, 300_000])
        size = min(size, max(self.room, 1))
        self.room -= size + 10
        if rng.random() < 0.5:
            return rng.randbytes(rng.randint(1, 9)) * (size // 8) + b"end"[: size % 4]
        return rng.randbytes(size)

    def string(self, most: int = 2**30) -> bytes:
        kind = self.rng.randrange(4)
        if kind == 0:
            return make.decimal(self.number(32))
        text = self.text()[:most]
        return make.compressed(text) if kind == 1 and len(text) > 3 else make.string(text)

    def blob(self, blob: bytes) -> bytes:
        """A packed value, as a string in one form or the other."""
        return make.compressed(blob) if self.rng.random() < 0.5 else make.string(blob)

    def number(self, bits: int = 64) -> int:
        size = self.rng.randint(1, bits)
        return self.rng.getrandbits(size) - (1 << size - 1)

    def count(self) -> int:
        if self.room <= 0:
            return 1
        if self.large and self.rng.random() < 0.2:
            return self.rng.choice([300, 2000, 8000])
        return self.rng.choice([1, 1, 2, 3, 7, 30])

    def entry(self) -> bytes | int:
        return self.number() if self.rng.random() < 0.4 else self.text()

    def entries(self, each: int = 1) -> list[bytes | int]:
        return [self.entry() for _ in range(self.count() * each)]

    def name(self) -> bytes:
        """Of a template's field, which is held whole: at most tap.rdb.tokens.LARGE bytes, compressed or not."""
        return self.string(60_000)

    def strings(self, each: int = 1) -> bytes:
        count = self.count()
        return make.length(count) + b"".join(self.string() for _ in range(count * each))

    def expiries(self) -> list[bytes | int]:
        return [part for _ in range(self.count()) for part in (self.entry(), self.entry(), self.rng.getrandbits(40))]

    def scores(self) -> list[bytes | int]:
        scores: list[bytes | int] = [b"1.5", b"-inf", 7, -70000, b"1e99"]
        return [part for _ in range(self.count()) for part in (self.entry(), self.rng.choice(scores))]

    def integers(self) -> bytes:
        width = self.rng.choice([2, 4, 8])
        count = self.rng.choice([1, 5, 400, 40_000 if self.large else 3])
        return make.intset((self.number(8 * width - 1) for _ in range(count)), width)

    def pairs(self) -> list[tuple[bytes, bytes]]:
        return [(self.text(), self.text()) for _ in range(self.count())]

    def elements(self, *parts: Callable[[], bytes]) -> bytes:
        count = self.count()
        return make.length(count) + b"".join(part() for _ in range(count) for part in parts)

    def eight(self) -> bytes:
        return self.rng.getrandbits(62).to_bytes(8, "little")

    def some_length(self) -> bytes:
        return make.length(self.rng.getrandbits(self.rng.choice([6, 14, 32, 40])))

    def text_score(self) -> bytes:
        return self.rng.choice([b"\xfe", b"\xff", b"\x031.5", b"\x154.9406564584124654e-9"])

    def node(self) -> bytes:
        names = self.entries()[:50]
        entries = [
            self.entries(2) if self.rng.random() < 0.3 else [self.entry() for _ in names] for _ in range(self.count())
        ]
        dead = [k for k in range(len(entries)) if self.rng.random() < 0.2]
        return self.blob(make.node(names, entries[:100], [k for k in dead if k < 100]))

    def stream(self, version: int) -> bytes:
        groups = [
            make.group(version, self.string(), self.rng.randrange(9), [(self.string(), self.rng.randrange(4))])
            for _ in range(self.rng.randrange(3))
        ]
        producers = [
            make.producer(self.string(), [self.string() for _ in range(self.rng.randrange(3))])
            for _ in range(self.rng.randrange(3))
        ]
        return make.stream(version, [self.node() for _ in range(self.rng.randrange(4))], groups, producers)

    def module(self) -> bytes:
        parts = [
            make.length(1) + make.length(self.number()),
            make.length(2) + self.some_length(),
            make.length(3) + b"abcd",
            make.length(4) + b"abcdefgh",
            make.length(5) + self.string(),
        ]
        return make.module_parts(*(self.rng.choice(parts) for _ in range(self.rng.randrange(5))))

    def array(self) -> bytes:
        payloads = [(0, self.string), (1, self.eight), (2, self.eight), (3, self.string)]
        chosen = [self.rng.choice(payloads) for _ in range(self.count())]
        return make.array(
            [(self.rng.getrandbits(40), kind, payload()) for kind, payload in chosen], self.rng.choice([None, 7])
        )

    def plain_or_packed(self) -> bytes:
        if self.rng.random() < 0.3:
            return make.length(1) + self.string()
        return make.length(2) + self.blob(make.listpack(self.entries()))

    def names(self) -> tuple[bytes, int]:
        """The names of a template, as in types 29 and 31, and their number."""
        if self.rng.random() < 0.5:
            entries = [entry if isinstance(entry, int) else entry[:1000] for entry in self.entries()[:60]]
            return make.length(0) + self.blob(make.listpack(entries)), len(entries)
        count = self.count()
        return make.length(1) + make.length(count) + b"".join(self.name() for _ in range(count)), count

    def template_values(self, count: int, listed: bool) -> bytes:
        if listed:
            return self.blob(make.listpack([1, *(self.entry() for _ in range(count))]))
        return b"".join(self.string() for _ in range(count))

    def named(self, listed: bool) -> bytes:
        names, count = self.names()
        return names + self.template_values(count, listed)

    def value(self, kind: int, valkey: bool) -> bytes:
        """A value of a type; templates 1 and 300, of 3 and 5 names, are defined."""
        forms: dict[int, Callable[[], bytes]] = {
            0: self.string,
            1: self.strings,
            2: self.strings,
            3: lambda: self.elements(self.string, self.text_score),
            4: lambda: self.strings(2),
            5: lambda: self.elements(self.string, self.eight),
            7: lambda: make.length(2**62 + 5) + self.module(),
            9: lambda: self.blob(make.zipmap(self.pairs(), self.rng.randrange(4))),
            10: lambda: self.blob(make.ziplist(self.entries())),
            11: lambda: self.blob(self.integers()),
            12: lambda: self.blob(make.ziplist(self.scores())),
            13: lambda: self.blob(make.ziplist(self.entries(2))),
            14: lambda: self.elements(lambda: self.blob(make.ziplist(self.entries()))),
            15: lambda: self.stream(1),
            16: lambda: self.blob(make.listpack(self.entries(2))),
            17: lambda: self.blob(make.listpack(self.scores())),
            18: lambda: self.elements(self.plain_or_packed),
            19: lambda: self.stream(2),
            20: lambda: self.blob(make.listpack(self.entries())),
            21: lambda: self.stream(3),
            22: lambda: self.elements(self.some_length, self.string, self.string),
            23: lambda: self.blob(make.listpack(self.expiries())),
            24: lambda: self.eight_small() + self.elements(self.some_length, self.string, self.string),
            25: lambda: self.eight() + self.blob(make.listpack(self.expiries())),
            26: lambda: self.stream(4),
            27: lambda: self.stream(5),
            28: self.array,
            29: lambda: self.named(True),
            30: lambda: self.blob(make.listpack([1, *(self.entry() for _ in range(3))])),
            31: lambda: self.named(False),
            32: lambda: make.length(300) + self.template_values(5, False),
            33: self.some_length,
        }
        if valkey:
            forms[22] = lambda: self.elements(self.string, self.string, self.eight)
        return forms[kind]()

    def eight_small(self) -> bytes:
        return self.rng.getrandbits(40).to_bytes(8, "little")

    def attribute(self, valkey: bool, version: int) -> bytes:
        rng = self.rng
        found = [
            b"\xfc" + self.eight(),
            b"\xfd" + rng.randbytes(4),
            b"\xf9" + rng.randbytes(1),
            b"\xf8" + self.some_length(),
        ]
        if version >= 13 and not valkey:
            found.append(make.key_metadata(*(self.module() for _ in range(rng.randrange(4)))))
        return b"".join(rng.choice(found) for _ in range(rng.choice([0, 0, 1, 2])))

    def other(self, valkey: bool) -> bytes:
        """A record that is not a key."""
        rng = self.rng
        found = [
            lambda: b"\xfe" + make.length(rng.randrange(20)),
            lambda: b"\xfb" + make.length(rng.randrange(9)) + self.some_length(),
            lambda: b"\xfa" + self.string() + self.string(),
            lambda: b"\xf5" + self.string(),
            lambda: b"\xf4" + self.some_length() * 3,
            lambda: b"\xf7" + make.length(2**62) + make.length(2) + make.length(1) + self.module(),
        ]
        if valkey:
            found.append(lambda: make.command(*(self.text() for _ in range(rng.randrange(4)))))
            ranges = make.length(rng.randrange(16384)) * 2
            found.append(lambda: b"\xf3" + make.string(b"j" * 40) + make.length(3) + ranges * 3)
        return rng.choice(found)()

    def rdb(self) -> bytes:
        rng = self.rng
        valkey = rng.random() < 0.25
        version = rng.choice([80, 81]) if valkey else rng.choice([*range(1, 15), *[15] * 10])
        records: list[bytes] = []
        if version == 15:
            records.append(make.template(1, [self.name() for _ in range(3)]))
            records.append(make.template(300, [self.name() for _ in range(5)]))
        kinds = [k for k in range(34) if k not in (6, 8) and (not valkey or k < 23)]
        kinds = [k for k in kinds if version == 15 or k not in (30, 32)]
        for _ in range(rng.choice([1, 2, 5])):
            if rng.random() < 0.3:
                records.append(self.other(valkey))
            kind = rng.choice(kinds)
            records.append(self.attribute(valkey, version) + make.key(kind, self.string(), self.value(kind, valkey)))
        return make.rdb(version, *records, checksum=rng.random() < 0.9)


# ---- the run ----


def seeds_at_hand() -> list[bytes]:
    return [path.read_bytes() for path in sorted((FIXTURES / "rdb").glob("*.rdb"))]


def inputs(rng: random.Random) -> Iterator[tuple[bytes, bool]]:
    """Endless inputs, each with whether it is sound."""
    seeds = seeds_at_hand()
    while True:
        if rng.random() < 0.3:
            made = Maker(rng).rdb()
            yield made, True
            for _ in range(10):
                yield damaged(made, rng, seeds), False
        else:
            yield damaged(rng.choice(seeds), rng, seeds), False


def memory() -> int:
    """The peak memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def fuzz(seconds: float, seed: int) -> int:
    """Returns the number of failed inputs."""
    rng = random.Random(seed)
    bare = uncompiled_parser()
    reading, end = Path("reading.rdb"), time.monotonic() + seconds
    count = failed = 0
    for data, sound in inputs(rng):
        if time.monotonic() > end:
            break
        reading.write_bytes(data)
        faulthandler.dump_traceback_later(MOST_TIME * 4, exit=True)
        began, before = time.monotonic(), memory()
        try:
            found = list(complaints(data, rng, bare if count % 4 == 0 else None))
            if sound and (problem := read(data).problem) is not None:
                found.append(f"refused although it is sound: {problem}")
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        took = time.monotonic() - began
        if took > 2 + len(data) / 20_000:
            found.append(f"took {took:.1f} s for {len(data)} bytes")
        if memory() > max(before, MOST_MEMORY):
            found.append(f"{memory()} MiB of memory")
        if found:
            failed += 1
            name = f"found-{seed}-{failed}.rdb"
            Path(name).write_bytes(data)
            print(name, len(data), "bytes", *found, sep="\n  ", flush=True)
        count += 1
    faulthandler.cancel_dump_traceback_later()
    print(f"{count} inputs, {failed} of them failed, {memory()} MiB")
    return failed


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(2**32)
    print(f"seed {chosen}", flush=True)
    faulthandler.enable()
    sys.exit(fuzz(float(sys.argv[1]), chosen) > 0)
