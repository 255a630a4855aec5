"""The bytes of a master's backlog."""

from __future__ import annotations

import pytest

from tap.servers.backlog import backlog
from tap.servers.client import Client
from tests.relay.wire import command
from tests.servers.standin import StandIn
from tests.servers.support import with_client, with_stand_in
from tests.support import Servers, client, follow, is_up, wait_until


def test_the_bytes_between_two_offsets_are_returned() -> None:
    async def job(client: Client, server: StandIn) -> None:
        for number in range(3):
            await client.ask("SET", f"key:{number}", "x")
        wanted = command("SET", "key:1", "x")
        end = server.offset - len(command("SET", "key:2", "x"))
        assert await backlog(client, server.replid, end - len(wanted), end) == wanted
        assert server.counts == {"partial": 1}

    with_stand_in(job, StandIn(password="sesame"))


def test_a_master_that_refuses_is_named() -> None:
    async def job(client: Client, server: StandIn) -> None:
        with pytest.raises(ValueError, match=r"127\.0\.0\.1:\d+ does not give its backlog: \+FULLRESYNC"):
            await backlog(client, "0" * 40, 0, 1)
        server.refuses["PSYNC"] = "ERR no"
        with pytest.raises(ValueError, match="does not give its backlog: -ERR no"):
            await backlog(client, server.replid, 0, 1)

    with_stand_in(job)


def test_a_real_master_serves_no_full_resync_for_it(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))

    async def job(one: Client) -> bytes:
        begin = await one.replication()
        await one.ask("SET", "key", "x" * 100)
        end = await one.replication()
        return await backlog(one, begin.master_replid, begin.master_repl_offset, end.master_repl_offset)

    found = with_client(master, job)
    assert found.endswith(command("SET", "key", "x" * 100))
    assert client(master).info("stats")["sync_full"] == 1
