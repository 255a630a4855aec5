"""The page of faults, docs/reference/faults.md, from the faults' own declarations.

`make docs` writes it; tests/test_pages.py compares the two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from tap.console import fault_table
from tap.faults.at import PLACES
from tap.faults.kinds import KINDS
from tap.faults.parameters import parameters
from tap.faults.scope import Scope
from tap.faults.when import When
from tests.support import ROOT

PAGE = ROOT / "docs" / "reference" / "faults.md"

_HEAD = """\
# Faults

<!-- Written by `make docs` from the declarations of the faults. Change those, not this page. -->

A fault is written as its name, its own parameters, and any of those below it: `cut at=rdb:50% mode=reset`. A parameter in
brackets may go without its name. `redis-tap faults` and `redis-tap faults NAME` print the same. A TIME and a SIZE
[need their unit](options.md#times-and-sizes). [Test](../test.md#faults) introduces faults with examples.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, _overview(), *(_one(about) for about in fault_table.as_dicts())]
    parts += ["## When\n\nWith none of these, a fault acts at once.\n", _parameters(parameters(When))]
    parts += ["## Places\n\nFor `at=`. A range such as `rdb:10%..90%` draws a place from the seed.\n", _places()]
    parts += ["## Where, how often, how long\n", _parameters(parameters(Scope))]
    return "\n".join(parts)


def _overview() -> str:
    rows = [(f"[`{about['fault']}`](#{about['fault']})", _escaped(about["does"])) for about in fault_table.as_dicts()]
    return _table(("fault", "does"), rows)


def _one(about: Mapping[str, Any]) -> str:
    kind = KINDS[about["fault"]]
    said = [f"## {about['fault']}\n", f"{about['does']}\n", f"For example `{about['example']}`.\n"]
    if parameters(kind):
        said.append(_parameters(parameters(kind)))
    once = "It fires once" if kind.once else "It goes on"
    takes = [f"`{name}`" for name in parameters(When) if name in kind.takes]
    when = f", and can be triggered by {', '.join(takes)}" if takes else ""
    said.append(f"{once} unless `times=` says otherwise{when}.\n")
    if about["destructive"]:
        said.append(f"{about['destructive']}\n")
    return "\n".join(said)


def _places() -> str:
    return _table(("place", "is"), ((f"`{name}`", _escaped(does)) for name, does in PLACES.items()))


def _parameters(fields: Mapping[str, dataclasses.Field[Any]]) -> str:
    rows = []
    for name, field in fields.items():
        takes = field.metadata["takes"].replace("|", "&#124;")  # renderers disagree about \| in backticks
        named = f"[{name}=]" if field.metadata["positional"] else f"{name}="
        rows.append((f"<code>{named}{takes}</code>", _escaped(field.metadata["does"]), _default(field)))
    return _table(("parameter", "does", "default"), rows)


def _default(field: dataclasses.Field[Any]) -> str:
    default = field.default
    if default is None or default == "":
        return ""
    if field.metadata["takes"] == "SIZE":
        return f"`{default}b`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page())
