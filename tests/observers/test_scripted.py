"""The half of a script that runs in its process: loading, calling, and reporting."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tap.bus import Told
from tap.errors import ConfigError
from tap.observers.script import Script
from tap.observers.scripted import (
    MAX_TOLD,
    NICE,
    ScriptTrouble,
    Through,
    _Printed,
    _serve,
    calls,
    load,
    main,
    message,
    packed,
)
from tap.replication import events
from tap.replication.events import Event
from tests.support import WITHIN

OPENED = events.LinkOpened(peer="10.0.0.7:1234", master="10.0.0.5:6379")
KEEPALIVE = events.Keepalive(start=0, end=1, side=events.Side.MASTER)


def told(event: Event = OPENED) -> Told:
    return Told(1.0, "main", 1, "10.0.0.7:6379", event)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path, modules = tmp_path / "alert.py", dict(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield path
    for name in sys.modules.keys() - modules:
        del sys.modules[name]


def loaded(path: Path, text: str) -> dict[str, Any]:
    path.write_text(text)
    return load(path)


def refused(path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        loaded(path, text)
    return str(error.value)


# ---- loading ----


def test_functions_are_found_by_their_names(script: Path) -> None:
    found = loaded(
        script, "def on_ack(told): return 1\ndef other(told): ...\non_count = 7\nclass on_keepalive:\n"
        "    def __init__(self, told): ...\non_event = lambda told, more=2: 3\n",
    )  # fmt: skip
    assert sorted(found) == ["ack", "event", "keepalive"]
    assert (found["ack"](None), found["event"](None)) == (1, 3)


def test_a_script_knows_where_it_is_and_may_import_modules_beside_it(script: Path) -> None:
    script.with_name("beside_alert.py").write_text("WORD = 'beside'\n")
    found = loaded(
        script,
        "from dataclasses import dataclass\nimport sys, beside_alert\n@dataclass\nclass A:\n    x: 'list[int]'\n"
        "def on_event(told): return __file__, __name__, sys.modules[__name__].A([1]).x, beside_alert.WORD\n",
    )
    assert found["event"](None) == (str(script), f"redis-tap script {script}", [1], "beside")
    assert sys.path[-1] == str(script.parent)


def test_no_feature_of_the_taps_own_module_leaks_into_a_script(script: Path) -> None:
    """scripted.py has `from __future__ import annotations`."""
    found = loaded(script, "def helper(a: 1 + 1): ...\ndef on_event(told): return helper.__annotations__\n")
    assert found["event"](None) == {"a": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\nx = = 2\n", ", line 2: invalid syntax"),
        ("def f():\n    import sys\n    sys.exit()\n\nf()\n", ", line 3: it calls sys.exit() while it is loaded"),
        ("import json\n\njson.loads('')\n", ", line 3: json.decoder.JSONDecodeError: Expecting value: line 1 column 1 "),
        ("raise ValueError('two\\n  lines')", ", line 1: ValueError: two lines"),
        ("x = 1", ": it has no function for an event: write def on_full_resync(told), or on_event for all"),
        ("def on_acc(told): ...", ": on_acc: unknown event 'acc'; known: ack, ack_ahead_of_master, "),
        ("def on_acc(told): ...", " Did you mean 'ack'?"),
        ("async def on_ack(told): ...", ": on_ack is async; it is called in a process of its own and may block: write "),
        ("def on_ack(): ...", ": on_ack has to take one argument, as def on_ack(told)"),
        ("def on_ack(told, more): ...", ": on_ack has to take one argument, as def on_ack(told)"),
    ],
)
def test_an_unusable_file_is_explained(script: Path, text: str, words: str) -> None:
    said = refused(script, text)
    assert said.startswith(str(script))
    assert words in said


def test_an_error_in_an_import_is_reported_with_its_own_file_or_the_importing_line(script: Path) -> None:
    beside = script.with_name("broken_beside.py")
    beside.write_text("x = = 1\n")
    assert refused(script, "\nimport broken_beside\n") == f"{beside}, line 1: invalid syntax"
    beside.write_text("\n\n\n\nraise KeyError(5)\n")
    assert refused(script, "\nimport broken_beside\n") == f"{script}, line 2: KeyError: 5"


def test_a_syntax_error_without_a_place_is_reported_with_the_scripts_file(script: Path) -> None:
    assert refused(script, "raise SyntaxError('of its own')") == f"{script}: of its own"


def test_an_unreadable_file_is_reported_in_the_systems_words(script: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(script)
    assert str(error.value) == f"{script}: No such file or directory"


# ---- calling ----


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"link_opened"}, [(0, "link_opened"), (2, "link_opened")]),
        ({"event"}, [(0, "event"), (1, "event"), (2, "event")]),
        (
            {"event", "keepalive"},
            [(0, "event"), (1, "keepalive"), (1, "event"), (2, "event")],
        ),
        (set(), []),
    ],
)
def test_the_function_of_an_event_is_called_before_that_for_all(kinds: set[str], expected: list[tuple[int, str]]) -> None:
    assert list(calls([told(), told(KEEPALIVE), told()], kinds)) == expected


def served(path: Path, text: str, *batches: list[Told]) -> tuple[list[Any], int]:
    """What a script's process sends about these, and how many calls it has noted."""
    functions = loaded(path, text)
    ours, theirs = Pipe()
    reading, begun = os.pipe()
    with ours, theirs, open(reading, "rb") as noted:
        with open(begun, "wb"):
            for batch in [*batches, []]:
                ours.send(batch)
            _serve(theirs, path, functions, begun)
        said = []
        while ours.poll():
            said.append(message(ours.recv_bytes()))
        return said, len(noted.read())


def test_each_batch_is_answered_and_each_call_noted_before_it(script: Path) -> None:
    said, noted = served(script, "def on_event(told): ...\ndef on_keepalive(told): ...\n", [told()], [told(KEEPALIVE)])
    assert said == [Through(0, False), Through(0, False)]
    assert noted == 3


def test_exceptions_are_reported_once_per_kind_and_line_and_counted_each_time(script: Path) -> None:
    said, noted = served(
        script,
        "def on_link_opened(told):\n    helped()\ndef helped():\n    raise ValueError('x')\n"
        "def on_keepalive(told):\n    raise ValueError\ndef on_event(told):\n    raise KeyError\n",
        [told(), told()],
        [told(KEEPALIVE), told()],
    )
    first, second, through, third, after = said
    assert (first.text, second.text) == ("on_link_opened, line 4: ValueError: x", "on_event, line 8: KeyError")
    assert third.text == "on_keepalive, line 6: ValueError"
    assert (through, after, noted) == (Through(4, False), Through(8, False), 8)
    lines = first.traceback.split("\n")
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{script}", line 2, in on_link_opened'
    assert lines[-1] == "ValueError: x"


def test_endless_kinds_are_not_all_reported(script: Path) -> None:
    text = "".join(f"def f{number}(): raise ValueError\n" for number in range(MAX_TOLD + 5))
    text += "calls = iter(range(10**6))\ndef on_event(told): globals()[f'f{next(calls)}']()\n"
    said, _ = served(script, text, [told()] * (MAX_TOLD + 5))
    assert sum(isinstance(one, ScriptTrouble) for one in said) == MAX_TOLD
    assert said[-1] == Through(MAX_TOLD + 5, False)


def test_a_script_that_exits_receives_no_more_of_that_batch(script: Path) -> None:
    said, noted = served(
        script,
        "import sys\ndef on_link_opened(told):\n    sys.exit(3)\ndef on_event(told): ...\n",
        [told()] * 3,
        [told()],
    )
    exits = ScriptTrouble("has called sys.exit(), line 3, and gets no more events")
    assert said == [exits, Through(0, True)] * 2  # the tap hands over no second batch
    assert noted == 2


def test_functions_without_a_known_signature_are_called_all_the_same(script: Path) -> None:
    found = loaded(script, "from collections import deque\nseen = deque()\non_event = seen.append\non_ack = max\n")
    assert sorted(found) == ["ack", "event"]


def test_an_error_outside_the_script_is_reported_without_a_line(script: Path) -> None:
    said, _ = served(script, "on_event = int\n", [told()])
    assert said[0].text.startswith("on_event: TypeError: int() argument must be ")


# ---- output and environment ----


def test_output_is_printable_and_immediate() -> None:
    file = io.BytesIO()
    raw: Any = SimpleNamespace(
        closed=False, readable=lambda: False, writable=lambda: True, seekable=lambda: False,
        write=lambda data: file.write(bytes(data)), flush=lambda: None, close=lambda: None,
    )  # fmt: skip
    out = _Printed(raw)
    assert out.write("one\x1b[2J\ntwo \udcff") == len("one\x1b[2J\ntwo \udcff")
    assert file.getvalue() == b"one\\x1b[2J\ntwo \\udcff"
    print("more", file=out)
    assert file.getvalue().endswith(b"more\n")


def test_a_script_has_a_harmless_environment(script: Path) -> None:
    """Its own name, nothing to read, low priority, and no access to the connection with the tap."""
    heard = script.with_name("heard")
    script.write_text(f"""
import gc, json, os, subprocess, sys
inherited = [
    number for number in range(3, 64)
    if os.path.exists(f"/proc/self/fd/{{number}}") and os.get_inheritable(number)
]
same = os.fstat(1).st_ino == os.fstat(2).st_ino
with open({str(heard)!r}, "w") as file:
    json.dump([sys.argv, sys.stdin.read(), os.nice(0), inherited, gc.get_freeze_count(), same], file)
print("printed")
def on_event(told): pass
""")
    one = Script(script)
    one._process.end()
    argv, read, nice, inherited, frozen, same = json.loads(heard.read_text())
    assert (argv, read, inherited, same) == ([str(script)], "", [], True)
    assert nice == min(19, os.nice(0) + NICE)
    assert frozen > 1000


# ---- the process, forked from here: its imports are loaded already ----


class Forked:
    """A process that runs main(), as script.py starts it; its output can be read from said."""

    def __init__(self, path: Path) -> None:
        ours, theirs = socket.socketpair()
        life, self._alive = os.pipe()
        begun, noting = os.pipe()
        said, telling = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            code = 99
            try:
                os.setpgid(0, 0)
                for number, place in ((life, 0), (theirs.fileno(), 1), (telling, 2)):
                    os.dup2(number, place)
                for number in (life, self._alive, begun, said, telling, ours.detach(), theirs.detach()):
                    os.close(number)
                sys.argv = ["-c", str(path), str(noting), "more"]
                main()
                code = 0
            finally:
                os._exit(code)
        for number in (life, noting, telling):
            os.close(number)
        theirs.close()
        self.tap = Connection(ours.detach())
        self.begun = open(begun, "rb", buffering=0)  # noqa: SIM115
        self.said = open(said, "rb", buffering=0)  # noqa: SIM115

    def heard(self) -> Any:
        assert self.tap.poll(WITHIN)
        return message(self.tap.recv_bytes())

    def call(self, event: Event) -> None:
        """Hand it over to functions for all events, and wait for the notes of the calls."""
        batch = [told(event)]
        self.tap.send(batch)
        for _ in calls(batch, {"event"}):
            assert self.begun.read(1) == b"."

    def leave_alone(self) -> None:
        """As when the tap has gone."""
        os.close(self._alive)
        self._alive = -1

    def end(self) -> int:
        """How it ended."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if self._alive >= 0:
            self.leave_alone()
        self.tap.close()
        self.begun.close()
        self.said.close()
        return code


in_a_fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@in_a_fork
def test_a_process_reports_what_it_hears_and_ends_on_request(script: Path) -> None:
    script.write_text("import sys\nprint('loaded', sys.argv[1:])\ndef on_event(told):\n    print(told.event.kind)\n")
    one = Forked(script)
    assert one.heard() == {"event"}
    assert one.said.read(100) == b"loaded []\n"
    for kind in (OPENED, KEEPALIVE):
        one.call(kind)
        assert one.heard() == Through(0, False)
        assert one.said.read(100) == kind.kind.encode() + b"\n"
    one.tap.send([])
    assert one.tap.poll(WITHIN)
    with pytest.raises(EOFError):
        one.tap.recv_bytes()
    assert one.end() == 0


@in_a_fork
def test_an_unusable_script_is_explained_by_its_process_which_ends(script: Path) -> None:
    script.write_text("x = 1\n")
    one = Forked(script)
    assert one.heard() == refused(script, "x = 1\n")
    assert one.end() == 0


@in_a_fork
def test_a_process_whose_tap_has_gone_ends_silently(script: Path) -> None:
    script.write_text("def on_event(told): ...\n")
    one = Forked(script)
    one.heard()
    one.call(OPENED)
    one.heard()
    one.tap.close()
    assert one.said.read(100) == b""
    assert one.end() == 0


@in_a_fork
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next word to the tap ends it")
@pytest.mark.parametrize("busy", ["while True: pass", "import threading; threading.Event().wait()"])
def test_whatever_a_process_does_it_ends_with_the_tap(script: Path, busy: str) -> None:
    script.write_text(f"def on_event(told):\n    {busy}\n")
    one = Forked(script)
    one.heard()
    one.call(OPENED)
    one.leave_alone()
    assert one.end() == -signal.SIGIO


@in_a_fork
def test_a_process_has_nothing_to_read_and_one_place_to_print(script: Path) -> None:
    script.write_text("""
import gc, os, sys
os.write(1, b"1")
os.write(2, b"2")
print("", os.read(0, 9), os.nice(0), gc.get_freeze_count() > 0, file=sys.stderr)
print(os.path.samestat(os.fstat(0), os.stat(os.devnull)))
print(sys.argv)
def on_event(told): ...
""")
    one = Forked(script)
    one.heard()
    nice = min(19, os.nice(0) + NICE)
    one.call(OPENED)
    one.tap.send([])
    first, second, third, _ = b"".join(iter(lambda: one.said.read(1000), b"")).decode().split("\n")
    assert (first, second, third) == (f"12 b'' {nice} True", "True", str([str(script)]))
    assert one.end() == 0


@pytest.mark.parametrize(
    "said",
    [
        "a line \udcff\u202e",
        frozenset({"ack", "event"}),
        frozenset(),
        ScriptTrouble("x"),
        ScriptTrouble("x", "a\nb"),
        Through(7, True),
    ],
)
def test_a_message_comes_as_it_was_sent(said: Any) -> None:
    assert message(packed(said)) == said
    assert type(message(packed(said))) is type(said)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"7", b"null", b"[]", b"{}", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b'{"refused": 7}',
        b'{"events": "ack"}', b'{"events": ["ack", 7]}', b'{"events": [["ack"]]}', b'{"events": ["no_event"]}',
        b'{"text": "x"}', b'{"text": "x", "traceback": 7}', b'{"failures": 1, "is_over": 1}', b'{"failures": "1"}',
    ],
)  # fmt: skip
def test_what_is_not_a_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        message(data)
