"""Servers that boot from exports of a real pair's recording hold the master's data at that moment."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import need
from tests.recording.restoring import export, holds, record, restored, until
from tests.support import Servers


def test_a_restored_server_equals_the_master_at_that_moment(tmp_path: Path, servers: Servers) -> None:
    name = need("redis-7.0")
    path = tmp_path / "one.pcapng"
    truths = record(servers, name, path, seconds=1, plan="pf-")
    # At rest before the full resync, at rest after it, and in the middle of it all.
    for number in (0, 1, 4):
        out = tmp_path / f"restored-{number}"
        said = export(path, "aof", out, "--until", until(truths[number], number))
        assert said.returncode == 0, said.stderr
        with restored(name, out) as server:
            holds(server, truths[number])
