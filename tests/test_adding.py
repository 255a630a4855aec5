"""The steps of CONTRIBUTING.md, taken in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support import ROOT

STEPS = (ROOT / "CONTRIBUTING.md").read_text()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Sources, and what Python has made of them: without that, each process would spend seconds on it."""
    for name in ("tap", "tests", "docs"):
        left_out = shutil.ignore_patterns("*.so", "*.c", "*.pyc.*")  # the last: what other processes are just writing
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    return tmp_path


def examples(section: str) -> list[str]:
    """The blocks of code in a section."""
    text = STEPS.split(f"## {section}\n")[1].split("\n## ")[0]
    return [textwrap.dedent(code) for code in re.findall(r"```py\n(.*?)```", text, re.DOTALL)]


def declare(file: Path, cls: str, declaration: str) -> None:
    """Add an option to a class."""
    before, name, body = file.read_text().partition(f"\nclass {cls}:")
    field = textwrap.indent(declaration, "    ")
    before = before.replace("\nfrom tap", "\nfrom tap.units import parse_duration\nfrom tap", 1)
    file.write_text(before + name + body.replace("    def __post_init__", f"{field}\n    def __post_init__", 1))


def said(where: Path, *words: str) -> str:
    # The copy has no servers, and the tests that run in it need none.
    environment = os.environ | {"PYTHONPATH": str(where), "COLUMNS": "200", "REDIS_TAP_REQUIRED_SERVERS": ""}
    done = subprocess.run(
        [sys.executable, *words], cwd=where, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("declares", "file"),
    [("Config", "config.py"), ("LinkConfig", "link_config.py")],
)
def test_an_option_is_added_in_one_file(copy: Path, declares: str, file: str) -> None:
    (declaration,) = examples("Add an option")
    declare(copy / "tap" / "config" / file, declares, declaration)
    said(copy, "-m", "tests.declared")
    assert "`--idle-after TIME` | `idle_after`" in (copy / "docs" / "reference" / "options.md").read_text()
    assert "idle_after: float | str | None" in (copy / "tap" / "config" / "keywords.py").read_text()
    assert re.search("--idle-after +TIME +Report a link as idle", said(copy, "-m", "tap", "run", "--help"))
    key = 'idle_after = "5m"'
    above, below = (key, "") if declares == "Config" else ("", key)
    (copy / "tap.toml").write_text(f'{above}\n[links.a]\nmaster = "h:1"\n{below}\n')
    holder = "" if declares == "Config" else ".links[0]"
    code = (
        "import pathlib, tap; from tap.config.file import load; "
        "python, file = tap.Tap('h:1', idle_after='5m').config, load(pathlib.Path('tap.toml')); "
        f"print(python{holder}.idle_after, file{holder}.idle_after)"
    )
    assert said(copy, "-c", code) == "300.0 300.0\n"
    code = "from tap.cli import main, run; run.Tap = lambda wanted: sys.exit(print(wanted)); main()"
    typed = ["run", "--master", "h:1", "--ui", "none", "--idle-after", "5m"]
    assert "idle_after=300.0" in said(copy, "-c", f"import sys, tap.cli.run; {code}", *typed)


PUBLISHES = """
import asyncio, sys
from tap import Tap, events

async def main():
    async with Tap("127.0.0.1:1", {option}) as tap:
        reason = events.Reason(code="first_sync", text="it is new")
        resync = events.FullResync(start=0, end=1, replid="a" * 40, offset=7, reason=reason)
        tap.bus.publish("main", 1, "10.0.0.7:6379", resync)

{imports}
asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.slow
def test_an_observer_is_added_in_one_file_a_line_and_an_option(copy: Path) -> None:
    module, declaration = examples("Add an observer")
    (copy / "tap" / "observers" / "resync_log.py").write_text(module)
    log = copy / "resyncs.log"
    own = PUBLISHES.format(
        option=f"observers=[ResyncLog(Path({str(log)!r}))]",
        imports="from pathlib import Path\nfrom tap.observers.resync_log import ResyncLog",
    )
    said(copy, "-c", own)
    assert log.read_text().endswith(" main 10.0.0.7:6379 it is new\n")

    registry = copy / "tap" / "observers" / "registry.py"
    head = "from tap.observers.resync_log import ResyncLog\n"
    line = "    ResyncLog.configured,\n"
    registry.write_text(
        registry.read_text()
        .replace("from tap.observers.script import", f"{head}from tap.observers.script import")
        .replace("    Script.configured,\n", f"{line}    Script.configured,\n")
    )
    declare(copy / "tap" / "config" / "config.py", "Config", declaration)
    said(copy, "-m", "tests.declared")
    assert "--resync-log FILE" in (copy / "docs" / "reference" / "options.md").read_text()
    said(copy, "-c", PUBLISHES.format(option=f"resync_log={str(log)!r}", imports=""))
    assert len(log.read_text().splitlines()) == 2
    said(
        copy,
        "-m",
        "tap",
        "run",
        "--master",
        "127.0.0.1:1",
        "--ui",
        "none",
        "--duration",
        "100ms",
        "--resync-log",
        str(log),
    )
    checked = said(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/observers/test_registry.py")
    assert "passed" in checked
