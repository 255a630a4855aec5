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
    """Sources alone."""
    for name in ("tap", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    return tmp_path


def said(where: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(where), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *words], cwd=where, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize(("declares", "file"), [("Config", "config.py"), ("LinkConfig", "link_config.py")])
def test_an_option_is_added_in_one_file(copy: Path, declares: str, file: str) -> None:
    (declaration,) = re.findall(r"```py\n(.*?)```", STEPS.split("## Add an option")[1], re.DOTALL)
    config = copy / "tap" / file
    before, name, body = config.read_text().partition(f"\nclass {declares}:")
    field = textwrap.indent(textwrap.dedent(declaration), "    ")
    before = before.replace("\nfrom tap", "\nfrom tap.units import parse_duration\nfrom tap", 1)
    config.write_text(before + name + body.replace("    def __post_init__", f"{field}\n    def __post_init__", 1))

    said(copy, "-m", "tests.declared")
    assert "`--idle-after TIME` | `idle_after`" in (copy / "docs" / "reference" / "options.md").read_text()
    assert "idle_after: float | str | None" in (copy / "tap" / "keywords.py").read_text()
    assert re.search("--idle-after +TIME +Report a link as idle", said(copy, "-m", "tap", "run", "--help"))
    key = 'idle_after = "5m"'
    above, below = (key, "") if declares == "Config" else ("", key)
    (copy / "tap.toml").write_text(f'{above}\n[links.a]\nmaster = "h:1"\n{below}\n')
    holder = "" if declares == "Config" else ".links[0]"
    code = (
        "import pathlib, tap; from tap.config_file import load; "
        "python, file = tap.Tap('h:1', idle_after='5m').config, load(pathlib.Path('tap.toml')); "
        f"print(python{holder}.idle_after, file{holder}.idle_after)"
    )
    assert said(copy, "-c", code) == "300.0 300.0\n"
    code = "from tap.cli import main, run; run.Tap = lambda wanted: sys.exit(print(wanted)); main()"
    typed = ["run", "--master", "h:1", "--ui", "none", "--idle-after", "5m"]
    assert "idle_after=300.0" in said(copy, "-c", f"import sys, tap.cli.run; {code}", *typed)
