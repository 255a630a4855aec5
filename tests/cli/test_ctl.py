"""`redis-tap ctl` against a real tap: what it shows, what it changes, and how it says no."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tap.control.door import TOKEN
from tap.replication import events
from tests.cli.typed import tap as typed
from tests.control.asking import Asked, asked
from tests.recording.plants import shows
from tests.support import WITHIN, Servers, client, follow, level, wait_until
from tests.test_secrets import URLS

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taps of other tests are not found."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("REDIS_TAP_API", raising=False)
    monkeypatch.setattr("tap.control.announcement.SERVICES", tmp_path / "services")


@pytest.fixture
def running() -> Iterator[Asked]:
    with asked() as tap:
        yield tap


def ctl(*words: str | Path, code: int = 0) -> str:
    """What it prints."""
    done = typed("ctl", *words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code in (0, 1) else done.stderr


def ctl_json(*words: str) -> Any:
    return json.loads(ctl(*words, "--json"))


def publish(tap: Asked, *happened: events.Event) -> None:
    def some() -> None:
        for one in happened:
            tap.thread.tap.bus.publish("main", 1, "10.0.0.7:1", one)

    tap.thread.call(some)


OPAQUE = events.Opaque(start=0, end=1, side=events.Side.MASTER, reason="a test")
KEEPALIVE = events.Keepalive(start=0, end=1, side=events.Side.MASTER)


def test_the_one_tap_of_this_machine_is_found(running: Asked) -> None:
    assert "main: 127.0.0.1:" in ctl("status")
    assert "no replica" in ctl("status")
    assert [one["name"] for one in ctl_json("status")["links"]] == ["main"]
    assert ctl_json("status", "--link", "main")["name"] == "main"


def test_without_a_tap_it_says_what_to_start() -> None:
    assert "no tap with an API runs on this machine" in ctl("status", code=3)
    assert "redis-tap run --api 127.0.0.1:6474" in ctl("status", code=3)


def test_of_several_taps_it_wants_one_named(running: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(links={"orders": "127.0.0.1:1"}) as other:
        said = ctl("faults", code=2)
        assert "2 taps with an API run on this machine: name one with --api: " in said
        assert str(running.address) in said
        assert "orders" in said
        assert "no fault is armed" in ctl("faults", "--api", f"{other.address}")
        monkeypatch.setenv("REDIS_TAP_API", str(other.address))
        assert "orders" in ctl("status")
    monkeypatch.delenv("REDIS_TAP_API")
    assert "main" in ctl("status")


def test_an_api_without_tls_is_named(running: Asked) -> None:
    said = ctl("status", "--api", f"https://{running.address}", code=3)
    assert said.strip() == f"redis-tap: https://{running.address}: what answers there speaks no TLS: write http://"


def test_a_socket_is_named_from_this_directory_as_for_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with asked("unix:api.sock"):
        assert "main" in ctl("status", "--api", "unix:api.sock")
        assert "main" in ctl("status", "--api", f"unix:{tmp_path}/api.sock")


def test_a_tap_that_was_killed_is_not_found_and_its_file_is_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tap", "run", "--master", "127.0.0.1:1", "--listen", "127.0.0.1:0", "--ui", "json"]
    with subprocess.Popen([*command, "--api", f"unix:{tmp_path}/api.sock"], stderr=subprocess.PIPE) as process:
        wait_until(lambda: list((tmp_path / "state" / "redis-tap").glob("api-*.json")))
        assert "main" in ctl("status")
        process.kill()
        process.wait(WITHIN)
    assert list((tmp_path / "state" / "redis-tap").glob("api-*.json"))
    assert "no tap with an API runs" in ctl("status", code=3)
    assert not list((tmp_path / "state" / "redis-tap").iterdir())


def test_a_directory_that_cannot_be_written_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/proc/nowhere")
    with asked() as tap:
        assert "main" in ctl("status", "--api", str(tap.address))


def test_a_pair_is_shown_with_the_figures_of_its_status(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links=f"127.0.0.1:{master.port}") as tap:
        follow(replica, tap.thread.port)
        client(master).set("key", "value")
        offset = level(master, replica)

        def is_shown() -> bool:
            shown = ctl("status").split()
            return shown.count(str(offset)) == 2 and {"stream", "none"} <= set(shown)

        wait_until(is_shown)
        assert "full_resync" in ctl("events", "--kind", "full_resync", "--json")
        assert "FULL RESYNC" in ctl("events")


def test_a_fault_is_armed_listed_and_removed(running: Asked) -> None:
    assert ctl("add", "delay 20ms", "name=slow") == "slow: delay 20ms name=slow\n"
    assert "slow" in ctl("faults")
    assert "never" in ctl("faults")
    assert [one.name for one in running.thread.tap.faults.armed] == ["slow"]
    assert "slow" in ctl("remove", "slow")
    assert not running.thread.tap.faults.armed
    assert "over" in ctl("faults")
    ctl("add", "cut", "at=rdb:50%")
    ctl("add", "delay", "1s", "name=two")
    assert len(ctl_json("remove", "--all")["removed"]) == 2
    assert "no fault was armed" in ctl("remove", "--all")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "cutt"), "Did you mean 'cut'?"),
        (("remove", "one"), "no fault is named 'one'"),
        (("remove",), "name the faults to remove, or write --all"),
        (("wait", "full_resink"), "Did you mean 'full_resync'?"),
        (("wait", "ack", "offset"), "offset: write FIELD=VALUE"),
        (("wait", "full_resync", "--within", "5"), "unit"),
        (("events", "--kind", "no_such"), "unknown event 'no_such'"),
        (("status", "--link", "mian"), "Did you mean 'main'?"),
        (("status", "--api", "ftp://127.0.0.1:1"), "http://HOST:PORT"),
    ],
)
def test_what_the_api_refuses_is_said_in_its_sentence(running: Asked, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in ctl(*words, code=2)


def test_waiting_ends_with_the_event(running: Asked) -> None:
    timer = threading.Timer(0.2, lambda: publish(running, KEEPALIVE, OPAQUE))
    timer.start()
    assert "a test" in ctl("wait", "opaque", "reason=a*", "--within", "10s")
    timer.join()
    assert ctl_json("wait", "opaque,keepalive", "--after", "start")["event"]["event"] == "keepalive"


def test_waiting_in_vain_shows_what_happened_instead(running: Asked) -> None:
    publish(running, OPAQUE)
    said = ctl("wait", "full_resync", "--within", "50ms", "--after", "start", code=1)
    assert "no full_resync within 0.05 s" in said
    assert "1 x opaque" in said
    assert "a test" in said
    assert json.loads(ctl("wait", "full_resync", "--within", "0s", "--json", code=1))["meanwhile"] == {}


def test_numbers_of_conditions_are_numbers(running: Asked) -> None:
    publish(running, OPAQUE)
    assert ctl_json("wait", "opaque", "start=0", "--after", "start")["event"]["end"] == 1
    ctl("wait", "opaque", "start=1", "--after", "start", "--within", "0s", code=1)


def test_kept_events_are_shown_and_the_verb_ends(running: Asked) -> None:
    publish(running, OPAQUE, KEEPALIVE, OPAQUE)
    said = ctl("events", "--kind", "opaque")
    assert said.count("a test") == 2
    lines = [json.loads(line) for line in ctl("events", "--json").splitlines()]
    assert [one["event"] for one in lines][-3:] == ["opaque", "keepalive", "opaque"]
    assert ctl("events", "--link", "main", "--kind", "full_resync") == ""


def test_events_are_followed_until_the_tap_ends(tmp_path: Path) -> None:
    with asked() as tap:
        command = [sys.executable, "-m", "tap", "ctl", "events", "--follow", "--kind", "opaque", "--json"]
        process = subprocess.Popen([*command, "--api", str(tap.address)], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: tap.client.get("/v1/events/streams").json["open"])
        publish(tap, KEEPALIVE, OPAQUE)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["reason"] == "a test"
    assert process.wait(WITHIN) == 0
    process.stdout.close()


def test_a_token_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "a token of twenty bytes"
    with asked(token=token) as tap:
        with monkeypatch.context() as without:
            without.delenv(TOKEN)
            said = ctl("status", "--api", str(tap.address), code=2)
        assert f"set {TOKEN} here, too" in said
        assert "main" in ctl("status", "--api", str(tap.address))


def test_what_is_no_api_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        api = f"127.0.0.1:{listener.getsockname()[1]}"

        def answer() -> None:
            for said in (b"-ERR unknown command\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"):
                with listener.accept()[0] as one:
                    one.recv(1000)
                    one.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        for _ in range(2):
            assert f"{api}: what answers there is not the API of a redis-tap" in ctl("status", "--api", api, code=3)
        thread.join()
    assert "does a tap with --api run there?" in ctl("status", "--api", api, code=3)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\r\n[1, 2, 3]", "status"),
        (b'\r\n{"links": [1]}', "status"),
        (b"\r\n" + b"[" * 200_000, "status"),
        (b"\r\nevent: x\ndata: {}\n\n", "events --follow"),
        (b"Event-ID: 1-1\r\n\r\nevent: x\ndata: {not JSON\n\n", "events --follow"),
        (b"Event-ID: 1-1\r\n\r\nevent: x\ndata: [1]\n\n", "events --follow"),
        (b"Event-ID: 1-1\r\n\r\n" + b"x" * 2**20, "events --follow"),
    ],
    ids=["list", "members", "depth", "no place", "no JSON", "no object", "line without end"],
)
def test_what_answers_as_no_tap_does_is_named(answer: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        api = f"127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            with listener.accept()[0] as one:
                one.recv(1000)
                one.sendall(b"HTTP/1.1 200 OK\r\n" + answer)

        thread = threading.Thread(target=serve)
        thread.start()
        said = ctl(*words.split(), "--api", api, code=3)
        assert said.strip() == f"redis-tap: {api}: what answers there is not the API of a redis-tap"
        thread.join()


def test_text_from_outside_is_harmless(running: Asked) -> None:
    publish(running, events.Opaque(start=0, end=1, side=events.Side.MASTER, reason="\x1b[2J[red]\nforged"))
    said = ctl("events")
    assert "\x1b[2J" not in said
    assert "[red]" in said
    assert not any(line.startswith("forged") for line in said.splitlines())


@pytest.mark.parametrize("url", URLS)
def test_a_login_typed_by_mistake_is_not_repeated(url: str) -> None:
    for scheme in ("http", "https", "redis"):
        done = typed("ctl", "status", "--api", url.replace("redis", scheme, 1))
        assert done.returncode in (2, 3)
        assert shows(done.stdout + done.stderr) is None


def test_a_recording_is_shown_marked_and_rotated(tmp_path: Path) -> None:
    with asked(record_to=tmp_path / "one.pcapng") as tap:
        assert str(tmp_path / "one.pcapng") in ctl("record")
        ctl("record", "mark", "deployment", "1234 begins")
        assert "deployment 1234 begins" in ctl("events", "--kind", "recording_marked")
        assert "record mark NOTE" in ctl("record", "mark", code=2)
        assert tap.thread.tap.recorder is not None


def test_a_recording_is_started_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: Asked) -> None:
    monkeypatch.chdir(tmp_path)
    assert "record start NAME.pcapng" in ctl("record", "start", code=2)
    assert "one.pcapng" in ctl("record", "start", "one.pcapng", "--without-rdb", "--redact", "values")
    assert "already" in ctl("record", "start", "two.pcapng", code=2)
    assert "one.pcapng" in ctl("record", "stop")
    assert (tmp_path / "one.pcapng").stat().st_size
    assert "nothing is being recorded" in ctl("record")
    assert "takes nothing more" in ctl("record", "stop", "now", code=2)


def test_without_a_recording_it_says_how_to_start_one(running: Asked) -> None:
    assert "nothing is being recorded" in ctl("record")
    assert "nothing is being recorded" in ctl("record", "mark", "a", code=2)
