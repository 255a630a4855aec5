"""The public door: what `import tap` offers, that all of it is documented, and that nothing is loaded before its use."""

from __future__ import annotations

import re
import subprocess
import sys
import types

import pytest

import tap
from tests.support import ROOT
from tests.test_pages import first_cells, table


def test_every_public_name_exists() -> None:
    for name in tap.__all__:
        assert getattr(tap, name) is not None


def test_every_public_name_has_a_line_in_the_reference_and_nothing_else_has() -> None:
    rows = table("docs/reference/python.md", "| `from tap import` | is |")
    assert sorted(re.findall(r"`(\w+)`", first_cells(rows))) == sorted(tap.__all__)


def test_nothing_else_is_public_at_the_top() -> None:
    assert {name for name in dir(tap) if not name.startswith("__")} == set(tap.__all__) - {"__version__"}
    others = {name for name, value in vars(tap).items() if name[0] != "_" and not isinstance(value, types.ModuleType)}
    assert others <= set(tap.__all__)


@pytest.mark.parametrize("module", ["errors", "export", "faults", "operate", "rdb", "recording", "replay", "servers"])
def test_every_public_module_declares_its_public_names(module: str) -> None:
    for name in getattr(tap, module).__all__:
        assert getattr(getattr(tap, module), name) is not None


def test_importing_the_package_loads_nothing_of_it() -> None:
    """The process of a user's script imports it, too, and should be small."""
    code = "import sys, tap; dir(tap); print(*(name for name in sys.modules if name.startswith('tap.')))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split() == ["tap.claims"]


def test_a_star_imports_all_of_it() -> None:
    code = "from tap import *; print(Tap, Told, events.FullResync, replay.ReplayMaster, servers.Server)"
    assert subprocess.check_output([sys.executable, "-W", "error", "-c", code], text=True, cwd=ROOT)


def test_a_name_from_elsewhere_is_no_attribute_and_importing_it_says_where_it_is() -> None:
    assert not hasattr(tap, "Server")
    assert not hasattr(tap, "FullResync")
    with pytest.raises(ImportError, match=r"^Server is in tap\.servers: from tap\.servers import Server$"):
        exec("from tap import Server")
