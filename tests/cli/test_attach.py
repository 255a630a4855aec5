"""`redis-tap attach` as it is typed: what it says, its options, and its ends."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap.cli.attach import NOT_HERE
from tap.config import Config, LinkConfig
from tap.config.option import in_order
from tests.cli.running import TAP
from tests.cli.typed import command, tap
from tests.operate.pairs import Pair, load, start_pair
from tests.relay.certificates import Certificates
from tests.relay.test_tls_servers import SERVER, TlsServers
from tests.support import WITHIN, Servers, client, is_up, thinned, wait_until


@pytest.fixture
def pair(servers: Servers, any_server: str) -> Pair:
    return start_pair(servers, any_server)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@contextlib.contextmanager
def attaching(pair: Pair, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, once the replica is behind it."""
    words = [*TAP, "attach", str(pair.url), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: pair.followed != pair.master.port and is_up(pair.replica), what="attached")
            yield process
        finally:
            process.kill()


def test_it_takes_every_option_of_run_but_those_of_the_route() -> None:
    of_run = {one.flags[0] for one in in_order(LinkConfig, Config) if one.name not in NOT_HERE}
    of_attach = {option for parameter in command("attach").params for option in parameter.opts}
    assert of_run - of_attach == set()
    assert of_attach - of_run == {"replica", "--master", "--tap-address", "--full-ok", "--state", "-w"}


@pytest.mark.parametrize("number", thinned([signal.SIGTERM, signal.SIGINT], 2))
def test_a_signal_gives_the_replica_back(number: signal.Signals, pair: Pair, tmp_path: Path) -> None:
    with load(pair.master), attaching(pair, "--ui", "json", "-w", str(tmp_path / "all.pcapng")) as process:
        (state,) = (tmp_path / "state" / "redis-tap").glob("*.json")
        wait_until(lambda: json.loads(state.read_bytes())["step"] == "attached")
        process.send_signal(number)
        out, err = process.communicate(timeout=WITHIN)
    assert process.returncode == 0, err
    kinds = [json.loads(line)["event"] for line in out.splitlines()]
    assert "partial_resync" in kinds
    assert "full_resync" not in kinds
    lines = err.splitlines()
    assert lines[0].startswith(f"redis-tap: {pair.replica.address} follows {pair.master.address}; ")
    at = lines.index("redis-tap: if this is killed, either command gives the replica back:")
    assert lines[at + 1] == f"  redis-tap detach {state}"
    assert lines[at + 2].startswith("  redis-cli -h ")
    assert lines[-1].startswith(f"redis-tap: {pair.replica.address} follows {pair.master.address} again")
    assert not state.exists()
    assert (tmp_path / "all.pcapng").stat().st_size > 0
    pair.check_restored(1)


def test_a_duration_ends_it(pair: Pair) -> None:
    said = tap("attach", str(pair.url), "--ui", "none", "--duration", "1500ms")
    assert said.returncode == 0, said.stderr
    assert "by a partial resync" in said.stderr
    assert "follows" in said.stderr.splitlines()[-1]
    pair.check_restored(1)


def test_over_tls_on_both_sides_with_the_certificates_of_run(servers: Servers, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certificates")
    started = TlsServers(servers, certificates)
    master, tls_port = started.start(SERVER)
    replica, _ = started.start(SERVER, "tls-replication", "yes", "replicaof", f"127.0.0.1 {tls_port}")
    wait_until(lambda: is_up(replica))
    of_master: list[str | Path] = ["--cacert", certificates.ca, "--cert", certificates.leaf]
    words: list[str | Path] = ["attach", str(replica.address), "--ui", "none", "--duration", "2s", *of_master]
    said = tap(*words)
    assert (said.returncode, "tls-replication yes): give --listen-cert" in said.stderr) == (2, True), said.stderr
    said = tap(*words, "--listen-cert", certificates.leaf, "--listen-cacert", certificates.ca)
    assert said.returncode == 0, said.stderr
    assert "by a partial resync" in said.stderr
    assert f"follows 127.0.0.1:{tls_port} again" in said.stderr
    wait_until(lambda: is_up(replica))
    assert Pair(master, replica).full_resyncs == 1


def test_a_second_one_is_refused_and_one_that_was_killed_is_told(pair: Pair, tmp_path: Path) -> None:
    with attaching(pair, "--ui", "none", "--state", str(tmp_path / "here.json")):
        said = tap("attach", str(pair.url), "--ui", "none", "--state", tmp_path / "here.json", "--full-ok")
        assert said.returncode == 2
        assert "already attached to this replica" in said.stderr
        assert pair.followed != pair.master.port
    said = tap("attach", str(pair.url), "--ui", "none", "--state", tmp_path / "here.json", "--full-ok")
    assert said.returncode == 2
    assert (
        f"was killed and left this file; redis-tap detach {tmp_path / 'here.json'} gives the replica back" in said.stderr
    )
    said = tap("detach", tmp_path / "here.json")
    assert said.returncode == 0
    pair.check_restored(1)


def test_a_full_resync_is_refused_unless_it_is_allowed(pair: Pair) -> None:
    client(pair.master).config_set("repl-backlog-size", "16kb")
    with load(pair.master):
        said = tap("attach", str(pair.url), "--ui", "none")
    assert said.returncode == 1
    assert "would resync in full: " in said.stderr
    assert "repl-backlog-size" in said.stderr
    assert pair.full_resyncs == 1
    said = tap("attach", str(pair.url), "--ui", "none", "--full-ok", "--duration", "2s")
    assert said.returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["127.0.0.1:1"], 3, "127.0.0.1:1, the replica: Connection refused"),
        (["redis://x:hunter2@127.0.0.1:1"], 3, "Connection refused"),
        (["{master}"], 2, "is a master: give the URL of a replica"),
        (["{replica}", "--listen", "nowhere:port"], 2, "not a port"),
        (["{replica}", "--cacert", "x.pem"], 2, "has no effect without --tls"),
        (["{replica}", "--tap-address", "a b"], 2, "is not an address"),
        (["{replica}", "--master", "127.0.0.1:1"], 3, "--master HOST:PORT gives another address for it"),
        (["{replica}", "--state", "/proc/none/state", "--ui", "none"], 3, "/proc/none/state: "),
        (["{replica}", "--ui", "live"], 2, "--ui live draws on a terminal"),
    ],
)
def test_what_cannot_be_is_one_sentence(words: list[str], code: int, sentence: str, pair: Pair) -> None:
    said = tap("attach", *[word.format(master=pair.master.address, replica=pair.url) for word in words])
    assert (said.returncode, sentence in said.stderr) == (code, True), said.stderr
    assert "hunter2" not in said.stderr
    assert "Traceback" not in said.stderr
    pair.check_restored(1)
