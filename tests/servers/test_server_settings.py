"""CONFIG SET with undo, whatever happens in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tap.servers.client import Client
from tap.servers.failures import ErrorReply, InvalidReply
from tap.servers.server_settings import ServerSettings
from tests.servers.standin import StandIn
from tests.servers.support import with_client, with_stand_in
from tests.support import Servers


def test_options_get_their_first_values_back() -> None:
    async def job(client: Client, server: StandIn) -> None:
        async with ServerSettings(client) as options:
            assert await options.get("maxmemory") == {"maxmemory": "0"}
            await options.set("maxmemory", "5")
            await options.set("maxmemory", "6")
            await options.set("repl-timeout", "7")
            assert (server.options["maxmemory"], server.options["repl-timeout"]) == ("6", "7")
            with pytest.raises(ErrorReply, match="Unknown option"):
                await options.set("maxmemry", "5")
        assert (server.options["maxmemory"], server.options["repl-timeout"]) == ("0", "60")
        assert options.unrestored == ()
        server.heard.clear()
        assert await options.restore() == ()
        assert server.heard == []

    with_stand_in(job)


def test_a_refused_option_was_not_changed() -> None:
    async def job(client: Client, server: StandIn) -> None:
        options = ServerSettings(client)
        await options.set("repl-timeout", "7")
        ask = client.ask

        async def refusing(*words: Any, db: int | None = None) -> Any:
            if words[1] == "SET":
                raise ErrorReply("no")
            return await ask(*words, db=db)

        client.ask = refusing  # type: ignore[method-assign]
        for option in ("maxmemory", "repl-timeout"):
            with pytest.raises(ErrorReply):
                await options.set(option, "5")
        client.ask = ask  # type: ignore[method-assign]
        server.heard.clear()
        await options.restore()
        assert server.heard == [("CONFIG", "SET", "repl-timeout", "60")]

    with_stand_in(job)


def test_a_cancellation_restores_too() -> None:
    async def job(client: Client, server: StandIn) -> None:
        async def work() -> None:
            async with ServerSettings(client) as options:
                await options.set("maxmemory", "5")
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        assert server.options["maxmemory"] == "5"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.options["maxmemory"] == "0"

    with_stand_in(job)


def test_a_set_whose_reply_never_comes_is_restored_too() -> None:
    async def job(client: Client, server: StandIn) -> None:
        options = ServerSettings(client)
        ask = client.ask

        async def cut_off(*words: Any, db: int | None = None) -> Any:
            reply = await ask(*words, db=db)
            if words[1] == "SET":
                raise OSError("connection lost")
            return reply

        client.ask = cut_off  # type: ignore[method-assign]
        with pytest.raises(OSError, match="connection lost"):
            await options.set("maxmemory", "5")
        client.ask = ask  # type: ignore[method-assign]
        assert server.options["maxmemory"] == "5"
        assert await options.restore() == ()
        assert server.options["maxmemory"] == "0"

    with_stand_in(job)


def test_an_error_inside_restores_and_passes() -> None:
    async def job(client: Client, server: StandIn) -> None:
        async def work() -> None:
            async with ServerSettings(client) as options:
                await options.set("maxmemory", "5")
                raise ValueError("dirty")

        with pytest.raises(ValueError, match="dirty"):
            await work()
        assert server.options["maxmemory"] == "0"

    with_stand_in(job)


def test_failures_to_restore_are_reported_and_tried_again() -> None:
    async def job(client: Client, server: StandIn) -> None:
        server.options["tls-key-file-pass"] = "sesame"
        async with ServerSettings(client) as options:
            await options.set("maxmemory", "5")
            await options.set("tls-key-file-pass", "other")
            server.kill()
        assert [line.partition(": ")[2].rpartition(": ")[0] for line in options.unrestored] == [
            "maxmemory could not be set back to '0'",
            "tls-key-file-pass could not be set back to '***'",
        ]
        assert all(line.startswith(f"127.0.0.1:{server.port}: ") for line in options.unrestored)
        await server.open()
        assert await options.restore() == ()
        assert (server.options["maxmemory"], server.options["tls-key-file-pass"]) == ("0", "sesame")

    with_stand_in(job)


def test_a_server_that_does_not_answer_is_left_in_time() -> None:
    async def job(client: Client, server: StandIn) -> float:
        options = ServerSettings(client, within=0.3)
        await options.set("maxmemory", "5")
        await options.set("repl-timeout", "7")
        server.silent = True
        began = asyncio.get_running_loop().time()
        assert len(await options.restore()) == 2
        return asyncio.get_running_loop().time() - began

    assert with_stand_in(job) == pytest.approx(0.6, abs=0.05)


def test_values_are_text_and_anything_else_is_refused() -> None:
    async def job(client: Client, server: StandIn) -> None:
        said: list[Any] = [[b"maxmemory", b"5", b"save", None], b"OK", [b"a"], None]

        async def ask(*words: Any, db: int | None = None) -> Any:
            return said.pop(0)

        client.ask = ask  # type: ignore[method-assign]
        assert await ServerSettings(client).get("*") == {"maxmemory": "5", "save": ""}
        while said:
            with pytest.raises(InvalidReply, match="its answer is not a reply of Redis"):
                await ServerSettings(client).get("*")

    with_stand_in(job)


def test_a_real_server_gets_its_options_back(servers: Servers, any_server: str) -> None:
    server = servers.start(any_server, "save", "900 1 300 10", "repl-timeout", "33")

    async def job(client: Client) -> None:
        before = await ServerSettings(client).get("*")
        async with ServerSettings(client) as options:
            for option, value in (("repl-timeout", "5"), ("save", ""), ("maxmemory-policy", "allkeys-lru"), ("hz", "50")):
                await options.set(option, value)
            with pytest.raises(ErrorReply):
                await options.set("repl-timeout", "many")
            assert await options.get("repl-timeout") == {"repl-timeout": "5"}
        assert options.unrestored == ()
        assert await ServerSettings(client).get("*") == before

    with_client(server, job)
