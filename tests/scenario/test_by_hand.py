"""What gives a running pair back what it had, typed by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import redis

from tap.scenario import by_hand, load
from tap.scenario.by_hand import undoing
from tap.scenario.pair import Node
from tap.url import Url
from tests.scenario.support import written
from tests.support import Servers, client, follow


def test_what_gives_a_given_pair_back_can_be_typed(servers: Servers, any_server: str, tmp_path: Path) -> None:
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


def test_no_secret_is_shown() -> None:
    node = Node("replica", Url.parse("127.0.0.1:7"))
    said = by_hand._set(node, "tls-key-file-pass", "sesame")
    assert said == "# redis-cli -h 127.0.0.1 -p 7 CONFIG SET tls-key-file-pass '***'"
    assert by_hand._set(node, "maxclients", "5 6").endswith("CONFIG SET maxclients '5 6'")
