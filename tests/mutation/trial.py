"""Tries mutants: each in a process of its own, forked where the tests are imported already.

Most mutants change the code of functions. The process that has collected the tests forks, puts the new code into the
function objects (whoever imported them has them, too), and runs the tests that reach the line. What is run by an import,
as tables, defaults and fields are, needs the import anew: such a mutant is tried in a fork from before it. The changed
module also lies in the file while it is tried, for processes that tests start. A test that takes much longer than it did
without the change has noticed it, and so has one that ends its process, or the one that has collected: the next mutant
is then tried in a fresh one.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import inspect
import os
import resource
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from .mutants import Mutant, mutated

SURVIVED, KILLED, NEEDS_IMPORT = 120, 121, 122  # exit codes of a trial; 0 is what a change may end the process with
MEMORY = 4 << 30  # bytes of address space for a trial: a change that fills the memory ends itself and nobody else
LONGER, AT_LEAST = 5, 5.0  # a test is stopped after so many times its seconds, and so many more
# Without real servers: what only they notice is noticed in minutes, by who has them.
ARGUMENTS = (
    "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", "--tb=no", "-q", "-s", "-m", "not servers"
)  # fmt: skip


class Trials:
    """In the root of a copy of the tree. tests: files or folders that have all tests that will be asked for."""

    def __init__(self, tests: Sequence[str], seconds: dict[str, float]) -> None:
        self._tests = tests
        self._seconds = seconds
        self._collect()

    def _collect(self) -> None:
        self._asking, answering = Pipe()
        self._collected = os.fork()
        if not self._collected:
            self._asking.close()
            os.setpgid(0, 0)
            _silence()
            pytest.main([*ARGUMENTS, *self._tests], plugins=[_Server(answering, self._seconds)])
            os._exit(0)
        answering.close()
        if self._answer() is None:  # before a mutant lies in its file, or the imports would read it
            raise RuntimeError(f"pytest cannot collect {' '.join(self._tests)}")

    def _answer(self) -> int | None:
        """None: the collecting process has ended."""
        try:
            answer: int = self._asking.recv()
        except (EOFError, ConnectionResetError):
            return None
        return answer

    def close(self) -> None:
        self._asking.close()
        os.waitpid(self._collected, 0)

    def survives(self, mutant: Mutant, tests: Sequence[str]) -> bool:
        with _in_its_file(mutant):
            self._asking.send((mutant, tests))
            outcome = self._answer()
            if outcome == NEEDS_IMPORT:
                of_first_file = [test for test in tests if _file_of(test) == _file_of(tests[0])]
                outcome = _forked(lambda: _imported_anew(of_first_file, self._seconds))
                others = [test for test in tests if test not in of_first_file]
                if outcome == SURVIVED and others:
                    outcome = _forked(lambda: _imported_anew(others, self._seconds))
        if outcome is None:
            self.close()
            self._collect()
        return outcome == SURVIVED


class _Server:
    """The plugin of the collecting process: instead of running tests it waits for mutants."""

    def __init__(self, connection: Connection, seconds: dict[str, float]) -> None:
        self._connection = connection
        self._seconds = seconds

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        gc.collect()
        functions = [one for one in gc.get_objects() if type(one) is types.FunctionType]
        gc.freeze()  # a fork copies what a collection touches
        with contextlib.suppress(EOFError):
            self._connection.send(SURVIVED)
            while True:
                mutant, tests = self._connection.recv()
                chosen = [items[test] for test in tests]
                self._connection.send(_forked(lambda: self._tried(mutant, chosen, functions)))  # noqa: B023
        return True

    def _tried(self, mutant: Mutant, items: Sequence[pytest.Item], functions: Sequence[types.FunctionType]) -> int:
        self._connection.close()
        if not _put(mutant, functions):
            return NEEDS_IMPORT
        for item, following in zip(items, [*items[1:], None], strict=True):
            with _limited(self._seconds[item.nodeid]):
                if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
                    return KILLED
        return SURVIVED


class _Limits:
    """The plugin of a process that imports again."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        with _limited(self._seconds[item.nodeid]):
            return (yield)


def _file_of(test: str) -> str:
    return test.partition("::")[0]


def _imported_anew(tests: Sequence[str], seconds: dict[str, float]) -> int:
    with _limited(30):
        code = pytest.main([*ARGUMENTS, "-x", *tests], plugins=[_Limits(seconds)])
    return SURVIVED if code == pytest.ExitCode.OK else KILLED


def _forked(trial: Callable[[], int]) -> int:
    """Returns the outcome; whatever ends the process is a kill, and everything it started ends with it."""
    process = os.fork()
    if not process:
        code = KILLED
        try:
            os.setpgid(0, 0)
            os.nice(1)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
            _silence()
            code = trial()
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else KILLED


def _silence() -> None:
    with open(os.devnull, "r+b") as null:
        for stream in range(3):
            os.dup2(null.fileno(), stream)


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End this process when it takes much longer, with a signal that nothing handles."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds * LONGER + AT_LEAST)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def _in_its_file(mutant: Mutant) -> Iterator[None]:
    path = Path(mutant.path)
    source = path.read_text()
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_text(ast.unparse(mutated(source, mutant.number)))
    (path.parent / f"{path.stem}.original").write_text(source)
    try:
        yield
    finally:
        path.write_text(source)
        (path.parent / f"{path.stem}.original").unlink()


# ---- new code in old functions ----


def _put(mutant: Mutant, functions: Sequence[types.FunctionType]) -> bool:
    """Whether all changes are code of functions, and are in them now."""
    path = Path(mutant.path)
    source = (path.parent / f"{path.stem}.original").read_text()
    name = str(path.resolve())
    if not any(getattr(module, "__file__", None) == name for module in list(sys.modules.values())):
        return True  # imported by those who need it, from the changed file
    old = compile(source, name, "exec", dont_inherit=True)
    new = compile(mutated(source, mutant.number), name, "exec", dont_inherit=True)
    changed = changed_functions(old, new)
    if changed is None:
        return False
    found = False
    for function in functions:
        code = function.__code__
        if code.co_filename != name:
            continue
        for before, after in changed:
            if before == code and before.co_firstlineno == code.co_firstlineno:
                if before.co_freevars != after.co_freevars:
                    return False
                function.__code__ = after
                found = True
    return found


def changed_functions(old: types.CodeType, new: types.CodeType) -> list[tuple[types.CodeType, types.CodeType]] | None:
    """The code of each function that differs, old and new. None: code run by an import differs, too."""
    inside = [[const for const in code.co_consts if isinstance(const, types.CodeType)] for code in (old, new)]
    is_function = bool(old.co_flags & inspect.CO_OPTIMIZED)
    if not is_function and _own(old) != _own(new):
        return None
    changed = [(old, new)] if is_function and old != new else []
    if len(inside[0]) == len(inside[1]):
        for before, after in zip(*inside, strict=True):
            more = changed_functions(before, after)
            if more is None:
                return None
            changed += more
    return changed


def _own(code: types.CodeType) -> tuple[object, ...]:
    consts = tuple(repr(const) for const in code.co_consts if not isinstance(const, types.CodeType))
    return code.co_code, consts, code.co_names
