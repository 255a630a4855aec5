"""Writes to the master during an experiment: every type of value, several dbs, big values, transactions, expiries.

The seed decides every command; their speed depends on the clock and the master. Keys expire in a day, so that none
vanishes while data sets are compared.

Two thirds of the commands come in runs of a few on one key, in which no two neighbours commute. A command that is lost,
doubled or swapped on its way therefore leaves a different value. The difference lasts, because the next runs use other
keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tap.scenario.pair import Node
from tap.servers.failures import ANSWER_SECONDS, FAILURES, ErrorReply
from tap.servers.info import Info

PREFIX = "redis-tap:"
PROBE = f"{PREFIX}probe"  # the key of test writes
BATCH_SECONDS = 0.02
LEDGER_SECONDS = 0.05
KEYS = 300  # of each type, so that the data set stays small however long a run is
EXPIRY_SECONDS = 86_400
BIG = 96 * 1024  # bytes, several reads of a socket
BURST_VALUE = 16 * 1024
RUNS = 2_000  # keys of each kind of run before they are used again: a few seconds of a fast workload
LOGS = 10  # lists that only grow, by some hundred bytes a second in total at the usual rate
DBS = (0, 0, 0, 1, 3)
MOMENT = 0.05  # seconds until the next attempt when the master cannot be reached

Command = tuple[str | bytes | int | float, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """A write of the ledger. offset: of the master, at or after the write."""

    offset: int
    key: str
    value: str


class Workload:
    """Writes to one master at a rate until stopped, whatever the experiment does to that master.

    written: commands that the master accepted. refused: commands that it refused, by the first word of its error.
    unreachable: batches that could not reach the master. ledger: some writes, each with an offset up to which it is in
    the stream. keys: all keys of ours that may exist.
    """

    def __init__(
        self, node: Node, seed: int, rate: int, *, dbs: tuple[int, ...] = DBS, ledger: bool = False, big: int = BIG
    ) -> None:
        """rate: commands per second. ledger: whether to keep one. big: bytes of the largest values at that rate."""
        self.node = node
        self.written = 0
        self.bytes = 0
        self.refused: Counter[str] = Counter()
        self.unreachable = 0
        self.ledger: list[Noted] = []
        self.dbs = dbs
        self.keys = {PROBE}
        self._random = random.Random(f"workload {seed}")  # noqa: S311
        self._rate = rate
        self._big = big
        self._with_ledger = ledger
        self._burst = 0
        self._noted = 0
        self._runs = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    # ---- at a rate ----

    @property
    def running(self) -> bool:
        return bool(self._tasks)

    def start(self) -> None:
        if not self._tasks:
            self._stopping.clear()
            jobs = [self._forever(self._batch, BATCH_SECONDS)]
            if self._with_ledger:
                jobs.append(self._forever(self._note, LEDGER_SECONDS))
            self._tasks = [asyncio.create_task(job, name="workload") for job in jobs]

    async def stop(self, within: float = ANSWER_SECONDS) -> None:
        """Stop. Returns when no command is on its way to the master any more, or after *within* seconds."""
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        # Not cancelled: that could leave a command in the master's socket, to be executed later.
        self._stopping.set()
        try:
            await asyncio.wait(tasks, timeout=within)
        finally:
            for task in tasks:
                task.cancel()

    async def _forever(self, job: Callable[[], Awaitable[None]], period: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopping.is_set():
            try:
                await job()
            except FAILURES:
                self.unreachable += 1
                due += MOMENT
            due = max(due + period, loop.time())  # missed batches are not made up for
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), due - loop.time())

    async def _batch(self) -> None:
        wanted = self._rate * BATCH_SECONDS
        count = int(wanted) + (self._random.random() < wanted % 1)
        commands: list[Command] = []
        while len(commands) < count:
            commands += self._mixed()
        if commands:
            await self._send(commands, self._random.choice(self.dbs))

    async def _note(self) -> None:
        number = self._noted
        self._noted += 1
        key, value = f"{PREFIX}ledger:{number}", str(number)
        self.keys.add(key)
        said, info = await self.node.client.ask_all([("SET", key, value), ("INFO", "replication")])
        if said is True:
            self.ledger.append(Noted(Info.parse(info).replication.master_repl_offset, key, value))

    # ---- at once ----

    async def burst(self, size: int) -> None:
        """Write values of *size* bytes in total, as fast as the master accepts them; refused writes count, too.

        Raises FAILURES when the master cannot be reached.
        """
        while size > 0:
            commands: list[Command] = []
            for _ in range(16):
                if size > 0:
                    value = self._random.randbytes(min(size, BURST_VALUE))
                    commands.append(("SET", f"{PREFIX}burst:{self._burst % 200}", value))
                    self._burst += 1
                    size -= len(value)
            await self._send(commands, self.dbs[0])

    async def preload(self, size: int) -> None:
        """Write something of every type, and values of *size* bytes in total. Raises as burst()."""
        if size:
            for db in sorted(set(self.dbs)):
                commands: list[Command] = []
                while len(commands) < 200:
                    commands += self._mixed()
                await self._send(commands, db)
            await self.burst(size)

    async def clean(self) -> None:
        """Remove every key of ours, by name: a scan takes long if there are many other keys. Raises as burst()."""
        for db in sorted(set(self.dbs)):
            await self.node.client.ask_all([("UNLINK", key) for key in self.keys], db=db)

    # ---- the commands ----

    async def _send(self, commands: list[Command], db: int) -> None:
        self.keys.update(str(command[1]) for command in commands if len(command) > 1)
        replies = await self.node.client.ask_all(commands, db=db)
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, ErrorReply):
                self.refused[_code(reply)] += 1
            elif isinstance(reply, Exception):
                raise reply
            else:
                self.written += 1
                self.bytes += sum(len(word) for word in command if isinstance(word, bytes | str))

    def _mixed(self) -> list[Command]:
        """A command, or a few that belong together."""
        dice = self._random
        kind = dice.random()
        if kind < 0.4:
            return self._run()
        number = dice.randrange(KEYS)
        value = dice.randbytes(dice.randrange(1, 200))
        if kind < 0.53:
            return [("SET", f"{PREFIX}string:{number}", value)]
        if kind < 0.60:
            return [("HSET", f"{PREFIX}hash:{number % 50}", f"field:{number}", value)]
        if kind < 0.66:
            key = f"{PREFIX}list:{number % 20}"
            return [("RPUSH", key, value, f"item {number}"), ("LTRIM", key, -100, -1)]
        if kind < 0.70:
            return [("SADD", f"{PREFIX}set:{number % 20}", number, value[:8])]
        if kind < 0.72:
            return [("SREM", f"{PREFIX}set:{number % 20}", number)]
        if kind < 0.77:
            return [("ZADD", f"{PREFIX}zset:{number % 20}", dice.randrange(1000), f"member:{number}")]
        if kind < 0.82:
            return [("XADD", f"{PREFIX}stream:{number % 5}", "MAXLEN", 200, "*", "field", value)]
        if kind < 0.86:
            key = f"{PREFIX}expiring:{number}"
            return [("SET", key, value, "EX", EXPIRY_SECONDS + number)]
        if kind < 0.88:
            return [("DEL", f"{PREFIX}string:{number}")]
        if kind < 0.893:
            return [("SET", f"{PREFIX}big:{number % 4}", dice.randbytes(self._big))]
        return [
            ("MULTI",),
            ("INCR", f"{PREFIX}counter:transactions"),
            ("SET", f"{PREFIX}string:{number}", value),
            ("RPUSH", f"{PREFIX}list:transactions", number),
            ("LTRIM", f"{PREFIX}list:transactions", -100, -1),
            ("EXEC",),
        ]

    def _run(self) -> list[Command]:
        """A few commands whose order and number can be seen from the resulting value."""
        number = self._runs
        self._runs += 1
        key = f"{number % RUNS}"
        match self._random.randrange(4):
            case 0:
                return [("RPUSH", f"{PREFIX}log:{number % LOGS}", f"{number}.{item}") for item in range(5)]
            case 1:
                counter, seen = f"{PREFIX}count:{key}", f"{PREFIX}count:{key}:seen"
                return [("INCR", counter), ("COPY", counter, seen, "REPLACE"), ("APPEND", seen, "!"), ("INCR", counter)]
            case 2:
                return [("SET", f"{PREFIX}last:{key}", f"{number}.{item}") for item in range(4)]
            case _:
                text = f"{PREFIX}text:{key}"
                return [("SET", text, number), *(("APPEND", text, f".{item}") for item in range(4))]


def _code(error: ErrorReply) -> str:
    """NOREPLICAS of "NOREPLICAS Not enough good replicas to write."; redis-py strips the code from some errors."""
    known = {"ReadOnlyError": "READONLY", "OutOfMemoryError": "OOM"}
    word = str(error).split(" ")[0]
    return known.get(type(error).__name__, word if word.isupper() else "ERR")
