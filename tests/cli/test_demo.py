"""`redis-tap demo`: its story, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap.cli import demo as cli_demo
from tap.cli import main
from tap.errors import EnvironmentFailure
from tap.servers.embedded import find_server
from tests.cli.running import TAP
from tests.cli.typed import tap
from tests.support import WITHIN, crossed, wait_until


@pytest.fixture
def demo_server() -> None:
    """The demo uses no server in .servers/."""
    try:
        find_server()
    except EnvironmentFailure:
        pytest.skip("no server on PATH, and none in a wheel")


class Demo:
    """A running demo and its servers, which are found by their directories."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [*TAP, "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(directory)},
        )

    def servers(self) -> dict[str, int]:
        """The process of each, by "master" and "replica"."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                works_in = process.joinpath("cwd").readlink()
                if works_in.is_relative_to(self.directory):
                    found[works_in.name.split("-")[2]] = int(process.name)
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        for pid in self.servers().values():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def demo(demo_server: None, tmp_path: Path) -> Iterator[Demo]:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("needs /proc")
    with contextlib.closing(Demo(tmp_path)) as one:
        yield one


def test_a_failing_demo_has_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    async def different(_: Path) -> bool:
        return False

    monkeypatch.setattr("tap.cli.demo.find_server", Path)
    monkeypatch.setattr("tap.cli.demo._run", different)
    monkeypatch.setattr(sys, "argv", ["redis-tap", "demo"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1


@pytest.mark.usefixtures("demo_server")
def test_the_demo_tells_its_story_in_time() -> None:
    began = time.monotonic()
    said = tap("demo")
    assert said.returncode == 0, said.stderr
    assert time.monotonic() - began < 30
    for words in ("FULL RESYNC", "first_sync", "partial resync", "offset_out_of_backlog", "repl-backlog-size", "Equal."):
        assert words in said.stdout
    assert said.stderr == ""


@pytest.mark.parametrize(
    ("number", "server"), crossed([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ["master", "replica"])
)
def test_a_signal_ends_the_demo_and_its_servers(demo: Demo, tmp_path: Path, number: signal.Signals, server: str) -> None:
    """As soon as the server's process exists, ready or not."""
    wait_until(lambda: server in demo.servers())
    demo.process.send_signal(number)
    demo.process.send_signal(number)  # impatient users press twice
    assert demo.process.communicate(timeout=WITHIN)[1] == ""
    assert demo.process.returncode == 128 + number
    assert not demo.servers()
    assert not list(tmp_path.iterdir())


def test_a_demo_that_loses_a_server_says_so(demo: Demo) -> None:
    assert demo.process.stdout is not None
    assert any("Writes flow" in line for line in demo.process.stdout)
    os.kill(demo.servers()["master"], signal.SIGKILL)
    _, said = demo.process.communicate(timeout=WITHIN)
    assert re.fullmatch(r"redis-tap: the demo lost one of its own servers: .+\n", said)
    assert demo.process.returncode == 3
    assert not demo.servers()


@pytest.mark.usefixtures("demo_server")
def test_a_demo_on_a_busy_machine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(*_: object) -> bool:
        raise TimeoutError

    monkeypatch.setattr("tap.cli.demo.tell", late)
    with pytest.raises(EnvironmentFailure, match="took more than 15 s"):
        cli_demo.demo()
