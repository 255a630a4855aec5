"""A user's script: what it receives, and that nothing it does affects a link."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap import Tap
from tap.bus import INBOX_BYTES, INBOX_EVENTS, Bus, Told
from tap.config import Config, LinkConfig
from tap.config.file import load
from tap.errors import ConfigError
from tap.observers import script as module
from tap.observers.script import Script, _Process
from tap.observers.scripted import KINDS
from tap.replication import events
from tap.replication.events import Event
from tap.url import Address
from tests.cli.running import OF_MASTER, TAP, running
from tests.cli.typed import tap
from tests.observers.attaching import attached
from tests.support import (
    WITHIN,
    Servers,
    TapThread,
    all_subclasses,
    client,
    digest,
    expect_reset,
    follow,
    level,
    thinned,
    wait_inside,
    wait_until,
)
from tests.test_pages import example

OPENED = events.LinkOpened(peer="10.0.0.7:1234", master="10.0.0.5:6379")
KEEPALIVE = events.Keepalive(start=0, end=1, side=events.Side.MASTER)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "alert.py"


class Heard:
    """The lines that the script appends to the file beside it."""

    SCRIPT = """
import pathlib
def hear(line):
    with pathlib.Path(__file__).with_name("heard").open("a") as file:
        file.write(f"{line}\\n")
"""

    def __init__(self, script: Path) -> None:
        self._path = script.with_name("heard")

    def lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []


def trouble(told: list[Told]) -> list[str]:
    return [one.event.text for one in tuple(told) if isinstance(one.event, events.ObserverTrouble)]


def is_at_its_end(out: IO[str]) -> bool:
    """Whether no process has it open any more, and none has written to it, except about absent masters."""
    return bool(select.select([out], [], [], WITHIN)[0]) and OF_MASTER.sub("", out.read()) == ""


async def publish(script: Path, *told: Event, ends: bool = True) -> list[Told]:
    """What the bus reported while a script received these, and ended. ends: by itself, however long that takes here."""
    bus, said = Bus(), list[Told]()
    one = Script(script)
    bus.subscribe(said.append)
    end = attached(one, bus).stop
    for event in told:
        bus.publish("main", 1, "10.0.0.7:6379", event)
    with pytest.MonkeyPatch.context() as patch:
        if ends:
            patch.setattr(module, "END_SECONDS", WITHIN)
        await end()
    return said


# ---- what it receives ----


def test_functions_receive_the_events_they_are_named_for_in_order(script: Path) -> None:
    script.write_text(f"""{Heard.SCRIPT}
def on_link_opened(told):
    hear(f"{{told.link}} {{told.replica}} {{told.event.peer}}")
def on_event(told):
    hear(told.event.kind)
def other(told):
    raise AssertionError
""")
    assert trouble(asyncio.run(publish(script, OPENED, KEEPALIVE, OPENED))) == []
    opened = ["main 10.0.0.7:6379 10.0.0.7:1234", "link_opened"]
    assert Heard(script).lines() == [*opened, "keepalive", *opened]


def test_every_event_has_a_function() -> None:
    assert {kind.kind for kind in all_subclasses(Event) if kind is not events.WireEvent} | {"event"} == KINDS


def test_a_script_may_have_dataclasses_and_modules_beside_it(script: Path) -> None:
    script.with_name("beside_the_script.py").write_text("WORD = 'beside'\n")
    script.write_text(f"""from __future__ import annotations
from dataclasses import dataclass
{Heard.SCRIPT}
@dataclass
class Line:
    text: str
def on_link_opened(told):
    from beside_the_script import WORD
    hear(Line(WORD).text)
""")
    assert trouble(asyncio.run(publish(script, OPENED))) == []
    assert Heard(script).lines() == ["beside"]
    assert not script.with_name("alert.pyc").exists()


def test_a_file_in_the_current_directory_is_not_taken_for_a_module(script: Path) -> None:
    script.with_name("queue.py").write_text("raise ImportError\n")
    script.write_text("def on_event(told):\n    pass\n")
    command = [sys.executable, "-P", "-m", "tap", "run", "--master", "127.0.0.1:1", "--duration", "1ms", "--ui", "none"]
    said = subprocess.run(
        [*command, "--script", script.name], cwd=script.parent, capture_output=True, text=True, check=True
    )
    assert re.match(r"redis-tap: link main: listening .*\n", said.stderr)
    assert OF_MASTER.sub("", said.stderr).count("\n") == 1


@pytest.mark.parametrize("kind", sorted(all_subclasses(Event), key=str))
@settings(max_examples=3)
@given(data=st.data())
def test_every_event_arrives(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(st.from_type(kind))
    assert repr(pickle.loads(pickle.dumps(event))) == repr(event)  # nan is not equal to nan


def test_it_receives_what_the_bus_reports(servers: Servers, any_server: str, script: Path) -> None:
    script.write_text(f"{Heard.SCRIPT}\nimport json\ndef on_event(told):\n    hear(json.dumps(told.as_dict()))\n")
    master, replica = servers.start(any_server), servers.start(any_server)
    client(master).set(b"\xff", b"\xfe")
    with TapThread(replace(config(master.port, script), every_key=True)) as one:
        follow(replica, one.port)
        level(master, replica)
        client(master).set(b"\xff", b"\xfd")
        level(master, replica)
        client(replica).execute_command("REPLICAOF", "NO", "ONE")
        one.wait_for(events.LinkClosed)
        wait_until(lambda: "link_closed" in "".join(Heard(script).lines()[-1:]))
    listening, *heard = [json.loads(line) for line in Heard(script).lines()]
    assert listening["event"] == "listening"  # before the test hears anything
    assert heard == [told.as_dict() for told in one.told]


class _Webhook(http.server.BaseHTTPRequestHandler):
    got: list[dict[str, str]]

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the script time to end: on a busy machine that takes longer than a tap waits."""
    monkeypatch.setattr("tap.observers.script.END_SECONDS", WITHIN)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    _Webhook.got = []
    with http.server.HTTPServer(("127.0.0.1", 0), _Webhook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hook")
        yield _Webhook.got
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("patient")
def test_the_script_in_the_documentation_calls_a_webhook_on_a_full_resync(
    servers: Servers, any_server: str, script: Path, webhook: list[dict[str, str]]
) -> None:
    script.write_text(example("python", "# webhook.py"))
    master, replica = servers.start(any_server), servers.start(any_server)
    with TapThread(config(master.port, script)) as one:
        follow(replica, one.port)
        level(master, replica)
        resync = one.wait_for(events.FullResync)
        wait_until(lambda: webhook)
    assert trouble(one.told) == []
    assert resync.reason.text in webhook[0]["text"]
    assert len(webhook) == 1


# ---- isolation ----


def config(master: int, script: Path) -> Config:
    return Config(links=(LinkConfig(master=Address("127.0.0.1", master)),), script=script, every_command=True)


def test_a_slow_script_delays_nothing_and_learns_what_it_lost(servers: Servers, any_server: str, script: Path) -> None:
    script.write_text("import time\ndef on_command(told):\n    time.sleep(1)\n")
    master, replica = servers.start(any_server), servers.start(any_server)
    with TapThread(config(master.port, script)) as one:
        follow(replica, one.port)
        level(master, replica)
        pipe = client(master).pipeline(transaction=False)
        for number in range(INBOX_EVENTS + 500):
            pipe.set(f"key:{number}", "value")
        pipe.execute()
        level(master, replica)
        wait_until(lambda: trouble(one.told))
        assert digest(master) == digest(replica)
    began, left, lost = trouble(one.told)
    assert began == (
        f"is too slow: {INBOX_EVENTS} events wait for it; it loses commands, keys and ACKs until it catches up"
    )
    assert re.fullmatch(r"on_command has not returned, and \d+ more events waited for it: it is killed", left)
    assert int(re.findall(r"it has lost (\d+) events", lost)[0]) >= 400


def test_a_script_that_computes_endlessly_delays_nothing(servers: Servers, any_server: str, script: Path) -> None:
    script.write_text(f"{Heard.SCRIPT}\ndef on_command(told):\n    hear('called')\n    while True:\n        pass\n")
    master, replica = servers.start(any_server), servers.start(any_server)
    with TapThread(config(master.port, script)) as one:
        follow(replica, one.port)
        level(master, replica)
        client(master).set("first", "value")
        wait_until(Heard(script).lines)
        writer = client(master)
        for number in range(100):
            writer.set(f"key:{number}", "value")
        level(master, replica)
        assert digest(master) == digest(replica)
    assert Heard(script).lines() == ["called"]
    assert trouble(one.told)[-1].startswith("on_command has not returned, and ")


@pytest.mark.parametrize(
    ("dies", "how"), [("os._exit(3)", "exit code 3"), ("signal.pause()", "SIGKILL"), ("os.abort()", "SIGABRT")]
)
def test_a_script_whose_process_dies_is_reported_once(
    servers: Servers, any_server: str, script: Path, dies: str, how: str
) -> None:
    script.write_text(
        f"{Heard.SCRIPT}\nimport os, signal\ndef on_stream_started(told):\n    hear(os.getpid())\n    {dies}\n"
        "def on_command(told):\n    pass\n"
    )
    master, replica = servers.start(any_server), servers.start(any_server)
    with TapThread(config(master.port, script)) as one:
        follow(replica, one.port)
        wait_until(Heard(script).lines)
        if how == "SIGKILL":
            os.kill(int(Heard(script).lines()[0]), signal.SIGKILL)
        one.wait_for(events.ObserverTrouble)
        client(master).set("key", "value")
        level(master, replica)
    assert trouble(one.told) == [f"its process has ended ({how}), and gets no more events"]


def test_a_script_killed_while_it_waits_is_reported(script: Path) -> None:
    script.write_text(f"{Heard.SCRIPT}\nimport os\nhear(os.getpid())\ndef on_event(told):\n    pass\n")
    with TapThread(config(1, script)) as one:
        os.kill(int(Heard(script).lines()[0]), signal.SIGKILL)
        one.wait_for(events.ObserverTrouble)
    assert trouble(one.told) == ["its process has ended (SIGKILL), and gets no more events"]


def test_large_commands_do_not_pile_up(script: Path) -> None:
    script.write_text("import threading\nwait = threading.Event().wait\ndef on_command(told):\n    wait()\n")
    command = events.Command(
        start=0, end=10**6, offset=1, db=0, name="SET", args=(b"key", b"x" * 10**6), in_transaction=False
    )
    said = trouble(asyncio.run(publish(script, *[command] * 100, ends=False)))
    assert said[0].startswith("is too slow: ")
    assert int(re.findall(r"it has lost (\d+) events", said[-1])[0]) >= 100 - INBOX_BYTES // 10**6 - 2


def test_a_slow_script_gets_all_but_commands_in_order_and_hears_what_is_missing(script: Path) -> None:
    script.write_text(f"""{Heard.SCRIPT}
import time
called = 0
def on_command(told):
    global called
    called += 1
    time.sleep(0.00001)
def on_link_opened(told):
    hear(f"called {{called}}")
def on_partial_resync(told):
    hear(f"resync {{told.event.offset}}")
def on_events_dropped(told):
    hear(f"missing {{told.event.by_kind}}")
""")
    command = events.Command(start=0, end=9, offset=1, db=0, name="SET", args=(b"key",), in_transaction=False)
    resyncs = [
        events.PartialResync(start=0, end=1, replid="a" * 40, previous_replid=None, offset=number, bytes_behind=0)
        for number in range(100)
    ]

    async def run() -> None:
        bus = Bus()
        end = attached(Script(script), bus).stop
        for number in range(2 * INBOX_EVENTS):
            bus.publish("main", 1, "10.0.0.7:6379", command if number % 200 else resyncs[number // 200])
        bus.publish("main", 1, "10.0.0.7:6379", OPENED)
        await wait_inside(lambda: any(line.startswith("called") for line in Heard(script).lines()))
        await end()

    asyncio.run(run())
    lines = Heard(script).lines()
    assert [line for line in lines if line.startswith("resync")] == [f"resync {number}" for number in range(100)]
    missing = [int(re.findall(r"missing {'command': (\d+)}", line)[0]) for line in lines if line.startswith("missing")]
    called = int(lines[-1].removeprefix("called "))
    assert len(missing) > 1
    assert sum(missing) + called == 2 * INBOX_EVENTS - 100


def test_an_exception_of_a_script_is_reported_once_with_its_line_and_the_script_continues(script: Path) -> None:
    script.write_text(f"""{Heard.SCRIPT}
def on_link_opened(told):
    hear("called")
    helped(told)
def helped(told):
    return told.event.no_such_thing
""")
    said = asyncio.run(publish(script, *[OPENED] * 3))
    assert Heard(script).lines() == ["called"] * 3
    first, last = [one.event for one in said if isinstance(one.event, events.ObserverTrouble)]
    assert first.observer == "script alert.py"
    assert re.fullmatch(r"on_link_opened, line 11: AttributeError: .* no attribute 'no_such_thing'.*", first.text)
    assert first.traceback is not None
    assert f'File "{script}", line 9, in on_link_opened\n    helped(told)\n' in first.traceback
    assert "observers" not in first.traceback
    assert (last.text, last.traceback) == ("has failed 3 times in all", None)


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "GeneratorExit", "asyncio.CancelledError", "MemoryError"])
def test_no_exception_of_a_script_ends_it(script: Path, raised: str) -> None:
    script.write_text(
        f"{Heard.SCRIPT}\nimport asyncio\ndef on_event(told):\n    hear(told.event.kind)\n    raise {raised}\n"
    )
    said = trouble(asyncio.run(publish(script, OPENED, KEEPALIVE)))
    assert re.fullmatch(rf"on_event, line 10: (asyncio\.exceptions\.)?{raised.removeprefix('asyncio.')}", said[0])
    assert Heard(script).lines()[:2] == ["link_opened", "keepalive"]


def test_a_script_that_exits_gets_no_more_events(script: Path) -> None:
    script.write_text(f"{Heard.SCRIPT}\nimport sys\ndef on_event(told):\n    hear('called')\n    sys.exit(3)\n")
    said = trouble(asyncio.run(publish(script, OPENED, KEEPALIVE, OPENED)))
    assert said == ["has called sys.exit(), line 10, and gets no more events"]
    assert Heard(script).lines() == ["called"]


def test_a_script_that_never_returns_is_killed_at_the_end(servers: Servers, any_server: str, script: Path) -> None:
    script.write_text("def on_full_resync(told):\n    while True:\n        pass\n")
    master, replica = servers.start(any_server), servers.start(any_server)
    with running("--master", f"127.0.0.1:{master.port}", "--ui", "json", "--script", str(script)) as one:
        follow(replica, one.port)
        level(master, replica)
        assert one.end() == ""
        assert one.process.returncode == 0
    last = json.loads(one.lines[-1])
    assert (last["event"], last["observer"]) == ("observer_trouble", "script alert.py")
    assert last["text"] == "on_full_resync has not returned, and 0 more events waited for it: it is killed"


@pytest.mark.parametrize(
    "text",
    [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
        "def on_event(told):\n    pass\n",
        "import concurrent.futures, time\npool = concurrent.futures.ThreadPoolExecutor()\n"
        "def on_event(told):\n    pool.submit(time.sleep, 60)\n",
        "import atexit, time\natexit.register(time.sleep, 60)\ndef on_event(told):\n    pass\n",
    ],
)
def test_threads_of_a_script_do_not_delay_the_end(script: Path, text: str) -> None:
    script.write_text(text)
    with running("--master", "127.0.0.1:1", "--ui", "json", "--script", str(script)) as one:
        expect_reset(one.port)
        assert one.end() == ""
        assert one.process.returncode == 0
    last = json.loads(one.lines[-1])
    assert last["text"] == "threads that it began, or what it left to atexit, have not ended: it is killed"


@pytest.mark.parametrize(
    ("number", "code"),
    thinned(
        [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 128 + signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM)], 3
    ),
)
def test_a_script_that_never_finishes_loading_ends_with_the_tap(script: Path, number: signal.Signals, code: int) -> None:
    if number != signal.SIGKILL and signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as in the background of a shell that is no terminal's")
    script.write_text("print('loading')\nwhile True:\n    pass\n")
    command = [*TAP, "run", "--master", "127.0.0.1:1", "--script", str(script)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "loading\n"
        process.send_signal(number)
        assert process.wait(WITHIN) == code
        assert is_at_its_end(process.stderr)


@pytest.mark.parametrize(
    "busy", thinned(["re.match('(a+)+$', 40 * 'a' + 'b')", "while True:\n        pass", "time.sleep(60)"], 3)
)
def test_a_killed_tap_leaves_no_process_behind(script: Path, busy: str) -> None:
    script.write_text(f"import re, time\ndef on_link_opened(told):\n    print('called')\n    {busy}\n")
    with running("--master", "127.0.0.1:1", "--ui", "none", "--script", str(script)) as one:
        expect_reset(one.port)
        assert one.process.stderr is not None
        assert "called\n" in one.process.stderr
        one.process.kill()
        assert is_at_its_end(one.process.stderr)


FORKS = f"""{Heard.SCRIPT}
import os, subprocess, sys, time
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
forked = os.fork()
if not forked:
    time.sleep(1000)
    os._exit(0)
hear(sleeper.pid)
hear(forked)
"""


def are_gone(script: Path) -> bool:
    """Whether the processes that FORKS started have ended."""
    return all(not Path(f"/proc/{pid}").exists() or is_zombie(pid) for pid in Heard(script).lines())


def is_zombie(pid: str) -> bool:
    """Its parent has gone, and its adopter has not reaped it."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.parametrize(
    "then",
    [
        "def on_link_opened(told): pass",
        "def on_link_opened(told): os._exit(3)",
        "def on_link_opened(told): time.sleep(99)",
    ],
)
def test_processes_that_a_script_forks_end_with_it(script: Path, then: str) -> None:
    script.write_text(f"{FORKS}\n{then}\n")
    asyncio.run(publish(script, OPENED, ends=False))
    assert len(Heard(script).lines()) == 2
    wait_until(lambda: are_gone(script))


@needs_proc
def test_processes_that_a_script_forks_end_with_a_killed_tap(script: Path) -> None:
    script.write_text(f"{FORKS}\ndef on_link_opened(told): pass\n")
    with running("--master", "127.0.0.1:1", "--script", str(script), "--ui", "json") as one:
        wait_until(lambda: len(Heard(script).lines()) == 2)
        one.process.kill()
        wait_until(lambda: are_gone(script))


@needs_proc
@pytest.mark.parametrize("end", ["os._exit(3)", "raise ValueError", "os.kill(os.getpid(), 9)"])
def test_a_script_that_forks_and_fails_while_loading_leaves_nothing_behind(script: Path, end: str) -> None:
    script.write_text(f"{FORKS}\n{end}\n")
    with pytest.raises(ConfigError):
        Script(script)
    wait_until(lambda: are_gone(script))


@needs_proc
def test_a_script_that_dies_is_reported_while_its_forks_continue(script: Path) -> None:
    """A fork has the connection to the tap, too."""
    script.write_text(f"{FORKS}\ndef on_link_opened(told): os._exit(3)\n")
    said = asyncio.run(publish(script, OPENED))
    assert trouble(said) == ["its process has ended (exit code 3), and gets no more events"]


def test_the_last_message_of_a_script_that_ends_at_once_is_heard(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tap may be suspended between looking for messages and looking whether the process exists."""
    looked: list[float] = []

    def poll(connection: Connection, timeout: float = 0.0) -> bool:
        looked.append(timeout)
        return len(looked) > 1 and polled(connection, timeout)

    def is_running(process: _Process) -> bool:
        process._process.wait(WITHIN)
        return False

    polled = Connection.poll
    monkeypatch.setattr(Connection, "poll", poll)
    monkeypatch.setattr(_Process, "is_running", is_running)
    script.write_text("def broken():\n    return 1 / 0\nbroken()\n")
    with pytest.raises(ConfigError, match="line 2: ZeroDivisionError"):
        Script(script)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="nobody tells a parent here")
def test_a_script_that_stops_itself_does_not_delay_the_start(script: Path) -> None:
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\ndef on_event(told): pass\n")
    with pytest.raises(ConfigError, match=r"its process has stopped itself \(SIGSTOP\) while it was loaded"):
        Script(script)


def test_a_script_that_stops_itself_later_does_not_delay_the_end(script: Path) -> None:
    script.write_text("import os, signal\ndef on_event(told): os.kill(os.getpid(), signal.SIGSTOP)\n")
    assert trouble(asyncio.run(publish(script, OPENED, ends=False))) == [
        "on_event has not returned, and 0 more events waited for it: it is killed"
    ]


WRITES = """
import os, stat
def write(data):
    for number in range(3, 20):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, data)
        except OSError:
            pass
"""
GARBLED = "something in its process has written to a descriptor that it did not open: the connection with the tap"
NO_MESSAGES = {
    "too long": b"\x7f\xff\xff\xff",
    "of negative length": b"\xff\xff\xff\xfe",
    "no JSON": b"\x00\x00\x00\x05hello",
    "of another kind": b"\x00\x00\x00\x01" + b"7",
}


@pytest.mark.parametrize("data", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_what_is_no_message_of_a_script_is_refused_and_not_believed(script: Path, data: bytes) -> None:
    script.write_text(f"{WRITES}\nwrite({data!r})\ndef on_event(told): pass\n")
    with pytest.raises(ConfigError) as caught:
        Script(script)
    assert str(caught.value) == f"{script}: {GARBLED}"
    script.write_text(f"{WRITES}\ndef on_event(told): write({data!r})\n")
    assert trouble(asyncio.run(publish(script, OPENED))) == [f"{GARBLED}; it is killed, and gets no more events"]


def test_a_tap_that_cannot_begin_ends_the_process(script: Path) -> None:
    script.write_text(f"{Heard.SCRIPT}\nimport os\nhear(os.getpid())\ndef on_event(told):\n    pass\n")
    there = script.with_name("there.pcapng")
    there.touch()
    with pytest.raises(ConfigError, match="already exists"):
        asyncio.run(Tap(replace(config(1, script), record_to=there)).__aenter__())
    with pytest.raises(ProcessLookupError):
        os.kill(int(Heard(script).lines()[0]), 0)


def test_ctrl_c_in_a_terminal_reaches_only_the_tap(script: Path) -> None:
    script.write_text(f"{Heard.SCRIPT}\nimport os\nhear(os.getpgrp())\ndef on_event(told):\n    pass\n")
    with running("--master", "127.0.0.1:1", "--script", str(script)) as one:
        assert int(Heard(script).lines()[0]) != os.getpgid(one.process.pid)


def test_output_of_a_script_is_not_mixed_into_the_json(script: Path) -> None:
    script.write_text("def on_link_opened(told):\n    print('opened by', told.event.peer, '\\x1b[2J \\u202e \\udcff')\n")
    with running("--master", "127.0.0.1:1", "--ui", "json", "--script", str(script)) as one:
        expect_reset(one.port)
        wait_until(lambda: any("link_closed" in line for line in one.lines))
        said = one.end()
    opened = next(told for told in map(json.loads, one.lines) if told["event"] == "link_opened")
    assert said == f"opened by {opened['peer']} \\x1b[2J \\u202e \\udcff\n"


@pytest.mark.parametrize(("ui", "where"), [("log", "stdout"), ("none", "stderr")])
def test_the_log_holds_the_traceback(script: Path, ui: str, where: str) -> None:
    script.write_text("def on_link_opened(told):\n    1 / 0\n")
    with running("--master", "127.0.0.1:1", "--ui", ui, "--script", str(script)) as one:
        expect_reset(one.port)
        said = one.end()
    out = "".join(one.lines) if where == "stdout" else said
    assert re.search(
        r"^\S+ ERROR tap script alert.py: on_link_opened, line 2: ZeroDivisionError: division by zero\n"
        rf'  Traceback .*\n    File "{re.escape(str(script))}", line 2, in on_link_opened\n',
        out,
        re.MULTILINE,
    )


# ---- the option ----


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def on_event(told)\n    pass\n", ", line 1: expected ':'"),
        ("import sys\n\nsys.exit(1)\n", ", line 3: it calls sys.exit() while it is loaded"),
        ("\nimport no_such_module\n", ", line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken():\n    return 1 / 0\nbroken()\n", ", line 2: ZeroDivisionError: division by zero"),
        ("def told(event):\n    pass\n", ": it has no function for an event: write def on_full_resync(told), or"),
        ("on_event = 7\n", ": it has no function for an event"),
        (
            "def on_full_resink(told):\n    pass\n",
            ": on_full_resink: unknown event 'full_resink'; known: ack, ack_ahead_of_master, alert,",
        ),
        ("def on_full_resink(told):\n    pass\n", " Did you mean 'full_resync'?"),
        ("async def on_event(told):\n    pass\n", ": on_event is async; it is called in a process of its own"),
        ("def on_event():\n    pass\n", ": on_event has to take one argument, as def on_event(told)"),
        ("on_event = b'\0'\n", "null byte"),
        ("import os\nos._exit(3)\n", ": its process has ended (exit code 3) while it was loaded"),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
            ": its process has ended (SIGSEGV) while it was loaded",
        ),
    ],
)
def test_an_unusable_script_is_explained_in_one_line(script: Path, text: str, words: str) -> None:
    script.write_text(text)
    with pytest.raises(ConfigError) as error:
        Script(script)
    said = str(error.value)
    assert said.startswith(str(script))
    assert words in said
    assert "\n" not in said


def test_a_script_that_is_not_text_is_explained(script: Path) -> None:
    script.write_bytes(b"x = '\xff'\n")
    with pytest.raises(ConfigError, match=r"alert\.py.*: .*(utf-8|UTF-8)"):
        Script(script)


@pytest.mark.parametrize(("path", "words"), [("no.py", "No such file or directory"), ("", "Is a directory")])
def test_a_missing_script_is_one_line_before_anything_listens(tmp_path: Path, path: str, words: str) -> None:
    said = tap("run", "--master", "127.0.0.1:1", "--script", str(tmp_path / path))
    assert said.returncode == 2
    assert said.stderr == f"redis-tap: {tmp_path / path}: {words}\n"
    assert said.stdout == ""


def test_the_configuration_file_can_name_both(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text("statsd = 'metrics.example'\nscript = 'alert.py'\n[links.a]\nmaster = 'h:1'\n")
    loaded = load(path)
    assert loaded.statsd == Address("metrics.example", 8125)
    assert loaded.script == Path("alert.py")
