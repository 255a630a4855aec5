"""A proxy in front of a real master: its replica is understood as on any link, and toxics hurt it."""

from __future__ import annotations

from typing import Any

from tests.control.asking import Client, asked
from tests.support import Servers, client, follow, level, wait_until


def test_a_replica_of_a_proxy_is_understood_and_comes_back_from_a_toxic(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    with asked(links=[]) as tap:
        api = tap.client
        body = {"name": "redis master", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{master.port}"}
        port = int(api.post("/proxies", body).json["listen"].rpartition(":")[2])
        follow(replica, port)
        level(master, replica)
        wait_until(lambda: _link(api)["connections"][0]["phase"] == "stream")
        assert _link(api)["resyncs"]["full_resync"] == 1
        toxics = "/proxies/redis%20master/toxics"
        api.post(toxics, {"type": "limit_data", "attributes": {"bytes": 200_000}})
        with client(master) as writer:
            for number in range(300):
                writer.set(f"key:{number}", b"v" * 1000)
        wait_until(lambda: _link(api)["resyncs"]["partial_resync"])
        assert api.delete(f"{toxics}/limit_data_downstream").status == 204
        level(master, replica)
        assert _link(api)["resyncs"]["full_resync"] == 1
        with client(replica) as reader:
            assert reader.dbsize() == 300


def _link(api: Client) -> Any:
    (link,) = api.get("/v1/links").json["links"]
    return link
