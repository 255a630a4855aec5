"""REPLICAOF with restore."""

from __future__ import annotations

import asyncio

import pytest

from tap.servers.client import Client
from tap.servers.following import Following, follow
from tap.url import Address
from tests.servers.standin import StandIn
from tests.servers.support import with_client, with_stand_in
from tests.support import Servers, client, is_up, wait_until

ELSEWHERE = Address("127.0.0.1", 1)


@pytest.mark.parametrize("before", [None, ("127.0.0.1", 2)])
def test_at_the_end_a_server_follows_its_former_master(before: tuple[str, int] | None) -> None:
    async def job(client: Client, server: StandIn) -> None:
        await server._follow(before)
        async with Following(client) as following:
            assert following.before == (None if before is None else Address(*before))
            await follow(client, ELSEWHERE)
            assert server.master == ("127.0.0.1", 1)
        assert server.master == before
        assert following.unrestored == ()

    with_stand_in(job)


@pytest.mark.parametrize("error", [ValueError("dirty"), asyncio.CancelledError()])
def test_an_error_or_a_cancellation_restores_and_passes(error: BaseException) -> None:
    async def job(client: Client, server: StandIn) -> None:
        await server._follow(("127.0.0.1", 2))

        async def work() -> None:
            async with Following(client):
                await follow(client, ELSEWHERE)
                raise error

        with pytest.raises(type(error)):
            await work()
        assert server.master == ("127.0.0.1", 2)

    with_stand_in(job)


def test_a_server_that_has_gone_is_named_with_the_restoring_command() -> None:
    async def job(client: Client, server: StandIn) -> None:
        await server._follow(("127.0.0.1", 2))
        async with Following(client) as following:
            server.kill()
        (line,) = following.unrestored
        assert line.startswith(f"127.0.0.1:{server.port}: REPLICAOF 127.0.0.1 2 failed: ")
        assert (await following.forget())[0].startswith(f"127.0.0.1:{server.port}: REPLICAOF NO ONE failed: ")

    with_stand_in(job)


def test_a_server_that_does_not_answer_is_left_in_time() -> None:
    async def job(client: Client, server: StandIn) -> float:
        following = Following(client, ELSEWHERE, within=0.3)
        await client.ask("PING")
        server.silent = True
        began = asyncio.get_running_loop().time()
        assert len(await following.restore()) == 1
        return asyncio.get_running_loop().time() - began

    assert with_stand_in(job) == pytest.approx(0.3, abs=0.02)


def test_a_real_replica_comes_back_and_after_forgetting_by_a_full_resync(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)

    async def job(one: Client) -> None:
        await follow(one, master.address)
        await asyncio.to_thread(wait_until, lambda: is_up(replica))
        async with Following(one) as following:
            assert following.before == master.address
            await follow(one, ELSEWHERE)
        await asyncio.to_thread(wait_until, lambda: is_up(replica))
        assert client(master).info("stats")["sync_full"] == 1
        await following.forget()
        await following.restore()
        await asyncio.to_thread(wait_until, lambda: is_up(replica))

    with_client(replica, job)
    assert client(master).info("replication")["connected_slaves"] == 1
