"""Into a live pair and out again: by partial resyncs under load, and back whatever ends the process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tap.errors import ConfigError, EnvironmentFailure, TapError
from tap.operate import attachment, live_pair
from tap.operate.attach_state import AttachState, StateFile
from tap.operate.attachment import Attachment, check, detach, reachable_at
from tap.operate.live_pair import LivePair
from tap.operate.resync_forecast import Forecast
from tap.tap import Tap
from tap.url import Address, Url
from tests.operate.pairs import Pair, load, start_pair
from tests.support import MATRIX, ROOT, Servers, client, is_up, wait_until


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_pair, "WATCHED_SECONDS", 0.2)


async def attached(
    pair: Pair,
    state: Path,
    job: Callable[[], Awaitable[None]],
    *,
    at: Address | None = None,
    faults: tuple[str, ...] = (),
) -> list[str]:
    """Run the job while the replica is attached. Returns the sentences."""
    said: list[str] = []
    found = await pair.examined()
    async with Tap(found.master, faults=faults) as tap:
        one = Attachment(found, at or tap.address, state, say=said.append)
        await one.enter(tap)
        try:
            await job()
        finally:
            await one.leave()
    return said


async def nothing() -> None:
    pass


def test_six_moves_under_load_are_all_partial(servers: Servers, server_name: str, tmp_path: Path) -> None:
    pair = start_pair(servers, server_name)
    before = pair.full_resyncs
    state = tmp_path / "state.json"

    async def look() -> None:
        assert pair.followed != pair.master.port
        assert AttachState.read(state).step == "attached"

    with load(pair.master):
        for _ in range(3):
            said = asyncio.run(attached(pair, state, look))
            assert said[0].endswith("by a partial resync")
            assert said[1].startswith(f"{pair.replica.address} follows {pair.master.address} again")
            assert not state.exists()
    pair.check_restored(before)


@pytest.mark.parametrize("which", ["upper", "lower"])
def test_in_a_chain_either_link_is_taken_by_partial_resyncs(
    which: str, servers: Servers, any_server: str, tmp_path: Path
) -> None:
    upper = start_pair(servers, any_server)
    last = servers.start(any_server, "replicaof", f"{upper.replica.host} {upper.replica.port}")
    wait_until(lambda: is_up(last))
    lower = Pair(upper.replica, last)
    before = upper.full_resyncs, lower.full_resyncs
    with load(upper.master):
        asyncio.run(attached(upper if which == "upper" else lower, tmp_path / "state", nothing))
    upper.check_restored(before[0])
    lower_restored = Pair(upper.replica, last)
    wait_until(lambda: is_up(last))
    assert lower_restored.full_resyncs == before[1]


def test_a_tap_that_the_replica_cannot_reach_gives_it_back(
    servers: Servers, any_server: str, tmp_path: Path, nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment, "REACH_SECONDS", 0.5)
    pair = start_pair(servers, any_server)
    with pytest.raises(EnvironmentFailure, match=f"has not connected to the tap at 127.0.0.1:{nobody} within 0.5 s"):
        asyncio.run(attached(pair, tmp_path / "state", nothing, at=Address("127.0.0.1", nobody)))
    assert not (tmp_path / "state").exists()
    pair.check_restored(1)


def test_a_master_that_refuses_is_quoted_and_the_replica_goes_back(
    servers: Servers, any_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment, "UP_SECONDS", 1.5)
    pair = start_pair(servers, any_server)
    refuses = ("answer '-NOMASTERLINK not yet' request=PSYNC times=all",)
    said = r"has not resynced through the tap within 1\.5 s: the master answers -NOMASTERLINK not yet"
    with pytest.raises(EnvironmentFailure, match=said):
        asyncio.run(attached(pair, tmp_path / "state", nothing, faults=refuses))
    assert not (tmp_path / "state").exists()
    pair.check_restored(1)


def test_a_replica_that_something_else_has_moved_is_left_there(servers: Servers, any_server: str, tmp_path: Path) -> None:
    pair = start_pair(servers, any_server)

    async def promote() -> None:
        client(pair.replica).execute_command("REPLICAOF", "NO", "ONE")

    said = asyncio.run(attached(pair, tmp_path / "state", promote))
    assert said[-1].startswith(f"{pair.replica.address} is a master and is left as it is")
    assert client(pair.replica).role()[0] in ("master", b"master")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("step", ["noted", "moving", "attached"])
def test_asked_to_end_in_any_step_it_gives_the_replica_back(
    step: str, servers: Servers, any_server: str, tmp_path: Path
) -> None:
    pair = start_pair(servers, any_server)

    async def story() -> None:
        stop = asyncio.Event()
        found = await pair.examined()
        async with Tap(found.master) as tap:
            one = Attachment(
                found,
                tap.address,
                tmp_path / "state",
                say=lambda text: None,
                at_step=lambda name: stop.set() if name == step else None,
            )
            await one.hold(tap, stop)

    asyncio.run(story())
    assert not (tmp_path / "state").exists()
    pair.check_restored(1)


def test_a_replica_that_has_gone_leaves_the_file_and_the_command_by_hand(
    servers: Servers, any_server: str, tmp_path: Path
) -> None:
    pair = start_pair(servers, any_server)

    async def kill() -> None:
        pair.replica.kill()

    with pytest.raises(EnvironmentFailure, match=f"either .*:\n  redis-tap detach {tmp_path}/state\n  redis-cli -h"):
        asyncio.run(attached(pair, tmp_path / "state", kill))
    assert AttachState.read(tmp_path / "state").step == "leaving"
    with pytest.raises(EnvironmentFailure, match="could not be given back"):
        asyncio.run(detach(tmp_path / "state", None))


@pytest.mark.long
def test_stopped_as_it_enters_it_reports_a_replica_that_it_could_not_give_back(
    servers: Servers, any_server: str, tmp_path: Path
) -> None:
    pair = start_pair(servers, any_server)

    async def story() -> None:
        stop = asyncio.Event()

        def at_step(name: str) -> None:
            if name == "moving":
                pair.replica.kill()
                stop.set()

        found = await pair.examined()
        async with Tap(found.master) as tap:
            one = Attachment(found, tap.address, tmp_path / "state", say=lambda text: None, at_step=at_step)
            await one.hold(tap, stop)

    with pytest.raises(EnvironmentFailure, match=f"could not be given back to {pair.master.address}"):
        asyncio.run(story())
    assert AttachState.read(tmp_path / "state").step == "leaving"


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tap.operate.attachment import Attachment
from tap.operate.live_pair import examine
from tap.tap import Tap
from tap.url import Url

def die(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    pair = await examine(Url.parse(sys.argv[1]), None, {})
    async with Tap(pair.master) as tap:
        one = Attachment(pair, tap.address, Path(sys.argv[2]), say=print, at_step=die)
        await one.enter(tap)
        await one.leave()

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("server_name", MATRIX, indirect=True)
def test_killed_at_any_step_everything_is_as_before_after_detach(
    servers: Servers, server_name: str, tmp_path: Path
) -> None:
    pair = start_pair(servers, server_name)
    before = pair.full_resyncs
    state = tmp_path / "state.json"
    with load(pair.master):
        for step in ("noted", "moving", "attached", "leaving"):
            words = [sys.executable, "-c", KILLED, str(pair.url), str(state), step]
            assert subprocess.run(words, cwd=ROOT, check=False, stdout=subprocess.PIPE).returncode == -signal.SIGKILL
            left = json.loads(state.read_bytes())
            assert left["master"] == {"host": pair.master.host, "port": pair.master.port}
            said = asyncio.run(detach(state, None))
            assert str(pair.master.address) in said
            assert not state.exists()
            wait_until(lambda: pair.followed == pair.master.port and is_up(pair.replica), what=step)
            with pytest.raises(FileNotFoundError):
                asyncio.run(detach(state, None))
    pair.check_restored(before)


def test_a_password_comes_from_the_url_or_the_environment(servers: Servers, any_server: str, tmp_path: Path) -> None:
    pair = start_pair(servers, any_server)
    client(pair.replica).config_set("requirepass", "s3cret")
    state = tmp_path / "state"
    for login, environment in ((replace(pair.url, password="s3cret"), {}), (None, {"REDISCLI_AUTH": "s3cret"})):
        StateFile.begin(state, AttachState(pair.url, True, pair.master.address, Address("127.0.0.1", 1))).close()
        with pytest.raises(EnvironmentFailure, match="its password is taken from REDISCLI_AUTH"):
            asyncio.run(detach(state, None, {}))
        said = asyncio.run(detach(state, login, environment))
        assert said.endswith("and is left as it is: that was its master before the attach")
        assert not state.exists()


# ---- decided without servers ----

PAIR = LivePair(
    replica=Url(Address("10.0.0.6", 6380)),
    followed=Address("10.0.0.5", 6379),
    master=Url(Address("10.0.0.5", 6379)),
    here="10.0.0.7",
    seen_as="10.0.0.7",
    tls_replication=False,
    forecast=Forecast(True, ""),
    config_file="",
    sub_replicas=0,
    is_syncing=False,
)


@pytest.mark.parametrize(
    ("listens", "given", "at"),
    [
        (Address("10.0.0.7", 6400), None, Address("10.0.0.7", 6400)),
        (Address("*", 6400), None, Address("10.0.0.7", 6400)),
        (Address("*", 6400), Address("nat.example.com", 0), Address("nat.example.com", 6400)),
        (Address("127.0.0.1", 6400), Address("192.0.2.1", 7000), Address("192.0.2.1", 7000)),
    ],
)
def test_where_the_replica_reaches_the_tap(listens: Address, given: Address | None, at: Address) -> None:
    assert reachable_at(PAIR, listens, given) == at


def test_a_loopback_is_refused_for_a_replica_elsewhere() -> None:
    with pytest.raises(
        ConfigError, match=r"10\.0\.0\.6:6380 cannot reach a tap at 127\.0\.0\.1: give --listen 10\.0\.0\.7:0"
    ):
        reachable_at(PAIR, Address("127.0.0.1", 6400), None)
    local = replace(PAIR, replica=Url(Address("127.0.0.1", 6380)), here="127.0.0.1")
    assert reachable_at(local, Address("127.0.0.1", 6400), None) == Address("127.0.0.1", 6400)


def test_what_does_not_fit_is_refused_before_anything_changes() -> None:
    check(PAIR, speaks_tls=False, full_ok=False)
    with pytest.raises(ConfigError, match=r"over TLS .*: give --listen-cert"):
        check(replace(PAIR, tls_replication=True), speaks_tls=False, full_ok=True)
    with pytest.raises(ConfigError, match="leave --listen-cert out"):
        check(PAIR, speaks_tls=True, full_ok=True)
    for one in (replace(PAIR, is_syncing=True), replace(PAIR, forecast=Forecast(False, "too small"))):
        with pytest.raises(TapError, match="--full-ok attaches all the same"):
            check(one, speaks_tls=False, full_ok=False)
        check(one, speaks_tls=False, full_ok=True)
