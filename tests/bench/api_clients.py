"""Clients of a tap's API: `python -m tests.bench.api_clients KIND API_PORT LINK_PORT [LINK ...]`.

The line "1" on stdin connects them, "0" disconnects them. Each line is printed again once that is done, with the number
of requests that were answered since the line before. In both states a client connects to LINK_PORT and leaves each
second, so that there are events.

All clients are one process at the lowest priority: on a small machine they would otherwise take processor time from the
servers of the link, which is not the tap's cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

STREAMS = 20
CONTROLLERS = 50
PIECE = 2**16

answered = 0


class Client:
    """One connection that is kept alive, as browsers, Prometheus and clients of Toxiproxy keep it."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, method: str, path: str, body: Any = None) -> bytes:
        """Send a request; the head of its answer. Fails if it was refused."""
        words = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Length: {len(words)}\r\n\r\n"
        self._writer.write(head.encode() + words)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 2"):
            raise AssertionError(f"{method} {path} {body}: {answer!r}")
        return answer.lower()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        global answered
        head = await self.send(method, path, body)
        length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
        content = await self._reader.readexactly(int(length or 0))
        answered += 1
        return json.loads(content) if b"application/json" in head else None

    async def read_all(self) -> None:
        while await self._reader.read(PIECE):
            pass


# ---- clients that watch ----


async def scrape(port: int) -> None:
    async with Client(port) as client:
        while True:
            await client.ask("GET", "/metrics")
            await asyncio.sleep(1.0)


async def stream(port: int) -> None:
    async with Client(port) as client:
        await client.send("GET", "/v1/events")
        await client.read_all()
        raise AssertionError("the tap has ended an event stream")


async def page_each_second(port: int) -> None:
    """As of app.js, with the histories that are new."""
    sampled = 0.0
    async with Client(port) as client:
        while True:
            await client.ask("GET", "/v1/links?connections=100")
            history = await client.ask("GET", f"/v1/history?after={sampled}")
            for samples in history["links"].values():
                sampled = max(sampled, samples[-1][0] if samples else 0.0)
            await asyncio.sleep(1.0)


async def page_faults(port: int) -> None:
    async with Client(port) as client:
        while True:
            await client.ask("GET", "/v1/faults")
            await asyncio.sleep(1.0)


async def page_slowly(port: int) -> None:
    async with Client(port) as client:
        while True:
            await client.ask("GET", "/v1/stats?most=15")
            await client.ask("GET", "/v1/recordings")
            await asyncio.sleep(3.0)


def watchers(port: int, _links: list[str]) -> list[Awaitable[None]]:
    """A scraper, clients of the event stream, and a browser with the page, which has a stream of its own."""
    streams = [stream(port) for _ in range(STREAMS + 1)]
    return [scrape(port), *streams, page_each_second(port), page_faults(port), page_slowly(port)]


# ---- clients that change ----


async def control(port: int, number: int, links: list[str]) -> None:
    """Create, change and delete a proxy of its own with a toxic, and a fault on a link that carries load.

    A request a second; the clients begin one after the other.
    """
    name = f"proxy{number}"
    link = links[number % len(links)]
    toxic = {"name": "slow", "type": "latency", "attributes": {"latency": 100}}
    proxy = {"name": name, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/proxies", proxy),
        ("POST", f"/proxies/{name}/toxics", toxic),
        ("POST", f"/proxies/{name}/toxics/slow", {"attributes": {"latency": 200}}),
        ("POST", f"/proxies/{name}", {"enabled": False}),
        ("DELETE", f"/proxies/{name}/toxics/slow", None),
        ("DELETE", f"/proxies/{name}", None),
        ("POST", "/v1/faults", {"spec": f"cut at=offset:999999999999 link={link} name=fault{number}"}),
        ("DELETE", f"/v1/faults/fault{number}", None),
    ]
    await asyncio.sleep(number / CONTROLLERS)
    async with Client(port) as client:
        try:
            while True:
                for method, path, body in requests:
                    asked = asyncio.ensure_future(client.ask(method, path, body))
                    try:
                        await asyncio.shield(asked)
                    except asyncio.CancelledError:
                        await asked  # or the tap would make what has been deleted below
                        raise
                    await asyncio.sleep(1.0)
        finally:
            async with Client(port) as last:
                for path in (f"/proxies/{name}", f"/v1/faults/fault{number}"):
                    with contextlib.suppress(AssertionError):  # it is not there at the moment
                        await last.ask("DELETE", path)


def controllers(port: int, links: list[str]) -> list[Awaitable[None]]:
    return [control(port, number, links) for number in range(CONTROLLERS)]


# ---- both ----

KINDS: dict[str, Callable[[int, list[str]], list[Awaitable[None]]]] = {"watchers": watchers, "controllers": controllers}


async def come_and_go(port: int) -> None:
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PING\r\n")
        await reader.readline()
        writer.close()
        await asyncio.sleep(1.0)


async def main(kind: str, port: int, link_port: int, links: list[str]) -> None:
    global answered
    os.nice(19)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with asyncio.TaskGroup() as group:
        group.create_task(come_and_go(link_port))
        here: list[asyncio.Future[None]] = []
        while line := (await lines.readline()).decode().strip():
            for one in here:
                if one.done():
                    one.result()
                one.cancel()
            if here:
                await asyncio.wait(here)
            here = [asyncio.ensure_future(one) for one in KINDS[kind](port, links)] if line == "1" else []
            print(line, answered, flush=True)
            answered = 0
        for one in here:
            one.cancel()
        raise SystemExit


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
