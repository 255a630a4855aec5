"""Conditions on events: required values of fields, as in a scenario's `where` and in Tap.wait_for().

    {"link": "orders", "reason.code": "offset_*", "bytes_behind": 0}

A field belongs to the event or to its tap.bus.Told; the name of a nested one has dots. Text is compared as a glob.
"""

from __future__ import annotations

import dataclasses
import enum
import fnmatch
import re
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

from tap.bus import Told
from tap.errors import ConfigError, did_you_mean
from tap.replication.events import EVENTS, Command, Event, RdbKey

Conditions = Mapping[str, str | int | float | bool]


def event_named(name: str) -> type[Event]:
    """The kind of event with this name. Raises ConfigError if there is none."""
    if name not in EVENTS:
        raise ConfigError(f"unknown event {name!r}; known: {', '.join(EVENTS)}.{did_you_mean(name, EVENTS)}")
    return EVENTS[name]


def check(kind: type[Event], where: Conditions) -> None:
    """Raise ConfigError if no event of this kind can meet the conditions, for example for a field it does not have."""
    fields = _fields(Told) | _fields(kind)
    del fields["event"]
    for path, wanted in where.items():
        known = fields
        said = kind.kind
        for name in path.split("."):
            if not known:
                raise ConfigError(f"{said} has no fields, so no {name!r} either")
            if _ANY not in known and name not in known:
                raise ConfigError(
                    f"{said} has no field {name!r}; known: {', '.join(sorted(known))}.{did_you_mean(name, known)}"
                )
            hint = _unwrapped(known.get(name, known.get(_ANY)))
            known = _fields(hint)
            said = f"{said}.{name}"
        if known:
            names = ", ".join(f"{path}.{name if name != _ANY else 'NAME'}" for name in known)
            raise ConfigError(f"{said} is an object: compare what is in it: {names}")
        _check_value(said, hint, wanted)


def check_reported(kind: type[Event], *, every_command: bool, every_key: bool) -> None:
    """Raise ConfigError for a kind that a tap with these options does not report."""
    for one, is_reported, option, flag in (
        (Command, every_command, "every_command", "--commands"),
        (RdbKey, every_key, "every_key", "--rdb-keys"),
    ):
        if kind is one and not is_reported:
            raise ConfigError(f"{kind.kind} is reported only on request: Tap(..., {option}=True), or run {flag}")


def check_link(link: str, names: Collection[str]) -> None:
    """Raise ConfigError for a link that does not exist."""
    if link not in names:
        raise ConfigError(f"no link is named {link!r}; known: {', '.join(names)}.{did_you_mean(link, names)}")


def matches(told: Told, where: Conditions) -> bool:
    """Whether the event meets all conditions."""
    said = told.as_dict()
    for path, wanted in where.items():
        found: Any = said
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(wanted, str):
            if not fnmatch.fnmatchcase("" if found is None else str(found), wanted):
                return False
        elif found != wanted:
            return False
    return True


_ANY = "*"  # stands for all keys of a mapping, which come from the wire


def _unwrapped(hint: Any) -> Any:
    """X, for X | None."""
    if isinstance(hint, types.UnionType):
        return next(one for one in typing.get_args(hint) if one is not types.NoneType)
    return hint


def _fields(hint: Any) -> dict[str, Any]:
    """The fields of an object and their types; none for other values."""
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return {one.name: hints[one.name] for one in dataclasses.fields(hint)}
    if typing.get_origin(hint) is Mapping:
        return {_ANY: typing.get_args(hint)[1]}
    return {}


def _check_value(said: str, hint: Any, wanted: object) -> None:
    """Raise ConfigError for a value that a field of this type never has."""
    if typing.get_origin(hint) is tuple:
        raise ConfigError(f"{said} is a list, and cannot be compared with a value")
    if isinstance(wanted, str):
        is_word = not re.search(r"[*?[]", wanted)
        if isinstance(hint, type) and issubclass(hint, enum.Enum) and is_word:
            known = [one.value for one in hint]
            if wanted not in known:
                raise ConfigError(f"{said} is never {wanted!r}; known: {', '.join(known)}.{did_you_mean(wanted, known)}")
    elif not (isinstance(hint, type) and issubclass(hint, bool | int | float)):
        raise ConfigError(f"{said} is text: write it in quotes")
