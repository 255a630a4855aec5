"""The client: commands, pipelines, dbs, raw streams; and its errors when the server is odd or gone."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from tap.errors import ConfigError
from tap.servers.client import Client
from tap.servers.failures import FAILURES, ErrorReply, InvalidReply
from tap.url import Url
from tests.scenario.atonce import at_once
from tests.servers.standin import StandIn, stand_ins
from tests.servers.support import with_client, with_stand_in
from tests.support import Servers


def test_a_command_goes_to_the_db_of_the_url_or_to_another() -> None:
    async def story() -> None:
        async with stand_ins(server := StandIn()), Client(Url(server.url.address, db=2)) as client:
            assert (client.name, client.db) == (f"127.0.0.1:{server.port}", 2)
            assert await client.ask("SET", "a", "1") is True
            assert await client.ask("SET", "b", "2", db=0) is True
            assert await client.ask("GET", "a") == b"1"
            assert (await client.info("keyspace")).keyspace == {0: 1, 2: 1}

    at_once(story())


def test_a_refused_command_is_an_error_and_in_a_pipeline_a_reply() -> None:
    async def job(client: Client, server: StandIn) -> None:
        server.refuses["SET"] = "OOM command not allowed"
        with pytest.raises(ErrorReply):
            await client.ask("SET", "a", "1")
        replies = await client.ask_all([("SET", "a", "1"), ("MULTI",), ("INCR", "n"), ("EXEC",)])
        assert isinstance(replies[0], ErrorReply)
        assert len(replies) == 4
        assert server.heard[-4:] == [("SET", "a", "1"), ("MULTI",), ("INCR", "n"), ("EXEC",)]

    with_stand_in(job)


def test_a_server_that_is_gone_fails_each_way_of_asking_and_may_come_back() -> None:
    async def job(client: Client, server: StandIn) -> None:
        await client.ask("PING")
        server.kill()
        for ask in (lambda: client.ask("PING"), lambda: client.ask_all([("PING",)]), client.replication):
            with pytest.raises(FAILURES):
                await ask()
        with pytest.raises(FAILURES):
            async with client.streams():
                pass
        await server.open()
        assert await client.ask("PING")

    with_stand_in(job)


def test_a_reply_of_another_shape_is_invalid() -> None:
    async def job(client: Client, server: StandIn) -> None:
        taken: Any = lambda reply, **_: reply["a key"]  # noqa: E731
        client._redis(None).set_response_callback("PING", taken)
        with pytest.raises(InvalidReply, match="its answer is not a reply of Redis"):
            await client.ask("PING")
        with pytest.raises(InvalidReply, match="its answer is not a reply of Redis"):
            await client.ask_all([("PING",)])

    with_stand_in(job)


def test_streams_are_logged_in_and_have_their_db_selected() -> None:
    async def job(client: Client, server: StandIn) -> None:
        async with client.streams(3) as (reader, writer):
            writer.write(b"SET a 1\r\n")
            assert await reader.readline() == b"+OK\r\n"
        assert list(server.data[3]) == [b"a"]
        for _ in range(100):
            await asyncio.sleep(0.01)
        assert not server._talking

    with_stand_in(job, StandIn(password="sesame"))


def test_close_leaves_no_connection_and_the_next_command_opens_one() -> None:
    async def job(client: Client, server: StandIn) -> None:
        await client.ask("PING")
        await client.ask("PING", db=1)
        assert len(server._talking) == 2
        await client.close()
        await asyncio.sleep(0.01)
        assert not server._talking
        await client.ask("PING")
        assert len(server._talking) == 1

    with_stand_in(job)


@pytest.mark.parametrize("all_at_once", [False, True])
def test_a_cancellation_that_redis_py_swallows_is_raised(all_at_once: bool) -> None:
    async def job(client: Client, server: StandIn) -> None:
        async def swallows(*_: Any, **__: Any) -> list[Any]:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            return []

        redis: Any = client._redis(None)
        redis.execute_command = swallows
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("redis.asyncio.client.Pipeline.execute", swallows)
            asks = client.ask_all([("PING",)]) if all_at_once else client.ask("PING")
            task = asyncio.create_task(asks)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with_stand_in(job)


def test_a_url_with_an_option_that_clients_lack_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="the URL has an unknown option: 'colour'"):
        Client(Url.parse("redis://somewhere?colour=red"))


def test_a_unix_socket_and_a_user_with_a_password_work(servers: Servers, any_server: str, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    server = servers.start(any_server, "unixsocket", str(path))

    async def job(client: Client) -> None:
        await client.ask("ACL", "SETUSER", "ann", "on", ">se@same", "~*", "+@all")
        async with Client(Url.parse(f"unix://ann:se%40same@{path}?db=3")) as other:
            assert await other.ask("ACL", "WHOAMI") == b"ann"
            await other.ask("SET", "a", "1")
            assert (await other.replication()).role == "master"
        assert (await client.info("keyspace")).keyspace == {3: 1}
        with pytest.raises(FAILURES) as raised:
            async with Client(Url.parse(f"unix://ann:wr%40ng@{path}")) as other:
                await other.ask("PING")
        assert "wr@ng" not in str(raised.value)

    with_client(server, job)
