"""One password wherever a user, a client, a server or a file has one, and every output searched for it.

What a tap says while it relays, and what it records, is in recording/test_passwords.py; here is what verbs say of
recordings, captures, URLs, configurations, scenarios, servers, and of crashes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import hiredis
import pytest

from tap.capture import pcapng
from tap.cli import VERBS
from tap.console import stderr
from tap.replication.conversation import Conversation
from tests.cli.typed import tap
from tests.recording.plants import ARRAYS, LINES, PASSWORD, REPLIES, TYPED, errors, shows
from tests.recording.support import block
from tests.recording.wires import Wire
from tests.relay.wire import BASE, GRANT, asks, command
from tests.support import thinned
from tests.test_planted import BESIDE, planted_options

SECRET = PASSWORD.decode()
ENCODED = quote(SECRET, safe="")
WORD = TYPED.decode()

# As they are typed correctly, and with mistakes.
URLS = [
    f"redis://{ENCODED}@127.0.0.1:1",
    f"redis://ann:{ENCODED}@127.0.0.1:1/0",
    f"redis://{WORD}:{WORD}:{WORD}@127.0.0.1:1",
    f"rediss://:{SECRET}@127.0.0.1:1",
    f"redis://ann:{WORD}/x@127.0.0.1:1",
    f"redis://ann:{WORD}?x@127.0.0.1:1",
    f"redis://ann@{WORD}@127.0.0.1:port",
    f"redis:/ann:{WORD}@127.0.0.1:1",
    f"http://ann:{WORD}@127.0.0.1:1",
    f"unix://:{ENCODED}@/run/nobody",
    f"redis://127.0.0.1:1?password={WORD}",
    f"redis://127.0.0.1:1?ssl_password={WORD}&colour=red",
    f"ann:{WORD}@127.0.0.1:1",
    f"a=127.0.0.1:0->redis://ann:{WORD}@127.0.0.1:1",
]


class Echo(threading.Thread):
    """A server that repeats in its errors everything it is sent, except for INFO and SELECT."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[list[bytes]] = []

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        requests = hiredis.Reader()
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(2**20):
                requests.feed(data)
                while (words := requests.gets()) is not False:
                    self.heard.append(words)
                    said = b" ".join(b"'%b'" % word for word in words[1:]).replace(b"\r\n", b"  ")
                    error = b"-ERR unknown command '%b', with args beginning with: %b\r\n" % (words[0], said)
                    connection.sendall({b"INFO": b"$0\r\n\r\n", b"SELECT": b"+OK\r\n"}.get(words[0], error))

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    one = Echo()
    one.start()
    yield one
    one.close()


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As tcpdump makes one: no password in it is masked. A replica, and clients of every kind."""
    path = tmp_path_factory.mktemp("secrets") / "foreign.pcapng"
    packets = []
    replica = Wire(50000)
    replica.open()
    for plant in (*ARRAYS, *LINES):
        replica.send(0, plant.said)
        secret = PASSWORD if plant in ARRAYS else TYPED
        replica.send(1, b"-ERR unknown command, with args beginning with: '%b' \r\n" % secret)
    replica.send(0, asks(BASE))
    stream = b"".join(plant.said + command("SET", "key", "value") for plant in ARRAYS)
    replica.send(1, GRANT + command("SELECT", "0") + stream)
    replica.send(0, command("REPLCONF", "ACK", str(BASE + 30)) + b"".join(plant.said for plant in ARRAYS))
    packets += replica.packets
    for number, (asked, reply) in enumerate([*(said for said, _ in REPLIES), *errors()]):
        client = Wire(50001 + number)
        client.open()
        client.send(0, command("PING"))
        client.send(1, b"+PONG\r\n")
        client.send(0, asked)
        client.send(1, reply)
        packets += client.packets
    path.write_bytes(pcapng.heading("test") + b"".join(block(at, data) for at, data in packets))
    assert shows(path.read_bytes())
    return path


def assert_nothing_shows(said: Any) -> None:
    assert shows(said.stdout) is None, said.args
    assert shows(said.stderr) is None, said.args
    assert "Traceback" not in said.stdout + said.stderr


# ---- of captures ----


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("more", [[], ["--commands", "--rdb-keys"], ["--stats"], ["--stats", "--once"], ["--key", "*"]])
def test_show_of_a_capture_shows_no_password(capture: Path, form: str, more: list[str]) -> None:
    said = tap("show", capture, "--format", form, *more)
    assert_nothing_shows(said)
    assert "AUTH" in said.stdout or more


def test_rows_of_a_capture_have_no_password(capture: Path) -> None:
    said = tap("export", capture, "--to", "jsonl", "-o", "-")
    assert_nothing_shows(said)
    assert said.stdout.count("***") > 10


@pytest.mark.parametrize("ui", ["log", "json", "none"])
def test_a_replay_to_a_server_that_repeats_everything_shows_no_password(capture: Path, echo: Echo, ui: str) -> None:
    """Neither those of the recording nor that of the URL."""
    url = f"redis://ann:{ENCODED}@127.0.0.1:{echo.port}"
    assert_nothing_shows(tap("replay", capture, "--to", url, "--yes", "--ui", ui))
    assert [b"AUTH", b"ann", PASSWORD] in echo.heard
    said = tap("replay", capture, "--to", f"127.0.0.1:{echo.port}", "--yes", "--ui", ui, "--speed", "max")
    assert_nothing_shows(said)
    assert said.returncode == 1 or "stream" in said.stderr
    assert [b"CONFIG", b"SET", b"requirepass", PASSWORD] in echo.heard


# ---- of URLs ----


@pytest.mark.parametrize(("verb", "option"), thinned(planted_options(), 6))
def test_a_url_typed_anywhere_is_repeated_without_its_login(
    verb: str, option: str, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    beside = [str(capture) if one.startswith("{") else one for one in BESIDE[verb]]
    some = planted_options().index((verb, option)) % 2  # a tap takes a while to end
    for url in URLS[some::2] if verb == "run" else URLS:
        typed = [*beside, option, url] if option else [url, *(beside[1:] if verb != "chaos" else [])]
        assert_nothing_shows(tap(verb, *typed))


@pytest.mark.parametrize("verb", VERBS)
def test_a_url_in_the_wrong_place_is_repeated_without_its_login(verb: str) -> None:
    for url in URLS:
        for typed in ([url, verb], [verb, f"--nothing={url}"], [verb, "--nothing", url], [verb, url, url, url]):
            if verb != "chaos" or typed[-1] != typed[-2]:
                assert_nothing_shows(tap(*typed))


@pytest.mark.parametrize("url", URLS)
def test_a_configuration_is_refused_without_the_logins_in_it(url: str, tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    for text in (
        f"[links.a]\nmaster = {json.dumps(url)}\n",
        f'[links.a]\nmaster = "127.0.0.1:1"\nlisten = {json.dumps(url)}\n',
        f'statsd = {json.dumps(url)}\n[links.a]\nmaster = "127.0.0.1:1"\n',
        f'ui = {json.dumps(url)}\nseed = {json.dumps(url)}\n[links.a]\nmaster = "127.0.0.1:1"\n',
        f"links = {json.dumps(url)}\n",
    ):
        path.write_text(text)
        assert_nothing_shows(tap("run", "--config", path, "--duration", "1ms"))


# ---- of chaos ----


@pytest.mark.parametrize("form", [[], ["--json"], ["--repeat", "2"], ["--repeat", "2", "--until-failure"]])
@pytest.mark.parametrize("login", [f"{WORD}:{ENCODED}", ENCODED, f"ann:{WORD}:{WORD}"])
def test_chaos_on_a_given_pair_shows_no_password(echo: Echo, login: str, form: list[str], tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    for port in (1, echo.port):
        url = f"redis://{login}@127.0.0.1:{port}/0?socket_timeout=5"
        said = tap("chaos", "cut-in-command", "--master", url, "--replica", url, "--junit", junit, *form)
        assert shows(said.stdout.replace(f"redis://{WORD}:***@", "")) is None  # users are shown, to be typed again
        assert shows(said.stderr) is None
        assert shows(junit.read_text().replace(f"redis://{WORD}:***@", "")) is None
        assert "***@127.0.0.1" in junit.read_text()
        assert "***@127.0.0.1" in said.stdout
    assert said.returncode == 3


def test_scenarios_with_passwords_show_no_password(echo: Echo, tmp_path: Path) -> None:
    path, junit = tmp_path / "mine.toml", tmp_path / "junit.xml"
    url = f"redis://127.0.0.1:{echo.port}"
    for text in (
        f"steps = [{{ do = 'set master requirepass {WORD}' }}, {{ do = 'send AUTH {WORD}' }}]",
        f"both = {{ tls-key-file-pass = {json.dumps(WORD)} }}\nsteps = []\nexpect = {{ converged = true }}",
        f"steps = [{{ do = 'set master masterauth {WORD} {WORD}' }}]",
        f"""steps = [{{ do = "send AUTH '{WORD}" }}]""",
    ):
        path.write_text(f"title = 'mine'\n{text}\n")
        for more in ([], ["--master", url, "--replica", url, "--junit", junit], ["--server", "/nowhere/redis-server"]):
            said = tap("chaos", path, *more) if more else tap("chaos", path, "--server", "/bin/false")
            assert_nothing_shows(said)
    assert shows(junit.read_bytes() if junit.exists() else b"") is None


# ---- of the environment, and of crashes ----


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_no_value_of_the_environment(verb: str) -> None:
    names = ("SSLKEYLOGFILE", "REDISCLI_AUTH", "REDIS_TAP_KEY_PASSWORD", "REDIS_TAP_LISTEN_KEY_PASSWORD")
    with mock.patch.dict(os.environ, dict.fromkeys(names, SECRET)):
        assert_nothing_shows(tap(verb, "--help"))


@pytest.mark.parametrize("plant", [*ARRAYS, *LINES], ids=repr)
def test_a_crash_is_reported_without_the_bytes_that_caused_it(
    plant: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crashes(self: Conversation, request: Any, *_: Any) -> None:
        said = f"a bug at {request} of {request.args!r}, {bytearray(request.args[-1])}"
        raise RuntimeError(said) from ValueError(request)

    monkeypatch.setattr(Conversation, "_requested", crashes)
    conversation = Conversation(lambda event: None)
    with pytest.raises(RuntimeError) as caught:
        conversation.receive_from_replica(command("PING") + plant.said)
    record = logging.LogRecord("tap", logging.ERROR, "", 1, "failed at %r", (plant.said,), (None, caught.value, None))  # type: ignore[arg-type]
    stderr._Handler().emit(record)
    said = capsys.readouterr().err
    assert "a bug at" in said
    assert "Traceback" in said
    assert shows(said) is None
