"""The process of a script: it loads the file, and calls its functions with the events that the tap hands over.

The tap's half is script.py. Their messages have a connection of their own, and are pickled by the tap and JSON from here:

    from the script      the events that it has functions for, or in one line why it is refused
    from the tap         a batch of events, list[Told]; an empty one at the end
    from the script      ScriptTrouble, as soon as a call fails; then Through, once all calls have returned

Before each call the script's process writes a byte into a pipe. It tells the tap which call does not return.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import inspect
import io
import json
import os
import sys
import traceback
import types
from collections.abc import Callable, Collection, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from tap.bus import Told
from tap.errors import ConfigError, did_you_mean
from tap.printable import one_line
from tap.replication import events

PREFIX = "on_"
NICE = 5  # a script that computes leaves the processor to the tap and to the servers, where there are few
MAX_TOLD = 100  # failures to report with a traceback; each type and line is reported once

KINDS = {*events.EVENTS, events.Event.kind}  # on_event receives all events

Function = Callable[[Told], object]


class ScriptTrouble(NamedTuple):
    """As in ObserverTrouble."""

    text: str
    traceback: str | None = None


class Through(NamedTuple):
    """failures: of all calls so far. is_over: the script receives no more events."""

    failures: int
    is_over: bool


Message = str | frozenset[str] | ScriptTrouble | Through


def packed(said: Message) -> bytes:
    """A message to the tap, as JSON. Unpickled there, it could call whatever it likes, and damage what it does not."""
    match said:
        case str():
            fields: dict[str, Any] = {"refused": said}
        case frozenset():
            fields = {"events": sorted(said)}
        case _:
            fields = said._asdict()
    return json.dumps(fields).encode()


def message(data: bytes) -> Message:
    """What packed() made. Raises ValueError for anything else: whatever the script runs can write to the connection."""
    try:
        said = json.loads(data)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    match said:
        case {"refused": str() as text}:
            return text
        case {"events": list() as names} if all(isinstance(name, str) for name in names) and KINDS.issuperset(names):
            return frozenset(names)
        case {"text": str() as text, "traceback": str() | None as trace}:
            return ScriptTrouble(text, trace)
        case {"failures": int() as failures, "is_over": bool() as is_over}:
            return Through(failures, is_over)
    raise ValueError("not a message")


def calls(batch: list[Told], kinds: Collection[str]) -> Iterator[tuple[int, str]]:
    """The calls that a batch leads to, in order: the index of an event, and the name of the function without on_."""
    for index, told in enumerate(batch):
        for kind in (told.event.kind, events.Event.kind):
            if kind in kinds:
                yield index, kind


def load(path: Path) -> dict[str, Function]:
    """Run the file; its functions for events, by the event's name. Raises ConfigError."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    module = types.ModuleType(f"redis-tap script {path}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look for it
    sys.path.append(str(path.absolute().parent))  # for what it imports from beside it
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102
    except SyntaxError as error:
        raise ConfigError(f"{error.filename or path}{_line(error.lineno)}: {error.msg}") from None
    except SystemExit as error:
        raise ConfigError(f"{path}{_line(_line_in(path, error))}: it calls sys.exit() while it is loaded") from None
    except Exception as error:
        raise ConfigError(f"{path}{_line(_line_in(path, error))}: {last_line(error)}") from None
    functions = {
        name.removeprefix(PREFIX): value
        for name, value in vars(module).items()
        if name.startswith(PREFIX) and callable(value)
    }
    for kind, function in functions.items():
        _check(path, kind, function)
    if not functions:
        raise ConfigError(f"{path}: it has no function for an event: write def on_full_resync(told), or on_event for all")
    return functions


def _check(path: Path, kind: str, function: Function) -> None:
    name = PREFIX + kind
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise ConfigError(f"{path}: {name}: unknown event {kind!r}; known: {known}.{did_you_mean(kind, KINDS)}")
    if inspect.iscoroutinefunction(function):
        raise ConfigError(
            f"{path}: {name} is async; it is called in a process of its own and may block: write def {name}"
        )
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise ConfigError(f"{path}: {name} has to take one argument, as def {name}(told)") from None
    except ValueError:  # its signature is unknown: it is written in C, as are int and the append of a deque
        pass


def _line(number: int | None) -> str:
    return "" if number is None else f", line {number}"


def _line_in(path: Path, error: BaseException) -> int | None:
    """The line of the file that raised the error, or made the call that did."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)


def last_line(error: BaseException) -> str:
    """The error in one line, as at the end of a traceback."""
    return " ".join(traceback.format_exception_only(error)[-1].split())


def main() -> None:
    """The process. Arguments: the file, and the descriptor for a byte before each call."""
    path, begun = Path(sys.argv[1]), int(sys.argv[2])
    sys.argv[:] = [str(path)]
    os.set_inheritable(begun, False)
    tap = _connected()
    os.nice(NICE)
    gc.freeze()  # otherwise nine tenths of Python's work at exit is to collect what was imported here
    with contextlib.suppress(EOFError, ConnectionError):  # the tap has gone
        try:
            functions = load(path)
        except ConfigError as error:
            tap.send_bytes(packed(str(error)))
        else:
            tap.send_bytes(packed(frozenset(functions)))
            _serve(tap, path, functions, begun)


class _Printed(io.TextIOWrapper):
    """The output of a script: it may go to a terminal, and contain the name of a key."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__(io.BufferedWriter(file), errors="backslashreplace", line_buffering=True)

    def write(self, text: str) -> int:
        super().write("\n".join(map(one_line, text.split("\n"))))
        return len(text)


def _connected() -> Connection:
    """Take over the descriptors that the tap passed as stdin and stdout, and give the script harmless ones instead."""
    lifeline, connection = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) for number in (0, 1))
    null = os.open(os.devnull, os.O_RDWR)  # becomes 2 if the tap has no stderr
    os.dup2(null, 0)
    os.dup2(2, 1)  # on the tap's stdout there may be nothing but JSON
    sys.stdout = sys.stderr = _Printed(io.FileIO(2, "w", closefd=False))
    # The other end is open for as long as the tap lives. Then Linux sends SIGIO, which ends this process and those that
    # it forks, whatever they are doing; where that is ignored, as on macOS, the next word to the tap does.
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    return Connection(connection)


def _serve(tap: Connection, path: Path, functions: dict[str, Function], begun: int) -> None:
    failures, is_over = 0, False
    told: set[tuple[type[BaseException], int | None]] = set()
    while batch := tap.recv():
        for index, kind in calls(batch, functions):
            os.write(begun, b".")
            try:
                functions[kind](batch[index])
            except SystemExit as error:
                is_over = True
                said = f"has called sys.exit(){_line(_line_in(path, error))}, and gets no more events"
                tap.send_bytes(packed(ScriptTrouble(said)))
                break
            except BaseException as error:
                failures += 1
                number = _line_in(path, error)
                if (type(error), number) not in told and len(told) < MAX_TOLD:
                    told.add((type(error), number))
                    tap.send_bytes(packed(_failure(PREFIX + kind, number, error)))
        tap.send_bytes(packed(Through(failures, is_over)))


def _failure(name: str, number: int | None, error: BaseException) -> ScriptTrouble:
    assert error.__traceback__ is not None
    # without the frame that is ours
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__.tb_next)).rstrip()
    return ScriptTrouble(f"{name}{_line(number)}: {last_line(error)}", trace)
