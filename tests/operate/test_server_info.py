"""INFO that replication can rely on, or one sentence that says why it cannot."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tap.errors import EnvironmentFailure
from tap.operate.live_pair import examine
from tap.operate.server_info import server_info
from tap.servers.client import Client
from tap.servers.failures import InvalidReply
from tap.servers.info import Info
from tests.servers.standin import StandIn, stand_ins

UNREADABLE = [
    ({"redis_mode": "sentinel"}, "this is a Sentinel, not a server that it watches"),
    ({"server_mode": "sentinel"}, "this is a Sentinel, not a server that it watches"),
    ({"master_repl_offset": "many"}, "in its INFO master_repl_offset"),
    ({"sync_full": "many"}, "in its INFO sync_full"),
    ({"tcp_port": "many"}, "in its INFO tcp_port"),
]


async def asked(tells: dict[str, Any]) -> Info:
    server = StandIn()
    server.tells = tells
    async with stand_ins(server), Client(server.url) as client:
        return await server_info(client)


def test_a_server_that_replicates_is_read() -> None:
    info = asyncio.run(asked({"sync_full": 3, "sync_partial_ok": 0, "sync_partial_err": 0}))
    assert info.replication.role == "master"
    assert info.stats.sync_full == 3


@pytest.mark.parametrize(("tells", "said"), UNREADABLE)
def test_what_could_not_be_judged_later_fails_here(tells: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidReply, match=said):
        asyncio.run(asked(tells))


@pytest.mark.parametrize(("tells", "said"), UNREADABLE)
def test_attach_refuses_it_with_one_sentence(tells: dict[str, Any], said: str) -> None:
    async def story() -> None:
        server = StandIn()
        server.tells = tells
        async with stand_ins(server):
            await examine(server.url, None, {})

    with pytest.raises(EnvironmentFailure, match=f"127.0.0.1:[0-9]+, the replica: {said}"):
        asyncio.run(story())
