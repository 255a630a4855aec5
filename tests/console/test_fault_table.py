"""The reference of faults: made from their fields, so that it is complete."""

from __future__ import annotations

import dataclasses

import pytest
from rich.console import RenderableType

from tap.console import fault_table
from tap.console.terminal import Terminal
from tap.faults.at import PLACES
from tap.faults.kinds import KINDS
from tap.faults.parameters import parameters
from tap.faults.scope import Scope
from tap.faults.spec import parse
from tap.faults.when import When


def shown(what: RenderableType) -> str:
    console = Terminal(width=300, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_the_overview_has_every_kind_every_place_and_every_parameter_that_all_share() -> None:
    said = shown(fault_table.overview())
    for kind in KINDS.values():
        assert kind.example in said
    for place in PLACES:
        assert f"  {place} " in said
    for name in (*parameters(When), *parameters(Scope)):
        assert f"{name}=" in said


@pytest.mark.parametrize("name", KINDS)
def test_the_page_of_a_fault_has_its_own_parameters_and_only_the_triggers_it_takes(name: str) -> None:
    kind = KINDS[name]
    said = shown(fault_table.one(kind))
    assert f'--fault "{kind.example}"' in said
    for parameter in parameters(kind):
        assert f"{parameter}=" in said
    for parameter in parameters(When):
        takes = parameter in kind.takes or parameter in ("after", "probability")
        assert (f"  {parameter}=" in said) == takes, parameter
    assert ("Places for at=" in said) == ("at" in kind.takes)
    assert f"[default: {'1' if kind.once else 'all'}]" in said


def test_for_programs_each_kind_is_an_object_and_its_example_can_be_typed() -> None:
    found = {one["fault"]: one for one in fault_table.as_dicts()}
    assert list(found) == list(KINDS)
    for name, one in found.items():
        assert type(parse(one["example"]).what).kind == name
        assert len(one["parameters"]) == sum("takes" in field.metadata for field in dataclasses.fields(KINDS[name]))
        assert one["does"]


def test_destructive_faults_are_marked_and_no_others() -> None:
    warned = {one["fault"] for one in fault_table.as_dicts() if one["destructive"]}
    assert warned == {"corrupt", "drop", "truncate", "answer", "rewrite", "lose"}
    for one in fault_table.as_dicts():
        if one["destructive"]:
            spec = one["destructive"].removeprefix("Destructive, and only with --destructive: ").partition(": ")[0]
            assert parse(spec).destructive
