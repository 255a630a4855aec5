"""SIGHUP to `redis-tap run --config`: links become those of the file, and those that stay feel nothing."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path

import pytest

from tap.servers.embedded import Server
from tests.cli.running import Running, running
from tests.support import WITHIN, Servers, client, follow, is_up, level, wait_until

pytestmark = pytest.mark.skipif(
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="this runs under nohup, which redis-tap respects"
)


def link(name: str, master: int, more: str = "") -> str:
    return f'[links.{name}]\nmaster = "127.0.0.1:{master}"\n{more}\n'


def hung_up(tap: Running, until: str) -> list[str]:
    """The lines on stderr after a SIGHUP, to the first one with these words."""
    assert tap.process.stderr is not None
    tap.process.send_signal(signal.SIGHUP)
    said: list[str] = []
    while not said or until not in said[-1]:
        said.append(tap.process.stderr.readline())
        assert said[-1], said
    return [one.removeprefix("redis-tap: ").rstrip() for one in said]


READ = "the configuration was read again; "


def test_links_become_those_of_the_file_and_a_replica_feels_nothing(servers: Servers, tmp_path: Path) -> None:
    master, replica = servers.start("redis-7.0"), servers.start("redis-7.0")
    file = tmp_path / "tap.toml"
    stays = link("stays", master.port)
    file.write_text(stays + link("goes", master.port) + link("moves", master.port))
    with running("--config", str(file), "--ui", "log") as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        opened = client(replica).info("replication")["master_link_status"], _resyncs(master)
        assert hung_up(tap, READ)[-1] == f"SIGHUP: {READ}links are as they were"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        file.write_text(
            f"max_connections = 77\nseed = 5\n{stays}"
            + link("moves", master.port, f'listen = "127.0.0.1:{port}"')
            + link("new", 1, "insecure = true\ntls = true")
        )
        said = hung_up(tap, READ)
        assert said[0] == "SIGHUP: seed, max_connections cannot be changed while the tap runs; restart it for that"
        assert said[-1] == f"SIGHUP: {READ}links added: new; changed: moves; removed: goes"
        assert any(one.startswith(f"link moves: listening on 127.0.0.1:{port}, master") for one in said)
        assert any(one.startswith("WARNING: link new: INSECURE") for one in said)
        client(port).ping()
        for number in range(100):
            client(master).set(f"key:{number}", "value")
        level(master, replica)
        assert (client(replica).info("replication")["master_link_status"], _resyncs(master)) == opened
        tap.end(signal.SIGTERM)
        assert tap.process.returncode == 0
        log = "".join(tap.lines)
        assert "goes no longer listening on 127.0.0.1:" in log
        assert "moves no longer listening on 127.0.0.1:" in log


def _resyncs(master: Server) -> tuple[int, int]:
    stats = client(master).info("stats")
    return stats["sync_full"], stats["sync_partial_ok"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[links.a]\nmaster = \n", "Invalid value (at line 2, column 10)"),
        (link("a", 1, "listen = '127.0.0.1:7001'") + link("b", 1, "listen = '127.0.0.1:7001'"), "two links listen on"),
        ("", "no link: give"),
        (None, "No such file"),
    ],
)
def test_a_bad_file_is_one_sentence_and_changes_nothing(tmp_path: Path, text: str | None, says: str) -> None:
    file = tmp_path / "tap.toml"
    file.write_text(link("a", 1))
    with running("--config", str(file), "--ui", "none") as tap:
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        said = [one for one in hung_up(tap, "SIGHUP") if "cannot be reached" not in one]
        assert len(said) == 1
        assert said[0].startswith("SIGHUP: nothing is changed: ")
        assert says in said[0]
        with contextlib.suppress(ConnectionResetError):  # it listens, and its master is nowhere
            socket.create_connection(("127.0.0.1", tap.port), WITHIN).close()
        file.write_text(link("a", 1))
        assert hung_up(tap, READ)[-1] == f"SIGHUP: {READ}links are as they were"


def test_a_link_that_cannot_be_opened_is_reported_and_tried_at_the_next_time(tmp_path: Path) -> None:
    file = tmp_path / "tap.toml"
    file.write_text(link("a", 1))
    with socket.create_server(("127.0.0.1", 0)) as taken, running("--config", str(file), "--ui", "none") as tap:
        port = taken.getsockname()[1]
        file.write_text(link("a", 1) + link("b", 1, f'listen = "127.0.0.1:{port}"') + link("c", 1))
        said = hung_up(tap, READ)
        trouble = f"SIGHUP: link b: cannot listen on 127.0.0.1:{port}: Address already in use"
        assert any(one.startswith(trouble) for one in said)
        assert said[-1] == f"SIGHUP: {READ}links added: c"
        taken.close()
        assert hung_up(tap, READ)[-1] == f"SIGHUP: {READ}links added: b"
