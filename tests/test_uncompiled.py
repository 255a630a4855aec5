"""The environment variable that makes every compiled module run as its source."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.running import TAP
from tests.support import ROOT
from tests.test_rooms import files

# A module says in its first line that it is compiled, and nowhere else.
COMPILED = sorted(name for name, path in files().items() if path.read_text().startswith("# cython:"))


def said(*command: str, variable: str) -> str:
    environment = os.environ | {"REDIS_TAP_PURE_PYTHON": variable}
    return subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT, env=environment).stdout


def test_each_compiled_module_is_imported_from_its_source() -> None:
    assert "tap.replication.scanner" in COMPILED
    code = f"import importlib; print(*[importlib.import_module(name).__file__ for name in {COMPILED}], sep='\\n')"
    found = said(sys.executable, "-c", code, variable="1").split()
    assert len(found) == len(COMPILED)
    assert all(file.endswith(".py") for file in found)


@pytest.mark.parametrize(("variable", "is_pure"), [("1", True), ("0", False), ("", False)])
def test_the_version_says_so(variable: str, is_pure: bool) -> None:
    usual = said(*TAP, "--version", variable="")
    assert said(*TAP, "--version", variable=variable) == (
        usual.replace("(scanners compiled)", "(scanners not compiled)") if is_pure else usual
    )


@pytest.mark.parametrize("options", [[], ["--stats"]])
def test_a_recording_reads_the_same(options: list[str]) -> None:
    show = [*TAP, "show", str(ROOT / "fixtures" / "captures" / "replica-whole.pcap"), "--format", "json", *options]
    assert said(*show, variable="1") == said(*show, variable="") != ""


def test_groups_of_keys_are_the_same() -> None:
    code = (
        "import random; from tap.key_groups import KeyGroups; groups = KeyGroups(); dice = random.Random(1);"
        "groups.add([((0, ''.join(dice.choice('abc1:.-{}') for _ in range(dice.randrange(40))).encode()), 1 + n % 50)"
        " for n in range(20_000)]); print(groups.table(50), len(groups))"
    )
    assert said(sys.executable, "-c", code, variable="1") == said(sys.executable, "-c", code, variable="") != ""
