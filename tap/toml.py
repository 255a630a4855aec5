"""TOML files that users write: read, checked against a pydantic model, with errors that explain themselves.

An error names the file, the line, the key, and what is allowed there. The meaning of a file is left to the caller.
"""

from __future__ import annotations

import re
import tomllib
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from tap.errors import ConfigError, did_you_mean, expected

Model = TypeVar("Model", bound=BaseModel)
_DEEP_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""")


class Table(BaseModel):
    """A table of a file. It refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


Where = list[str | int]  # keys and indexes of arrays, from the outermost inwards


def load(path: Path, model: type[Model], *, table: str) -> Model:
    """Read a file and check it against the model. table: an example of a table, shown if a file has something else there.

    Raises ConfigError.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file") from None
    try:
        if _DEEP_KEY.search(text):  # tomllib's time and memory grow with the square of the parts of a key
            raise RecursionError
        found = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: keys, tables or arrays are nested too deep") from None
    except ValueError as error:  # TOMLDecodeError, and int()'s refusal of thousands of digits
        raise ConfigError(f"{path}: {str(error).partition(';')[0]}") from None
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise ConfigError(f"{path}{_first_problem(error, text, model, table)}") from None


def parsed(parse: Callable[[str], Any]) -> BeforeValidator:
    """A validator for pydantic: calls *parse*, and raises ValueError in place of our ConfigError."""

    def validate(text: Any) -> Any:
        try:
            return parse(str(text))
        except ConfigError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def _first_problem(error: ValidationError, text: str, model: type[BaseModel], table: str) -> str:
    # Report an unknown key first: it may be a misspelling of one that is missing.
    problem = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    where: Where = [part for part in problem["loc"] if part != "[key]"]
    key = _spoken(where)
    line = line_of(where, text)
    at = f", line {line}" if line else ""
    if problem["type"] == "extra_forbidden":
        known = list(_model_at(model, where[:-1]).model_fields)
        return f"{at}: unknown key {key!r}; known: {', '.join(known)}.{did_you_mean(str(where[-1]), known)}"
    if problem["type"] == "missing":
        return f"{at}: {key!r} is missing"
    if problem["type"] in ("dict_type", "model_type", "model_attributes_type"):
        return f"{at}: {key}: a table is expected, as {table}"
    if problem["type"].startswith("bool"):
        return f"{at}: {key}: true or false is expected"
    said = expected(problem["msg"].removeprefix("Value error, "))
    prefix = f"{key}: " if key else ""
    return f"{at}: {prefix}{said[0].lower() + said[1:]}" if "Address" not in said else f"{at}: {prefix}{said}"


def _spoken(where: Where) -> str:
    """A place in words: "links.orders.master", "step 3, wait". A URL used as a key is hidden: it may hold a password."""
    said = ""
    for part in where:
        if isinstance(part, str) and ("@" in part or "://" in part):
            part = "***"
        if isinstance(part, int):
            said = f"{said.removesuffix('s')} {part + 1}"
        elif said and said[-1].isdigit() and isinstance(where[-2], int):
            said = f"{said}, {part}"
        else:
            said = f"{said}.{part}" if said else part
    return said


def _model_at(model: type[BaseModel], where: Where) -> type[BaseModel]:
    """The model of the table at a place."""
    kind: Any = model
    for part in where:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = kind.model_fields
            names = {field.alias or name: field.annotation for name, field in fields.items()}
            kind = names[str(part)]
        else:  # an array, or a table whose keys the user chooses: continue with the type of its values
            kind = [one for one in typing.get_args(kind) if one is not Ellipsis][-1]
        if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
            kind = next(one for one in typing.get_args(kind) if one is not types.NoneType)
        if typing.get_origin(kind) is typing.Annotated:
            kind = typing.get_args(kind)[0]
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    return kind


def line_of(where: Where, text: str) -> int | None:
    """The line of the key, or the first line of its table or array; None if it cannot be found."""
    lines = text.splitlines()
    first, last = 0, len(lines)
    in_element = False
    for index, part in enumerate(where):
        if isinstance(part, int) and index:
            starts = _elements(str(where[index - 1]), text)
            if part < len(starts):
                in_element = True
                first = starts[part] - 1
                last = starts[part + 1] - 1 if part + 1 < len(starts) else len(lines)
    for part in reversed(where):
        if isinstance(part, int):
            if in_element:
                return first + 1
            continue
        name = rf"(?<!\w){re.escape(part)}(?!\w)\"?"
        pattern = re.compile(rf"\s*+(?:\[.*{name}\]|(?:.*[{{,]\s*+)?\"?{name}\s*=)")
        for number in range(first, last):
            if pattern.match(lines[number]):
                return number + 1
    return None


def _elements(name: str, text: str) -> list[int]:
    """The lines where the tables of an array begin, whether written as [[name]] or as name = [{...}, ...]."""
    headers = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if re.match(rf"\s*\[\[\s*{re.escape(name)}\s*\]\]", line)
    ]
    opening = re.search(rf"^\s*{re.escape(name)}\s*=\s*\[", text, re.MULTILINE)
    if headers or opening is None:
        return headers
    starts: list[int] = []
    depth = 0
    for token in re.finditer(r"\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#[^\n]*|[\[\]{}]", text[opening.end() :]):
        if token[0] in ("{", "["):
            if depth == 0:
                starts.append(1 + text.count("\n", 0, opening.end() + token.start()))
            depth += 1
        elif token[0] in ("}", "]"):
            depth -= 1
            if depth < 0:
                break
    return starts
