"""Servers of our own: their options, and the errors for invalid ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap.errors import ConfigError, EnvironmentFailure
from tap.servers.embedded import Server, find_server, free_port, own_loopback, version_of
from tests.support import client, programs


@pytest.mark.parametrize(
    ("arguments", "more", "options"),
    [
        ((None, "repl-backlog-size", "1mb"), {}, {"repl-backlog-size": "1mb"}),
        (("repl-backlog-size", "1mb"), {}, {"repl-backlog-size": "1mb"}),
        ((None, "--repl-backlog-size", "1mb", "--hz 50"), {}, {"repl-backlog-size": "1mb", "hz": "50"}),
        ((None, "hz", 50), {"repl_diskless_sync": False, "port": 7777}, {"hz": "50", "repl-diskless-sync": "no"}),
        ((None, "repl-diskless-sync-delay", 2), {}, {"repl-diskless-sync-delay": "2"}),
    ],
)
def test_options_of_a_server_are_understood(
    arguments: tuple[Any, ...], more: dict[str, Any], options: dict[str, str]
) -> None:
    try:
        server = Server(*arguments, **more)
    except EnvironmentFailure:
        pytest.skip("no server on PATH, and none in a wheel")
    given = dict(zip(server.options[::2], server.options[1::2], strict=True))
    assert given | options == given
    assert given["repl-diskless-sync-delay"] == options.get("repl-diskless-sync-delay", "0")
    assert server.port == more.get("port", 0)


@pytest.mark.parametrize(
    ("made", "kind", "says"),
    [
        (lambda program: Server(program, "--hz"), ConfigError, "option 'hz' has no value: they come in pairs"),
        (lambda program: Server(program, "hz", "50", "save"), ConfigError, "option 'save' has no value"),
        (lambda program: Server(program, ["hz", 50]), ConfigError, "['hz', 50] is not an option of a server"),  # type: ignore[arg-type]
        (
            lambda program: Server(program).pid,
            EnvironmentFailure,
            "the server does not run: write 'with Server() as",
        ),
        (lambda program: Server("/no/redis-server"), EnvironmentFailure, "/no/redis-server does not run"),
        (lambda program: Server("no-such-server"), EnvironmentFailure, "no no-such-server on PATH"),
    ],
)
def test_invalid_options_are_a_sentence(
    any_server: str, made: Callable[[Path], object], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind) as caught:
        made(programs()[any_server])
    assert says in str(caught.value)


def test_a_server_may_be_started_in_an_event_loop_too(any_server: str) -> None:
    async def story() -> None:
        async with Server(programs()[any_server], name="master") as server:
            assert client(server).ping()
            assert server.url == f"redis://127.0.0.1:{server.port}"

    asyncio.run(story())


def program(folder: Path, script: str) -> Path:
    path = folder / "some-server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64", "Redis 7.0.15"),
        ("Valkey server v=9.1.0 sha=00000000:0", "Valkey 9.1.0"),
    ],
)
def test_the_version_is_the_programs_own(tmp_path: Path, said: str, version: str) -> None:
    assert version_of(program(tmp_path, f"echo '{said}'")) == version


def test_a_program_is_asked_once_for_its_version_until_its_file_changes(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    script = f"echo . >>{asked}; echo 'Redis server v=7.0.15'"
    assert [version_of(program(tmp_path, script)), version_of(tmp_path / "some-server")] == ["Redis 7.0.15"] * 2
    assert asked.read_text() == ".\n"
    program(tmp_path, "echo 'Valkey server v=9.1.0'")
    assert version_of(tmp_path / "some-server") == "Valkey 9.1.0"
    with pytest.raises(EnvironmentFailure, match="no-server does not run: No such file or directory"):
        version_of(tmp_path / "no-server")


@pytest.mark.parametrize(
    ("script", "says"), [("exit 1", "some-server does not run: "), ("echo hello", "some-server is not a redis-server or")]
)
def test_a_program_that_is_not_a_server_is_named(tmp_path: Path, script: str, says: str) -> None:
    with pytest.raises(EnvironmentFailure, match=says):
        Server(program(tmp_path, script))


def test_a_server_that_ends_at_once_is_reported_with_its_last_words_and_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = 'case "$1" in --version) echo "Redis server v=7.0.15";; *) echo "bad directive: sesame"; exit 1;; esac'
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server = Server(program(tmp_path, script), "requirepass", "sesame")
    with pytest.raises(EnvironmentFailure, match="some-server does not start:\n  bad directive: ") as caught, server:
        pass
    assert "sesame" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["some-server"]


def test_a_program_on_path_comes_before_one_out_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "true").rename(tmp_path / "valkey-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == tmp_path / "valkey-server"
    program(tmp_path, "true").rename(tmp_path / "redis-server")
    assert find_server() == tmp_path / "redis-server"


def test_without_any_program_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EnvironmentFailure, match=r"none in a wheel: install one, or `pip install 'redis-tap\[demo\]'`"):
        find_server()


def test_a_free_port_can_be_listened_on_and_is_not_held() -> None:
    host = own_loopback()
    with socket.create_server((host, free_port(host))) as one:
        assert one.getsockname()[0].startswith("127.")
