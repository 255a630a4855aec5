"""`redis-tap faults`: every fault and trigger, with parameters, units, defaults and an example."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from tap.console.terminal import Words, stacked
from tap.faults.at import PLACES
from tap.faults.kind import Kind
from tap.faults.kinds import KINDS
from tap.faults.parameters import parameters
from tap.faults.scope import Scope
from tap.faults.spec import parse
from tap.faults.when import When

_UNITS = (
    "TIME is a number with us, ms, s, m, h or d, SIZE a number with b, kb, mb or gb (powers of 1024). Only 0 needs "
    "no unit."
)


def overview() -> RenderableType:
    """Every fault and trigger in one listing."""
    return Group(
        _kinds(),
        _heading("When it fires; at once if none of these is given"),
        _table(parameters(When)),
        *_places(),
        _heading("Where, how often, how long"),
        _table(parameters(Scope)),
        *_note(_UNITS),
        *_note("Destructive faults end a server process; redis-tap faults NAME says when and describes one fully."),
    )


def one(kind: type[Kind]) -> RenderableType:
    """One fault with its parameters."""
    when = {name: field for name, field in parameters(When).items() if name in kind.takes}
    when |= {name: field for name, field in parameters(When).items() if name in ("after", "probability")}
    return Group(
        Words.assemble((kind.kind, "bold"), f": {_does(kind)}"),
        *_note(f"  redis-tap run --master HOST:PORT --fault {quoted(kind.example)}"),
        Words(),
        _table(parameters(kind)),
        _heading("When"),
        _table(when),
        *(_places() if "at" in when else ()),
        _heading("Where, how often, how long"),
        _table(parameters(Scope), times="1" if kind.once else "all"),
        *_note(_UNITS),
        *(_note(_warning(kind), "red") if _warning(kind) else [Words()]),
    )


def as_dicts() -> list[dict[str, Any]]:
    """The faults as JSON objects, for programs."""
    return [
        {
            "fault": kind.kind,
            "does": _does(kind),
            "example": kind.example,
            "destructive": _warning(kind),
            "parameters": [
                {
                    "name": name,
                    "takes": field.metadata["takes"],
                    "default": None if field.default is None else str(field.default),
                    "does": field.metadata["does"],
                }
                for name, field in parameters(kind).items()
            ],
        }
        for kind in KINDS.values()
    ]


def quoted(spec: str) -> str:
    return f'"{spec}"'


def _kinds() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fault", style="bold", no_wrap=True)
    table.add_column("does")
    table.add_column("for example")
    for kind in KINDS.values():
        does = Words(_does(kind))
        if _warning(kind):
            is_in_rdb = parse(kind.ends_servers).when.is_in_rdb
            does.append(" Destructive in an RDB." if is_in_rdb else "", style="red")
        table.add_row(kind.kind, does, kind.example)
    return table


def _does(kind: type[Kind]) -> str:
    return (kind.__doc__ or "").strip()


def _warning(kind: type[Kind]) -> str:
    spec = kind.ends_servers
    return "" if not spec else f"Destructive, and only with --destructive: {spec}: {parse(spec).destructive}."


def _note(text: str, style: str = "") -> list[RenderableType]:
    return [Words(), Words(text, style)]


def _heading(text: str) -> RenderableType:
    return stacked(Words(), Words(text, "bold"))


def _places() -> list[RenderableType]:
    return [
        _heading("Places for at=; a range such as rdb:10%..90% draws one from the seed"),
        _pairs(PLACES.items()),
    ]


def _pairs(pairs: Any) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, does in pairs:
        table.add_row(f"  {name}", does)
    return table


def _table(fields: dict[str, dataclasses.Field[Any]], *, times: str = "1 or all, by fault") -> Table:
    """A table of parameters: name=VALUE, its effect, its default."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, field in fields.items():
        takes = field.metadata["takes"]
        written = f"  [{name}=]{takes}" if field.metadata["positional"] else f"  {name}={takes}"
        default = times if name == "times" else _default(field)
        table.add_row(Words(written), f"{field.metadata['does']}{f' [default: {default}]' if default else ''}")
    return table


def _default(field: dataclasses.Field[Any]) -> str:
    default = field.default
    if default is None or default == "":
        return ""
    if field.metadata["takes"] == "SIZE":
        return f"{default}b"
    return f"{default:g}" if isinstance(default, float) else str(default)
