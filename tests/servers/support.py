"""Stories about one client and one server, a stand-in or a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tap.servers.client import Client
from tap.servers.embedded import Server
from tap.url import Url
from tests.scenario.atonce import at_once
from tests.servers.standin import StandIn, stand_ins

T = TypeVar("T")


def with_stand_in(job: Callable[[Client, StandIn], Awaitable[T]], server: StandIn | None = None) -> T:
    """Returns the result of the job; its waiting takes no time."""

    async def story() -> T:
        one = server or StandIn()
        async with stand_ins(one), Client(one.url) as client:
            return await job(client, one)

    return at_once(story())


def with_client(server: Server, job: Callable[[Client], Awaitable[T]]) -> T:
    async def story() -> T:
        async with Client(Url(server.address)) as client:
            return await job(client)

    return asyncio.run(story())
