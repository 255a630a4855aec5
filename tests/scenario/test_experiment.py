"""Scenarios on real servers: met or not, and why."""

from __future__ import annotations

import asyncio
import importlib
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tap import Config, Tap
from tap.bus import Told
from tap.config.link_config import listening
from tap.errors import ConfigError, EnvironmentFailure
from tap.replication import events
from tap.scenario import Result, load, run
from tap.scenario.experiment import _begin, can_run, check
from tap.scenario.journal import Journal
from tap.scenario.load import Scenario
from tap.scenario.pair import Node, Pair, given_pair, own_pair
from tap.scenario.stage import POLL
from tap.scenario.workload import Noted
from tap.url import Url
from tests.relay.certificates import Certificates
from tests.relay.test_tls_servers import TlsServers
from tests.scenario.atonce import at_once
from tests.scenario.processes import Process, processes
from tests.scenario.support import on_pair, result_of, unmet, written
from tests.servers.standin import StandIn, following, stand_ins
from tests.support import Servers, client, follow, info_of, is_up, level, wait_until


def test_a_cut_is_repaired_by_a_partial_resync(server_name: str, tmp_path: Path) -> None:
    text = """
steps = [
  { fault = "cut at=offset:+50kb mode=reset" },
  { wait = "fault_fired" },
  { wait = "partial_resync" },
]
expect = { resync = "partial", acked_offset = "level", within = "15s", no_data_loss_before_offset = "fault" }
"""
    result = result_of(server_name, tmp_path, text)
    assert unmet(result) == []
    assert [one.kind for one in result.resyncs] == ["partial"]
    (fault,) = result.faults
    assert fault.fired == 1
    assert "stream, offset" in fault.places[0]
    assert 0 < result.outage < 15
    assert result.written > 0
    names = {verdict.name for verdict in result.verdicts}
    assert names == {"resync", "within", "link_up", "converged", "acked_offset", "no_data_loss_before_offset", "tap"}


def test_the_same_seed_cuts_at_the_same_byte(any_server: str, tmp_path: Path) -> None:
    text = """
workload = { kind = "none" }
steps = [
  { fault = "cut at=stream:1b..60kb" },
  { do = "send SET a 1" },
  { do = "write 100kb" },
  { wait = "fault_fired" },
]
"""
    places = [result_of(any_server, tmp_path, text, seed).faults[0].places for seed in (5, 5, 6)]
    assert places[0] == places[1] != places[2]


def test_an_unmet_expectation_is_reported(any_server: str, tmp_path: Path) -> None:
    text = """
steps = [{ do = "disconnect replica" }, { wait = "partial_resync" }]
expect = { resync = "full", reason = "first_sync", converged = false, acked_offset = "behind", settle = "1s" }
"""
    result = result_of(any_server, tmp_path, text)
    assert unmet(result) == ["resync", "reason", "converged", "acked_offset"]
    assert not result.met


def test_a_step_that_does_not_finish_ends_the_run(any_server: str, tmp_path: Path) -> None:
    text = """
steps = [{ wait = "full_resync", within = "100ms" }, { do = "write 1kb" }]
"""
    result = result_of(any_server, tmp_path, text)
    assert [step.problem for step in result.steps] == ["not within 0.1 s"]
    assert unmet(result) == ["step 1"]


def test_a_fault_that_never_fired_is_not_met(any_server: str, tmp_path: Path) -> None:
    result = result_of(any_server, tmp_path, 'steps = [{ fault = "cut at=offset:+1gb" }]')
    assert unmet(result) == ["fault"]


def test_a_process_that_ends_unasked_is_not_met(any_server: str, tmp_path: Path) -> None:
    text = """
steps = [{ fault = "corrupt at=rdb:50% mask=0x01" }, { do = "attach" }, { wait = "replica_exits" }]
expect = { settle = "1s" }
"""
    result = result_of(any_server, tmp_path, text)
    assert "processes" in unmet(result)


def test_a_killed_replica_is_started_again(any_server: str, tmp_path: Path) -> None:
    """It may still have the RDB of its full resync, and continue from there."""
    text = """
steps = [
  { do = "kill replica" },
  { do = "write 10kb" },
  { do = "start replica" },
  { wait = "stream_started" },
]
expect = { acked_offset = "level" }
"""
    assert unmet(result_of(any_server, tmp_path, text)) == []


def test_a_step_may_be_for_some_servers_only(any_server: str, tmp_path: Path) -> None:
    text = """
steps = [
  { wait = "full_resync", only = "Redis > 99" },
  { do = "stop workload" },
  { do = "set master repl-timeout 7" },
  { do = "pause 10ms" },
  { do = "start workload" },
]
expect = { resync = "none" }
"""
    result = result_of(any_server, tmp_path, text)
    assert [step.text for step in result.steps] == [
        "stop workload",
        "set master repl-timeout 7",
        "pause 10ms",
        "start workload",
    ]
    assert unmet(result) == []


def test_an_expected_difference_may_arrive_late(any_server: str, tmp_path: Path) -> None:
    text = """
replica = { replica-read-only = false }
workload = { kind = "none" }
steps = []
expect = { converged = false }
"""
    path = written(tmp_path, text)

    async def job(pair: Pair) -> Result:
        async def stray() -> None:
            while (await pair.replica.client.replication()).master_link_status != "up":
                await asyncio.sleep(0.01)
            await asyncio.sleep(1.5)
            await pair.replica.client.ask("SET", "stray", 1)

        result, _ = await asyncio.gather(run(load(path), pair, seed=1), stray())
        return result

    assert unmet(on_pair(any_server, tmp_path, job, text)) == []


# ---- a given pair ----


def on_given(master: str, replica: str, path: Path, listen: str | None = None) -> Result:
    async def story() -> Result:
        async with given_pair(Node("master", Url.parse(master)), Node("replica", Url.parse(replica))) as pair:
            scenario = load(path)
            check(scenario, pair)
            return await run(scenario, pair, seed=1, listen=None if listen is None else listening(listen))

    return asyncio.run(story())


def test_a_given_pair_gets_back_what_it_had(servers: Servers, any_server: str, tmp_path: Path) -> None:
    master = servers.start(any_server, "requirepass", "sesame", "repl-timeout", "33")
    replica = servers.start(any_server, "masterauth", "sesame", "requirepass", "sesame")
    to_master, to_replica = (redis.Redis(port=server.port, password="sesame") for server in (master, replica))
    to_master.set("mine", "1")
    to_replica.execute_command("REPLICAOF", "127.0.0.1", str(master.port))
    wait_until(lambda: to_replica.get("mine") == b"1")
    text = """
both = { repl-timeout = 5 }
steps = [{ fault = "cut mode=reset" }, { wait = "partial_resync" }]
expect = { resync = "partial", acked_offset = "level" }
"""
    urls = [f"redis://:sesame@127.0.0.1:{server.port}" for server in (master, replica)]
    result = on_given(urls[0], urls[1], written(tmp_path, text))
    assert unmet(result) == []
    assert any("by keys" in verdict.found for verdict in result.verdicts)
    assert to_master.config_get("repl-timeout") == {"repl-timeout": "33"}
    wait_until(lambda: to_replica.info("replication")["master_port"] == master.port)
    wait_until(lambda: to_replica.keys() == [b"mine"])


@pytest.mark.parametrize("listen", [None, "rediss://127.0.0.1:0?cert={leaf}&cacert={ca}"])
def test_a_given_pair_may_speak_tls(servers: Servers, tmp_path: Path, listen: str | None) -> None:
    certificates = Certificates(tmp_path / "certificates")
    tls_servers = TlsServers(servers, certificates)
    (_, to_master), (replica, to_replica) = (
        tls_servers.start("redis-7.0", "tls-replication", "yes", "requirepass", "se/same", "masterauth", "se/same")
        for _ in range(2)
    )
    client = redis.Redis(port=replica.port, password="se/same")
    client.execute_command("REPLICAOF", "127.0.0.1", str(to_master))
    wait_until(lambda: client.info("replication")["master_link_status"] == "up")
    text = """
steps = [{ fault = "cut mode=reset" }, { wait = "partial_resync" }, { do = "disconnect replica" }, { wait = "link_up" }]
expect = { resync = "partial", acked_offset = "level" }
"""
    files = {"ca": certificates.ca, "leaf": certificates.leaf}
    urls = [
        f"rediss://:se%2Fsame@127.0.0.1:{port}?ssl_ca_certs={{ca}}&cert={{leaf}}".format(**files)
        for port in (to_master, to_replica)
    ]
    where = None if listen is None else listen.format(**files)
    result = on_given(urls[0], urls[1], written(tmp_path, text), where)
    assert unmet(result) == []
    secured = [one.event.side.value for one in result.story if isinstance(one.event, events.Secured)]
    assert set(secured) == {"master"} | ({"replica"} if listen else set())
    wait_until(lambda: client.info("replication")["master_port"] == to_master)
    wait_until(lambda: client.info("replication")["master_link_status"] == "up")
    assert client.config_get("tls-replication") == {"tls-replication": "yes"}
    with pytest.raises(ConfigError, match="and so must the tap: --listen 'rediss://HOST:PORT"):
        on_given(urls[0], urls[1], written(tmp_path, text), "0.0.0.0:0")
    client.config_set("tls-replication", "no")
    with pytest.raises(ConfigError, match="the replica does not speak TLS to its master"):
        on_given(urls[0], f"127.0.0.1:{replica.port}?password=se/same", written(tmp_path, text), "rediss://:0?cert=x")


def test_on_a_given_pair_a_replica_joins_again(servers: Servers, any_server: str, tmp_path: Path) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    text = """
steps = [{ fault = "cut at=psync" }, { do = "attach" }, { wait = "full_resync" }, { wait = "link_up" }]
expect = { resync = "full" }
"""
    result = on_given(f"127.0.0.1:{master.port}", f"127.0.0.1:{replica.port}", written(tmp_path, text))
    assert unmet(result) == []
    wait_until(lambda: info_of(replica)["master_port"] == str(master.port))
    level(master, replica)


def test_a_given_replica_is_synced_in_full_after_damage_to_the_stream(
    servers: Servers, any_server: str, tmp_path: Path
) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    text = """
steps = [
  { fault = "drop key=redis-tap:lost" },
  { do = "send SET redis-tap:lost 1" },
  { wait = "fault_fired" },
]
expect = { resync = "none", converged = false, acked_offset = "behind" }
"""
    before = client(master).info("stats")["sync_full"]
    assert unmet(on_given(f"127.0.0.1:{master.port}", f"127.0.0.1:{replica.port}", written(tmp_path, text))) == []
    wait_until(lambda: info_of(master, "stats")["sync_full"] == str(before + 1))
    level(master, replica)


def test_harmful_steps_on_a_given_pair_are_refused(servers: Servers, any_server: str, tmp_path: Path) -> None:
    master, replica, other = (servers.start(any_server) for _ in range(3))
    follow(replica, master.port)
    client(other).set("mine", "1")
    wait_until(lambda: is_up(replica))
    urls = {server: f"redis://127.0.0.1:{server.port}" for server in (master, replica, other)}
    nothing = written(tmp_path, 'steps = []\nexpect = { resync = "none" }')
    with pytest.raises(ConfigError, match="this server is a replica; give the URL of its master"):
        on_given(urls[replica], urls[master], nothing)
    with pytest.raises(ConfigError, match="does not follow that master and holds data"):
        on_given(urls[master], urls[other], nothing)
    with pytest.raises(ConfigError, match="'kill replica' is done to servers of our own only"):
        on_given(urls[master], urls[replica], written(tmp_path, 'steps = [{ do = "kill replica" }]'))
    with pytest.raises(ConfigError, match="is for servers of our own only: a replica that loads a damaged RDB exits"):
        on_given(urls[master], urls[replica], written(tmp_path, 'steps = [{ fault = "corrupt at=rdb:50%" }]'))
    with pytest.raises(ConfigError, match="databases 3 cannot be set on the running master"):
        on_given(
            urls[master],
            urls[replica],
            written(tmp_path, "master = { databases = 3 }\nsteps = [{ do = 'attach' }]"),
        )
    with pytest.raises(EnvironmentFailure, match=r"the master at 127\.0\.0\.1:1 does not answer"):
        on_given("redis://127.0.0.1:1", urls[replica], nothing)
    assert info_of(replica)["master_port"] == str(master.port)


# ---- stand-ins ----


def fake(
    text: str, *, given: bool = False, seed: int = 1, prepare: Any = None, listen: str = ""
) -> tuple[Result, Any, Any]:
    """The outcome, and both stand-ins afterwards. Of a given pair, the replica follows the master."""
    scenario = Scenario(**tomllib.loads(f"title = 'a title'\nname = 'a name'\n{text}"))

    async def of_own() -> tuple[Result, Any, Any]:
        async with own_pair(Path("server"), scenario) as pair:
            master, replica = (one.one for one in Process.made)
            if prepare is not None:
                prepare(master, replica)
            return await run(scenario, pair, seed=1), master, replica

    async def of_given() -> tuple[Result, Any, Any]:
        master, replica = StandIn(), StandIn()
        master.options["databases"] = replica.options["databases"] = "16"
        async with stand_ins(master, replica):
            await following(replica, master)
            if prepare is not None:
                prepare(master, replica)
            async with given_pair(Node("master", master.url), Node("replica", replica.url)) as pair:
                check(scenario, pair)
                where = listening(listen) if listen else None
                return await run(scenario, pair, seed=1, listen=where), master, replica

    with processes():
        return at_once(of_given() if given else of_own())


QUIET = "workload = { kind = 'none' }\n"
LEDGER = "steps = []\nexpect = { no_data_loss_before_offset = 'acked' }\n"
NO_STEPS = "steps = []\nexpect = { resync = 'none' }\n"
SMALL = "workload = { rate = 50, preload = '2kb' }\n"


def test_a_result_describes_the_run_and_its_outcome() -> None:
    text = """
steps = [{ fault = "cut mode=reset" }, { wait = "partial_resync" }]
expect = { resync = "partial", acked_offset = "level", within = "5s", no_data_loss_before_offset = "fault" }
"""
    result, master, _ = fake(SMALL + text)
    assert result.troubles == []
    assert (result.scenario, result.title, result.server, result.seed) == ("a name", "a title", "Redis 7.0.15", 1)
    assert [step.text for step in result.steps] == ["fault cut mode=reset", "wait for partial_resync"]
    assert [(one.spec, one.fired) for one in result.faults] == [("cut mode=reset", 1)]
    assert [one.kind for one in result.resyncs] == ["partial"]
    assert result.resent == result.resyncs[0].bytes
    assert 0 < result.outage < 0.1
    assert 0.1 < result.seconds < 20
    assert (result.written > 0, result.refused) == (True, 0)
    kinds = {one.event.kind for one in result.story}
    assert kinds.isdisjoint({"ack", "commands", "rdb_progress"})
    assert {"full_resync", "partial_resync", "fault_fired"} <= kinds
    assert master.counts == {"full": 1, "partial": 2}  # and one for the reader of its backlog
    assert any(key.startswith(b"redis-tap:ledger") for key in master.data[0])
    tap = next(one for one in result.verdicts if one.name == "tap")
    assert " 0 commands" not in tap.found
    assert not tap.found.endswith(" 0 ACKs, 1 cut")


def test_the_preload_is_as_large_as_requested() -> None:
    result, master, replica = fake(QUIET + "steps = [{ do = 'send SET a 1' }]")
    assert (result.written, result.troubles) == (0, [])
    assert {key for keys in replica.data.values() for key in keys} == {b"a", b"redis-tap:probe"}
    sizes = []
    for preload in ("2kb", "40kb"):
        text = f"workload = {{ rate = 1, preload = '{preload}' }}\nsteps = [{{ do = 'attach' }}, {{ wait = 'level' }}]"
        _, master, _ = fake(text)
        burst = [words for words in master.heard if words[0] == "SET" and "redis-tap:burst" in words[1]]
        big = [len(words[2]) for words in master.heard if words[0] == "SET" and "redis-tap:big" in words[1]]
        sizes.append((len(burst), max(big, default=0) < 40_000, {db for db, keys in master.data.items() if keys}))
    assert sizes == [(1, True, {0, 1, 3}), (3, True, {0, 1, 3})]


def test_events_before_the_first_step_do_not_count() -> None:
    """The full resync by which the replica came to follow does not belong to the steps."""
    result, _, _ = fake(QUIET + "steps = []\nexpect = { resync = 'none', acked_offset = 'level' }")
    assert result.troubles == []
    late = "steps = [{ wait = 'full_resync', within = '1s' }]"
    result, _, _ = fake(QUIET + late)
    assert result.troubles == ["step 1: expected wait for full_resync, found not within 1 s"]
    assert result.steps[0].at < 1


def test_a_replica_that_a_step_attaches_does_not_follow_before() -> None:
    text = "steps = [{ do = 'attach' }, { wait = 'full_resync' }, { wait = 'level' }]\nexpect = { resync = 'full' }"
    for given in (False, True):
        result, _, replica = fake(QUIET + text, given=given)
        assert result.troubles == []
        assert (("REPLICAOF", "NO", "ONE") in replica.heard) is given


def test_a_replica_that_never_follows_is_the_environments_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap.scenario.experiment.ATTACH_SECONDS", 2.0)

    def refuse(master: StandIn, replica: StandIn) -> None:
        master.refuses["PSYNC"] = "ERR no"

    with pytest.raises(EnvironmentFailure) as raised:
        fake(QUIET + "steps = []\nexpect = { resync = 'none' }", prepare=refuse)
    assert str(raised.value) == "the replica did not come to follow its master within 2 s, before the first step"


def test_the_old_master_follows_through_its_own_listener() -> None:
    text = """
steps = [{ do = "promote replica" }, { do = "demote master" }, { wait = "level" }]
expect = { acked_offset = "level" }
"""
    result, master, replica = fake(SMALL + text)
    assert result.troubles == []
    assert {one.told.link for one in result.story} == {"main", "back"}
    assert replica.master is None
    assert master.master is not None


def test_a_harmful_fault_is_armed_on_servers_of_our_own() -> None:
    text = """
steps = [{ fault = "drop key=redis-tap:lost" }, { do = "send SET redis-tap:lost 1" }, { wait = "fault_fired" }]
expect = { resync = "none", converged = false, acked_offset = "behind" }
"""
    for given in (False, True):
        result, master, replica = fake(QUIET + text, given=given)
        assert result.troubles == []
        if given:
            followed = [words[1] for words in replica.heard if words[0] == "REPLICAOF"]
            assert followed[-2:] == ["NO", master.host]  # synced again after the damage
        assert (b"redis-tap:lost" in master.data[0]) is not given


def test_a_given_pair_keeps_its_keys_and_options_and_its_db() -> None:
    def prepare(master: StandIn, replica: StandIn) -> None:
        master._execute([b"SET", b"mine", b"1"], 0)

    text = """
both = { repl-timeout = 5 }
master = { maxmemory = 1 }
replica = { maxmemory = 2 }
workload = { rate = 50, preload = "2kb" }
steps = [{ do = "send SET redis-tap:x 1" }, { wait = "level" }]
expect = { acked_offset = "level" }
"""
    result, master, replica = fake(text, given=True, prepare=prepare)
    assert result.troubles == []
    assert any("by keys" in one.found for one in result.verdicts)
    assert {db: set(keys) for db, keys in master.data.items() if keys} == {0: {b"mine"}}
    for server, maxmemory in ((master, "1"), (replica, "2")):
        assert ("CONFIG", "SET", "maxmemory", maxmemory) in server.heard
        assert ("CONFIG", "SET", "repl-timeout", "5") in server.heard
        assert (server.options["maxmemory"], server.options["repl-timeout"]) == ("0", "60")
    assert replica.master == (master.host, master.port)
    assert all(words[0] not in ("DEBUG", "PSYNC") for words in [*master.heard, *replica.heard])


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ("[]", ["main"]),
        ("[{ fault = 'cut' }, { wait = 'fault_fired' }]", ["main"]),
        ("[{ do = 'attach' }, { do = 'stop workload' }]", ["main"]),
        ("[{ do = 'promote replica' }]", ["main"]),
        ("[{ wait = 'level' }, { do = 'demote master' }]", ["main", "back"]),
    ],
)
def test_the_tap_listens_twice_only_for_a_demoted_master(
    steps: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[Config] = []

    class Noting(Tap):
        def __init__(self, config: Config) -> None:
            configs.append(config)
            raise EnvironmentFailure("that is all")

    monkeypatch.setattr(importlib.import_module("tap.scenario.experiment"), "Tap", Noting)
    with pytest.raises(EnvironmentFailure, match="that is all"):
        fake(f"steps = {steps}\nexpect = {{ resync = 'none' }}")
    assert [link.name for link in configs[0].links] == names
    assert configs[0].destructive


# ---- before the first step ----


def ack(offset: int) -> events.Ack:
    return events.Ack(start=0, end=1, offset=offset, fsynced=None, lag_bytes=0, lag_seconds=0.0)


STARTED = events.StreamStarted(start=0, end=1, replid="a" * 40, offset=0, db=None)


@pytest.mark.parametrize(
    ("text", "told", "expected"),
    [
        # the stream has begun, and the replica has acknowledged: whichever comes last
        (QUIET + NO_STEPS, [(0.5, STARTED), (2.0, ack(1))], 2.0),
        (QUIET + NO_STEPS, [(0.5, ack(1)), (2.0, STARTED)], 2.0),
        # a write of the ledger has been acknowledged, by the last ACK: 100 is the offset of the first one
        (LEDGER, [(0.5, STARTED), (0.5, ack(100))], 1.0),
        (LEDGER, [(0.5, STARTED), (0.5, ack(99)), (2.0, ack(100))], 2.0),
        (LEDGER, [(0.5, STARTED), (0.5, ack(99)), (0.6, ack(98)), (2.0, ack(99)), (3.0, ack(120))], 3.0),
        (LEDGER, [(0.5, STARTED), (0.5, ack(1)), (0.6, ack(200)), (0.7, ack(2)), (2.5, ack(100))], 2.5),
        # never
        (LEDGER, [(0.5, STARTED), (0.5, ack(99))], None),
        (QUIET + NO_STEPS, [(0.5, STARTED)], None),
        (QUIET + NO_STEPS, [(0.5, ack(1))], None),
    ],
)  # fmt: skip
def test_the_first_step_waits_for_the_replica_and_a_write_that_could_be_lost(
    text: str, told: list[tuple[float, events.Event]], expected: float | None
) -> None:
    scenario = Scenario(**tomllib.loads(f"title = 'a'\nname = 'a name'\n{text}"))

    async def nothing(*_: object) -> None:
        pass

    async def is_level() -> bool:
        return True

    async def story() -> float | None:
        loop, journal, ledger = asyncio.get_running_loop(), Journal(), list[Noted]()
        began = loop.time()
        for at, event in told:
            loop.call_later(at, journal, Told(at, "main", 1, "", event))
        loop.call_later(1.0, ledger.append, Noted(100, "key", "value"))
        stage: Any = SimpleNamespace(
            scenario=scenario, expect=scenario.expect, journal=journal, pair=SimpleNamespace(nodes=(), given=False),
            workload=SimpleNamespace(ledger=ledger, start=lambda: None, preload=nothing),
            tally=SimpleNamespace(begin=nothing), attach=nothing, of_master=nothing, snapshot=nothing, is_level=is_level,
        )  # fmt: skip
        try:
            await _begin(stage)
        except TimeoutError:
            return None
        assert journal._read == len(journal.entries)
        assert stage.since == pytest.approx(loop.time() - began)
        return loop.time() - began

    assert at_once(story()) == (None if expected is None else pytest.approx(expected, abs=2 * POLL))


def test_the_tap_listens_on_the_requested_address() -> None:
    for listen, host in (("", "127.0.0.1"), ("127.0.0.7:0", "127.0.0.7")):
        _, _, replica = fake(QUIET + "steps = [{ do = 'attach' }, { wait = 'level' }]", given=True, listen=listen)
        (to_tap,) = {words[1] for words in replica.heard if words[0] == "REPLICAOF" and words[1] != "NO"} - (
            {"127.0.0.1"} if listen else set()
        )
        assert to_tap == host


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("steps = [{ do = 'kill master' }]", "'kill master' is done to servers of our own only"),
        ("steps = [{ do = 'restart replica' }]", "'restart replica' is done to servers of our own only"),
        ("steps = [{ do = 'promote replica' }]", "'promote replica' is done to servers of our own only"),
        ("steps = [{ do = 'demote master' }]", "'demote master' is done"),
        ("steps = [{ do = 'start replica' }]", "'start replica' is done to servers of our own only; leave --master out"),
        ("steps = [{ do = 'attach' }, { do = 'start workload' }, { do = 'set master maxmemory 1' }]", ""),
        ("steps = [{ fault = 'cut' }, { wait = 'ack' }]", ""),
        ("steps = [{ fault = 'corrupt at=rdb:50%' }]", "fault 'corrupt at=rdb:50%' is for servers of our own only: a "),
        *(
            (f"{where} = {{ maxmemory = 1, {option} = 'x' }}\nsteps = [{{ do = 'attach' }}]", f"{option} of a running ")
            for where, option in [
                ("both", "requirepass"), ("master", "masterauth"), ("replica", "masteruser"), ("both", "port"),
                ("both", "bind"), ("both", "replicaof"), ("both", "dir"), ("both", "dbfilename"), ("both", "save"),
            ]
        ),
        ("both = { maxmemory = 1 }\nsteps = [{ do = 'attach' }]", ""),
    ],
)  # fmt: skip
def test_some_steps_are_not_for_a_given_pair(text: str, refused: str) -> None:
    scenario = Scenario(**tomllib.loads(f"title = 'a'\nname = 'a name'\n{text}"))
    nodes = Node("master", Url.parse("127.0.0.1:1")), Node("replica", Url.parse("127.0.0.1:2"))
    check(scenario, Pair(*nodes))
    assert can_run(scenario, Pair(*nodes))
    pair = Pair(*nodes, given=True)
    assert can_run(scenario, pair) is not bool(refused)
    if refused:
        with pytest.raises(ConfigError) as raised:
            check(scenario, pair)
        assert str(raised.value).startswith(f"a name: {refused}")
        assert str(raised.value).endswith("leave --master out")
