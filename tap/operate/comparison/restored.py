"""An append-only file as a server of our own that holds its data.

The server is a replica, and we are its master: it gets the RDB at the beginning of the file in a full resync, and the
commands as the stream. So the files are only read, whichever server wrote them, and no key expires: a replica leaves that
to its master. When the replica has acknowledged the last whole command, it is asked for a snapshot like any server.

Source of the format: Redis 7.0 aof.c. A file may begin with an RDB; the rest is commands, with annotations between them
(#TS:<seconds>) where aof-timestamp-enabled is set. What a crash cut off at the end of the last file, a command or a
transaction, is not applied, as with aof-load-truncated.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from tap.capture.content import Damaged
from tap.errors import ConfigError, EnvironmentFailure, RdbError
from tap.operate.comparison.data_sets import MAGIC, chunks_of, head_of
from tap.rdb.parser import Parser
from tap.replay.session import Acknowledged, Farewell, Reply, Session, Wish
from tap.replication.scanner import StreamScanner
from tap.servers.client import Client
from tap.servers.embedded import LOOPBACK, Server
from tap.servers.failures import FAILURES, said_by
from tap.url import Url

HISTORY = b"0" * 39 + b"1"  # the replication ID that we give out
EMPTY = b"REDIS0009\xff" + bytes(8)  # an RDB without keys
STAMP = b"#TS:"
SILENT_SECONDS = 600.0  # for which a replica that loads an RDB may say nothing
LOG_LINES = 3
POLL_SECONDS = 0.01

Sent = Callable[[int], None]


class Restored:
    """A context: yields itself once the server holds all data. url: of the server. lacking: sentences."""

    def __init__(
        self, name: str, files: Sequence[Path], program: str | None = None, sent: Sent = lambda size: None
    ) -> None:
        """name: of the files, for messages. program: as of Server. sent: called with bytes that were handed over.

        Entering raises ConfigError or RdbError for files that cannot be restored, EnvironmentFailure without a server.
        """
        self.lacking: list[str] = []
        self._name = name
        self._files = files
        self._sent = sent
        self._server = Server(program, name="restored", repl_timeout=3600, databases=1024)
        self._listening = socket.create_server((LOOPBACK, 0))
        self._failure: Exception | None = None
        self._connection: socket.socket | None = None

    @property
    def url(self) -> Url:
        return Url.parse(self._server.url)

    def __enter__(self) -> Restored:
        try:
            size = _rdb_size(self._files[0]) if self._files else 0
            self._server.start()
            feeding = threading.Thread(target=self._feed, args=(size,), name=f"restoring {self._name}", daemon=True)
            asyncio.run(self._follow(feeding))
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._listening.close()
        if self._connection is not None:
            self._connection.close()
        self._server.close()

    async def _follow(self, feeding: threading.Thread) -> None:
        """Make the server our replica until it holds all data; and see whether it refused any."""
        async with Client(self.url) as client:
            try:
                await client.ask("CONFIG", "RESETSTAT")
                feeding.start()
                await client.ask("REPLICAOF", LOOPBACK, str(self._listening.getsockname()[1]))
                while feeding.is_alive():
                    await asyncio.sleep(POLL_SECONDS)
                    if feeding.is_alive() and self._server.exit_code is not None:
                        raise self._not_loaded()
                if self._failure is not None:
                    raise self._failure
                errors = int((await client.info("stats")).fields.get("total_error_replies", "0"))
            except FAILURES as error:
                raise EnvironmentFailure(f"{self._server.name}: {said_by(error)}") from None
        if errors:
            commands = "1 command" if errors == 1 else f"{errors} commands"
            self.lacking.append(
                f"{self._name}: {self._server.version} refused {commands} of it: what they wrote is missing here; "
                "--server names another program"
            )

    # ---- the master's side, in a thread ----

    def _feed(self, size: int) -> None:
        try:
            self._listening.settimeout(SILENT_SECONDS)
            self._connection, _ = self._listening.accept()
            self._connection.settimeout(SILENT_SECONDS)
            session = Session(lambda: b"", lambda: b"", "")
            self._until(self._connection, session, 0, lambda step: isinstance(step, Wish))
            self._connection.sendall(b"+FULLRESYNC %b 0\r\n$%d\r\n" % (HISTORY, size or len(EMPTY)))
            wanted = self._send(self._connection, size)
            self._until(self._connection, session, wanted, lambda step: isinstance(step, Acknowledged))
        except (ConfigError, EnvironmentFailure) as error:
            self._failure = error
        except (OSError, EOFError):
            self._failure = self._not_loaded()

    @staticmethod
    def _until(connection: socket.socket, session: Session, offset: int, is_last: Callable[[object], bool]) -> None:
        """Answer until the wish for a resync, or until the acknowledgement of an offset."""
        while True:
            data = connection.recv(2**16)
            if not data:
                raise EOFError
            for step in session.receive(data):
                if isinstance(step, Reply):
                    connection.sendall(step.data)
                elif isinstance(step, Farewell):
                    raise EOFError
                elif is_last(step) and (not isinstance(step, Acknowledged) or step.offset >= offset):
                    return

    def _send(self, connection: socket.socket, size: int) -> int:
        """Send the RDB and all commands. Returns the offset after the last whole one outside of a transaction."""
        if size == 0:
            connection.sendall(EMPTY)
        stream = _Stream()
        stamped = any(map(_is_stamped, self._files))
        for number, path in enumerate(self._files):
            left = size if number == 0 else 0
            stream.begin(path)
            pieces = self._pieces(connection, path, left)
            for chunk in _commands_only(pieces) if stamped else pieces:
                stream.feed(chunk)
                connection.sendall(chunk)
                self._sent(len(chunk))
        if stream.unfinished:
            self.lacking.append(
                f"{self._name}: its end is missing: {stream.unfinished} bytes of a command or a transaction are not "
                "applied"
            )
        return stream.safe

    def _pieces(self, connection: socket.socket, path: Path, rdb: int) -> Iterator[bytes]:
        """The bytes of a file after an RDB of that size, which is sent."""
        try:
            for chunk in chunks_of(path):
                part = chunk[:rdb]
                if part:
                    connection.sendall(part)
                    self._sent(len(part))
                rdb -= len(part)
                if len(part) < len(chunk):
                    yield chunk[len(part) :]
        except Damaged as error:
            raise ConfigError(f"{path}: {error}") from None

    def _not_loaded(self) -> ConfigError:
        said = f"{self._name}: {self._server.version} does not load it; --server names another program:"
        return ConfigError((said, *self._server.log.splitlines()[-LOG_LINES:]))


class _Stream:
    """The commands of all files. safe: offset after the last whole command outside of a transaction. unfinished: bytes
    after that.
    """

    def __init__(self) -> None:
        self.safe = 0
        self._size = 0
        self._path = Path()
        self._scanner = StreamScanner(0, keep_ends=True)
        self._scanner.watch(frozenset({b"EXEC"}))
        self._executes: set[int] = set()

    @property
    def unfinished(self) -> int:
        return self._size - self.safe

    def begin(self, path: Path) -> None:
        self._path = path

    def feed(self, chunk: bytes) -> None:
        """Raises ConfigError for bytes that are no commands."""
        self._size += len(chunk)
        self._scanner.feed(chunk)
        if self._scanner.broken:
            raise ConfigError(f"{self._path}: {self._scanner.broken}: this is not an append-only file, or it is damaged")
        self._executes.update(begin for begin, _ in self._scanner.take_matches()[0])
        for begin, end, _, in_transaction in self._scanner.take_ends():
            if not in_transaction or begin in self._executes:
                self.safe = end
                self._executes.discard(begin)


def _rdb_size(path: Path) -> int:
    """The size of the RDB that a file begins with; 0 if with none. Raises RdbError."""
    if not head_of(path).startswith(MAGIC):
        return 0
    parser = Parser(lambda tape: None, checks=False)
    size = 0
    for chunk in chunks_of(path):
        size += parser.feed(chunk)
        if parser.finished or parser.problem is not None:
            break
    parser.close()
    if parser.problem is not None:
        raise RdbError(f"{path}: {parser.problem}")
    return size


def _is_stamped(path: Path) -> bool:
    """Whether there may be annotations in it."""
    end = b""
    for chunk in chunks_of(path):
        if STAMP in end + chunk:
            return True
        end = chunk[-len(STAMP) :]
    return False


def _commands_only(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out the annotations, which stand between commands. What is no command is passed on as it is."""
    data = b""
    left = 0  # bytes of the argument that is passing, with its line end
    arguments = 0  # of the command, still to come
    for chunk in chunks:
        data += chunk
        at = 0
        kept = bytearray()
        while at < len(data):
            if left:
                taken = min(left, len(data) - at)
                kept += data[at : at + taken]
                at += taken
                left -= taken
                continue
            end = data.find(b"\n", at)
            if end < 0:
                break
            line = data[at : end + 1]
            at = end + 1
            if arguments == 0 and line.startswith(b"#"):
                continue
            kept += line
            number = line[1:].strip()
            if number.isdigit() and len(number) < 16:
                if line.startswith(b"*"):
                    arguments = int(number)
                elif line.startswith(b"$"):
                    left = int(number) + 2
                    arguments = max(0, arguments - 1)
        data = data[at:]
        if kept:
            yield bytes(kept)
    if data and not data.startswith(b"#"):
        yield data
