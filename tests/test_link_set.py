"""Links that come, change and go while others run."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tap import LinkConfig, Tap, events
from tap.errors import ConfigError, EnvironmentFailure
from tap.relay.listener import Listener
from tests.support import WITHIN, Servers, client, follow, is_up, level, wait_inside

NOWHERE = "127.0.0.1:1"


@contextlib.asynccontextmanager
async def echo(prefix: bytes = b"") -> AsyncIterator[int]:
    """A master that sends back what it gets, after the prefix; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(prefix)
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


opened: list[asyncio.StreamWriter] = []  # by the story that runs


class Peer:
    """A client through a link, or one that is refused."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        opened.append(writer)

    @classmethod
    async def of(cls, place: Listener | int) -> Peer:
        port = place if isinstance(place, int) else place.address.port
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def says(self, text: bytes) -> bytes:
        self.writer.write(text)
        async with asyncio.timeout(WITHIN):
            return await self.reader.readexactly(len(text))

    async def has_ended(self) -> bool:
        async with asyncio.timeout(WITHIN):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(2**16):
                    pass
        self.writer.close()
        return True


def acted(story: Any) -> Any:
    async def run() -> None:
        try:
            async with asyncio.timeout(60):
                await story
        finally:
            for writer in opened:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            opened.clear()

    asyncio.run(run())


def test_a_tap_may_begin_without_a_link_and_get_some() -> None:
    async def story() -> None:
        async with echo() as port, Tap(links=[]) as tap:
            with pytest.raises(ConfigError, match="this Tap has no link"):
                _ = tap.address
            listener = await tap.add_link(name="orders", master=port)
            assert listener.address.port == tap.port
            assert await (await Peer.of(listener)).says(b"PING\r\n") == b"PING\r\n"
            assert [one.name for one in tap.status().links] == ["orders"]
            assert [one.name for one in tap.config.links] == ["orders"]
            assert (await tap.wait_for(events.Listening)).master == f"127.0.0.1:{port}"
            other = await tap.add_link(f"users=127.0.0.1:0->127.0.0.1:{port}")
            assert await (await Peer.of(other)).says(b"x") == b"x"

    acted(story())


def test_what_cannot_be_a_link_changes_nothing() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            async with Tap(NOWHERE, name="a") as tap:
                before = tap.config
                for add, kind, words in (
                    ({"name": "a", "master": "h:1"}, ConfigError, "there is a link named 'a' already"),
                    ({"name": "b", "master": "h:1", "listen": port}, EnvironmentFailure, f"127.0.0.1:{port}"),
                    ({"name": "b"}, ConfigError, "give either a master, or transparent"),
                    ({"name": "b", "master": "h:1", "listen_cert": "no.pem"}, ConfigError, "no.pem"),
                    ({"name": "b", "master": "h:1", "alerts": "buffer > 90mb"}, ConfigError, "--inspect URL"),
                    ({"name": "b", "master": "h:1", "opaque": True, "mask": "capa:eof"}, ConfigError, "b is opaque"),
                ):
                    with pytest.raises(kind, match=words):
                        await tap.add_link(**add)
                for change, kind, words in (
                    ({"name": "b"}, ConfigError, "link a keeps its name"),
                    ({"listen": port}, EnvironmentFailure, f"127.0.0.1:{port}"),
                    ({"listen_cert": "no.pem"}, ConfigError, "no.pem"),
                ):
                    with pytest.raises(kind, match=words):
                        await tap.change_link("a", **change)
                with pytest.raises(TypeError, match="Did you mean 'listen'"):
                    await tap.change_link("a", lisen=port)
                for call in (tap.remove_link("aa"), tap.change_link("aa", master="h:1")):
                    with pytest.raises(ConfigError, match=r"no link is named 'aa'; known: a\. Did you mean 'a'\?"):
                        await call
                assert tap.config == before
                assert tap.status().links[0].address == tap.address
                assert await (await Peer.of(tap.port)).has_ended()  # it listens where it did
        with pytest.raises(ConfigError, match="links change while the tap runs"):
            await tap.add_link(name="late", master="h:1")

    acted(story())


def test_a_removed_link_takes_its_connections_and_what_was_for_it_alone() -> None:
    async def story() -> None:
        async with echo() as port, Tap(port, name="a", alerts="silence > 1h") as tap:
            a, b = tap.listeners[0], await tap.add_link(name="b", master=port)
            on_a, on_b = await Peer.of(a), await Peer.of(b)
            assert await on_a.says(b"1") == b"1"
            assert await on_b.says(b"2") == b"2"
            for spec in ("stall after=1h link=a", "stall after=1h link=b", "stall after=1h"):
                tap.faults.add(spec)
            await tap.remove_link("a")
            assert [armed.spec for armed in tap.faults.armed] == ["stall after=1h link=b", "stall after=1h"]
            over = await tap.wait_for("listening_over", link="a")
            assert (over.address, over.how) == (str(a.address), "removed")
            assert await on_a.has_ended()
            with pytest.raises(ConnectionRefusedError):
                await Peer.of(a)
            assert [one.name for one in tap.status().links] == ["b"]
            assert await on_b.says(b"3") == b"3"
            with pytest.raises(ConfigError, match="no link is named 'a'"):
                tap.faults.add("cut link=a")
            again = await tap.add_link(name="a", master=port, listen=a.address)
            assert await (await Peer.of(again)).says(b"4") == b"4"

    acted(story())


def test_connections_end_only_if_the_change_concerns_them() -> None:
    async def story() -> None:
        async with echo(b"1") as first, echo(b"2") as second, Tap(first, name="a") as tap:
            listener, port = tap.listeners[0], tap.port
            peer = await Peer.of(listener)
            assert await peer.reader.readexactly(1) == b"1"
            await tap.change_link("a", alerts="silence > 1h")
            await tap.change_link("a", inspect=f"redis://127.0.0.1:{first}")
            await tap.change_link("a", inspect=None)
            assert tap.port == port
            await tap.change_link("a", listen="localhost:0")
            assert await peer.says(b"still here") == b"still here"
            assert tap.port != port
            assert (await tap.wait_for("listening_over")).how == "moved"
            with pytest.raises(ConnectionRefusedError):
                await Peer.of(port)
            port = tap.port
            await tap.change_link("a", master=second)
            assert await peer.has_ended()
            assert tap.port == port
            assert await (await Peer.of(port)).reader.readexactly(1) == b"2"
            await tap.change_link("a", listen=f"*:{port}")  # the same port, on other addresses
            assert await (await Peer.of(port)).reader.readexactly(1) == b"2"
            assert tap.listeners == [listener]

    acted(story())


def test_a_disabled_link_keeps_its_place_and_its_port() -> None:
    async def story() -> None:
        async with echo() as master, Tap(master, name="a") as tap:
            port = tap.port
            peer = await Peer.of(port)
            assert await peer.says(b"1") == b"1"
            await tap.change_link("a", enabled=False)
            assert await peer.has_ended()
            with pytest.raises(ConnectionRefusedError):
                await Peer.of(port)
            assert not tap.status().links[0].is_enabled
            fault = tap.faults.add("refuse")
            await asyncio.sleep(0.25)  # two ticks, in which the fault must not open a port
            tap.faults.remove(fault.name)
            await asyncio.sleep(0.25)
            with pytest.raises(ConnectionRefusedError):
                await Peer.of(port)
            await tap.change_link("a", enabled=True)
            assert tap.port == port
            assert await (await Peer.of(port)).says(b"2") == b"2"

    acted(story())


def test_a_fault_that_closes_ports_holds_for_a_link_that_comes_later() -> None:
    async def story() -> None:
        async with echo() as master, Tap(links=[]) as tap:
            tap.faults.add("refuse name=outage")
            listener = await tap.add_link(name="a", master=master)
            await wait_inside(lambda: not listener.is_listening)
            with pytest.raises(ConnectionError):  # or reset, if it comes while the port is being closed
                await Peer.of(listener)
            tap.faults.remove("outage")
            await wait_inside(lambda: listener.is_listening)
            assert await (await Peer.of(listener)).says(b"1") == b"1"

    acted(story())


def test_each_link_may_be_opaque_by_itself() -> None:
    async def story() -> None:
        async with echo() as master, Tap(master, name="a") as tap:
            raw = await tap.add_link(name="raw", master=master, opaque=True)
            nonsense = bytes(range(256)) * 100
            peer = await Peer.of(raw)
            assert await peer.says(nonsense) == nonsense
            (one,) = tap.links
            assert one.conversation.role is None
            with pytest.raises(ConfigError, match="link raw parses nothing"):
                tap.faults.add("cut at=rdb link=raw")
            armed = tap.faults.add("cut at=rdb link=a")
            with pytest.raises(ConfigError, match="link a parses nothing"):
                await tap.change_link("a", opaque=True)
            tap.faults.remove(armed.name)
            await tap.change_link("a", opaque=True)
            with pytest.raises(ConfigError, match="this tap parses nothing"):
                tap.faults.add("cut at=rdb")

    acted(story())


def test_changes_of_one_link_come_one_after_the_other() -> None:
    async def story() -> None:
        async with echo() as master, Tap(links=[]) as tap:
            added = await asyncio.gather(
                *(tap.add_link(name="a", master=master) for _ in range(5)), return_exceptions=True
            )
            assert [type(one) for one in added].count(ConfigError) == 4
            flips = [tap.change_link("a", enabled=bool(number % 2)) for number in range(20)]
            await asyncio.gather(*flips, tap.remove_link("a"))
            assert not tap.listeners
            assert not tap.config.links
            await tap.add_link(name="a", master=master)

    acted(story())


def test_the_masters_of_links_are_asked_as_links_come_and_go(servers: Servers) -> None:
    master = servers.start("redis-7.0")

    async def story() -> None:
        url = f"redis://127.0.0.1:{master.port}"
        async with Tap(links=[]) as tap:
            listener = await tap.add_link(name="a", master=master.port, inspect=url)
            await wait_inside(lambda: tap.status().links[0].inspected is not None)
            await tap.change_link("a", inspect=None)
            assert tap.status().links[0].inspected is None
            await tap.change_link("a", inspect=url)
            await wait_inside(lambda: tap.status().links[0].inspected is not None)
            await tap.remove_link("a")
            assert listener.memory.inspected is None

    acted(story())


def test_ten_links_under_load_do_not_feel_others_come_change_and_go(servers: Servers) -> None:
    """Their connections stay, and none waits noticeably longer than without."""
    master, replica = servers.start("redis-7.0"), servers.start("redis-7.0")

    async def story() -> None:
        links = [LinkConfig(name=f"load-{number}", master=master.port) for number in range(10)]
        async with Tap(links=links) as tap:
            closed: list[str] = []
            tap.bus.subscribe(
                lambda told: (
                    closed.append(told.link)
                    if isinstance(told.event, events.LinkClosed) and told.link.startswith("load-")
                    else None
                )
            )
            await asyncio.to_thread(follow, replica, tap.listeners[0].address.port)
            await wait_inside(lambda: is_up(replica))
            peers = [await Peer.of(listener) for listener in tap.listeners[1:]]
            is_over, longest, rounds = False, 0.0, 0

            async def load(peer: Peer, number: int) -> None:
                nonlocal longest, rounds
                value = b"v" * 1000
                request = b"*3\r\n$3\r\nSET\r\n$5\r\nkey-%d\r\n$1000\r\n%b\r\n" % (number, value)
                now = asyncio.get_running_loop().time
                while not is_over:
                    begun = now()
                    peer.writer.write(request)
                    assert await peer.reader.readexactly(5) == b"+OK\r\n"
                    longest = max(longest, now() - begun)
                    rounds += 1

            async def change_others(number: int) -> None:
                for round_ in range(10):
                    name = f"other-{number}"
                    listener = await tap.add_link(name=name, master=master.port, opaque=bool(round_ % 2))
                    peer = await Peer.of(listener)
                    assert await _pong(peer)
                    tap.faults.add(f"stall after=1h link={name}")
                    await tap.change_link(name, listen="localhost:0")
                    assert await _pong(peer)
                    await tap.change_link(name, master="127.0.0.1:1")
                    assert await peer.has_ended()
                    await tap.change_link(name, enabled=False)
                    await tap.remove_link(name)

            tasks = [asyncio.create_task(load(peer, number)) for number, peer in enumerate(peers)]
            await asyncio.gather(*(change_others(number) for number in range(5)))
            is_over = True
            await asyncio.gather(*tasks)
            assert not closed
            assert not tap.faults.armed
            assert [one.name for one in tap.status().links] == [one.name for one in links]
            assert rounds > 100
            assert longest < 1.0  # closing a peer may take half a second, which no other link may wait for
            await asyncio.to_thread(level, master, replica)
            assert client(replica).dbsize() == 9

    acted(story())


async def _pong(peer: Peer) -> bool:
    peer.writer.write(b"*1\r\n$4\r\nPING\r\n")
    return await peer.reader.readexactly(7) == b"+PONG\r\n"
