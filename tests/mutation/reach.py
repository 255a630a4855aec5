"""A pytest plugin: which tests run which lines of the package, and how long each takes. Only those that pass count."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

SLOWEST = 5.0  # seconds; a test that takes longer is left out
OUTPUT, ROOM = "MUTATION_REACH", "MUTATION_ROOM"  # the variables that name the file to write, and the room to look at


@dataclass(frozen=True)
class Reach:
    """seconds: of each test that passed. tests: by file and line, those that ran it."""

    seconds: dict[str, float]
    tests: dict[str, dict[int, frozenset[str]]]

    def of(self, path: str, lines: tuple[int, int], in_function: bool) -> set[str]:
        """Tests that ran one of these lines; lines run by an import belong to all tests that ran any of the module."""
        ran = self.tests.get(path, {})
        if not in_function:
            return set().union(*ran.values())
        return set().union(*(ran.get(line, ()) for line in range(lines[0], lines[1] + 1)))


class _TooSlow(BaseException):
    """Not an Exception: hypothesis would look for a smaller example."""


def _too_slow(*_: object) -> None:
    raise _TooSlow


class Recorder:
    def __init__(self, output: Path, room: str) -> None:
        self._output = output
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: set[str] = set()
        self._coverage = coverage.Coverage(data_file=None, source=[f"tap/{room}"], messages=False, config_file=False)
        self._coverage.set_option("run:disable_warnings", ["module-not-measured", "no-data-collected"])

    def pytest_sessionstart(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        signal.signal(signal.SIGPROF, _too_slow)
        signal.setitimer(signal.ITIMER_PROF, SLOWEST)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        root = Path.cwd()
        tests = {}
        for file in data.measured_files():
            by_line = data.contexts_by_lineno(file)
            tests[str(Path(file).relative_to(root))] = {
                line: [name for name in names if name and name not in self._failed] for line, names in by_line.items()
            }
        passed = {name: seconds for name, seconds in self._seconds.items() if name not in self._failed}
        unfinished = self._output.with_suffix(".unfinished")  # so that an interrupted run leaves no partial file
        unfinished.write_text(json.dumps({"seconds": passed, "tests": tests}))
        unfinished.replace(self._output)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(Path(os.environ[OUTPUT]), os.environ[ROOM]))


def read(outputs: Iterable[Path]) -> Reach:
    seconds: dict[str, float] = {}
    tests: dict[str, dict[int, frozenset[str]]] = defaultdict(lambda: defaultdict(frozenset))
    for output in outputs:
        found = json.loads(output.read_text())
        seconds.update(found["seconds"])
        for path, by_line in found["tests"].items():
            for line, names in by_line.items():
                tests[path][int(line)] |= frozenset(names)
    return Reach(seconds, tests)
