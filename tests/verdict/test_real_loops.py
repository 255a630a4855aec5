"""Loops between real servers: the cause by name, its figures, and that the setting in the verdict ends the loop."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tap import Address, Config, LinkConfig, recording
from tap.replication import events
from tap.replication.events import Side
from tap.servers.embedded import Server
from tests.conftest import need
from tests.support import Servers, TapThread, client, follow, is_up, wait_until

MB = 2**20
ONE_CONNECTION = {"redis-8.0": ("repl-rdb-channel", "no"), "redis-newest": ("repl-rdb-channel", "no")}


@contextlib.contextmanager
def before(master: Server, *faults: str, record_to: Path | None = None, is_asked: bool = False) -> Iterator[TapThread]:
    """is_asked: the tap may ask the master about itself."""
    url = f"redis://127.0.0.1:{master.port}" if is_asked else None
    link = LinkConfig(master=Address("127.0.0.1", master.port), inspect=url)
    with TapThread(Config(links=(link,), faults=faults, record_to=record_to)) as tap:
        yield tap


@contextlib.contextmanager
def writing(master: Server, size: int = 20_000, pause: float = 0.002) -> Iterator[None]:
    """Writes to a few keys, about size / pause bytes a second."""
    stop = threading.Event()

    def write() -> None:
        one, number = client(master), 0
        while not stop.wait(pause):
            one.set(f"written:{number % 50}", os.urandom(size))
            number += 1

    thread = threading.Thread(target=write, name="writer")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def fill(master: Server, megabytes: int) -> None:
    one = client(master)
    for number in range(10 * megabytes):
        one.set(f"filled:{number}", os.urandom(MB // 10))


def children(server: Server) -> list[int]:
    return [int(one) for one in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


@contextlib.contextmanager
def always(act: Callable[[], None]) -> Iterator[None]:
    """Acts again and again in a thread."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.05):
            with contextlib.suppress(OSError):
                act()

    thread = threading.Thread(target=run, name="always")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def apply(verdict: events.Verdict, server: Server) -> None:
    client(server).config_set(verdict.setting, verdict.value)


def mend(tap: TapThread, master: Server, replica: Server) -> None:
    """Apply each verdict until the replica is up: until a round shows the whole RDB, its transfer is a guess."""
    applied = 0

    def is_over() -> bool:
        nonlocal applied
        for verdict in tap.events(events.Verdict)[applied:]:
            apply(verdict, master)
            applied += 1
        return is_up(replica)

    wait_until(is_over)


def ends(tap: TapThread, replica: Server, cause: str) -> None:
    """The loop has ended, and the tap says so."""
    wait_until(lambda: is_up(replica), what="the replica is up")
    over = tap.wait_for(events.VerdictOver)
    assert (over.cause, over.count) == (cause, len(tap.events(events.FullResync)))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "diskless"),
    [
        ("redis-7.0", "yes"),
        pytest.param("valkey-newest", "no", marks=pytest.mark.slow),
        pytest.param("redis-7.0", "no", marks=pytest.mark.slow),
        pytest.param("redis-newest", "no", marks=pytest.mark.slow),
    ],
)
def test_an_output_buffer_that_overruns(servers: Servers, name: str, diskless: str) -> None:
    options = ("client-output-buffer-limit", "replica 1mb 0 0", "repl-diskless-sync", diskless)
    master = servers.start(need(name), *options, "repl-backlog-size", "1mb", *ONE_CONNECTION.get(name, ()))
    replica = servers.start(name)
    fill(master, 20)
    with before(master, "throttle 8mb/s during=rdb") as tap, writing(master):
        follow(replica, tap.port)
        verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.by, verdict.setting) == (
            "output_buffer",
            Side.MASTER,
            "client-output-buffer-limit",
        )
        assert verdict.figures["needed_bytes"] >= 2 * MB
        mend(tap, master, replica)
        ends(tap, replica, "output_buffer")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("name", "diskless"), [("redis-7.0", "no"), ("valkey-newest", "yes"), ("redis-newest", "no")])
def test_an_output_buffer_whose_limit_the_master_says(servers: Servers, name: str, diskless: str) -> None:
    options = ("client-output-buffer-limit", "replica 4mb 2mb 30", "repl-diskless-sync", diskless)
    master = servers.start(need(name), *options, "repl-backlog-size", "1mb", *ONE_CONNECTION.get(name, ()))
    replica = servers.start(name)
    fill(master, 20)
    with before(master, "throttle 4mb/s during=rdb", is_asked=True) as tap, writing(master):
        follow(replica, tap.port)
        verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.known_from) == ("output_buffer", "master")
        assert verdict.present == f"replica {4 * MB} {2 * MB} 30"
        assert verdict.figures["limit_bytes"] == 2 * MB
        assert "more than its client-output-buffer-limit of 4.0 MB or 2.0 MB for 30 s allows" in verdict.text
        assert verdict.alternatives == (("child_fails",) if diskless == "yes" else ())
        assert verdict.figures["needed_bytes"] >= 3 * MB
        mend(tap, master, replica)
        ends(tap, replica, "output_buffer")


@pytest.mark.long
def test_a_transfer_that_stalls_for_longer_than_repl_timeout(servers: Servers) -> None:
    master = servers.start(need("redis-7.0"), "rdb-key-save-delay", "50000")  # 5 s: it is frozen before it can end
    replica = servers.start("redis-7.0", "repl-timeout", "2")
    fill(master, 10)
    frozen: list[int] = []

    def freeze_or_thaw() -> None:
        """Freeze each child from its first byte, before which a master sends newlines, until the replica has given up."""
        begun, given_up = len(tap.events(events.RdbStarted)), len(tap.events(events.LinkOpened)) - 1
        for child in children(master):
            if child not in frozen and begun > len(frozen):
                os.kill(child, signal.SIGSTOP)
                frozen.append(child)
            elif child in frozen[:given_up]:
                os.kill(child, signal.SIGCONT)

    with before(master) as tap:
        with always(freeze_or_thaw):
            follow(replica, tap.port)
            verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.server, verdict.setting) == ("repl_timeout", "replica", "repl-timeout")
        assert verdict.figures["silence_seconds"] >= 2
        client(master).config_set("rdb-key-save-delay", "0")
        apply(verdict, replica)
        for child in children(master):
            os.kill(child, signal.SIGCONT)
        wait_until(lambda: is_up(replica))
        assert len(tap.events(events.FullResync)) == verdict.count


def test_a_backlog_that_outages_outlast(servers: Servers) -> None:
    master = servers.start(need("redis-7.0"), "repl-backlog-size", "16kb")
    replica = servers.start("redis-7.0")
    with before(master) as tap, writing(master, pause=0.01):
        follow(replica, tap.port)
        for _ in range(2):
            lose_the_link(tap, replica)
        verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.setting) == ("backlog_too_small", "repl-backlog-size")
        fulls = tap.events(events.FullResync)
        grants = [one.offset or 0 for one in fulls]
        assert verdict.figures["lacked_bytes"] <= max(after - one for one, after in pairwise(grants))
        apply(verdict, master)
        lose_the_link(tap, replica)
        assert tap.wait_for(events.PartialResync)
        assert len(tap.events(events.FullResync)) == 3


def lose_the_link(tap: TapThread, replica: Server) -> None:
    """For one second."""
    wait_until(lambda: is_up(replica) and any(one.phase == "stream" for one in tap.tap.links))
    resyncs = len(tap.events(events.StreamStarted))
    tap.call(lambda: tap.tap.faults.add("refuse for=1s"))
    tap.cut()
    wait_until(lambda: len(tap.events(events.StreamStarted)) > resyncs)


@pytest.mark.parametrize(
    ("master_name", "replica_name", "next_name"),
    [
        ("redis-8.0", "redis-7.0", "redis-8.0"),
        pytest.param("redis-7.0", "redis-6.2", "redis-7.0", marks=pytest.mark.slow),
    ],
)
def test_an_rdb_that_the_replica_cannot_load(
    servers: Servers, master_name: str, replica_name: str, next_name: str
) -> None:
    master, replica = servers.start(need(master_name)), servers.start(need(replica_name))
    with before(master) as tap:
        follow(replica, tap.port)
        verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.by, verdict.phase) == ("rdb_not_loadable", Side.REPLICA, "loading")
        loads = {"redis-8.0": "Redis 7.4 or later", "redis-7.0": "Redis 7.0 or later"}[master_name]
        assert f"by {master.version}, which loads into {loads}" in verdict.text
        port = replica.port
        replica.close()
        newer = servers.start(next_name, "port", str(port))
        follow(newer, tap.port)
        ends(tap, newer, "rdb_not_loadable")


def test_a_version_that_the_replica_does_not_announce(servers: Servers) -> None:
    master, replica = servers.start(need("valkey-newest")), servers.start(need("redis-8.0"))
    fill(master, 1)
    one = client(master)
    one.execute_command("HSETEX", "hash", "EX", "1000", "FIELDS", "1", "field", "value")
    with before(master) as tap:
        follow(replica, tap.port)
        verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.by) == ("capability_missing", Side.MASTER)
        assert "HPERSIST" in verdict.text
        one.execute_command("HPERSIST", "hash", "FIELDS", "1", "field")
        ends(tap, replica, "capability_missing")


def test_a_snapshot_that_the_master_cannot_write(servers: Servers, tmp_path: Path) -> None:
    options = ("enable-protected-configs", "yes", "repl-diskless-sync", "no")
    master, replica = servers.start(need("redis-7.0"), *options), servers.start("redis-7.0")
    gone = master.directory / "gone"
    gone.mkdir()
    client(master).config_set("dir", str(gone))
    gone.rmdir()
    with before(master, record_to=tmp_path / "loop.pcapng") as tap:
        follow(replica, tap.port)
        verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.by, verdict.phase) == ("child_fails", Side.MASTER, "waiting")
        assert (verdict.setting, verdict.value) == ("repl-diskless-sync", "yes")
        apply(verdict, master)
        ends(tap, replica, "child_fails")
        live = [as_said(one) for one in tap.events(events.Verdict)]
    recorded = [told.event for told in recording.open(tmp_path / "loop.pcapng").events()]
    assert [as_said(one) for one in recorded if isinstance(one, events.Verdict)] == live
    assert [one.cause for one in recorded if isinstance(one, events.VerdictOver)] == ["child_fails"]


def as_said(one: events.Verdict) -> tuple[object, ...]:
    """What a recording says, too: times differ by less than a packet takes."""
    return one.cause, one.count, one.by, one.phase, one.bytes, one.setting, one.value, one.alternatives


@pytest.mark.parametrize("name", ["redis-7.0", pytest.param("valkey-newest", marks=pytest.mark.slow)])
def test_a_snapshot_that_the_master_says_it_cannot_write(servers: Servers, name: str) -> None:
    options = ("enable-protected-configs", "yes", "repl-diskless-sync", "no")
    master, replica = servers.start(need(name), *options), servers.start(name)
    gone = master.directory / "gone"
    gone.mkdir()
    client(master).config_set("dir", str(gone))
    gone.rmdir()
    with before(master, is_asked=True) as tap:
        follow(replica, tap.port)
        wait_until(lambda: any(one.cause == "child_fails" for one in tap.events(events.Verdict)))
        wait_until(lambda: [one for one in tap.events(events.Verdict) if one.known_from == "master"])
        verdict = tap.events(events.Verdict)[-1]
        assert (verdict.cause, verdict.alternatives) == ("child_fails", ())
        assert (verdict.setting, verdict.value, verdict.present) == ("repl-diskless-sync", "yes", "no")
        assert "rdb_last_bgsave_status:err" in verdict.text
        apply(verdict, master)
        ends(tap, replica, "child_fails")


def test_a_child_that_is_killed(servers: Servers) -> None:
    master, replica = servers.start(need("redis-7.0"), "rdb-key-save-delay", "20000"), servers.start("redis-7.0")
    fill(master, 10)

    with before(master) as tap:

        def kill() -> None:
            if any(one.phase == "rdb" for one in tap.tap.links):
                for child in children(master):
                    os.kill(child, signal.SIGKILL)

        with always(kill):
            follow(replica, tap.port)
            verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.by, verdict.setting) == ("child_fails", Side.MASTER, "")
        client(master).config_set("rdb-key-save-delay", "0")
        ends(tap, replica, "child_fails")


def test_a_disk_that_is_full(servers: Servers) -> None:
    master = servers.start(need("redis-7.0"))
    replica = servers.start("redis-7.0", "repl-diskless-load", "disabled")
    fill(master, 20)
    resource.prlimit(replica.pid, resource.RLIMIT_FSIZE, (4 * MB, 4 * MB))
    with before(master) as tap:
        follow(replica, tap.port)
        verdict = tap.wait_for(events.Verdict)
        assert (verdict.cause, verdict.by, verdict.phase) == ("disk_full", Side.REPLICA, "rdb")
        assert "replica_ends" in verdict.alternatives
        client(replica).config_set("repl-diskless-load", "swapdb")  # as the verdict says: it needs no disk
        ends(tap, replica, "disk_full")


def test_a_first_sync_under_load_is_no_loop(servers: Servers) -> None:
    master, replica = servers.start(need("redis-7.0")), servers.start("redis-7.0")
    fill(master, 10)
    with before(master) as tap, writing(master):
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        for number in range(3):
            tap.cut()
            tap.wait_for(events.PartialResync, number + 1)
        assert not tap.events(events.Verdict)
