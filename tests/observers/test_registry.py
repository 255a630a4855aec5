"""The observers that a configuration asks for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tap.config import Config
from tap.observers.observer import Observer
from tap.observers.registry import OBSERVERS, configured
from tap.observers.script import Script
from tap.observers.statsd import StatsD
from tests.support import ROOT


def test_a_default_configuration_asks_for_none() -> None:
    assert configured(Config(links="127.0.0.1:1")) == []


@pytest.mark.parametrize(("ui", "on_screen"), [("live", True), ("log", False)])
def test_each_observer_has_its_option(monkeypatch: pytest.MonkeyPatch, ui: str, on_screen: bool) -> None:
    made = []

    class Made(Script):
        def __init__(self, path: Path, *, on_screen: bool = False) -> None:
            made.append((path, on_screen))

    monkeypatch.setattr("tap.observers.script.Script.__init__", Made.__init__)
    statsd, script = configured(Config(links="127.0.0.1:1", statsd="10.0.0.7", script="alert.py", ui=ui))  # type: ignore[arg-type]
    assert isinstance(statsd, StatsD)
    assert statsd.name == "statsd 10.0.0.7:8125"
    assert isinstance(script, Script)
    assert made == [(Path("alert.py"), on_screen)]


def test_every_observer_of_the_room_is_registered() -> None:
    """Its class is in a file of its own, and creates itself."""
    owners = {make.__self__ for make in OBSERVERS}  # type: ignore[attr-defined]
    assert owners == {one for one in Observer.__subclasses__() if one.__module__.startswith("tap.")}
    assert len({owner.__module__ for owner in owners}) == len(owners)


def test_nothing_but_the_registry_names_an_observer() -> None:
    modules = {make.__self__.__module__ for make in OBSERVERS}  # type: ignore[attr-defined]
    naming = set()
    for path in (ROOT / "tap").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                naming.add(str(path.relative_to(ROOT / "tap")))
    assert naming == {"observers/registry.py"}
