"""What a master answers on one connection, from the bytes alone.

It answers as Redis 7.0 does (replication.c, replconfCommand; networking.c, processInputBuffer), with two exceptions: it
accepts every password, because the recorded one is not known; and data commands are unknown, because it stores nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tap.replication.requests import Nonsense, Request, RequestReader

OK = b"+OK\r\n"
_CLIENT = (b"SETNAME", b"SETINFO")


@dataclass(frozen=True, slots=True)
class Reply:
    """data: bytes to send. request: the request that they answer."""

    data: bytes
    request: Request


@dataclass(frozen=True, slots=True)
class Wish:
    """PSYNC or SYNC. replid: None for `?` and SYNC. offset: offset of the first byte requested."""

    request: Request
    replid: str | None
    offset: int

    @property
    def is_sync(self) -> bool:
        return self.request.name == b"SYNC"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """REPLCONF ACK. fsynced: the FACK offset; None if the replica sends none."""

    request: Request
    offset: int
    fsynced: int | None


@dataclass(frozen=True, slots=True)
class Farewell:
    """Send data and end the connection. why: "" if the peer asked to end it."""

    data: bytes
    why: str


Step = Reply | Wish | Acknowledged | Farewell


class Session:
    """One connection. host, port, knows_psync2, only_rdb: as the replica announced with REPLCONF."""

    def __init__(self, info: Callable[[], bytes], role: Callable[[], bytes], version: str) -> None:
        """info: the text of INFO. role: the reply to ROLE. version: the version in the reply to HELLO."""
        self.host: str | None = None
        self.port: int | None = None
        self.knows_psync2 = False
        self.only_rdb = False
        self.in_stream = False  # true after a Wish: from then on nothing is answered
        self._info = info
        self._role = role
        self._version = version
        self._requests = RequestReader()

    def receive(self, data: bytes) -> Iterator[Step]:
        """Take the next bytes and yield the steps they call for; nothing after a Farewell."""
        self._requests.feed(data)
        while (item := self._requests.next()) is not None:
            if isinstance(item, Nonsense):
                yield Farewell(b"" if self.in_stream else b"-ERR Protocol error\r\n", item.why)
                return
            if not isinstance(item, Request):
                continue  # the newlines of a loading replica
            step = self._in_stream(item) if self.in_stream else self._before(item)
            if isinstance(step, Wish):
                self.in_stream = True
            if step is not None:
                yield step
            if isinstance(step, Farewell):
                return

    def _in_stream(self, request: Request) -> Step | None:
        name, args = request.name, request.args
        if name in (b"PSYNC", b"SYNC"):
            return None
        if name == b"REPLCONF" and len(args) > 1:
            return self._acknowledged(request) if args[1].upper() == b"ACK" else None
        # As Redis since 7.0: the replica would read an answer as part of the stream.
        return Farewell(b"", f"{_word(name)} on a connection that is a replica's")

    def _acknowledged(self, request: Request) -> Acknowledged | None:
        said = dict(zip((word.upper() for word in request.args[1::2]), request.args[2::2], strict=False))
        ack, fack = _number(said.get(b"ACK", b"")), _number(said.get(b"FACK", b""))
        return None if ack is None else Acknowledged(request, ack, fack)

    def _before(self, request: Request) -> Step | None:
        name, args = request.name, request.args
        if name == b"REPLCONF" and len(args) > 2 and args[1].upper() in (b"ACK", b"GETACK"):
            return None
        if name == b"PSYNC":
            return self._psync(request)
        if name == b"SYNC":
            return Wish(request, None, -1)
        if name == b"QUIT":
            return Farewell(OK, "")
        return Reply(self._answer(name, args), request)

    def _psync(self, request: Request) -> Step:
        args = request.args
        if len(args) not in (3, 4):
            return Reply(_error("wrong number of arguments for 'psync' command"), request)
        offset = _number(args[2])
        if offset is None:
            return Reply(_error("value is not an integer or out of range"), request)
        if len(args) == 4:
            return Reply(_error("PSYNC FAILOVER can't be sent to a master."), request)
        return Wish(request, None if args[1] == b"?" else _word(args[1]).lower(), offset)

    def _answer(self, name: bytes, args: tuple[bytes, ...]) -> bytes:
        if name == b"PING":
            return _bulk(args[1]) if len(args) > 1 else b"+PONG\r\n"
        if name == b"REPLCONF":
            return self._replconf(args[1:])
        if name in (b"AUTH", b"SELECT") or (name == b"CLIENT" and args[1:2] and args[1].upper() in _CLIENT):
            return OK
        if name == b"HELLO":
            return self._hello(args)
        if name == b"INFO":
            return _bulk(self._info())
        if name == b"ROLE":
            return self._role()
        return _error(f"unknown command '{_word(name)[:128]}': this is redis-tap, the master of a recording")

    def _replconf(self, words: tuple[bytes, ...]) -> bytes:
        if len(words) % 2:
            return _error("syntax error")
        for option, value in zip(words[::2], words[1::2], strict=True):
            match option.lower():
                case b"listening-port":
                    self.port = _number(value)
                case b"ip-address":
                    self.host = _word(value) or None
                case b"capa":
                    # Other capabilities are not used: every replica takes one connection and `$<length>`.
                    self.knows_psync2 |= value.lower() == b"psync2"
                case b"rdb-only":
                    self.only_rdb = value == b"1"
                case b"rdb-filter-only":
                    return _error("a recorded RDB is sent whole: rdb-filter-only is not supported")
        return OK

    def _hello(self, args: tuple[bytes, ...]) -> bytes:
        version = args[1] if len(args) > 1 else b"2"
        if version not in (b"2", b"3"):
            return b"-NOPROTO unsupported protocol version\r\n"
        pairs = [
            (b"server", _bulk(b"redis")),
            (b"version", _bulk(self._version.encode())),
            (b"proto", b":%b\r\n" % version),
            (b"id", b":1\r\n"),
            (b"mode", _bulk(b"standalone")),
            (b"role", _bulk(b"master")),
            (b"modules", b"*0\r\n"),
        ]
        head = b"%%%d\r\n" % len(pairs) if version == b"3" else b"*%d\r\n" % (2 * len(pairs))
        return head + b"".join(_bulk(name) + value for name, value in pairs)


def role_reply(offset: int, replicas: list[tuple[str, int, int]]) -> bytes:
    """The reply to ROLE. replicas: host, port and acknowledged offset of each."""
    lines = [b"*3\r\n", _bulk(b"master"), b":%d\r\n*%d\r\n" % (offset, len(replicas))]
    for host, port, acknowledged in replicas:
        lines += [b"*3\r\n", _bulk(host.encode()), _bulk(b"%d" % port), _bulk(b"%d" % acknowledged)]
    return b"".join(lines)


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(data), data)


def _error(text: str) -> bytes:
    return b"-ERR " + re.sub(r"[\r\n]", " ", text).encode("latin-1", "replace") + b"\r\n"


def _word(word: bytes) -> str:
    return word.decode("latin-1")


def _number(word: bytes) -> int | None:
    return int(word) if re.fullmatch(rb"-?[0-9]{1,19}", word) else None
