"""/v1/links of a real pair: the figures are those of the tap's own record."""

from __future__ import annotations

import pytest

from tap.control.link_answers import ConnectionAnswer, LinkAnswer, LinksAnswer
from tap.status import ConnectionStatus, LinkStatus
from tests.control.asking import asked
from tests.support import Servers, client, follow, level, wait_until


def test_a_link_without_a_replica_is_listed() -> None:
    with asked(links={"orders": "127.0.0.1:1", "sessions": "127.0.0.1:2"}) as tap:
        reply = tap.client.get("/v1/links")
        said = LinksAnswer.model_validate(reply.json)
        assert [(one.name, one.master, one.connections, one.is_listening) for one in said.links] == [
            ("orders", "127.0.0.1:1", [], True),
            ("sessions", "127.0.0.1:2", [], True),
        ]
        assert tap.client.get("/v1/links/sessions").json["address"] == str(tap.thread.tap.listeners[1].address)


def test_an_unknown_link_is_refused_with_the_known_ones() -> None:
    with asked(links={"orders": "127.0.0.1:1"}) as tap:
        reply = tap.client.get("/v1/links/order")
        assert reply.status == 404
        assert reply.error == "no link is named 'order'; known: orders. Did you mean 'orders'?"


@pytest.mark.parametrize("query", ["connections=x", "connections=-1", "connections=1001"])
def test_an_impossible_parameter_is_refused_in_one_sentence(query: str) -> None:
    with asked() as tap:
        reply = tap.client.get(f"/v1/links?{query}")
        assert reply.status == 422
        assert reply.error.startswith("connections: ")


def test_a_connection_is_described_as_in_the_status(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links=f"127.0.0.1:{master.port}") as tap:
        follow(replica, tap.thread.port)
        client(master).set("key", "value")
        offset = level(master, replica)
        wait_until(lambda: tap.thread.offset() == offset)

        def shown() -> LinkAnswer:
            return LinkAnswer.model_validate(tap.client.get("/v1/links/main").json)

        wait_until(lambda: any(one.acked == offset for one in shown().connections))
        (one,) = [one for one in shown().connections if one.phase == "stream"]
        (status,) = [one for one in tap.thread.tap.status().connections if one.phase.value == "stream"]
        assert (one.number, one.replid, one.offset, one.master) == (
            status.number,
            status.replid,
            status.offset,
            f"127.0.0.1:{master.port}",
        )
        assert one.lag_bytes == 0
        assert tap.client.get("/v1/links/main?connections=0").json["omitted"] == len(shown().connections)


def test_every_field_of_the_record_is_in_the_answer() -> None:
    assert set(ConnectionAnswer.model_fields) == set(ConnectionStatus._fields)
    assert set(LinkAnswer.model_fields) == set(LinkStatus.__dataclass_fields__) - {"ack_times", "load_times"} | {
        "is_listening",
        "verdicts",
        "resyncs",
        "last_resync",
    }
