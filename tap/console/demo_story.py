"""The story of `redis-tap demo`, for readers who have never seen replication from the inside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table

from tap.bus import Told
from tap.console.sentences import sentence, why
from tap.console.terminal import Terminal, Words, stacked
from tap.replication import events
from tap.replication.events import Event
from tap.servers.cancellation import checkpoint
from tap.servers.embedded import Server
from tap.tap import Tap
from tap.url import Url

if TYPE_CHECKING:
    from tap.servers.client import Client

E = TypeVar("E", bound=Event)
WITHIN = 15.0  # seconds; each step takes one or two


async def tell(tap: Tap, master: Server, replica: Server, to_master: Client, backlog: int) -> bool:
    """Tell the story, in the course of which the replica is started. Returns whether both data sets end up equal.

    backlog: the master's repl-backlog-size, bytes.
    """
    return await _Story(tap, master, replica, to_master, backlog).tell()


class _Story:
    def __init__(self, tap: Tap, master: Server, replica: Server, to_master: Client, backlog: int) -> None:
        self._tap = tap
        self._master = master
        self._replica = replica
        self._to_master = to_master
        self._backlog = backlog
        self._console = Terminal()
        self._told: list[Told] = []
        self._news = asyncio.Event()
        self._written = 0

    async def tell(self) -> bool:
        unsubscribe = self._tap.bus.subscribe(self._hear)
        self._introduction()
        await self._full_resync()
        await self._writes()
        await self._partial_resync()
        await self._lost_backlog()
        unsubscribe()
        return await self._comparison()

    def _hear(self, told: Told) -> None:
        self._told.append(told)
        self._news.set()
        event = told.event
        if isinstance(event, events.FullResync):
            self._show(Words.assemble(("FULL RESYNC", "bold green"), f", the stream will go on at offset {event.offset}"))
            title = Words(f"why? {event.reason.code}")
            self._show(Panel(Words(why(event.reason)), title=title, title_align="left", border_style="green"))
            return
        said = sentence(event)
        if said is not None:
            self._show(Words(said, style="bold green" if isinstance(event, events.PartialResync) else ""))

    def _show(self, what: RenderableType) -> None:
        line = Table.grid(padding=(0, 1))
        line.add_row(Words("   tap │", "cyan"), what)
        self._console.print(line)

    def _say(self, text: str) -> None:
        self._console.print(text)

    def _chapter(self, number: int, title: str) -> None:
        self._console.print()
        self._console.rule(Words(f"{number}. {title}", "bold"), align="left")

    def _introduction(self) -> None:
        self._console.print(
            Panel(
                stacked(
                    Words(f"replica  ⇄  redis-tap 127.0.0.1:{self._tap.port}  ⇄  master 127.0.0.1:{self._master.port}"),
                    Words(),
                    Words.assemble(
                        f"Two {self._master.version} servers of our own. The replica believes that the tap is its "
                        "master; the tap passes every byte on and reports what it sees, in the lines that start with ",
                        ("tap │", "cyan"),
                        ".",
                    ),
                ),
                title="redis-tap demo",
                title_align="left",
            )
        )

    async def _full_resync(self) -> None:
        self._chapter(1, "A replica joins: full resync")
        self._say(
            "The replica introduces itself and asks to follow (PSYNC). It has nothing yet, so the master sends a "
            "snapshot of everything, the RDB, and from then on every write: the stream."
        )
        for number in range(200):
            await self._to_master.ask("SET", f"user:{number}", f"name {number}")
        before = len(self._told)
        await asyncio.to_thread(self._replica.start)
        await self._next(events.StreamStarted, before)
        await self._level()

    async def _writes(self) -> None:
        self._chapter(2, "Writes flow")
        self._say(
            "Each byte of the stream has a number, the replication offset. The replica reports once a second how far it "
            "has come (ACK); its distance from the master's offset is its lag."
        )
        await self._write(2000)
        await self._level()
        acks = [told.event for told in self._told if isinstance(told.event, events.Ack)]
        table = Table("", "replication offset", box=None, pad_edge=False)
        table.add_row("master", str(await self._master_offset()))
        table.add_row("tap", str(self._offset()))
        table.add_row("replica", f"{acks[-1].offset} (its last ACK)")
        self._console.print(table)

    async def _partial_resync(self) -> None:
        self._chapter(3, "The tap cuts the link: partial resync")
        self._say(
            "The replica comes back and names the history it follows and the next offset it needs. The master keeps the "
            f"last {self._backlog // 1024} KB of its stream, the backlog. What the replica missed is still in it, so it "
            "gets just those bytes and no snapshot."
        )
        before = len(self._told)
        self._tap.faults.add("cut at=offset:+1000b name=lost-link")
        await self._write(100)
        await self._next(events.PartialResync, before)
        await self._level()

    async def _lost_backlog(self) -> None:
        self._chapter(4, "A longer cut: the backlog is overrun")
        missed = 4 * self._backlog
        self._say(
            f"Now no replica gets through while {missed // 1024} KB are written, four times the backlog. When the "
            "replica returns, the bytes it needs are gone, and only a snapshot helps."
        )
        self._tap.faults.add("refuse name=outage")
        self._tap.faults.add("cut name=lost-again")
        enough = await self._master_offset() + missed
        while await self._master_offset() < enough:
            await self._write(200)
        before = len(self._told)
        self._tap.faults.remove("outage")
        await self._next(events.StreamStarted, before)
        await self._level()

    async def _comparison(self) -> bool:
        self._chapter(5, "Are both data sets equal?")
        table = Table("", "keys", "digest of all data", box=None, pad_edge=False)
        digests = []
        to_replica = type(self._to_master)(Url(self._replica.address))
        for name, client in (("master", self._to_master), ("replica", to_replica)):
            digests.append(bytes(await client.ask("DEBUG", "DIGEST")).decode())
            table.add_row(name, str(await client.ask("DBSIZE")), digests[-1])
        await to_replica.close()
        equal = digests[0] == digests[1]
        self._console.print(table)
        verdict = ("Equal.", "bold green") if equal else ("Different: this is a bug, please report it.", "bold red")
        rest = f" {self._written} writes and two cuts; one was repaired without a snapshot."
        self._console.print(Words.assemble(verdict, rest))
        self._console.print()
        self._console.print("On a pair of your own:  redis-tap run --master HOST:PORT")
        return equal

    # ---- writing, and waiting for events ----

    async def _write(self, count: int) -> None:
        commands: list[tuple[str, ...]] = []
        for _ in range(count):
            self._written += 1
            commands.append(("SET", f"user:{self._written % 1000}", f"name {self._written}"))
            if self._written % 10 == 0:
                commands.append(("INCR", "logins"))
        await self._to_master.ask_all(commands)

    async def _next(self, kind: type[E], before: int) -> E:
        """Wait for an event of this kind. The first *before* events do not count."""
        async with asyncio.timeout(WITHIN):
            while True:
                for told in self._told[before:]:
                    if isinstance(told.event, kind):
                        return told.event
                self._news.clear()
                await self._news.wait()

    async def _level(self) -> None:
        """Wait until the replica has acknowledged everything that the master wrote."""

        async def reached() -> bool:
            offset = await self._master_offset()
            acks = [told.event.offset for told in self._told if isinstance(told.event, events.Ack)]
            return bool(acks) and acks[-1] == offset == self._offset()

        await _until(reached)

    async def _master_offset(self) -> int:
        return (await self._to_master.replication()).master_repl_offset

    def _offset(self) -> int | None:
        connections = self._tap.status().connections
        return connections[-1].offset if connections else None


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN):
        while not await condition():
            checkpoint()
            await asyncio.sleep(0.05)
