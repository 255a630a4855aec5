"""How events are handed over to a script, whose process here is a stand-in that a test scripts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tap.bus import COUNTLESS, INBOX_EVENTS, Bus, Told
from tap.errors import ConfigError, EnvironmentFailure
from tap.observers import script as module
from tap.observers.script import BATCH_BYTES, BATCH_EVENTS, Script, _Process
from tap.observers.scripted import ScriptTrouble, Through
from tap.replication import events
from tap.replication.events import Event
from tests.observers.attaching import attached
from tests.support import WITHIN, wait_inside

OPENED = events.LinkOpened(peer="10.0.0.7:1234", master="10.0.0.5:6379")
KEEPALIVE = events.Keepalive(start=0, end=1, side=events.Side.MASTER)


def command(size: int = 9, start: int = 1000) -> Event:
    return events.Command(start=start, end=start + size, offset=1, db=0, name="SET", args=(b"key",), in_transaction=False)


class Played:
    """A stand-in for a script's process."""

    def __init__(self, kinds: set[str]) -> None:
        self.kinds = frozenset(kinds)
        self.got: list[list[Event]] = []
        self.goes_on = threading.Event()  # until then a call does not return
        self.goes_on.set()
        self.may_leave = threading.Event()
        self.may_leave.set()
        self.is_there = True
        self.calls_begun = 0
        self.says: list[ScriptTrouble] = []
        self.through = Through(0, False)
        self.done: list[str] = []

    def call(self, batch: list[Told], tell: Callable[[ScriptTrouble], None]) -> Through:
        self.got.append([told.event for told in batch])
        assert self.goes_on.wait(WITHIN)
        if "kill" in self.done or not self.is_there:
            raise EOFError
        for one in self.says:
            tell(one)
        return self.through

    def begun(self) -> int:
        return self.calls_begun

    def is_running(self) -> bool:
        return self.is_there

    def leave(self) -> None:
        self.done.append("leave")
        assert self.may_leave.wait(WITHIN)

    def kill(self) -> None:
        self.done.append("kill")
        self.goes_on.set()
        self.may_leave.set()

    def end(self) -> str:
        self.done.append("end")
        return "SIGKILL"

    @property
    def heard(self) -> list[Event]:
        return [event for batch in self.got for event in batch]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(module, "END_SECONDS", 0.05)


Story = Callable[[Script, Bus, Played], Coroutine[Any, Any, None]]


def told_of(process: Played, story: Story, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The troubles reported about a script that is started, has this story, and is closed."""

    async def run() -> list[str]:
        bus, said = Bus(), list[str]()

        def hear(told: Told) -> None:
            if isinstance(told.event, events.ObserverTrouble):
                assert told.event.observer == "script alert.py"
                assert (told.link, told.connection, told.replica) == ("", 0, "")
                said.append(told.event.text)

        bus.subscribe(hear, without=COUNTLESS)
        monkeypatch.setattr(module, "_Process", lambda *_: process)
        one = Script(Path("somewhere/alert.py"))
        end = attached(one, bus).stop
        await story(one, bus, process)
        await end()
        one._thread.join(WITHIN)
        assert not one._thread.is_alive()
        assert process.done[-1] == "end"
        assert one.event not in bus._observers
        return said

    return asyncio.run(run())


def publish(bus: Bus, *told: Event) -> None:
    for event in told:
        bus.publish("main", 1, "10.0.0.7:6379", event)


async def busy(bus: Bus, process: Played, first: Event = OPENED) -> None:
    """Wait until it has begun a call that does not return."""
    process.goes_on.clear()
    publish(bus, first)
    await wait_inside(lambda: len(process.got) == 1)


# ---- events ----


@pytest.mark.parametrize(
    ("kinds", "heard", "made"),
    [
        ({"event"}, [OPENED, KEEPALIVE, OPENED], set(COUNTLESS)),
        ({"keepalive"}, [KEEPALIVE], set()),
        ({"keepalive", "ack"}, [KEEPALIVE], {events.Ack}),
        ({"command", "rdb_key"}, [], {events.Command, events.RdbKey}),
    ],
)
def test_it_receives_events_it_has_a_function_for_and_no_others_are_made(
    monkeypatch: pytest.MonkeyPatch, kinds: set[str], heard: list[Event], made: set[type[Event]]
) -> None:
    process = Played(kinds)

    async def story(one: Script, bus: Bus, process: Played) -> None:
        assert {kind for kind in COUNTLESS if bus.takes(kind)} == made
        publish(bus, OPENED, KEEPALIVE, OPENED)

    assert told_of(process, story, monkeypatch) == []
    assert process.heard == heard
    assert process.done == ["leave", "end"]


def test_waiting_events_are_handed_over_a_hundred_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})

    async def story(one: Script, bus: Bus, process: Played) -> None:
        await busy(bus, process)
        publish(bus, *[KEEPALIVE] * (2 * BATCH_EVENTS + 5))
        process.goes_on.set()

    assert told_of(process, story, monkeypatch) == []
    assert [len(batch) for batch in process.got] == [1, BATCH_EVENTS, BATCH_EVENTS, 5]


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([BATCH_BYTES] * 3, [1, 1, 1]),
        ([BATCH_BYTES - 1] * 3, [2, 1]),
        ([BATCH_BYTES // 2] * 5, [2, 2, 1]),
        ([BATCH_BYTES // 2 - 1, BATCH_BYTES // 2 + 1, 5], [2, 1]),
        ([5, BATCH_BYTES * 9, 5, 5], [2, 2]),
    ],
)
def test_fewer_large_commands_are_handed_over_at_once(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], batches: list[int]
) -> None:
    process = Played({"event"})

    async def story(one: Script, bus: Bus, process: Played) -> None:
        await busy(bus, process)
        publish(bus, *map(command, sizes))
        process.goes_on.set()

    told_of(process, story, monkeypatch)
    assert [len(batch) for batch in process.got[1:]] == batches


def test_the_size_of_other_events_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})
    far = events.Keepalive(start=0, end=10 * BATCH_BYTES, side=events.Side.MASTER)

    async def story(one: Script, bus: Bus, process: Played) -> None:
        await busy(bus, process)
        publish(bus, far, far, far)
        process.goes_on.set()

    told_of(process, story, monkeypatch)
    assert [len(batch) for batch in process.got] == [1, 3]


# ---- failures ----


def test_exceptions_are_reported_and_counted_at_the_end_if_there_were_more(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"link_opened"})
    process.says = [ScriptTrouble("on_event, line 2: KeyError", "Traceback")]
    process.through = Through(1, False)

    async def story(one: Script, bus: Bus, process: Played) -> None:
        publish(bus, OPENED)
        await wait_inside(lambda: one._failures == 1)

    assert told_of(process, story, monkeypatch) == ["on_event, line 2: KeyError"]

    async def longer(one: Script, bus: Bus, process: Played) -> None:
        await story(one, bus, process)
        process.says, process.through = [], Through(3, False)
        publish(bus, OPENED)

    assert told_of(process, longer, monkeypatch) == ["on_event, line 2: KeyError", "has failed 3 times in all"]


def test_a_script_that_is_over_receives_no_more_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})
    process.through = Through(0, True)

    async def story(one: Script, bus: Bus, process: Played) -> None:
        publish(bus, OPENED)
        await wait_inside(lambda: one.event not in bus._observers)
        publish(bus, KEEPALIVE)
        await wait_inside(one._ended.is_set)

    assert told_of(process, story, monkeypatch) == []
    assert process.heard == [OPENED]
    assert process.done == ["leave", "end"]


@pytest.mark.parametrize("is_calling", [True, False])
def test_a_script_whose_process_dies_is_reported_and_receives_no_more(
    monkeypatch: pytest.MonkeyPatch, is_calling: bool
) -> None:
    process = Played({"event"})

    async def story(one: Script, bus: Bus, process: Played) -> None:
        if is_calling:
            await busy(bus, process)
        process.is_there = False
        process.goes_on.set()
        await wait_inside(one._ended.is_set)
        assert one.event not in bus._observers
        publish(bus, KEEPALIVE)

    assert told_of(process, story, monkeypatch) == ["its process has ended (SIGKILL), and gets no more events"]
    assert KEEPALIVE not in process.heard
    assert "kill" not in process.done


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (0, "it has not come to the last 7 events"),
        (1, "on_keepalive has not returned, and 6 more events waited for it"),
        (2, "on_event has not returned, and 6 more events waited for it"),
        (3, "on_keepalive has not returned, and 5 more events waited for it"),
        (8, "on_event has not returned, and 3 more events waited for it"),
        (99, "on_event has not returned, and 3 more events waited for it"),
    ],
)
def test_the_call_that_does_not_return_is_reported(monkeypatch: pytest.MonkeyPatch, begun: int, said: str) -> None:
    process = Played({"event", "keepalive"})
    monkeypatch.setattr(module, "_Process", lambda *_: process)
    one = Script(Path("alert.py"))
    one._batch = [Told(1.0, "main", 1, "", KEEPALIVE)] * 4
    for _ in range(3):
        one.inbox.offer(Told(1.0, "main", 1, "", KEEPALIVE))
    process.calls_begun = begun
    assert one._unfinished() == said


def test_a_script_that_does_not_return_is_killed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})

    async def story(one: Script, bus: Bus, process: Played) -> None:
        await busy(bus, process)
        publish(bus, KEEPALIVE)
        process.calls_begun = 1

    assert told_of(process, story, monkeypatch) == [
        "on_event has not returned, and 1 more events waited for it: it is killed"
    ]
    assert process.heard == [OPENED]
    assert process.done == ["kill", "end", "end"]


def test_a_script_whose_threads_do_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})
    process.may_leave.clear()

    async def story(one: Script, bus: Bus, process: Played) -> None:
        publish(bus, OPENED)

    assert told_of(process, story, monkeypatch) == [
        "threads that it began, or what it left to atexit, have not ended: it is killed"
    ]
    assert process.heard == [OPENED]
    assert process.done == ["leave", "kill", "end"]


def test_a_slow_script_is_reported_and_hears_what_it_lost_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})

    async def story(one: Script, bus: Bus, process: Played) -> None:
        await busy(bus, process)
        publish(bus, *[command()] * (INBOX_EVENTS + 3))
        process.goes_on.set()
        await wait_inside(lambda: isinstance(process.heard[-1], events.EventsDropped))

    assert told_of(process, story, monkeypatch) == [
        f"is too slow: {INBOX_EVENTS} events wait for it; it loses commands, keys and ACKs until it catches up",
        "was too slow: it has lost 3 events",
    ]
    dropped = [event.by_kind for event in process.heard if isinstance(event, events.EventsDropped)]
    assert dropped == [{"command": 1}, {"command": 2}]  # between them its slowness is reported


# ---- start and end ----


def test_a_script_that_never_started_is_ended_once(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})
    monkeypatch.setattr(module, "_Process", lambda *_: process)

    async def run() -> None:
        one = Script(Path("alert.py"))
        for _ in range(2):
            await one.stop()

    asyncio.run(run())
    assert process.done == ["end"]


def test_a_second_end_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})

    async def story(one: Script, bus: Bus, process: Played) -> None:
        await one.stop()
        assert process.done == ["leave", "end"]

    assert told_of(process, story, monkeypatch) == []
    assert process.done == ["leave", "end"]


def test_a_loop_that_has_ended_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Played({"event"})
    monkeypatch.setattr(module, "_Process", lambda *_: process)
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)

    async def run() -> Script:
        one = Script(Path("alert.py"))
        attached(one, Bus())
        assert one._thread.daemon
        assert one._thread.name == "script alert.py"
        return one

    one = asyncio.run(run())
    process.is_there = False
    one._thread.join(WITHIN)
    assert not one._thread.is_alive()
    assert failed == []


@pytest.mark.parametrize(("on_screen", "terminal"), [(True, True), (True, False), (False, True), (False, False)])
def test_only_output_that_would_tear_the_screen_is_hidden(
    monkeypatch: pytest.MonkeyPatch, on_screen: bool, terminal: bool
) -> None:
    begun: list[tuple[object, ...]] = []

    def begin(*arguments: object) -> Played:
        begun.append(arguments)
        return Played({"event"})

    monkeypatch.setattr(module, "_Process", begin)
    monkeypatch.setattr(os, "isatty", lambda number: number == 2 and terminal)
    Script(Path("alert.py"), on_screen=on_screen)
    if not on_screen:
        Script(Path("alert.py"))
    assert set(begun) == {(Path("alert.py"), subprocess.DEVNULL if on_screen and terminal else None)}


# ---- the process itself ----


needs_real_time_signals = pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no signal without a name here")


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "alert.py"


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("import os; os._exit(0)", "exit code 0"),
        ("import os; os._exit(1)", "exit code 1"),
        ("import os; os.kill(os.getpid(), 15)", "SIGTERM"),
        pytest.param("import os; os.kill(os.getpid(), 40)", "signal 40", marks=needs_real_time_signals),
    ],
)  # fmt: skip
def test_the_way_a_process_ended_is_reported_and_nothing_stays_open(script: Path, text: str, how: str) -> None:
    script.write_text(text)
    before = descriptors()
    with pytest.raises(ConfigError) as error:
        _Process(script, None)
    assert str(error.value) == f"{script}: its process has ended ({how}) while it was loaded"
    assert descriptors() == before


def test_a_process_that_cannot_be_started_is_reported_and_nothing_stays_open(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", no_more)
    before = descriptors()
    with pytest.raises(EnvironmentFailure) as error:
        _Process(script, None)
    assert str(error.value) == f"{script}: its process cannot be begun: Cannot allocate memory"
    assert descriptors() == before


@pytest.mark.parametrize("raised", [KeyboardInterrupt, "text", module._Stopped])
def test_any_exception_during_the_start_ends_the_process(
    script: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException] | str
) -> None:
    script.write_text("import threading\nthreading.Event().wait()")
    begun: list[_Process] = []

    def heard(self: _Process, *, may_stop: bool = True) -> Any:
        begun.append(self)
        assert not may_stop
        if isinstance(raised, str):
            return raised
        raise raised

    monkeypatch.setattr(_Process, "_heard", heard)
    before = descriptors()
    with pytest.raises(KeyboardInterrupt if raised is KeyboardInterrupt else ConfigError):
        _Process(script, None)
    assert begun[0]._process.returncode == -signal.SIGKILL
    assert descriptors() == before


def test_a_process_is_called_counted_and_ended(script: Path) -> None:
    script.write_text(
        "import os\ndef on_event(told):\n    if told.link == 'bad': raise KeyError\ndef on_ack(told): ...\n"
    )
    before = descriptors()
    one = _Process(script, subprocess.DEVNULL)
    assert one.kinds == {"event", "ack"}
    assert one.is_running()
    assert one.begun() == 0
    said: list[ScriptTrouble] = []
    assert one.call([Told(1.0, "bad", 1, "", OPENED)] * 3, said.append) == Through(3, False)
    assert [trouble.text for trouble in said] == ["on_event, line 3: KeyError"]
    assert one.begun() == 0  # all have returned
    one._connection.send([Told(1.0, "good", 1, "", OPENED)] * 3)
    assert one._heard() == Through(3, False)
    assert one.begun() == 3
    one.leave()
    assert not one.is_running()
    assert one.end() == "exit code 0"
    assert one.end() == "exit code 0"
    assert one.begun() == 0
    assert descriptors() == before


def test_a_system_that_cannot_report_a_stopped_process_reports_none(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.write_text("def on_event(told): ...\n")
    one = _Process(script, subprocess.DEVNULL)
    assert one._is_stopped() is False
    if hasattr(os, "waitid"):
        os.kill(one._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, one._process.pid, os.WSTOPPED | os.WNOWAIT)
        assert one._is_stopped() is True
        monkeypatch.delattr(os, "waitid")
    assert one._is_stopped() is False
    monkeypatch.undo()
    one.kill()
    one._process.wait()
    assert one._is_stopped() is False
    assert one.end() == "SIGKILL"
