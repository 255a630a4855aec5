"""/v1/stats: commands of a real stream, and the backlog that an outage needs."""

from __future__ import annotations

import pytest

from tap.control.ledger import LinkLedger
from tap.control.statistics import BacklogsAnswer, StatsAnswer, _advice
from tap.replication.inspected import Inspected
from tests.control.asking import asked
from tests.support import Servers, client, follow, level, wait_until


def test_the_commands_of_a_stream_are_counted_by_name(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links=f"127.0.0.1:{master.port}") as tap:
        assert tap.client.get("/v1/stats").json == {"links": []}
        follow(replica, tap.thread.port)
        level(master, replica)
        with client(master) as writer:
            for number in range(50):
                writer.set(f"key:{number}", "v" * 100)
            writer.delete("key:1")
        level(master, replica)

        def counted() -> dict[str, int]:
            said = StatsAnswer.model_validate(tap.client.get("/v1/stats").json)
            return {one.name: one.count for link in said.links for one in link.commands}

        wait_until(lambda: counted().get("SET") == 50 and counted().get("DEL") == 1)
        assert tap.client.get("/v1/stats?most=1").json["links"][0]["commands"][0]["name"] == "SET"
        assert tap.client.get("/v1/stats?link=other").json == {"links": []}


def test_advice_before_anything_is_known_says_so() -> None:
    with asked() as tap:
        (said,) = BacklogsAnswer.model_validate(tap.client.get("/v1/stats/backlog").json).links
        assert (said.link, said.outage, said.rate, said.needed, said.is_enough) == ("main", 60.0, None, None, None)
        assert said.text == "link main: nothing is known of its rate yet: a stream has to flow for a while"


@pytest.mark.parametrize(
    ("present", "is_enough", "ends"),
    [
        (None, None, "repl-backlog-size 86mb"),
        (2**20, False, "It is 1048576 bytes now, as the master's INFO says, which is too small"),
        (2**27, True, "It is 134217728 bytes now, as the master's INFO says, which is enough"),
    ],
)
def test_advice_has_the_arithmetic_of_verdicts(present: int | None, is_enough: bool | None, ends: str) -> None:
    ledger = LinkLedger(peak_rate=1_000_000.0)
    inspected = None if present is None else Inspected(asked=0.0, at=0.0, backlog_size=present)
    said = _advice("main", ledger, inspected, 60.0)
    assert (said["needed"], said["value"]) == (90_000_000, "86mb")
    assert said["text"].startswith(
        "link main: 1000000 bytes/s x 60 s x 1.5 margin = 90000000 bytes: repl-backlog-size 86mb"
    )
    assert said["is_enough"] is is_enough
    assert said["text"].endswith(ends)


@pytest.mark.parametrize("outage", ["0", "x", "60", "31d"])
def test_an_impossible_outage_is_refused(outage: str) -> None:
    with asked() as tap:
        assert tap.client.get(f"/v1/stats/backlog?outage={outage}").status == 400
