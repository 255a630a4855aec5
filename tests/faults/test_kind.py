"""Each kind of fault as a person writes it."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tap.console import fault_table
from tap.errors import ConfigError
from tap.faults import kinds, parse
from tap.faults.kinds import KINDS, NAMES
from tap.replication.events import Side
from tests.faults.lab import Lab
from tests.support import ROOT


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_example_of_each_fault_is_valid(kind: type) -> None:
    fault = parse(kind.example)  # type: ignore[attr-defined]
    assert type(fault.what) is kind
    assert parse(fault.spec) == fault
    assert fault.what.wrong(fault.when, fault.scope) == ""


def test_every_kind_is_registered_by_its_name_and_documented() -> None:
    assert all(what.kind == name for name, what in KINDS.items())
    files = {path.stem for path in (ROOT / "tap" / "faults" / "kinds").glob("*.py")} - {"__init__"}
    assert files == {name.replace("-", "_") for name in NAMES}
    assert list(KINDS) == list(NAMES)
    for what in KINDS.values():
        assert what.__doc__
        assert what.takes <= {"at", "command", "key", "request", "reply", "edge", "nth", "every", "during"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("drop ack", "target: 'ack'; allowed: acks, pings, keepalives or a size, as 100b. Did you mean 'acks'?"),
        ("drop 0b", "target: "),
        ("rewrite ack=100b", "ack: '100b'; allowed: freeze, or + or - and a size, as -100b"),
        ("refuse shut", "mode: 'shut'; allowed: refuse, close, blackhole"),
        ("corrupt mask=0x100", "mask: "),
        ("corrupt bytes=0", "bytes: "),
    ],
)
def test_an_impossible_value_is_reported_with_its_parameter(spec: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(spec)
    assert said in str(caught.value)


def test_those_that_change_a_streams_bytes_say_that_they_damage() -> None:
    """A scenario expects less of a pair once such a fault was armed."""
    assert {name for name, kind in KINDS.items() if parse(kind.example).what.damages} == {
        "drop",
        "duplicate",
        "reorder",
        "corrupt",
        "truncate",
        "lose",
    }


def test_a_kind_is_added_as_contributing_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the test of its steps, with the name in the list: a spec arms it, and the reference has it."""
    steps = (ROOT / "CONTRIBUTING.md").read_text().split("## Add a fault")[1].split("\n## ")[0]
    kind, test = (textwrap.dedent(block) for block in re.findall(r" *```python\n(.*?) *```", steps, re.DOTALL))
    (tmp_path / "repeat_newline.py").write_text(kind)
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(tmp_path)])
    monkeypatch.setitem(KINDS, "repeat-newline", kinds.load("repeat-newline"))
    scope: dict[str, Any] = {}
    exec(compile(test, "CONTRIBUTING.md", "exec"), scope)
    tests = [name for name in scope if name.startswith("test_")]
    assert tests
    for name in tests:
        scope[name]()
    assert parse(KINDS["repeat-newline"].example).spec in [about["example"] for about in fault_table.as_dicts()]
    with pytest.raises(ConfigError, match="unknown parameter 'at' of repeat-newline"):
        parse("repeat-newline at=rdb")
    del sys.modules["tap.faults.kinds.repeat_newline"]


@pytest.mark.parametrize(
    ("spec", "doing"),
    [
        ("delay 1ms", "delaying"),
        ("throttle 1kb/s", "throttling"),
        ("slice", "slicing"),
        ("stall", "stalled"),
        ("slow-close 1s", "closing slowly"),
        ("mute", "muted"),
        ("reset", "resetting"),
        ("limit 1b", "limited"),
        ("lose 1%", "losing"),
    ],
)
@pytest.mark.parametrize(
    ("scope", "where"),
    [("", "both directions"), ("from=master", "from the master"), ("from=replica", "from the replica")],
)
def test_an_effect_that_lasts_says_what_it_does_and_in_which_direction(
    spec: str, doing: str, scope: str, where: str
) -> None:
    lab = Lab(f"{spec} {scope}")
    (fired,) = lab.fired
    assert (fired.text, fired.bytes, fired.position) == (f"{doing}, {where}", 0, 0)
    assert fired.side is (Side.REPLICA if "replica" in scope else Side.MASTER)


def test_effects_that_do_not_last_have_no_name_for_it() -> None:
    assert {name for name, kind in KINDS.items() if parse(kind.example).what.doing} == {
        "delay",
        "throttle",
        "slice",
        "stall",
        "slow-close",
        "mute",
        "reset",
        "limit",
        "lose",
    }
