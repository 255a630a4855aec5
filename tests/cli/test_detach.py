"""`redis-tap detach` as it is typed: by replica, by file, for all, and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tap.operate.attach_state import AttachState, StateFile, state_path
from tap.url import Address, Url
from tests.cli.test_attach import attaching
from tests.cli.typed import tap
from tests.operate.pairs import start_pair
from tests.support import WITHIN, Servers, thinned

LEFT = "is left as it is: that was its master before the attach"


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_it_ends_an_attach_that_runs(servers: Servers, any_server: str) -> None:
    pair = start_pair(servers, any_server)
    with attaching(pair, "--ui", "none") as process:
        said = tap("detach", str(pair.url))
        assert said.returncode == 0, said.stderr
        assert f"was given back to {pair.master.address} by the process that was attached" in said.stdout
        assert process.wait(WITHIN) == 0
    pair.check_restored(1)
    assert "nothing is attached" in tap("detach", str(pair.url)).stdout


@pytest.mark.parametrize("by", thinned(["url", "file", "all"], 3))
def test_after_kill_9_it_gives_the_replica_back(by: str, servers: Servers, any_server: str) -> None:
    pair = start_pair(servers, any_server)
    with attaching(pair, "--ui", "none") as process:
        process.kill()
        process.wait()
    words = {"url": [str(pair.url)], "file": [str(state_path(pair.url))], "all": []}[by]
    said = tap("detach", *words)
    assert said.returncode == 0, said.stderr
    assert f"{pair.replica.address} follows {pair.master.address} again" in said.stdout
    pair.check_restored(1)
    assert "nothing is attached" in tap("detach", *words).stdout


def test_one_that_cannot_be_reached_does_not_keep_the_others(servers: Servers, any_server: str, nobody: int) -> None:
    pair = start_pair(servers, any_server)
    for url in (pair.url, Url(Address("127.0.0.1", nobody))):
        StateFile.begin(state_path(url), AttachState(url, False, pair.master.address, Address("127.0.0.1", 1))).close()
    said = tap("detach")
    assert said.returncode == 3
    assert f"127.0.0.1:{nobody} could not be given back to {pair.master.address}: Connection refused" in said.stderr
    assert f"{pair.replica.address} follows {pair.master.address} and {LEFT}" in said.stdout


def test_a_damaged_state_does_not_keep_the_others(servers: Servers, any_server: str) -> None:
    pair = start_pair(servers, any_server)
    state = AttachState(pair.url, False, pair.master.address, Address("127.0.0.1", 1))
    StateFile.begin(state_path(pair.url), state).close()
    damaged = state_path(pair.url).with_name("attach-0.json")  # read before the other one
    damaged.write_text("{")
    said = tap("detach")
    assert (said.returncode, said.stderr) == (2, f"redis-tap: {damaged}: not the state of an attach\n")
    assert f"{pair.replica.address} follows {pair.master.address} and {LEFT}" in said.stdout


def test_a_file_that_is_no_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("text")
    said = tap("detach", tmp_path / "other")
    assert (said.returncode, said.stderr) == (2, f"redis-tap: {tmp_path}/other: not the state of an attach\n")
