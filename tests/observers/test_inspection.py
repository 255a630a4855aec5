"""What a tap learns of a master that it may ask, beside what the master says to another client at that moment."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from dataclasses import replace

import pytest

from tap.config import Config, LinkConfig
from tap.errors import ConfigError
from tap.replication import events
from tap.servers.embedded import Server
from tap.status import ConnectionStatus, LinkStatus
from tap.url import Url
from tests.support import Servers, TapThread, client, follow, is_up, level, master_offset, versions, wait_until

NAMES = versions(["redis-7.0", "redis-8.0", "valkey-newest"])
RIGHTS = "resetkeys resetchannels -@all +info +role +client|list +config|get"


def let(master: Server, rights: str = RIGHTS) -> str:
    """Give the user "watch" these rights. Returns its URL."""
    with client(master) as to_master:
        to_master.execute_command("ACL", "SETUSER", "watch", "on", ">s3cret", *rights.split())
    return f"redis://watch:s3cret@127.0.0.1:{master.port}"


def inspecting(master: Server, url: str, *alerts: str) -> Config:
    return Config(links=LinkConfig(master=f"127.0.0.1:{master.port}", inspect=url), alerts=alerts)


def link(tap: TapThread) -> LinkStatus:
    return tap.tap.status().links[0]


def status(tap: TapThread) -> ConnectionStatus:
    return link(tap).connections[0]


def fill(master: Server, megabytes: int) -> None:
    with client(master) as to_master:
        for number in range(10 * megabytes):
            to_master.set(f"key:{number % 20}", "v" * 100_000)


def omem(master: Server) -> int:
    with client(master) as to_master:
        lines = to_master.execute_command("CLIENT", "LIST", "TYPE", "replica")
    text = lines if isinstance(lines, str) else str(lines)
    return int(re.findall(r"\bomem'?[=:] ?'?(\d+)", text)[-1])


@pytest.mark.parametrize("name", NAMES)
def test_the_lag_and_the_buffer_of_a_stopped_replica_are_the_masters_own(servers: Servers, name: str) -> None:
    master = servers.start(
        name,
        *("client-output-buffer-limit", "replica 80mb 0 0", "repl-backlog-size", "1mb"),
        *("repl-timeout", "50", "repl-ping-replica-period", "3600"),
    )
    replica = servers.start(name)
    with TapThread(inspecting(master, let(master), "buffer > 30mb")) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        level(master, replica)
        wait_until(lambda: link(tap).inspected)
        wait_until(lambda: status(tap).buffer_bytes is not None)
        os.kill(replica.pid, signal.SIGSTOP)
        try:
            fill(master, 60)
            while omem(master) < 52 * 2**20:  # how much of it the kernel takes differs
                fill(master, 2)
            acked = status(tap).acked
            assert acked is not None
            truth = master_offset(master) - acked
            wait_until(lambda: status(tap).lag_bytes == truth)
            assert (status(tap).lag_at_least, status(tap).lag_known_from) == (False, "master")
            wait_until(lambda: status(tap).buffer_bytes == omem(master))
            said = link(tap).inspected
            assert said is not None
            assert said.limit is not None
            assert (said.role, said.limit.hard, said.repl_timeout) == ("master", 80 * 2**20, 50)
            assert (said.backlog_size, said.offset) == (2**20, master_offset(master))
            with client(master) as to_master:
                run_id = to_master.info("server")["run_id"]
            assert (said.run_id, said.is_saved, said.is_aof_written) == (run_id, True, True)
            assert said.present("client-output-buffer-limit") == f"replica {80 * 2**20} 0 0"
            assert said.present("repl-backlog-size") == str(2**20)
            assert said.present("repl-diskless-sync") in ("yes", "no")
            assert (link(tap).inspected_age or 9) < 2.5
            pressure = tap.wait_for(events.Pressure)
            assert (pressure.limit, pressure.limit_bytes, pressure.phase) == ("hard", 80 * 2**20, "stream")
            assert pressure.buffer >= 0.6 * pressure.limit_bytes
            assert tap.wait_for(events.Alert).known_from == "master"
            wait_until(lambda: status(tap).silent)
            assert (status(tap).timeout_in or 99) < 50
        finally:
            os.kill(replica.pid, signal.SIGCONT)
        level(master, replica)
        wait_until(lambda: (status(tap).lag_bytes, status(tap).lag_at_least) == (0, False))
        over = tap.wait_for(events.PressureOver)
        assert (over.how, over.peak >= pressure.buffer) == ("back", True)
        assert tap.wait_for(events.AlertOver).how == "back"
        assert "s3cret" not in repr(tap.told) + repr(tap.tap.status()) + repr(tap.tap.config)
        assert not tap.events(events.InspectFailed)
        assert not tap.events(events.InspectLacks)
        assert not tap.events(events.LinkClosed) or name == "redis-8.0" or name == "valkey-newest"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_lag_of_a_throttled_link_under_load_is_the_masters_of_a_moment_ago(servers: Servers, name: str) -> None:
    master = servers.start(name, "client-output-buffer-limit", "replica 0 0 0")
    replica = servers.start(name)
    with TapThread(inspecting(master, let(master))) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        level(master, replica)
        wait_until(lambda: link(tap).inspected)
        tap.call(lambda: tap.tap.faults.add("throttle 500kb/s from=master name=slow"))
        is_over = threading.Event()
        writing = threading.Thread(target=write_until, args=(master, is_over))
        writing.start()
        written = [(time.monotonic(), master_offset(master))]
        try:
            while written[-1][0] - written[0][0] < 6:
                at = time.monotonic()
                now = at_once(tap)
                written.append((time.monotonic(), master_offset(master)))
                assert reached_by(now) <= written[-1][1]
                earlier = [offset for then, offset in written if then <= at - 4]
                if earlier and not now.lag_at_least:  # of the last ACK, or of the last answer
                    assert reached_by(now) >= earlier[-1]
        finally:
            is_over.set()
            writing.join()
        wait_until(lambda: (status(tap).lag_known_from, status(tap).lag_at_least) == ("master", False))
        wait_until(lambda: reached_by(at_once(tap)) == master_offset(master))
        tap.call(lambda: tap.tap.faults.remove("slow"))
        level(master, replica)


def at_once(tap: TapThread) -> ConnectionStatus:
    """The status, made in the tap's thread: its figures belong together."""
    found: list[ConnectionStatus] = []
    tap.call(lambda: found.append(status(tap)))
    return found[0]


def reached_by(one: ConnectionStatus) -> int:
    return (one.lag_bytes or 0) + (one.acked or 0)


@pytest.mark.long
def test_a_master_that_will_close_a_full_resync_is_foreseen_and_the_size_that_is_named_would_do(servers: Servers) -> None:
    master = servers.start("redis-7.0", "client-output-buffer-limit", "replica 20mb 0 0", "repl-diskless-sync", "no")
    replica = servers.start("redis-7.0")
    with client(master) as to_master:
        for number in range(45):
            to_master.set(f"large:{number}", os.urandom(500_000))
    config = replace(inspecting(master, let(master)), faults=("throttle 2mb/s from=master",))
    is_over = threading.Event()
    writing = threading.Thread(target=write_until, args=(master, is_over))
    with TapThread(config) as tap:
        writing.start()
        try:
            follow(replica, tap.port)
            pressure = tap.wait_for(events.Pressure)
            assert (pressure.limit, pressure.phase, pressure.limit_bytes) == ("hard", "rdb", 20 * 2**20)
            assert pressure.seconds_to_close is not None
            assert pressure.rdb_seconds_left is not None
            assert pressure.seconds_to_close < pressure.rdb_seconds_left
            assert pressure.needed is not None
            with client(master) as to_master:
                to_master.config_set("client-output-buffer-limit", f"replica {pressure.needed} 0 0")
            tap.wait_for(events.RdbFinished)
        finally:
            is_over.set()
            writing.join()
        assert not tap.events(events.LinkClosed)
        assert len(tap.events(events.FullResync)) == 1


def write_until(master: Server, is_over: threading.Event) -> None:
    """About 4 MB each second, whatever the RDB's keys."""
    with client(master) as to_master:
        while not is_over.wait(0.05):
            to_master.set("written", "v" * 200_000)


@pytest.mark.parametrize("name", NAMES)
def test_a_master_that_is_away_is_reported_once_and_so_is_its_return(servers: Servers, name: str) -> None:
    master, replica = servers.start(name), servers.start(name)
    with TapThread(inspecting(master, let(master))) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        level(master, replica)
        wait_until(lambda: link(tap).inspected)
        os.kill(master.pid, signal.SIGSTOP)
        try:
            failed = tap.wait_for(events.InspectFailed)
            assert failed.text == "no answer within 3 s"
            wait_until(lambda: (link(tap).inspected_age or 0) > 5)
        finally:
            os.kill(master.pid, signal.SIGCONT)
        assert tap.wait_for(events.InspectBack).seconds > 3
        wait_until(lambda: (link(tap).inspected_age or 9) < 2)
        assert len(tap.events(events.InspectFailed)) == 1
        assert is_up(replica)


def test_what_the_user_may_not_ask_is_said_once_and_stays_unknown(servers: Servers) -> None:
    master, replica = servers.start("redis-7.0"), servers.start("redis-7.0")
    with TapThread(inspecting(master, let(master, "-@all +info"))) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        wait_until(lambda: link(tap).inspected)
        first = link(tap).inspected
        wait_until(lambda: link(tap).inspected is not first)
        [lacks] = tap.events(events.InspectLacks)
        assert lacks.commands == ("CLIENT LIST", "CONFIG GET")
        assert (
            "the output buffers of replicas and their limits, repl-timeout and other settings stay unknown" in lacks.text
        )
        said = link(tap).inspected
        assert said is not None
        assert (said.buffers, said.limit, said.repl_timeout, said.role) == (None, None, None, "master")
        assert status(tap).buffer_bytes is None


def test_a_wrong_password_and_a_server_that_is_none_are_reported_and_never_shown(servers: Servers) -> None:
    master = servers.start("redis-7.0")
    let(master)
    with TapThread(inspecting(master, f"redis://watch:wr0ng@127.0.0.1:{master.port}")) as tap:
        assert "invalid" in tap.wait_for(events.InspectFailed).text
        assert "wr0ng" not in repr(tap.told) + repr(tap.tap.status()) + repr(tap.tap.config)
    with TapThread(inspecting(master, "127.0.0.1:1")) as tap:
        assert tap.wait_for(events.InspectFailed).text == "Connection refused"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"inspect": "redis://h:1/3", "master": "h:1"}, "--inspect is written without a db"),
        ({"inspect": "h:1", "transparent": True}, "a transparent link has many"),
        ({"inspect": "http://h:1", "master": "h:1"}, "http:// is not the URL of a server"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        LinkConfig(**options)  # type: ignore[arg-type]
    assert LinkConfig(master="h:1", inspect="rediss://u:p@h:1").inspect == Url.parse("rediss://u:p@h:1")
