"""The state file of an attach: whole at any moment, without secrets, and locked as long as its process lives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tap.errors import ConfigError, EnvironmentFailure
from tap.operate.attach_state import AttachState, StateFile, state_path
from tap.paths import is_locked
from tap.url import Address, Url

STATE = AttachState(
    Url(Address("10.0.0.6", 6380), True, username="ops", tls_options={"cacert": Path("/ca.pem"), "insecure": True}),
    True,
    Address("10.0.0.5", 6379),
    Address("10.0.0.7", 41000),
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    file = StateFile.begin(path, STATE)
    assert AttachState.read(path) == STATE
    file.step("moving")
    assert AttachState.read(path).step == "moving"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["state.json"]
    file.remove()
    assert list(path.parent.iterdir()) == []
    local = AttachState(Url(Address(path="/run/redis.sock")), False, Address("::1", 1), Address("::1", 2))
    StateFile.begin(path, local).close()
    assert AttachState.read(path) == local


def test_it_holds_no_password(tmp_path: Path) -> None:
    url = Url.parse("redis://ops:hunter2@10.0.0.6:6380")
    StateFile.begin(tmp_path / "state", AttachState(url, True, STATE.master, STATE.tap)).close()
    assert "hunter2" not in (tmp_path / "state").read_text()


def test_a_second_one_is_refused_and_says_what_the_first_one_is(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    file = StateFile.begin(path, STATE)
    file.step("attached")
    assert is_locked(path)
    with pytest.raises(ConfigError, match="already attached to this replica"):
        StateFile.begin(path, STATE)
    file.close()
    assert not is_locked(path)
    with pytest.raises(ConfigError, match=f"was killed and left this file; redis-tap detach {path} gives"):
        StateFile.begin(path, STATE)
    assert AttachState.read(path).step == "attached"
    assert not is_locked(tmp_path / "nowhere")


def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    code = (
        "import os, signal; from pathlib import Path; from tests.operate.test_attach_state import STATE, StateFile; "
        f"file = StateFile.begin(Path({str(path)!r}), STATE); file.step('moving'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert AttachState.read(path).step == "moving"
    assert not is_locked(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"redis_tap_attach": 1}', "\xff", '{"redis_tap_attach": 1, "replica": 5}']
)
def test_another_file_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_text(text, "latin-1")
    with pytest.raises(ConfigError, match=f"{path}: not the state of an attach"):
        AttachState.read(path)


def test_a_later_format_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "later"
    path.write_text(json.dumps({"redis_tap_attach": 2}))
    with pytest.raises(ConfigError, match="written by another version of redis-tap"):
        AttachState.read(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match=r"state\.json: Not a directory|File exists"):
        StateFile.begin(tmp_path / "file" / "state.json", STATE)


@pytest.mark.parametrize(
    ("url", "environment", "path"),
    [
        ("10.0.0.6:6380", {"XDG_STATE_HOME": "/state"}, "/state/redis-tap/attach-10.0.0.6_6380.json"),
        (
            "10.0.0.6:6380",
            {"XDG_STATE_HOME": "relative", "HOME": "/h"},
            "/h/.local/state/redis-tap/attach-10.0.0.6_6380.json",
        ),
        ("unix:/run/redis.sock", {"XDG_STATE_HOME": "/s"}, "/s/redis-tap/attach-run_redis.sock.json"),
        ("[::1]:6380", {"XDG_STATE_HOME": "/s"}, "/s/redis-tap/attach-___1__6380.json"),
    ],
)
def test_each_replica_has_its_place(url: str, environment: dict[str, str], path: str) -> None:
    assert state_path(Url.parse(url), environment) == Path(path)
