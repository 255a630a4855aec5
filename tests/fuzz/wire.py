"""Bytes of masters, replicas and clients: RESP in both directions of several connections."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

from tap.capture.tls import TlsFinder
from tap.faults import parse
from tap.faults.rules import Rules
from tap.recording.boundary import BoundaryFinder, RequestFinder
from tap.recording.role_evidence import Undecided
from tap.redaction.masks import Masker, Replies
from tap.redaction.redactor import Redactor
from tap.redaction.strict import ReplyMasker, StrictMasker
from tap.replay.session import Session
from tap.replication import acks
from tap.replication.requests import Nonsense, Request, RequestReader
from tap.replication.scanner import StreamScanner
from tests.fuzz.check import differences, pieces
from tests.fuzz.mutate import DEPTHS, NUMBERS, damaged
from tests.recording.plants import ARRAYS, GARBAGE, LINES, REPLIES
from tests.relay.wire import command
from tests.support import Chunk, Play, captures

REPLID = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb"
SAID = [
    b"+FULLRESYNC %b 1000\r\n" % REPLID.encode(),
    b"+CONTINUE\r\n",
    b"+CONTINUE %b\r\n" % REPLID.encode(),
    b"$EOF:" + b"e" * 40 + b"\r\n",
    b"$42\r\n",
    b"$0\r\n",
    b"$-1\r\n",
    b"+RDBCHANNELSYNC 7\r\n",
    b"+DUALCHANNELSYNC\r\n",
    b"$ENDOFF:1000 " + REPLID.encode() + b" 0 7\r\n",
    b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n",
    b"-LOADING\r\n",
    b"-ERR\r\n",
    b"+OK\r\n",
    b"+PONG\r\n",
    b"\n",
    b"\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b":5\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",1.5\r\n",
    b"(123\r\n",
    b"%1\r\n",
    b"~1\r\n",
    b">2\r\n",
    b"|1\r\n",
    b"=5\r\ntxt:x\r\n",
    b"!5\r\nERR x\r\n",
    command("PING"),
    command("SELECT", "3"),
    command("MULTI"),
    command("EXEC"),
    command("REPLCONF", "GETACK", "*"),
    command("SET", "k", "v" * 300),
    command("REPLCONF", "ACK", "1050"),
    command("REPLCONF", "ACK", "1050", "FACK", "1000"),
    command("REPLCONF", "listening-port", "6380", "capa", "eof", "capa", "psync2"),
    command("PSYNC", REPLID, "1001"),
    command("PSYNC", "?", "-1"),
    command("SYNC"),
    command("RREPLAY", REPLID, b"*1\r\n$4\r\nPING\r\n", "1", "0", "2"),
    command("REPLCONF", "rdb-channel", "1", "main-ch-client-id", "7"),
    command("AUTH", "a", "b"),
    command("HELLO", "3"),
    command("XADD", "s", "*", "f", "v"),
    command("EVAL", "return 1", "2", "a", "b"),
    command("REPLCONF", "rdb-filter-only", "functions"),
    b"PING\r\n",
    b"SYNC\r\n",
    b"PSYNC ? -1\r\n",
    b"\xff\xfe\r\n",
]


@cache
def _seeds() -> list[tuple[Chunk, ...]]:
    return [one.chunks for one in captures() if sum(len(chunk.data) for chunk in one.chunks) < 40_000]


def talk(rng: random.Random) -> list[Chunk]:
    """A capture, changed line by line."""
    chunks = list(rng.choice(_seeds()))
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        _change(chunks, rng)
    return chunks


def _change(chunks: list[Chunk], rng: random.Random) -> None:
    if not chunks:
        return
    at = rng.randrange(len(chunks))
    one = chunks[at]
    match rng.randrange(8):
        case 0:
            del chunks[at]
        case 1:
            chunks.insert(at, rng.choice(rng.choice(_seeds())))
        case 2:
            chunks[at] = Chunk(one.at, one.connection, "master" if one.side == "replica" else "replica", one.data)
        case 3:
            chunks.insert(
                at,
                Chunk(
                    one.at,
                    one.connection,
                    rng.choice(["master", "replica"]),
                    b"".join(rng.choices(SAID, k=rng.randint(1, 5))),
                ),
            )
        case _:
            chunks[at] = Chunk(one.at, one.connection, one.side, resp(one.data, rng))


def resp(data: bytes, rng: random.Random) -> bytes:
    """With another line, number or value."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+$", data)
    if not lines or rng.random() < 0.2:
        return damaged(data, rng)
    at = rng.randrange(len(lines))
    match rng.randrange(8):
        case 0:
            lines.insert(at, rng.choice(SAID))
        case 1:
            del lines[at]
        case 2:
            lines[at:at] = lines[at : at + rng.randint(1, 6)] * rng.choice([1, 2, 100])
        case 3:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 4:
            lines.insert(
                at, rng.choice([b"*1\r\n", b"*2\r\n", b"\n", b"-\n", b"*0\r\n", b"$0\r\n\r\n"]) * rng.choice(DEPTHS[:4])
            )
        case 5:
            return command(
                *(rng.choice([b"", b"k", rng.randbytes(5), b"9" * 400, b"v" * 3000]) for _ in range(rng.randint(1, 6)))
            )
        case _:
            numbered = [n for n, line in enumerate(lines) if re.search(rb"[0-9]", line)]
            if numbered:
                at = rng.choice(numbered)
                value = rng.choice(NUMBERS).encode()
                lines[at] = re.sub(rb"-?[0-9]+", lambda _: value, lines[at], count=1)
    return b"".join(lines)


def complaints(chunks: list[Chunk], rng: random.Random) -> Iterator[str]:
    """The same events for any split, and every event can be written."""
    every = rng.random() < 0.5
    whole = Play(every_command=every).all(chunks)
    for most in (1, 30) if sum(len(one.data) for one in chunks) < 20_000 else (2000,):
        parts = [
            Chunk(one.at, one.connection, one.side, piece)
            for one in chunks
            for piece in (pieces(one.data, rng, most) if one.data else [b""])
        ]
        yield from differences(f"in pieces of up to {most}", whole, Play(every_command=every).all(parts))


# ---- bytes of one direction, and all that reads such ----


def stream(rng: random.Random) -> bytes:
    parts = [one.data for one in rng.choice(_seeds())]
    data = b"".join(parts)[: rng.choice([500, 5000, 40_000])]
    if rng.random() < 0.5:
        plants = [*(one.said for one in (*ARRAYS, *LINES)), *GARBAGE, *SAID]
        data = b"".join(rng.choices(plants, k=rng.randint(1, 12))) + data[:2000]
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        data = resp(data, rng)
    return data[:200_000]


def _scanned(parts: list[bytes]) -> list[Any]:
    scanner = StreamScanner(0, keep_ends=True)
    for part in parts:
        scanner.feed(part)
    ends = [(begin, end, db, in_transaction) for begin, end, db, in_transaction in scanner.take_ends()]
    return [*ends, scanner.broken, scanner.broken_at, scanner.db, scanner.commands, scanner.boundary, scanner.unfinished]


def _asked(parts: list[bytes]) -> list[Any]:
    reader, found = RequestReader(), []
    for part in parts:
        reader.feed(part)
        while (item := reader.next()) is not None:
            if isinstance(item, Request):
                found.append(item)
            if isinstance(item, Nonsense):
                return [*found, item]
    return found


def _served(parts: list[bytes]) -> list[Any]:
    session = Session(lambda: b"x", lambda: b"*0\r\n", "7.0.0")
    found: list[Any] = []
    for part in parts:
        for step in session.receive(part):
            found.append(step)
            if type(step).__name__ == "Farewell":
                return found
    return found


def _bounded(parts: list[bytes]) -> list[Any]:
    finder = BoundaryFinder()
    for part in parts:
        if finder.feed(part) is not None:
            return [finder.skipped]
    return [finder.skipped, finder.close() is None]


def _through(make: Callable[[], Callable[[bytes], bytes]]) -> Callable[[list[bytes]], list[Any]]:
    def read(parts: list[bytes]) -> list[Any]:
        change = make()
        return [b"".join(map(change, parts))]

    return read


def _redacted(parts: list[bytes]) -> list[Any]:
    redactor = Redactor(b"k" * 16, frozenset({"keys", "values"}))
    return [b"".join([*map(redactor.feed, parts), redactor.flush()])]


def _replies() -> Callable[[bytes], bytes]:
    replies = Replies()
    replies.look_for({"requirepass", "masterauth", 1})
    return replies.mask


READERS: dict[str, Callable[[list[bytes]], list[Any]]] = {
    "scanner": _scanned,
    "requests": _asked,
    "session": _served,
    "masker": _through(lambda: Masker().mask),
    "strict masker": _through(lambda: StrictMasker().mask),
    "reply masker": _through(lambda: ReplyMasker().mask),
    "replies": _through(_replies),
    "redactor": _redacted,
}
SIZED = ("masker", "strict masker", "reply masker", "replies", "redactor")
MASKERS = SIZED[:4]


def stream_complaints(data: bytes, rng: random.Random) -> Iterator[str]:
    for name, read in READERS.items():
        whole = read([data])
        if name in SIZED and len(whole[0]) != len(data):
            yield f"{name}: {len(whole[0])} bytes"
        most = 1 if len(data) < 5000 else 1000
        told = read(list(pieces(data, rng, most)))
        if name in MASKERS:  # after nonsense they hide more if it comes in pieces, so only the size is certain
            told, whole = [len(told[0])], [len(data)]
        yield from differences(f"{name}, in pieces of up to {most}", whole, told)
    _bounded(list(pieces(data, rng, 3000)))
    finder, tls, undecided = RequestFinder(), TlsFinder(rng.random() < 0.5), Undecided()
    for part in pieces(data, rng, 1400):
        finder.feed(part)
        tls.see(rng.randrange(2), part)
        undecided.heard(rng.randrange(2), part)
        acks.acknowledged(part)
        acks.are_acknowledgements(part)
    for request in _asked([data]):
        if isinstance(request, Request):
            Rules(["psync2"], "10.0.0.1").applied(request)
            for spec in REWRITES:
                site: Any = SimpleNamespace(notes={})
                parse(spec).what.rewritten(site, request)


REWRITES = (
    "rewrite ack=freeze",
    "rewrite ack=+100b",
    "rewrite listening-port=1",
    "rewrite ip-address=1.2.3.4",
    "rewrite capa=-psync2",
)
__all__ = ["REPLIES", "complaints", "resp", "stream", "stream_complaints", "talk"]
