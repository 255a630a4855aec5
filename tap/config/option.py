"""An option is declared once: as an annotated field of the dataclass that holds its value.

    duration: Annotated[Given[float | str | None, float | None], Option("TIME", "End after this time: 30s, 10m, 2h.")] = (
        Given(None, FromText(parse_duration))
    )

The field gives the name, the types and the default; the Option gives what users read; Given defines how text becomes a
value, so that text means the same on the command line, in a file and in Python. Built from the declarations:

    tap/cli/options.py        parameters of the command line
    tap/config/file.py        the model of a configuration file
    tap/config/keywords.py    the typed keywords of Tap() (written by `python -m tests.declared`)
    docs/reference/options.md the table of options (written by the same)

This module imports neither typer nor pydantic: each adds tens of milliseconds to the start, and few programs need both.
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

# `--help` and the reference group the options by topic, in this order.
Topic = Literal["links", "tap", "tls", "observers"]
TOPICS: tuple[Topic, ...] = get_args(Topic)


@dataclass(frozen=True, slots=True)
class Option:
    """What users read about an option, and where they may write it.

    takes: the placeholder of the value in `--help`. help: a sentence. page: text with Markdown for the reference, if that
    differs from help. flags: names on the command line, by default `--` and the field's name. key: the name in a file, by
    default the field's name. environment: a variable with the value, used if the command line has none. needs: the field
    of another option, without which this one has no effect. needs_parsing: the option has no effect where nothing is
    parsed (--opaque); a word: only this value of it. on_command_line, in_file: whether the option is accepted there;
    Python accepts every option.
    """

    takes: str = ""
    help: str = ""
    page: str = ""
    flags: tuple[str, ...] = ()
    key: str = ""
    topic: Topic = "tap"
    environment: str | None = None
    needs: str = ""
    needs_parsing: bool | str = False
    on_command_line: bool = True
    in_file: bool = True


class FromText:
    """Converts text to a value; anything else is kept unchanged.

    later: text is kept, too, because the class converts it in __post_init__, together with other fields.
    """

    def __init__(self, parse: Callable[[str], Any], *, later: bool = False) -> None:
        self.parse = parse
        self._later = later

    def __call__(self, value: Any) -> Any:
        return self.parse(value) if isinstance(value, str) and not self._later else value


class FromWords:
    """Converts words to a tuple; a single word becomes a tuple of one. each: parses one word, or raises ConfigError."""

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


# Types that many fields use.
File = Given[Path | str | None, Path | None]
Several = Given[str | Iterable[str], tuple[str, ...]]
Time = Given[float | str, float]


@dataclass(frozen=True)
class Declared:
    """An option with the field that declares it.

    accepted: the type of the accepted values. kept: the type of the stored value, without None. default: None if a
    factory creates it. read: converts an accepted value; None: values are stored as they are.
    """

    name: str
    option: Option
    accepted: Any
    kept: Any
    default: Any
    read: Read | None

    @property
    def flags(self) -> tuple[str, ...]:
        """The option's names on the command line, the long one first."""
        return self.option.flags or (f"--{self.name.replace('_', '-')}",)

    @property
    def key(self) -> str:
        """The option's name in a file."""
        return self.option.key or self.name

    def if_needs_parsing(self, value: object) -> str:
        """How a user writes this value, if it has no effect without parsing; else ""."""
        needs, flag = self.option.needs_parsing, self.flags[0]
        if isinstance(needs, str):
            return f"{flag} {needs}" if value == needs else ""
        return flag if needs and value else ""

    @property
    def words(self) -> tuple[str, ...]:
        """The allowed words; empty if the option is not a choice."""
        return get_args(self.kept) if get_origin(self.kept) is Literal else ()


@cache
def declared(cls: type) -> tuple[Declared, ...]:
    """The options that a dataclass declares, in the order of its fields."""
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
    """Check the values of all choices given in Python; the command line and the file check their own.

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
