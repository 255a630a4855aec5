"""The command as a user types it: what it prints, where, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.text import Text
from typer.testing import CliRunner

from tap import __version__
from tap.cli import VERBS, app, main
from tap.cli import demo as cli_demo
from tap.errors import EnvironmentFailure
from tap.servers.embedded import find_server
from tests.cli.test_export import synced
from tests.cli.typed import command, tap
from tests.recording.wires import STREAM, file
from tests.relay.wire import RESET
from tests.support import FIXTURES, WITHIN, Servers, client, follow, is_up, level, wait_until

TAP = [sys.executable, "-m", "tap"]  # as a process of its own: for signals, limits, and how long it takes to start
OF_MASTER = re.compile(r"redis-tap: WARNING: link \S+: the master \S+ cannot be reached: .*\n")


class Running:
    """A tap that runs, the port of its first link, and the lines that it has printed."""

    def __init__(self, *arguments: str, files: int | None = None, reads: bool = True) -> None:
        limited = [] if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
        self.process = subprocess.Popen(
            [*limited, *TAP, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        found = re.search(r"listening on \S+:(\d+)", self.process.stderr.readline())
        assert found
        self.port = int(found[1])
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self.lines.extend, args=(self.process.stdout,))
        if reads:
            self.read()

    def read(self) -> None:
        self._reader.start()

    def end(self, number: signal.Signals = signal.SIGINT) -> str:
        """Send it the signal and wait; what else it said on stderr, but for masters that were not there."""
        assert self.process.stderr is not None
        self.process.send_signal(number)
        self.process.wait(WITHIN)
        self._reader.join(WITHIN)
        return OF_MASTER.sub("", self.process.stderr.read())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._reader.ident is not None:
            self._reader.join(WITHIN)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def running(*arguments: str, files: int | None = None, reads: bool = True) -> Iterator[Running]:
    """files: how many the process may have open. reads: whether stdout is read from the start, or only from read() on."""
    with contextlib.closing(Running(*arguments, files=files, reads=reads)) as one:
        yield one


def test_version_says_whether_the_scanners_are_compiled() -> None:
    said = tap("--version")
    assert re.fullmatch(rf"redis-tap {re.escape(__version__)} \(scanners (not )?compiled\)\n", said.stdout)


def test_no_verb_loads_what_only_others_need() -> None:
    """To start is most of what a short answer takes: redis-py 0.1 s, pydantic 0.06, the tap itself 0.2."""
    loaded = "import sys; from tap.cli import app; app(['--version'], standalone_mode=False); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True, text=True).stdout.split()
    assert "tap.cli" in said
    assert not {"redis", "pydantic", "rich", "asyncio", "tap.cli.run", "tap.cli.show", "tap.tap"} & set(said)


def test_help_names_every_option() -> None:
    said = tap("run", "--help").stdout
    for option in ("--master", "--listen", "--link", "--config", "--ui", "--commands", "--duration"):
        assert option in said


@pytest.mark.parametrize("arguments", [(), *((verb,) for verb in VERBS)])
def test_no_flag_is_said_to_take_anything(arguments: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "200"}).stdout
    assert "--help" in said
    assert "<bool>" not in said


@pytest.mark.parametrize("verb", VERBS)
def test_no_word_of_a_usage_line_has_brackets_twice(verb: str) -> None:
    usage = tap(verb, "--help").stdout.split("\n\n", 1)[0]
    assert verb in usage
    assert not re.search(r"\.\.\.[]}]|\[\[", usage)


@pytest.mark.parametrize("verb", VERBS)
def test_no_help_is_taken_for_markup(verb: str) -> None:
    """Typer gives it to rich, which breaks at [/DB] and leaves out [default: ...]."""
    known = command(verb)
    for said in (known.help, *(getattr(parameter, "help", None) for parameter in known.params)):
        assert said is None or Text.from_markup(said).plain == said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "no link: give --master HOST:PORT"),
        (["run", "--master", "here:port"], 2, "'here:port' is not an address: 'port' is not a port"),
        (["run", "--master", "1:2:3"], 2, "an IPv6 address is written in brackets"),
        (["run", "--master", "h:1", "--listen", "h:70000"], 2, "'70000' is not a port"),
        (["run", "--master", "h:²"], 2, "'²' is not a port"),
        (["run", "--master", "h:" + "1" * 5000], 2, "is not a port"),
        (["run", "--master", "h:1", "--listen", "a..b:6400"], 3, "cannot listen on a..b:6400"),
        (["run", "--master", ""], 2, "write HOST:PORT, as 127.0.0.1:6379"),
        (["run", "--master", "h:"], 2, "write HOST:PORT"),
        (["run", "--master", "h;1"], 2, "'h;1' is not an address"),
        (["run", "--master", "rediss://h:1?cacert=/nowhere.pem"], 2, "/nowhere.pem: No such file or directory"),
        (["run", "--master", "rediss://h:1?colour=red"], 2, "a link's master has no option 'colour'; known: cacert, "),
        (["run", "--master", "h:1", "--listen", "rediss://:6400"], 2, "TLS for replicas needs a certificate: rediss://"),
        (["run", "--master", "h:1", "--listen", "h:1/3"], 2, "where to listen is written without a db"),
        (["run", "--master", "http://user:sekret@h:1"], 2, "http:// is not the URL of a server: write redis://"),
        (["run", "--master", "redis://user:sekret@h:1"], 2, "without a user or a password"),
        (["run", "--master", "h:1", "--listen", "h:1"], 2, "a circle: what connects to h:1"),
        (["run", "--link", "a=:1->127.0.0.1:2", "--link", "b=:2->127.0.0.1:1"], 2, "a circle"),
        (["run", "--master", "h:1", "--ui", "live"], 2, "stdout is none that can be drawn on"),
        (["run", "--listen", "h:1"], 2, "--master HOST:PORT says to which master"),
        (
            ["run", "--transparent", "--master", "h:1"],
            2,
            "finds the master of each connection by itself: leave --master out",
        ),
        (
            ["run", "--transparent", "--fault", "cut link=main"],
            2,
            "'main'; known: an address of a master, as 10.0.0.5:6379",
        ),
        (["run", "--transparent", "--link", "a=:1->h:1", "--fault", "cut link=[::0]:1"], 2, "'[::0]:1' is no name"),
        (["run", "--master", "*:1"], 2, "'*:1' is not an address"),
        (["run", "--master", "h:1", "--listen", "*"], 2, "'*' is not an address"),
        (["run", "--link", "a=b"], 2, "'a=b' is not a link: write 'NAME=LISTEN->MASTER', as"),
        (["run", "--link", "a=redis://:sekret@h:1"], 2, "redis-tap: this is not a link: write 'NAME=LISTEN->MASTER', as"),
        (["run", "--link", "a=:1->h:1", "--link", "a=:2->h:2"], 2, "two links are named 'a'"),
        (["run", "--link", "a=:1->h:1", "--link", "b=:1->h:2"], 2, "two links listen on 127.0.0.1:1"),
        (["run", "--master", "h:1", "--duration", "soon"], 2, "'soon' is not a time"),
        (["run", "--master", "h:1", "-w", "no/x.pcapng"], 2, "no/x.pcapng: there is no directory no; make it first"),
        (
            ["run", "--master", "h:1", "--zzz", "9"],
            2,
            "redis-tap run: no such option: --zzz; see redis-tap run --help",
        ),
        (["run", "--mastr", "h:1"], 2, "redis-tap run: no such option: --mastr (did you mean --master, --mask?)"),
        (["run", "--maste", "h:1"], 2, "no such option: --maste (did you mean --master, "),
        (["show", "--comand", "SET"], 2, "no such option: --comand (did you mean --command, --commands, "),
        (["run", "--master"], 2, "redis-tap run: option '--master' requires an argument; see redis-tap run --help"),
        (["run", "--commands=3"], 2, "redis-tap run: option '--commands' does not take a value"),
        (["run", "--master", "h:1", "extra"], 2, "redis-tap run: got unexpected extra argument"),
        (["run", "--master", "h:1", "--ui", "tv"], 2, "'--ui': 'tv' is not one of 'auto', 'live', 'log', 'json', 'none'"),
        (["run", "--config", "/nowhere.toml"], 2, "/nowhere.toml: No such file or directory"),
        (["run", "--master", "h:1", "--mask", "psync2"], 2, "'psync2' cannot be masked: write capa: and the name of"),
        (["run", "--master", "h:1", "--announce", "me"], 2, "'--announce': 'me' is not one of 'keep', 'tap'"),
        (["rdb", "redis://:sekret@h:1"], 2, "an RDB is read from a file: redis-cli --rdb FILE fetches one from a server"),
        (["show", "redis://user:sekret@h:1"], 2, "redis:/***@h:1: No such file or directory"),
        (["fly"], 2, "redis-tap: no such command 'fly'"),
        (["--fly"], 2, "redis-tap: no such option: --fly; see redis-tap --help"),
        (["run", "--master", "h:1", "--listen", "192.0.2.1:9999"], 3, "cannot listen on 192.0.2.1:9999"),
        (["run", "--master", "h:1", "--listen", "no.such.host.invalid:1"], 3, "cannot listen on no.such.host.invalid:1"),
    ],
)
def test_mistakes_get_a_clear_line_and_an_exit_code(arguments: list[str], code: int, words: str) -> None:
    said = tap(*arguments)
    assert said.returncode == code
    assert said.stdout == ""
    assert words in said.stderr
    assert "sekret" not in said.stderr
    assert said.stderr.count("\n") == 1


def test_without_a_verb_the_help_is_shown_and_nothing_is_done() -> None:
    said = tap()
    assert said.returncode == 2
    assert "run" in said.stdout
    assert "demo" in said.stdout
    assert said.stderr == ""


def test_a_demo_that_fails_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    async def different(_: Path) -> bool:
        return False

    monkeypatch.setattr("tap.cli.demo.find_server", Path)
    monkeypatch.setattr("tap.cli.demo._run", different)
    monkeypatch.setattr(sys, "argv", ["redis-tap", "demo"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1


def test_a_port_that_is_taken_is_named_with_who_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = tap("run", "--master", "127.0.0.1:1", "--listen", f"127.0.0.1:{port}")
    assert said.returncode == 3
    by = ""
    if sys.platform == "linux":
        by = f", by {Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
    assert said.stderr == f"redis-tap: link main: cannot listen on 127.0.0.1:{port}: Address already in use{by}\n"


def test_a_config_file_is_obeyed_and_flags_win(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text(
        "ui = 'log'\nduration = '1h'\n[links.orders]\nmaster = '127.0.0.1:1'\n[links.sessions]\nmaster = '/tmp/x'\n"
    )
    began = time.monotonic()
    said = tap("run", "--config", str(path), "--duration", "300ms", "--ui", "json")
    assert said.returncode == 0
    assert time.monotonic() - began < 10
    assert re.search(
        r"link orders: listening on 127.0.0.1:\d+, master 127.0.0.1:1; on the replica: REPLICAOF", said.stderr
    )
    assert "link sessions: " in said.stderr
    assert [json.loads(line)["link"] for line in said.stdout.splitlines()[:2]] == ["orders", "sessions"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_within_a_second(servers: Servers, any_server: str, number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("this runs under nohup, which redis-tap respects")
    master, replica = servers.start(any_server), servers.start(any_server)
    with running("--master", f"127.0.0.1:{master.port}", "--ui", "json") as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        began = time.monotonic()
        assert tap.end(number) == ""
        assert time.monotonic() - began < 1.5
        assert tap.process.returncode == 0
        assert json.loads(tap.lines[-1])["event"] == "link_closed"


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["faults"],
        ["chaos", "--list"],
        ["rdb", "dump.rdb"],
        ["rdb", "dump.rdb", "--format", "json"],
        ["show", "recorded"],
        ["show", "recorded", "--format", "json"],
        ["show", "recorded", "--stats"],
        ["export", "recorded", "--to", "jsonl", "-o", "-"],
    ],
)
def test_a_reader_that_has_seen_enough_ends_a_verb_quietly(tmp_path: Path, words: list[str]) -> None:
    """As `head -1` does; the exit code is that of what SIGPIPE ends."""
    shutil.copy(FIXTURES / "rdb" / "redis-8.0.2-mixed.rdb", tmp_path / "dump.rdb")
    file(tmp_path / "recorded", synced(*STREAM).packets, "pcapng")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*TAP, *words], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=WITHIN, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_near_the_limit_of_files_it_refuses_in_words_and_recovers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master, contextlib.ExitStack() as stack:
        address = f"127.0.0.1:{master.getsockname()[1]}"
        tap = stack.enter_context(running("--master", address, "--ui", "json", "--max-connections", "5000", files=128))
        tap.process.send_signal(signal.SIGSTOP)  # so that all of them are there when it looks
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", tap.port), WITHIN)) for _ in range(200)]
        tap.process.send_signal(signal.SIGCONT)
        line = wait_until(lambda: next((line for line in tuple(tap.lines) if '"connections_refused"' in line), ""))
        told = json.loads(line)
        assert (told["limit"], told["count"]) == ("open_files", 1)
        most = told["most"]
        assert 1 <= most <= 16
        refused = select.select(crowd, [], [], WITHIN)[0]
        while len(refused) < len(crowd) - most:
            refused = select.select(crowd, [], [], WITHIN)[0]
        assert {one.recv(100) for one in refused} == {b"-ERR max number of clients reached\r\n"}
        inside = [one for one in crowd if one not in refused]
        assert len(inside) == most
        for one in inside:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.close()
        wait_until(lambda: sum('"link_closed"' in line for line in tuple(tap.lines)) == most)
        late = stack.enter_context(socket.create_connection(("127.0.0.1", tap.port), WITHIN))
        wait_until(lambda: sum('"link_opened"' in line for line in tuple(tap.lines)) == most + 1)
        late.close()
        said = tap.end()
    assert said == f"redis-tap: --max-connections 5000: ulimit -n allows {most}, for each takes two files\n"
    refusals = [json.loads(line) for line in tap.lines if '"connections_refused"' in line]
    assert [one["count"] for one in refusals] == [1, len(crowd) - most - 1]


def test_the_json_of_a_first_sync(servers: Servers, server_name: str) -> None:
    """Nothing but JSON lines on stdout, each with event, time and link; the story in its order."""
    master = servers.start(server_name)
    with running("--master", f"127.0.0.1:{master.port}", "--ui", "json", "--commands") as tap:
        began = time.time()
        replica = servers.start(server_name, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        client(master).set("key", "value")
        offset = level(master, replica)
        for kind in ("commands", "ack"):
            wait_until(lambda kind=kind: any(f'"{kind}"' in line and f'"offset":{offset},' in line for line in tap.lines))  # type: ignore[misc]
        tap.end()
    lines = [json.loads(line) for line in tap.lines]
    for line in lines:
        assert {"event", "time", "link", "connection", "replica"} <= line.keys()
        assert line["link"] == "main"
        assert began - 1 < line["time"] < time.time() + 1
    main = [line for line in lines if line["connection"] == 1]
    order = list(dict.fromkeys(line["event"] for line in main))
    expected = "link_opened handshake psync_requested full_resync rdb_started rdb_finished stream_started"
    assert [kind for kind in order if kind in expected.split()] == expected.split()
    one = {line["event"]: line for line in main}
    assert (one["psync_requested"]["replid"], one["psync_requested"]["offset"]) == (None, -1)
    assert one["full_resync"]["replid"] == client(master).info("replication")["master_replid"]
    assert one["full_resync"]["reason"]["code"] == "first_sync"
    assert one["ack"]["offset"] == one["commands"]["offset"] >= offset
    assert one["ack"]["lag_bytes"] == 0
    assert one["ack"]["lag_seconds"] >= 0
    assert {"count", "bytes", "by_name", "db"} <= one["commands"].keys()
    written = next(line for line in main if line["event"] == "command" and line["name"] == "SET")
    assert (written["args"][:2], written["db"]) == (["key", "value"], 0)


def test_the_log_of_a_cut_link(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    with running("--master", f"127.0.0.1:{master.port}", "--ui", "log") as tap:
        replica = servers.start(any_server, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        client(master).execute_command("CLIENT", "KILL", "TYPE", "replica")
        wait_until(lambda: client(master).info("stats")["sync_partial_ok"] == 1)
        wait_until(lambda: any("partial resync" in line for line in tap.lines))
        tap.end()
    out = "".join(tap.lines)
    assert re.search(
        rf"^\S+ main/\d+ 127.0.0.1:{replica.port} FULL RESYNC, \w{{8}}… at offset \d+. Why: first_sync: ",
        out,
        re.MULTILINE,
    )
    assert re.search(r" closed by the master in phase (stream|loading) at offset \d+ ", out)
    assert re.search(r" partial resync: goes on with \w{8}… after offset \d+, \d+ bytes behind$", out, re.MULTILINE)


def test_every_partial_resync_of_a_pair_that_flaps_is_written_among_commands_that_nobody_reads(
    servers: Servers, any_server: str
) -> None:
    options = "repl-backlog-size", "16mb"
    master = servers.start(any_server, *options)
    arguments = "--master", f"127.0.0.1:{master.port}", "--ui", "json", "--commands"
    with running(*arguments, reads=False) as tap:
        replica = servers.start(any_server, *options, "replicaof", f"127.0.0.1 {tap.port}")
        wait_until(lambda: is_up(replica))
        writer = client(master)
        for number in range(1, 8):
            pipe = writer.pipeline(transaction=False)
            for key in range(4000):
                pipe.set(f"key:{key}", number)
            pipe.execute()
            writer.execute_command("CLIENT", "KILL", "TYPE", "replica")
            wait_until(lambda number=number: writer.info("stats")["sync_partial_ok"] == number)  # type: ignore[misc]
            level(master, replica)
        tap.read()
        wait_until(lambda: sum('"event":"partial_resync"' in line for line in tap.lines) == 7)
        tap.end()
    lines = [json.loads(line) for line in tap.lines]
    dropped = [line for line in lines if line["event"] == "events_dropped"]
    assert dropped
    assert all(line["count"] == sum(line["by_kind"].values()) > 0 for line in dropped)
    assert {kind for line in dropped for kind in line["by_kind"]} <= {"command", "ack"}
    told = sum(line["event"] == "command" for line in lines)
    missing = sum(line["by_kind"].get("command", 0) for line in dropped)
    assert told + missing == sum(line["count"] for line in lines if line["event"] == "commands")
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


@pytest.fixture
def demo_server() -> None:
    """The demo takes no server out of .servers/."""
    try:
        find_server()
    except EnvironmentFailure:
        pytest.skip("no server on PATH, and none in a wheel")


@pytest.mark.usefixtures("demo_server")
def test_the_demo_tells_its_story_in_time() -> None:
    began = time.monotonic()
    said = tap("demo")
    assert said.returncode == 0, said.stderr
    assert time.monotonic() - began < 30
    for words in ("FULL RESYNC", "first_sync", "partial resync", "offset_out_of_backlog", "repl-backlog-size", "Equal."):
        assert words in said.stdout
    assert said.stderr == ""


class Demo:
    """A demo that runs, and its servers: they are known by where they work."""

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


@pytest.mark.parametrize("server", ["master", "replica"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_demo_and_its_servers(demo: Demo, tmp_path: Path, number: signal.Signals, server: str) -> None:
    """As soon as the server's process is there, be it ready or not."""
    wait_until(lambda: server in demo.servers())
    demo.process.send_signal(number)
    demo.process.send_signal(number)  # the impatient press twice
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
def test_a_demo_on_a_machine_that_is_too_busy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(*_: object) -> bool:
        raise TimeoutError

    monkeypatch.setattr("tap.cli.demo.tell", late)
    with pytest.raises(EnvironmentFailure, match="took more than 15 s"):
        cli_demo.demo()


# ---- faults ----


def test_the_list_of_faults_is_whole_and_each_has_a_page() -> None:
    said = tap("faults").stdout
    for word in ("cut", "rewrite", "at=PLACE", "rdb:key:1000", "from=master|replica|both", "[default: 1]"):
        assert word in said
    assert "[latency=]TIME" in tap("faults", "delay").stdout
    assert "rdb:key:1000" in tap("faults", "cut").stdout
    assert "Places" not in tap("faults", "refuse").stdout
    assert "--destructive" in tap("faults", "truncate").stdout
    assert {fault["fault"] for fault in json.loads(tap("faults", "--json").stdout)} >= {"cut", "answer"}
    unknown = tap("faults", "dealy")
    assert (unknown.returncode, "Did you mean 'delay'?" in unknown.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "cutt"], "unknown fault 'cutt'"),
        (["--fault", "truncate at=rdb:50%"], "is destructive: a replica that loads half an RDB exits"),
        (["--fault", "cut", "--read-only"], "this tap is read-only"),
        (["--fault", "cut at=stream", "--opaque"], "fault 'cut at=stream' has to understand what flows"),
        (["--fault", "cut link=other"], "no link is named 'other'; known: main"),
        (["--fault", "cut name=a", "--fault", "stall name=a"], "fault 'stall name=a': another one is named 'a'"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_before_anything_listens(arguments: list[str], said: str) -> None:
    done = tap("run", "--master", "127.0.0.1:1", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "listening" not in done.stderr
    assert done.stdout == ""


def test_faults_are_told_and_the_one_that_never_fired_is_named_at_the_end(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    with running(
        "--master", f"127.0.0.1:{master.port}", "--ui", "json", "--seed", "7",
        "--fault", "cut at=stream name=early", "--fault", "drop command=NOSUCH name=idle",
    ) as one:  # fmt: skip
        follow(replica, one.port)
        wait_until(lambda: is_up(replica) and any('"early","spec"' in line and "fired" in line for line in one.lines))
        said = one.end()
    told = [json.loads(line) for line in one.lines]
    kinds = {(event["event"], event["fault"]) for event in told if "fault" in event}
    assert kinds >= {
        ("fault_armed", "early"),
        ("fault_armed", "idle"),
        ("fault_fired", "early"),
        ("fault_expired", "early"),
    }
    assert {event["seed"] for event in told if event["event"] == "fault_armed"} == {7}
    assert "seed 7" in said
    assert "fault idle never fired: drop command=NOSUCH name=idle" in said
    assert "fault early" not in said
