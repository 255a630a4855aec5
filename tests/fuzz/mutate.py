"""Mutations that several formats share: of bytes, of numbers in text, of lines, of RESP."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

INTEGERS: tuple[int, ...] = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    40,
    64,
    127,
    128,
    255,
    256,
    1024,
    65_535,
    65_536,
    10**6,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
INTEGERS += (2**32, 2**53, 10**18, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**19, 10**20)
# Digits that Python's int() and \d take, and a server's parser does not, among them.
NUMBERS = [
    *(str(one) for one in INTEGERS),
    *(str(-one) for one in INTEGERS),
    "9" * 400,
    "-" + "9" * 400,
    "1" + "0" * 5000,
    "0" * 300 + "7",
    "+5",
    "-",
    "",
    " 7",
    "7 ",
    "0x10",
    "1e9",
    "1e400",
    "-1e400",
    "nan",
    "inf",
    "-inf",
    "1_000",
    "1.5",
    "0." + "3" * 400,
    "٣",
    "\uff17",
    "²",
]
MAX_ARGUMENT = 2**17 - 1  # bytes, of Linux
DEPTHS = (2, 10, 100, 1000, 60_000)

Change = Callable[[bytearray, random.Random], None]


def flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def replace(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def cut_off(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def take_out(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice([1, 1, 2, 4, 8, 50, 1000])]


def put_in(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.choice([rng.randbytes(rng.randint(1, 9)), bytes(rng.randint(1, 99)), b"\r\n", b"\n" * 30])


def repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.randint(1, 200)] * rng.choice([1, 1, 2, 30])


def move(data: bytearray, rng: random.Random) -> None:
    at, size = rng.randrange(len(data)), rng.randint(1, 200)
    taken = data[at : at + size]
    del data[at : at + size]
    at = rng.randint(0, len(data))
    data[at:at] = taken


def binary(data: bytearray, rng: random.Random) -> None:
    """A number of 1, 2, 4 or 8 bytes where something else was."""
    size = rng.choice([1, 2, 4, 8])
    value = rng.choice(INTEGERS) + rng.choice([-1, 0, 0, 1])
    at = rng.randrange(len(data))
    data[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, rng.choice(["big", "little"]))


BYTES: list[Change] = [flip, replace, cut_off, take_out, put_in, repeat, move, binary, binary]


def damaged(data: bytes, rng: random.Random, changes: Sequence[Change] = BYTES, most: int = 4) -> bytes:
    """With one or several changes."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, most])):
        if changed:
            rng.choice(changes)(changed, rng)
    return bytes(changed)


def number(text: str, rng: random.Random) -> str:
    """With another number in the place of one."""
    found = list(re.finditer(r"[0-9]+", text))
    if not found:
        return text + rng.choice(NUMBERS)
    one = rng.choice(found)
    return text[: one.start()] + rng.choice(NUMBERS) + text[one.end() :]


def characters(text: str, rng: random.Random) -> str:
    at, odd = rng.randint(0, len(text)), "\0\x1b[31m\n\r\t \"'\\=:@/?#%[]{},;|&$*+-\u202e\udcffé漢"
    one = rng.choice([rng.choice(odd), rng.choice(odd) * 3, rng.choice(NUMBERS)])
    return rng.choice(
        [text[:at] + one + text[at:], text[:at], text[at:], text[:at] + one + text[at + 1 :], text[:at] + text[at + 3 :]]
    )


def words(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """With words repeated, left out, swapped, or taken from others."""
    found = re.split(r"(\s+|[=,:/@.])", text)
    at = rng.randrange(len(found))
    match rng.randrange(5):
        case 0:
            found.insert(at, rng.choice(found))
        case 1:
            del found[at]
        case 2:
            other = rng.randrange(len(found))
            found[at], found[other] = found[other], found[at]
        case 3:
            found[at] = rng.choice(re.split(r"(\s+|[=,:/@.])", rng.choice(others)))
        case _:
            some = found[at : at + 4]
            found[at:at] = some * min(rng.choice([1, 2, 50, 3000]), 1 + 10**6 // (1 + sum(map(len, some))))
    return "".join(found)


def text(seed: str, rng: random.Random, others: Sequence[str]) -> str:
    """A text like one seed, no longer than an argument of a command can be."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        match rng.randrange(4):
            case 0:
                seed = characters(seed, rng)
            case 1:
                seed = words(seed, rng, others)
            case _:
                seed = number(seed, rng)
    return seed[:MAX_ARGUMENT]


def lines(seed: str, rng: random.Random, others: Sequence[str]) -> str:
    """A text like one seed of several lines."""
    found = seed.splitlines(keepends=True)
    for _ in range(rng.choice([1, 1, 2, 3])):
        if not found:
            break
        at = rng.randrange(len(found))
        match rng.randrange(6):
            case 0:
                found.insert(at, rng.choice(rng.choice(others).splitlines(keepends=True) or [""]))
            case 1:
                del found[at]
            case 2:
                other = rng.randrange(len(found))
                found[at], found[other] = found[other], found[at]
            case _:
                found[at] = text(found[at], rng, others)
    return "".join(found)
