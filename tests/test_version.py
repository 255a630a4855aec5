"""The version."""

from __future__ import annotations

import tomllib

import tap
from tap.version import version
from tests.support import ROOT


def test_the_version_is_that_of_the_project() -> None:
    assert version() == tap.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
