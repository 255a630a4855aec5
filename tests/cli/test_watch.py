"""`redis-tap watch` as it is typed: its output, its end, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from tap.cli.watch import REFUSED
from tests.cli.running import TAP
from tests.cli.typed import tap
from tests.operate.watching.watched import needs_tcpdump, skip_if_lost
from tests.recording.wires import STREAM, file, streamed
from tests.support import FIXTURES, WITHIN, Servers, client, is_up, wait_until


def watch(path: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Watch stdin."""
    with path.open("rb") as given:
        cat = subprocess.Popen(["cat"], stdin=given, stdout=subprocess.PIPE)
        with cat:
            return subprocess.run([*TAP, "watch", "-", *options], stdin=cat.stdout, capture_output=True, timeout=WITHIN)


def test_a_pipe_becomes_lines_and_ends_with_it() -> None:
    said = watch(FIXTURES / "captures" / "replica-whole.pcap", "--ui", "json", "--commands")
    assert said.returncode == 0, said.stderr
    events = [json.loads(line) for line in said.stdout.splitlines()]
    assert events[0] | {"time": 0} == {
        "event": "watching",
        "time": 0,
        "link": "",
        "connection": 0,
        "replica": "",
        "source": "stdin",
        "ports": [],
    }
    assert sum(one["event"] == "command" for one in events) == 41
    assert said.stderr.decode() == "redis-tap: watching stdin; nothing passes through\n"


def test_what_was_lost_is_the_exit_code() -> None:
    said = watch(FIXTURES / "captures" / "one-command-lost.pcap", "--ui", "log")
    assert said.returncode == 2
    assert b"NOT RECORDED: 92 B" in said.stdout
    assert b"counts of commands are lower bounds; the db is unknown until the next SELECT" in said.stdout
    assert b"redis-tap: 92 bytes in 1 gaps were not captured" in said.stderr


def test_a_file_is_watched_for_the_duration(tmp_path: Path) -> None:
    said = tap("watch", file(tmp_path / "one.pcapng", streamed(STREAM).packets, "pcapng"), "--duration", "300ms")
    assert said.returncode == 0, said.stderr
    assert "partial resync: goes on with" in said.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give either -i INTERFACE, or a FILE or - (stdin)"),
        (["-", "-i", "lo"], "give either -i INTERFACE"),
        (["-", "--port", "6380"], "--port is for -i"),
        (["-", "--host", "10.0.0.7"], "--host is for -i"),
        (["-i", "lo", "--host", "a or tcp"], "'a or tcp' is not a host"),
        (["none.pcap"], "none.pcap: no such file"),
        (["-i", "-x"], "not a network interface"),
        (["-i", "lo", "--port", "0"], "--port"),
        (["-", "--fault", "cut"], "--fault: watch changes nothing"),
        (["-", "--master", "127.0.0.1:1"], "--master: watch opens no connection and listens nowhere"),
        (["-", "--tls"], "--tls: watch decrypts nothing"),
        (["-", "--opaque"], "--opaque: watch has nothing to do but to parse"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(words: list[str], says: str) -> None:
    said = tap("watch", *words)
    assert said.returncode == 2
    assert says in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_what_is_refused_is_not_in_the_help() -> None:
    said = tap("watch", "--help").stdout
    assert "--interface" in said
    assert "--statsd" in said
    assert "--fault" not in said
    assert "--listen" not in said
    assert REFUSED.keys() >= {"faults", "master", "tls", "keylog"}


def test_keys_in_the_environment_are_no_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    path = file(tmp_path / "one.pcapng", streamed(STREAM).packets, "pcapng")
    assert tap("watch", path, "--duration", "1ms").returncode == 0


@needs_tcpdump
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_tcpdump(number: signal.Signals, servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    words = [*TAP, "watch", "-i", "lo", "--port", str(master.port), "--ui", "json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "watching lo" in process.stderr.readline()
        replica = servers.start(any_server, "replicaof", f"{master.host} {master.port}")
        wait_until(lambda: is_up(replica))
        assert process.stdout is not None
        seen: set[str] = set()
        while seen.isdisjoint({"stream_started", "packets_lost"}):
            seen.add(json.loads(process.stdout.readline())["event"])
        process.send_signal(number)
        _, err = process.communicate(timeout=WITHIN)
    skip_if_lost("the kernel dropped" in err)
    assert (process.returncode, err) == (0, "")
    assert {"watching", "full_resync", "rdb_finished"} <= seen
    assert not subprocess.run(["pgrep", "-f", f"tcpdump.*tcp port {master.port}$"], capture_output=True).stdout


@needs_tcpdump
def test_it_records_a_pair_that_it_watches(servers: Servers, any_server: str, tmp_path: Path) -> None:
    secret = "s3cr3t-pa55"
    master = servers.start(any_server, "requirepass", secret)
    path = tmp_path / "one.pcapng"
    words = [*TAP, "watch", "-i", "lo", "--port", str(master.port), "--ui", "json", "-w", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "watching lo" in process.stderr.readline()
        writer = redis.Redis(master.host, master.port, password=secret)
        replica = servers.start(
            any_server, "replicaof", f"{master.host} {master.port}", "masterauth", secret, "repl-diskless-sync-delay", "0"
        )
        wait_until(lambda: is_up(replica))
        for number in range(100):
            writer.set(f"key:{number}", "v" * number)
        writer.config_set("requirepass", "another-pa55")
        wait_until(lambda: client(replica).get("key:99") is not None)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WITHIN)
    skip_if_lost("the kernel dropped" in err)
    assert (process.returncode, err) == (0, "")
    held = path.read_bytes()
    assert secret.encode() not in held
    assert b"another-pa55" not in held
    said = tap("show", str(path), "--format", "json", "--commands")
    assert said.returncode == 0, said.stderr
    events = [json.loads(line) for line in said.stdout.splitlines()]
    assert {"link_opened", "full_resync", "rdb_finished", "stream_started"} <= {one["event"] for one in events}
    keys = [one["args"][0] for one in events if one["event"] == "command" and one["name"] == "SET"]
    assert keys == [f"key:{number}" for number in range(100)]


def test_what_is_recorded_of_a_pipe_reads_as_the_capture(tmp_path: Path) -> None:
    capture, path = FIXTURES / "captures" / "one-command-lost.pcap", tmp_path / "one.pcapng"
    assert watch(capture, "--ui", "none", "-w", str(path)).returncode == 2
    one, other = (tap("show", str(path), "--format", "json", "--commands") for path in (capture, path))
    assert one.stdout.splitlines() == other.stdout.splitlines()
    assert (one.returncode, other.returncode) == (2, 2)


def test_a_file_that_exists_is_not_recorded_over(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    path.write_text("mine")
    said = watch(FIXTURES / "captures" / "replica-whole.pcap", "--ui", "none", "-w", str(path))
    assert (said.returncode, path.read_text()) == (2, "mine")
    assert b"already exists" in said.stderr


@needs_tcpdump
def test_an_interface_that_does_not_exist_is_a_failure_of_the_environment() -> None:
    said = tap("watch", "-i", "no-such-if")
    assert said.returncode == 3
    assert said.stderr.startswith("redis-tap: tcpdump does not capture on no-such-if (")


def test_a_reader_that_has_left_ends_it(tmp_path: Path) -> None:
    """Nobody else needs it: no byte of a pair passes through."""
    path = file(tmp_path / "one.pcapng", streamed(STREAM).packets, "pcapng")
    words = [*TAP, "watch", str(path), "--ui", "json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(WITHIN) == 128 + signal.SIGPIPE
