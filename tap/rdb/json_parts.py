"""The rarer parts of a JSON line: strings that are not plain ASCII, numbers in arrays, and a stream's groups."""

from __future__ import annotations

import base64
import codecs
import json
import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from decimal import Decimal
from typing import IO

from tap.rdb.tokens import CONSUMER, GROUP, NONE, PENDING

MASK = 2**64 - 1
SPOOL_PIECE = 3 * 64 * 1024  # bytes; a multiple of three, for base64


def encoded(data: bytes) -> bytes:
    """A byte string as JSON: a string if it is printable UTF-8, else {"b64": ...}."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False).encode()
    return b'{"b64":"%s"}' % base64.b64encode(data)


class Group:
    """One consumer group.

    pending: ms, seq, delivered at, deliveries of each pending entry, one after the other. owners: for each of them the
    number of its consumer; -1: none. consumers: name, seen at, active at, and ms, seq of each entry the consumer owns.
    """

    def __init__(self, name: bytes, numbers: list[int]) -> None:
        self.name = name
        self.numbers = numbers
        self.pending = array("q")
        self.owners = array("q")
        self.consumers: list[tuple[bytes, int, int, array[int]]] = []

    def id_at(self, i: int) -> tuple[int, int]:
        return self.pending[4 * i] & MASK, self.pending[4 * i + 1] & MASK

    def own(self, ms: int, seq: int) -> None:
        """Assign the entry to the last consumer. Entries arrive in the order of their IDs, as pending has them."""
        self.consumers[len(self.consumers) - 1][3].extend((ms, seq))
        wanted = ms & MASK, seq & MASK
        i = bisect_left(range(len(self.owners)), wanted, key=self.id_at)
        if i < len(self.owners) and self.id_at(i) == wanted:
            self.owners[i] = len(self.consumers) - 1

    def texts(self) -> Iterator[str]:
        last_ms, last_seq, read = self.numbers
        yield f'{{"name":{as_text(self.name)},"last_id":"{stream_id(last_ms, last_seq)}"'
        if read != NONE:
            yield f',"entries_read":{"null" if read == -1 else read}'
        yield ',"pel":['
        names = [as_text(name) for name, *_ in self.consumers]
        for i in range(len(self.owners)):
            ms, seq, delivered, deliveries = self.pending[4 * i : 4 * i + 4]
            owner = "null" if self.owners[i] < 0 else names[self.owners[i]]
            yield f'{"," if i else ""}{{"id":"{stream_id(ms, seq)}","consumer":{owner},"delivery_time_ms":{delivered},'
            yield f'"delivery_count":{deliveries}}}'
        yield '],"consumers":['
        for number, (name, seen, active, owned) in enumerate(self.consumers):
            yield f'{"," if number else ""}{{"name":{as_text(name)},"seen_time_ms":{seen}'
            yield "" if active == NONE else f',"active_time_ms":{active}'
            yield ',"pel":['
            for i in range(0, len(owned), 2):
                yield f'{"," if i else ""}"{stream_id(owned[i], owned[i + 1])}"'
            yield "]}"
        yield "]}"


class Groups:
    """The end of a stream: its groups and their pending entries.

    The RDB names the owner of an entry only after all of the group's entries, so they are held for one stream at a time,
    at 40 to 60 bytes each.
    """

    def __init__(self, entries: int, numbers: list[int]) -> None:
        self.head = f'"length":{entries},"last_id":"{stream_id(*numbers[1:3])}"'
        if numbers[3] != NONE:
            self.head += f',"first_id":"{stream_id(*numbers[3:5])}","max_deleted_id":"{stream_id(*numbers[5:7])}"'
            self.head += f',"entries_added":{numbers[7]}'
        self.groups: list[Group] = []

    def take(self, token: int, numbers: list[int], name: bytes) -> None:
        if token == GROUP:
            self.groups.append(Group(name, numbers))
            return
        group = self.groups[len(self.groups) - 1]
        if token == PENDING:
            group.pending.extend(numbers)
            group.owners.append(-1)
        elif token == CONSUMER:
            group.consumers.append((name, numbers[0], numbers[1], array("q")))
        else:
            group.own(*numbers)

    def texts(self) -> Iterator[str]:
        """The rest of the stream's object, after its entries."""
        yield f',{self.head},"groups":['
        for number, group in enumerate(self.groups):
            yield "," if number else ""
            yield from group.texts()
        yield "]}"


def as_text(data: bytes) -> str:
    return encoded(data).decode()


def stream_id(ms: int, seq: int) -> str:
    return f"{ms & MASK}-{seq & MASK}"


def array_number(value: float) -> bytes:
    """An array element that the RDB stores as a binary64, as the text that the server would return.

    The server stores an element this way only if formatting the number gives back the text that was set. The digits here
    are the shortest possible; those of the server (Grisu2) are longer for about one number in a thousand.
    Source: Redis 8.8 sparsearray.c, arFormatFloat; util.c, d2string; deps/fpconv, emit_digits.
    """
    if not math.isfinite(value):
        return repr(value).encode()
    if value == 0:
        return repr(value).encode()
    if value == int(value) and abs(value) <= 2**62:
        return b"%d.0" % int(value)
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits, zeros = "".join(map(str, figures)), int(exponent)
    point = len(digits) + zeros  # digits before the decimal point
    power = abs(point - 1)
    if zeros >= 0 and power < len(digits) + 7:
        text = f"{digits}{'0' * zeros}.0"
    elif zeros < 0 and (zeros > -7 or power < 4):
        text = f"{digits[:point]}.{digits[point:]}" if point > 0 else f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{'-' if point < 1 else '+'}{power}"
    return f"{'-' * sign}{text}".encode()


def long_text(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file as JSON in the form of encoded(), in pieces."""
    printable = is_printable(file)
    file.seek(0)
    yield b'"' if printable else b'{"b64":"'
    decoder = codecs.getincrementaldecoder("utf-8")()
    while piece := file.read(SPOOL_PIECE):
        yield (
            json.dumps(decoder.decode(piece), ensure_ascii=False).encode()[1:-1] if printable else base64.b64encode(piece)
        )
    yield b'"' if printable else b'"}'


def is_printable(file: IO[bytes]) -> bool:
    """Whether the whole file is printable UTF-8."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(SPOOL_PIECE):
            if not decoder.decode(piece).isprintable():
                return False
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True
