"""/v1/resyncs of a real pair."""

from __future__ import annotations

from tap.control.resyncs import ResyncsAnswer
from tests.control.asking import asked
from tests.support import Servers, client, follow, level, wait_until


def test_the_resyncs_of_a_pair_are_listed_with_their_reasons(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links={"orders": f"127.0.0.1:{master.port}", "other": "127.0.0.1:1"}) as tap:
        assert tap.client.get("/v1/resyncs").json == {"resyncs": [], "counts": {}}
        follow(replica, tap.thread.port)
        level(master, replica)
        tap.thread.cut()
        wait_until(lambda: len(tap.client.get("/v1/resyncs?kind=partial_resync").json["resyncs"]) == 1)
        client(master).set("key", "value")
        level(master, replica)
        said = ResyncsAnswer.model_validate(tap.client.get("/v1/resyncs?link=orders").json)
        full, *_, partial = said.resyncs
        assert (full.event, partial.event, partial.link) == ("full_resync", "partial_resync", "orders")
        assert full.model_extra is not None
        assert full.model_extra["reason"]["code"] in ("first_sync", "replication_id_unknown")
        assert said.counts["orders"].partial_resync == 1
        link = tap.client.get("/v1/links/orders").json
        assert link["resyncs"] == said.counts["orders"].model_dump()
        assert link["last_resync"]["event"] == "partial_resync"
        assert tap.client.get("/v1/resyncs?link=other").json == {"resyncs": [], "counts": {}}
        assert tap.client.get("/v1/resyncs?most=1").json["resyncs"][0]["event"] == "partial_resync"
        stats = tap.client.get("/v1/stats?link=orders").json["links"][0]
        assert stats["longest_outage"] > 0
