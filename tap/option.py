"""An option is declared once: as a field of the dataclass that keeps its value, annotated with what it means.

    duration: Annotated[Given[float | str | None, float | None], Option("TIME", "End after this time: 30s, 10m, 2h.")] = (
        Given(None, Text(parse_duration))
    )

The field has the name, the types and the default. The Option has what users read. What the field is Given says how text
becomes a value, so that text means the same on the command line, in a file and in Python. Made from the declarations:

    tap/cli/options.py        parameters of the command line
    tap/config_file.py        the model of a configuration file
    tap/keywords.py           the typed keywords of Tap() (written by `python -m tests.declared`)
    docs/reference/options.md the table of options (written by the same)

This module knows neither typer nor pydantic: each costs a start-up tens of milliseconds, and not every user needs both.
"""

import inspect
import types
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tap.errors import ConfigError

Accepted = TypeVar("Accepted")
Kept = TypeVar("Kept")
Class = TypeVar("Class", bound=type)
Read = Callable[[Any], Any]

# Options of one topic stand together in `--help` and in the reference, in this order.
Topic = Literal["links", "tap", "tls", "observers"]
TOPICS: tuple[Topic, ...] = get_args(Topic)


@dataclass(frozen=True, slots=True)
class Option:
    """What users read of an option, and where they may write it.

    takes: what stands for the value in `--help`. help: a sentence. page: what the reference says in its place, where
    Markdown says more. flags: names on the command line; without any, `--` and the name of the field. key: in a file, by
    default the name of the field. environment: a variable that gives the value where the command line does not. needs:
    the field of another option, without which this one has no effect. on_command_line, in_file: whether it may stand
    there. Python takes every option.
    """

    takes: str = ""
    help: str = ""
    page: str = ""
    flags: tuple[str, ...] = ()
    key: str = ""
    topic: Topic = "tap"
    environment: str | None = None
    needs: str = ""
    on_command_line: bool = True
    in_file: bool = True


class Text:
    """Reads one value from text; anything else passes unchanged.

    later: text passes, too, because the class reads it in __post_init__, together with other fields.
    """

    def __init__(self, parse: Callable[[str], Any], *, later: bool = False) -> None:
        self.parse = parse
        self._later = later

    def __call__(self, value: Any) -> Any:
        return self.parse(value) if isinstance(value, str) and not self._later else value


class Words:
    """Reads a list of words; a single word stands for a list of one. each: parses one word, or raises ConfigError."""

    def __init__(self, each: Callable[[str], str] | None = None) -> None:
        self.each = each

    def __call__(self, value: str | Iterable[str] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        words = (value,) if isinstance(value, str) else tuple(value)
        return words if self.each is None else tuple(map(self.each, words))


class Given(Generic[Accepted, Kept]):
    """A field of a frozen dataclass that accepts more forms than it keeps."""

    def __init__(self, default: Kept, read: Read) -> None:
        self._default = default
        self.read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, one: object | None, owner: type) -> Kept:
        return self._default if one is None else one.__dict__[self._name]

    def __set__(self, one: object, value: Accepted) -> None:
        one.__dict__[self._name] = self.read(value)


# What many fields are given.
File = Given[Path | str | None, Path | None]
Several = Given[str | Iterable[str], tuple[str, ...]]
Time = Given[float | str, float]


@dataclass(frozen=True)
class Declared:
    """An option with the field that declares it.

    accepted: the type of what may be given. kept: the type of the value, without None. default: None where it is drawn
    anew each time. read: how the field reads what it is given; None: it takes a value as it is.
    """

    name: str
    option: Option
    accepted: Any
    kept: Any
    default: Any
    read: Read | None

    @property
    def flags(self) -> tuple[str, ...]:
        """Its names on the command line, the long one first."""
        return self.option.flags or (f"--{self.name.replace('_', '-')}",)

    @property
    def key(self) -> str:
        """Its name in a file."""
        return self.option.key or self.name

    @property
    def words(self) -> tuple[str, ...]:
        """Those that it may be; none, if it is not one of some words."""
        return get_args(self.kept) if get_origin(self.kept) is Literal else ()


@cache
def declared(cls: type) -> tuple[Declared, ...]:
    """The options that are declared in a dataclass, in its order."""
    found = []
    hints = get_type_hints(cls, include_extras=True)
    for one in fields(cls):
        kind, option = get_args(hints[one.name])
        descriptor = cls.__dict__.get(one.name)
        read = descriptor.read if isinstance(descriptor, Given) else None
        accepted, kept = get_args(kind) if read else (kind, kind)
        if get_origin(kept) in (types.UnionType, Union):
            kept = next(part for part in get_args(kept) if part is not types.NoneType)
        found.append(Declared(one.name, option, accepted, kept, None if one.default is MISSING else one.default, read))
    return tuple(found)


def described(cls: Class) -> Class:
    """Class decorator: append a line for each option to the docstring, for help()."""
    cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n\n" + "\n".join(
        f"{one.name}: {one.option.help}" for one in declared(cls)
    )
    return cls


def check_words(config: object) -> None:
    """Check the fields that take one of a few words, for Python: the command line and the file check their own.

    Raises ConfigError.
    """
    cls: type = type(config)
    for one in declared(cls):
        word = getattr(config, one.name)
        if one.words and word not in one.words and word != one.default:
            raise ConfigError(f"{one.name} {word!r}: it is one of {', '.join(one.words)}")


def in_order(*classes: type) -> list[Declared]:
    """The options of the command line that these classes declare, sorted by topic."""
    found = [one for cls in classes for one in declared(cls) if one.option.on_command_line]
    return sorted(found, key=lambda one: TOPICS.index(one.option.topic))
