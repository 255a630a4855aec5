"""The README promises what is there: its commands are understood, its example runs, its events exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tap
from tap import config
from tap.faults.what import KINDS
from tap.replication import events
from tap.scenario.actions import ACTIONS
from tap.scenario.load import CONDITIONS, Expect
from tap.servers.embedded import Server, find_server
from tests.cli.running import TAP
from tests.cli.test_export import synced
from tests.cli.typed import command
from tests.cli.typed import tap as typed
from tests.recording.wires import STREAM, file, streamed
from tests.relay.certificates import Certificates
from tests.replay.support import captured
from tests.support import FIXTURES, ROOT, all_subclasses

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("redis-tap")])
def test_a_command_of_the_readme_is_understood(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run for a moment, on ports of the system's choosing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tap.toml").write_text(re.sub(r"(\S+):64\d\d", r"\1:0", blocks("toml")[0]))
    (tmp_path / "webhook.py").write_text(blocks("python")[0])
    (tmp_path / "stalled.toml").write_text(blocks("toml")[1])
    words = shlex.split(re.sub(r"(127\.0\.0\.1|\*):64\d\d", r"\1:0", line))
    shutil.copy(FIXTURES / "rdb" / "redis-8.0.2-mixed.rdb", tmp_path / "dump.rdb")
    recorded = file(tmp_path / "recorded", streamed(STREAM).packets, "pcapng")
    if words[1] == "show":
        recorded.rename(tmp_path / words[2])
    if "--tls" in words:
        made = Certificates(tmp_path / "made")
        shutil.copy(made.ca, tmp_path / "ca.crt")
        for name in ("tap.crt", "tap.key"):
            shutil.copy(made.leaf, tmp_path / name)
    if words[1] == "export":
        file(tmp_path / words[2], synced(*STREAM).packets, "pcapng")
    if words[1] == "replay" and "--to" in words:
        recorded.rename(tmp_path / words[2])
        with Server(find_server()) as target:
            done = typed(*[word.replace("127.0.0.1:6390", f"127.0.0.1:{target.port}") for word in words[1:]])
        assert done.returncode == 0, done.stderr
        return
    if words[1] == "replay":
        captured("redis-7.0-diskless", tmp_path / words[2])
        with subprocess.Popen([*TAP, *words[1:]], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert "listening on" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        return
    if words[1] == "run":
        words += ["--duration", "100ms"]
    done = typed(*words[1:])
    if "Cannot assign requested address" in done.stderr or "Address family" in done.stderr:
        pytest.skip("no IPv6 on this machine")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make")])
def test_a_target_of_the_readme_exists(line: str) -> None:
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


SAID = [
    *("", "", "127.0.0.1:6379 127.0.0.1:50000 1000", "up to offset"),
    *("0 b'httl' hash 44 None", "REPLICAOF 127.0.0.1", ""),
]


@pytest.mark.parametrize(
    ("example", "says"),
    list(
        zip(
            blocks("python"),
            SAID,
            strict=True,
        )
    ),
)
def test_a_python_example_runs(
    example: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(FIXTURES / "rdb" / "redis-8.0.2-mixed.rdb", tmp_path / "dump.rdb")
    captured("redis-7.0-diskless", tmp_path / "orders.pcapng")
    file(tmp_path / "today.pcapng", streamed(STREAM).packets, "pcapng")
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert says in capsys.readouterr().out


def test_the_test_of_the_readme_runs_with_pytest_alone_and_at_once(tmp_path: Path) -> None:
    path = tmp_path / "test_lost_link.py"
    path.write_text(next(block for block in blocks("python") if "def test_" in block))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "pytest", "-W", "error", "--durations=1", "--durations-min=0", path.name]
    done = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "1 passed" in done.stdout, done.stdout
    took = re.search(r"([0-9.]+)s call ", done.stdout)
    assert took
    assert float(took[1]) < 4  # 0.6 s; the delay before a diskless transfer alone would be 5


def test_the_toml_example_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text(blocks("toml")[0])
    loaded = config.load(path)
    assert [link.name for link in loaded.links] == ["orders", "sessions"]
    assert loaded.duration == 12 * 3600


def test_every_step_and_expectation_is_in_the_readme() -> None:
    steps = README.split("| step | does |")[1].split("\n\n")[0]
    for verb in ACTIONS:
        assert re.search(rf"`{verb}[ `]", steps), verb
    for condition in CONDITIONS:
        assert f"`{condition}`" in steps, condition
    expectations = README.split("| expectation | is met if |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in expectations.splitlines()[2:])))
    assert named == set(Expect.model_fields) - {"on", "settle"}


def test_every_event_is_in_the_readme_and_none_else() -> None:
    table = README.split("| event | says |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    leaves = {kind for kind in all_subclasses(events.Event) if kind is not events.WireEvent}
    assert named == {kind.kind for kind in leaves}


@pytest.mark.parametrize(
    ("verb", "table"),
    [
        ("run", "| option | does |"),
        ("rdb", "| option of `rdb` | does |"),
        ("chaos", "| option of `chaos` | does |"),
        ("show", "| option of `show` | does |"),
        ("export", "| option of `export` | does |"),
        ("replay", "| option of `replay` | does |"),
    ],
)
def test_every_option_is_in_the_readme(verb: str, table: str) -> None:
    options = {option for parameter in command(verb).params for option in parameter.opts if option.startswith("--")}
    rows = README.split(table)[1].split("\n\n")[0]
    assert options == set(re.findall(r"`(--[a-z-]+)", rows))


def test_every_fault_is_in_the_readme() -> None:
    table = README.split("| fault | does |")[1].split("\n\n")[0]
    assert {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])} == set(KINDS)


def test_what_is_public_is_in_the_readme() -> None:
    for name in tap.__all__:
        assert name in README or name == "__version__"
