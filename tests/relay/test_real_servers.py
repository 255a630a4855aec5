"""Laws 2, 4 and 5 between real servers: every version of the matrix, both roles, whatever happens to them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import redis

from tap import Address, Config, LinkConfig
from tap.bus import Told
from tap.replication import events
from tap.replication.events import Role, Side
from tap.replication.phase import Phase
from tap.servers.embedded import Server
from tests.conftest import need
from tests.support import (
    MATRIX,
    OLDEST_AND_NEWEST,
    WITHIN,
    Servers,
    TapThread,
    client,
    crossed,
    digest,
    follow,
    info_of,
    is_up,
    level,
    master_offset,
    programs,
    thinned,
    wait_until,
)


def before(master: Server | int, **options: object) -> Config:
    port = master if isinstance(master, int) else master.port
    return Config(links=(LinkConfig(master=Address("127.0.0.1", port)),), **options)  # type: ignore[arg-type]


def write(master: Server, count: int = 50, db: int = 0) -> None:
    """Strings, a hash, a list, a transaction, an expiry, binary, in a db."""
    with redis.Redis(port=master.port, db=db) as one:
        for number in range(count):
            one.set(f"key:{number}", "v" * number)
            one.hset("hash", f"field:{number}", bytes([number % 256]) * 9)
        with one.pipeline(transaction=True) as transaction:
            transaction.incr("counter").rpush("list", "a", "b").expire("counter", 1000).execute()


def tells_the_masters_offset(tap: TapThread, master: Server) -> bool:
    wait_until(lambda: tap.offset() == master_offset(master), what="the tap's offset is the master's")
    return True


PAIRS = [
    ("redis-6.2", "redis-6.2", ()),
    ("redis-7.0", "redis-7.0", ()),
    ("redis-8.0", "redis-8.0", ()),
    ("redis-newest", "redis-newest", ()),
    ("valkey-8.1", "valkey-8.1", ()),
    ("valkey-newest", "valkey-newest", ()),
    # one connection where two are the default, two where one is
    ("redis-8.0", "redis-8.0", ("repl-rdb-channel", "no")),
    ("redis-newest", "redis-newest", ("repl-rdb-channel", "no")),
    ("valkey-8.1", "valkey-8.1", ("dual-channel-replication-enabled", "yes")),
    ("valkey-newest", "valkey-newest", ("dual-channel-replication-enabled", "yes")),
    # the other transfer
    ("redis-6.2", "redis-6.2", ("repl-diskless-sync", "yes")),
    ("redis-7.0", "redis-7.0", ("repl-diskless-sync", "no")),
    ("redis-8.0", "redis-8.0", ("repl-diskless-sync", "no")),
    ("valkey-newest", "valkey-newest", ("repl-diskless-sync", "no")),
    # a replica of another version: each is once the master, and but for the oldest once the replica
    ("redis-6.2", "redis-7.0", ()),
    ("redis-6.2", "valkey-8.1", ()),
    ("redis-7.0", "redis-8.0", ()),
    ("redis-8.0", "redis-newest", ()),
    ("redis-newest", "redis-8.0", ()),
    ("valkey-8.1", "valkey-newest", ()),
    ("valkey-newest", "valkey-8.1", ()),
]
# All others that can load what the master sends.
OTHER_PAIRS = [
    ("redis-6.2", "redis-8.0", ()),
    ("redis-6.2", "redis-newest", ()),
    ("redis-6.2", "valkey-newest", ()),
    ("redis-7.0", "redis-newest", ()),
    ("redis-7.0", "valkey-8.1", ()),
    ("redis-7.0", "valkey-newest", ()),
    ("valkey-8.1", "redis-8.0", ()),
    ("valkey-8.1", "redis-newest", ()),
    ("valkey-newest", "redis-8.0", ()),
    ("valkey-newest", "redis-newest", ()),
]
# The oldest and the newest, each other transfer once, and two versions one after the other.
QUICK_PAIRS = [
    *((name, name, ()) for name in OLDEST_AND_NEWEST),
    ("redis-newest", "redis-newest", ("repl-rdb-channel", "no")),
    ("valkey-newest", "valkey-newest", ("dual-channel-replication-enabled", "yes")),
    ("redis-6.2", "redis-6.2", ("repl-diskless-sync", "yes")),
    ("redis-7.0", "redis-7.0", ("repl-diskless-sync", "no")),
    ("redis-7.0", "redis-8.0", ()),
    ("valkey-8.1", "valkey-newest", ()),
]
ALL_PAIRS = [one if one in QUICK_PAIRS else pytest.param(*one, marks=pytest.mark.slow) for one in [*PAIRS, *OTHER_PAIRS]]


# The others of the matrix: the replica cannot load the master's RDB, with or without a tap.
REFUSED = sorted(
    set(itertools.product(MATRIX, MATRIX)) - {(master, replica) for master, replica, _ in [*PAIRS, *OTHER_PAIRS]}
)


# Each master and each replica of those at least once; the others are slow.
QUICK = [
    ("redis-7.0", "redis-6.2"),
    ("redis-8.0", "valkey-8.1"),
    ("redis-newest", "valkey-newest"),
    ("valkey-8.1", "redis-6.2"),
    ("valkey-newest", "redis-7.0"),
]


@pytest.mark.parametrize(
    ("master_name", "replica_name"),
    [one if one in QUICK else pytest.param(*one, marks=pytest.mark.slow) for one in REFUSED],
)
def test_an_impossible_pair_is_reported_with_a_hint(servers: Servers, master_name: str, replica_name: str) -> None:
    master, replica = servers.start(need(master_name)), servers.start(need(replica_name))
    with TapThread(before(master)) as tap:
        follow(replica, tap.port)
        again = tap.wait_for(events.FullResync, 2)
        assert again.reason.code == "first_sync"
        assert "its last full resync through this tap ended in phase loading" in again.reason.text
        assert "its log says why the snapshot does not load" in again.reason.text
        assert tap.wait_for(events.RdbFinished).checksum == "ok"
        assert not is_up(replica)
        assert not tap.events(events.Opaque)


@pytest.mark.parametrize(("master_name", "replica_name", "options"), ALL_PAIRS)
def test_full_and_partial_resyncs_have_the_masters_offsets(
    servers: Servers, master_name: str, replica_name: str, options: tuple[str, ...]
) -> None:
    master = servers.start(need(master_name), *options)
    replica = servers.start(need(replica_name), *options)
    write(master)
    with TapThread(before(master)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        full = tap.wait_for(events.FullResync)
        assert full.reason.code == "replication_id_unknown"
        assert "own_history" in full.reason.causes
        write(master, db=3)
        level(master, replica)
        assert tells_the_masters_offset(tap, master)
        for number in range(10):
            tap.cut()
            write(master, 3, db=number % 4)
            level(master, replica)
            assert tells_the_masters_offset(tap, master)
        tap.wait_for(events.PartialResync, 10)
        assert {partial.replid for partial in tap.events(events.PartialResync)} == {full.replid}
        assert all(started.db is not None for started in tap.events(events.StreamStarted)[-10:])
        wait_until(lambda: [ack.offset for ack in tap.events(events.Ack)[-1:]] == [master_offset(master)])
        stats = client(master).info("stats")
        dual = "dual-channel-replication-enabled" in options
        assert (stats["sync_full"], stats["sync_partial_ok"]) == (1, 11 if dual else 10)
        assert len(tap.events(events.FullResync)) == 1
        assert not tap.events(events.Opaque)
        assert_equal_data(master, replica)


def assert_equal_data(master: Server, replica: Server) -> None:
    """By digest between equal versions; others compute it differently, so key by key."""
    level(master, replica)
    if master.version == replica.version:
        assert digest(master) == digest(replica)
        return
    for db in range(4):
        one, other = redis.Redis(port=master.port, db=db), redis.Redis(port=replica.port, db=db)
        keys = set(one.keys())
        assert keys == set(other.keys())
        for key in keys:
            kind = one.type(key)
            assert other.type(key) == kind
            read = {b"string": "get", b"hash": "hgetall"}.get(bytes(kind))  # type: ignore[arg-type]
            if read is None:
                assert one.lrange(key, 0, -1) == other.lrange(key, 0, -1)
            else:
                assert getattr(one, read)(key) == getattr(other, read)(key)


def story(servers: Servers, name: str, *options: str) -> tuple[list[str], int | None]:
    """The events of the first sync of a replica that starts with --replicaof, and the offset after some writes."""
    master = servers.start(name, *options)
    write(master, 5)
    with TapThread(before(master)) as tap:
        replica = servers.start(name, *options, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        write(master, 5)
        level(master, replica)
        wait_until(lambda: any(ack.offset == master_offset(master) for ack in tap.events(events.Ack)))
        assert tells_the_masters_offset(tap, master)
        asked = tap.wait_for(events.PsyncRequested)
        assert (asked.replid, asked.offset) == (None, -1)
        assert tap.wait_for(events.FullResync).reason.code == "first_sync"
        kinds: list[str] = []
        for told in tap.told:
            if told.event.kind not in kinds:
                kinds.append(told.event.kind)
        return [kind for kind in kinds if kind != "keepalive"], tap.offset()


@pytest.mark.parametrize("name", ["redis-8.0", "redis-newest"])
def test_one_and_two_connections_give_the_same_story_and_offsets(servers: Servers, name: str) -> None:
    two, offset_of_two = story(servers, need(name))
    one, offset_of_one = story(servers, name, "repl-rdb-channel", "no")
    expected = "link_opened handshake identified psync_requested full_resync rdb_started rdb_finished stream_started"
    assert [kind for kind in one if kind not in ("commands", "ack", "link_closed")] == expected.split()
    assert [kind for kind in two if kind not in ("commands", "ack", "link_closed")] == expected.split()
    assert offset_of_one == offset_of_two


SNAPSHOTS = [
    ("redis-6.2", ("repl-diskless-sync", "no")),
    ("redis-6.2", ("repl-diskless-sync", "yes")),
    ("redis-7.0", ("repl-diskless-sync", "yes", "rdbchecksum", "no")),
    ("redis-8.0", ()),
    ("redis-8.0", ("repl-rdb-channel", "no", "repl-diskless-sync", "no")),
    ("redis-newest", ()),
    ("valkey-8.1", ("dual-channel-replication-enabled", "yes")),
    ("valkey-newest", ()),
]


@pytest.mark.parametrize(("name", "options"), SNAPSHOTS)
def test_the_snapshot_of_a_full_resync_is_read_as_it_passes(
    servers: Servers, name: str, options: tuple[str, ...]
) -> None:
    master = servers.start(need(name), *options)
    write(master)
    write(master, db=3)
    large = os.urandom(3 * 2**20)
    client(master).set("large", large)
    replica = servers.start(name, *options)
    with TapThread(before(master, every_key=True)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        started, finished = tap.wait_for(events.RdbStarted), tap.wait_for(events.RdbFinished)
        version = "valkey-ver" if name.startswith("valkey") else "redis-ver"
        assert started.aux[version] == client(master).info("server")[version.replace("-ver", "_version")]
        assert started.aux["repl-id"] == tap.wait_for(events.FullResync).replid
        assert (finished.keys, finished.expiring) == (107, 2)
        assert finished.by_type["string"].keys == 103
        assert finished.largest[0].key == b"large"
        assert finished.largest[0].serialized_bytes > len(large)
        assert finished.checksum == ("disabled" if "rdbchecksum" in options else "ok")
        told = tap.events(events.RdbKey)
        assert {event.key for event in told if event.db == 0} == set(client(master).keys("*"))
        assert {event.key for event in told if event.db == 3} == set(redis.Redis(port=master.port, db=3).keys("*"))
        assert not tap.events(events.RdbProblem)
        write(master)
        assert_equal_data(master, replica)


def test_a_full_resync_after_an_overrun_backlog_gives_the_size(servers: Servers, server_name: str, nobody: int) -> None:
    master = servers.start(server_name, "repl-backlog-size", "16kb")
    replica = servers.start(server_name)
    with TapThread(before(master)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        write(master)
        held = level(master, replica)
        client(replica).config_set("repl-timeout", 60)
        client(replica).execute_command("REPLICAOF", "127.0.0.1", str(nobody))
        writer = client(master)
        for number in range(100):
            writer.set("big", str(number) * 20_000)
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        full = tap.wait_for(events.FullResync, 2)
        assert full.reason.code == "offset_out_of_backlog"
        assert full.offset is not None
        assert f"{full.offset - held} bytes behind when it asked" in full.reason.text
        assert_equal_data(master, replica)


def test_a_partial_resync_gives_the_missed_bytes(servers: Servers, server_name: str, nobody: int) -> None:
    master, replica = servers.start(server_name), servers.start(server_name)
    with TapThread(before(master)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        write(master)
        held = level(master, replica)
        client(replica).execute_command("REPLICAOF", "127.0.0.1", str(nobody))
        write(master, 500)
        there = master_offset(master)
        follow(replica, tap.port)
        partial = tap.wait_for(events.PartialResync)
        assert partial.offset == held
        caught_up = tap.wait_for(events.CaughtUp)
        assert (caught_up.offset, caught_up.at_most, caught_up.known_from) == (there, there - held, "wire")
        assert_equal_data(master, replica)


def test_a_new_history_is_followed_over_a_promotion(servers: Servers, server_name: str) -> None:
    """The master behind the tap is promoted: the replica continues under the new replication ID."""
    top, middle, replica = (servers.start(server_name) for _ in range(3))
    follow(middle, top.port)
    wait_until(lambda: is_up(middle))
    with TapThread(before(middle)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        write(top, db=2)
        wait_until(lambda: level(top, middle) == level(middle, replica))
        first = tap.wait_for(events.FullResync).replid
        client(middle).execute_command("REPLICAOF", "NO", "ONE")
        write(middle, 5, db=2)
        partial = tap.wait_for(events.PartialResync)
        assert partial.previous_replid == first
        assert partial.replid == client(middle).info("replication")["master_replid"]
        assert tap.events(events.StreamStarted)[-1].db is not None
        assert_equal_data(middle, replica)
        assert tells_the_masters_offset(tap, middle)


@pytest.mark.parametrize(("name", "tool"), crossed(MATRIX, ["--rdb", "--replica"]))
def test_the_command_line_client_is_distinguished_from_a_replica(
    servers: Servers, name: str, tool: str, tmp_path: Path
) -> None:
    master = servers.start(need(name))
    write(master)
    program = master.program.with_name(master.program.name.replace("server", "cli"))
    rdb = tmp_path / "dump.rdb"
    with TapThread(before(master)) as tap:
        arguments = [tool, str(rdb)] if tool == "--rdb" else [tool]
        process = subprocess.Popen(
            [program, "-p", str(tap.port), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            role = tap.wait_for(events.Identified).role
            finished = tap.wait_for(events.RdbFinished)
            if tool == "--rdb":
                process.wait(30)
                assert role is Role.RDB_CLIENT
                assert rdb.stat().st_size == finished.bytes
                assert rdb.read_bytes()[-9:-8] == b"\xff"
            else:
                assert role is Role.SYNC_CLIENT
                write(master, 5)
                wait_until(lambda: sum(batch.count for batch in tap.events(events.Commands)) >= 10)
        finally:
            process.kill()
            process.wait()
        assert not tap.events(events.Opaque)


def test_an_ordinary_command_line_client_passes(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    with TapThread(before(master)) as tap:
        write(type("Through", (), {"port": tap.port})(), 20)  # a client that the master serves through the tap
        assert client(master).exists("counter") == 1
        assert {event.role for event in tap.events(events.Identified)} == {Role.ORDINARY}


def test_a_password_never_shows(servers: Servers, server_name: str) -> None:
    secret = "correct-horse"
    master = servers.start(server_name, "requirepass", secret)
    with TapThread(before(master)) as tap:
        replica = servers.start(server_name, "masterauth", secret, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        wrong = servers.start(server_name, "masterauth", "battery-staple", "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: any("-WRONGPASS" in str(event.reply) for event in tap.events(events.Handshake)))
        assert not is_up(wrong)
        told = str([one.as_dict() for one in tap.told])
        assert "AUTH" in told
        assert secret not in told
        assert "battery" not in told


# ---- killed and stopped servers ----


PHASES = [Phase.HANDSHAKE, Phase.WAITING, Phase.RDB, Phase.LOADING, Phase.STREAM]


@pytest.mark.parametrize(("victim", "phase"), thinned([*itertools.product(["replica", "master"], PHASES)], 2))
def test_a_server_may_be_killed_in_any_phase(servers: Servers, any_server: str, phase: Phase, victim: str) -> None:
    """Whichever dies, the link ends with an event, and the next one reaches an equal data set."""
    master = servers.start(any_server, "repl-diskless-sync", "no")
    writer = client(master)
    for number in range(40):
        writer.set(f"key:{number}", os.urandom(500_000))
    if phase is Phase.WAITING:  # let the RDB take two seconds
        client(master).config_set("rdb-key-save-delay", 50_000)
    with TapThread(before(master)) as tap:
        replica = servers.start(any_server)
        dying = replica if victim == "replica" else master
        stopped = threading.Event()

        def stop_in_phase(told: Told) -> None:
            """Called in the tap's thread at each event: nothing more comes from the victim from here on."""
            if tap.tap.links[0].conversation.phase is phase and not stopped.is_set():
                os.kill(dying.pid, signal.SIGSTOP)
                stopped.set()

        tap.call(lambda: tap.tap.bus.subscribe(stop_in_phase))
        follow(replica, tap.port)
        assert stopped.wait(WITHIN)
        dying.kill()
        closed = tap.wait_for(events.LinkClosed)
        assert closed.how in ("fin", "reset")
        assert closed.by.value == victim
        # a replica whose master is stopped may still get bytes in flight, and answer them
        later = {Phase.LOADING: {"stream"}, Phase.HANDSHAKE: {"psync", "waiting"}} if victim == "master" else {}
        assert closed.phase in later.get(phase, set()) | {phase.value}
        dying.start()
        if victim == "replica":
            follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        write(master, 5)
        assert_equal_data(master, replica)
        assert tells_the_masters_offset(tap, master)


def test_a_master_may_come_later(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    master.stop()
    with TapThread(before(master)) as tap:
        replica = servers.start(any_server, "replicaof", f"127.0.0.1 {tap.port}")
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how) == (Side.MASTER, "refused")
        master.start()
        wait_until(lambda: is_up(replica))


def test_a_replica_may_be_stopped(servers: Servers, any_server: str) -> None:
    """SIGSTOP: only its master is affected; when it continues, nothing is missing."""
    master = servers.start(any_server)
    slow, other = servers.start(any_server), servers.start(any_server)
    with TapThread(before(master)) as tap:
        for replica in (slow, other):
            follow(replica, tap.port)
        wait_until(lambda: is_up(slow) and is_up(other))
        wait_until(lambda: len({told.connection for told in tap.told if isinstance(told.event, events.Ack)}) == 2)
        os.kill(slow.pid, signal.SIGSTOP)
        try:
            writer = client(master)
            for number in range(60):
                writer.set(f"key:{number}", "x" * 1_000_000)
            level(master, other)
            wait_until(lambda: max(link.lag_bytes or 0 for link in tap.tap.status().connections) > 1_000_000)
        finally:
            os.kill(slow.pid, signal.SIGCONT)
        level(master, slow, other)
        assert_equal_data(master, slow)
        assert not tap.events(events.LinkClosed)


def test_fifty_replicas_can_connect_at_once(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    write(master, 500)
    with TapThread(before(master)) as tap:
        replicas = [servers.start(any_server, "replicaof", f"127.0.0.1 {tap.port}") for _ in range(50)]
        wait_until(lambda: info_of(master)["connected_slaves"] == "50", within=60)
        write(master, 100)
        offset = level(master, *replicas)
        wait_until(lambda: [link.conversation.offset for link in tap.tap.links] == [offset] * 50)
        tap.cut()
        write(master, 100)
        offset = level(master, *replicas)
        wait_until(lambda: [link.conversation.offset for link in tap.tap.links] == [offset] * 50)
        assert len(tap.events(events.FullResync)) == 50
        wait_until(lambda: len(tap.events(events.PartialResync)) == 50)
        assert {digest(server) for server in (master, *replicas[::10])} == {digest(master)}


def test_one_tap_can_have_many_links(servers: Servers) -> None:
    names = list(programs())
    if not names:
        pytest.skip("no server at hand")
    masters = [servers.start(name) for name in names]
    links = tuple(
        LinkConfig(name=name, master=Address("127.0.0.1", master.port))
        for name, master in zip(names, masters, strict=True)
    )
    with TapThread(Config(links=links)) as tap:
        replicas = []
        for name, listener in zip(names, tap.tap.listeners, strict=True):
            replicas.append(servers.start(name))
            follow(replicas[-1], listener.address.port)
        for name, master, replica in zip(names, masters, replicas, strict=True):
            wait_until(lambda replica=replica: is_up(replica))  # type: ignore[misc]
            write(master)
            assert_equal_data(master, replica)
            assert next(told.link for told in tap.told if told.replica.endswith(f":{replica.port}")) == name
