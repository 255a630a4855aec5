"""Commands that restore a running pair by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import redis

from tap.scenario import load
from tap.scenario.by_hand import undoing
from tap.scenario.load import Scenario
from tap.url import Url
from tests.scenario.atonce import at_once
from tests.scenario.support import written
from tests.servers.standin import StandIn, following, stand_ins
from tests.support import Servers, client, follow


def test_the_restoring_commands_can_be_typed(servers: Servers, any_server: str, tmp_path: Path) -> None:
    master = servers.start(any_server, "requirepass", "sesame", "repl-timeout", "44")
    replica = servers.start(any_server, "masterauth", "sesame", "repl-timeout", "33")
    follow(replica, master.port)
    to_master = redis.Redis(port=master.port, password="sesame")
    scenarios = [
        load(written(tmp_path, text))
        for text in (
            'both = { repl-timeout = 5 }\nsteps = [{ do = "set replica repl-diskless-load swapdb" }]',
            'both = { requirepass = "x" }\nsteps = []\nexpect = { resync = "none" }',  # is refused on a given pair
            'servers = "Redis > 99"\nmaster = { maxclients = 5 }\nsteps = [{ do = "attach" }]',
        )
    ]

    def undo() -> list[str]:
        at_master, at_replica = (f"127.0.0.1:{server.port}" for server in (master, replica))
        urls = Url.parse(f"redis://:sesame@{at_master}/2"), Url.parse(at_replica)
        return asyncio.run(undoing(*urls, scenarios, tap_speaks_tls=False))

    lines = undo()
    assert lines == [
        f"redis-cli -h 127.0.0.1 -p {master.port} -n 2 CONFIG SET repl-timeout 44",
        f"redis-cli -h 127.0.0.1 -p {replica.port} CONFIG SET repl-diskless-load disabled",
        f"redis-cli -h 127.0.0.1 -p {replica.port} CONFIG SET repl-timeout 33",
        f"redis-cli -h 127.0.0.1 -p {replica.port} REPLICAOF 127.0.0.1 {master.port}",
        f"redis-cli -h 127.0.0.1 -p {master.port} -n 2 --scan --pattern 'redis-tap:*' | "
        f"xargs -r redis-cli -h 127.0.0.1 -p {master.port} -n 2 UNLINK",
    ]
    to_master.close()
    client(replica).execute_command("REPLICAOF", "NO", "ONE")
    assert f"redis-cli -h 127.0.0.1 -p {replica.port} REPLICAOF NO ONE" in undo()
    master.close()
    assert undo() == []


# ---- with stand-ins ----


def of_stand_ins(scenarios: list[Scenario], prepare: Any = None, *, tls: bool = False, follows: bool = True) -> list[str]:
    """With names for the two addresses."""

    async def story() -> list[str]:
        master, replica = StandIn(), StandIn()
        async with stand_ins(master, replica):
            if follows:
                await following(replica, master)
            if prepare is not None:
                prepare(master, replica)
            opened = len(master._talking)
            lines = await undoing(master.url, replica.url, scenarios, tap_speaks_tls=tls)
            await asyncio.sleep(0.01)
            assert len(master._talking) <= opened, "a connection is left"
        cli = "redis-cli -h 127.0.0.1 -p "
        return [
            line.replace(f"{cli}{master.port}", "M").replace(f"{cli}{replica.port}", "R").replace(str(master.port), "MP")
            for line in lines
        ]

    return at_once(story())


CLEAN = "M --scan --pattern 'redis-tap:*' | xargs -r M UNLINK"
BACK = ["R REPLICAOF 127.0.0.1 MP", CLEAN]


def scenario(**more: Any) -> Scenario:
    return Scenario(**{"title": "a", "steps": [{"do": "attach"}], **more})


def test_each_option_that_a_scenario_changes_is_restored_where_it_does() -> None:
    steps = [{"do": "set replica save 'a b'"}, {"do": "set master repl-timeout 3"}, {"fault": "cut"}]
    assert of_stand_ins([scenario(both={"maxmemory": 1}, steps=steps), scenario(replica={"repl-timeout": 1})]) == [
        "M CONFIG SET maxmemory 0",
        "M CONFIG SET repl-timeout 60",
        "R CONFIG SET maxmemory 0",
        "R CONFIG SET repl-timeout 60",
        *BACK,
    ]  # save is not for us to change
    assert of_stand_ins([scenario(master={"maxmemory": 1})]) == ["M CONFIG SET maxmemory 0", *BACK]


def test_a_replica_that_speaks_tls_gets_that_back() -> None:
    def speaks(master: StandIn, replica: StandIn) -> None:
        master.options["tls-replication"] = replica.options["tls-replication"] = "yes"

    assert of_stand_ins([scenario()], speaks) == ["R CONFIG SET tls-replication yes", *BACK]
    assert of_stand_ins([scenario()], speaks, tls=True) == BACK
    assert of_stand_ins([scenario()]) == BACK


def test_a_secret_is_a_comment_and_a_former_master_becomes_one_again() -> None:
    def has(master: StandIn, replica: StandIn) -> None:
        replica.options["tls-key-file-pass"] = "sesame"

    found = of_stand_ins([scenario(replica={"tls-key-file-pass": "x"})], has, follows=False)
    assert found == ["# R CONFIG SET tls-key-file-pass '***'", "R REPLICAOF NO ONE", CLEAN]


def test_steps_for_other_servers_or_refused_ones_change_nothing() -> None:
    other = scenario(servers="Valkey", both={"maxmemory": 1})
    refused = scenario(both={"maxmemory": 1}, steps=[{"do": "kill master"}])
    assert of_stand_ins([other, refused]) == []
    assert of_stand_ins([other, scenario(), refused]) == BACK
    assert of_stand_ins([scenario()], lambda master, replica: master.kill()) == []
    assert of_stand_ins([scenario()], lambda master, replica: replica.refuses.update(CONFIG="ERR no")) == []
