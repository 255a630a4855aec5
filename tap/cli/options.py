"""Parameters of the command line, made from the options that a configuration declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer

from tap.config.option import TOPICS, Declared, FromText, declared, in_order

Verb = Callable[..., None]


def takes(
    *classes: type,
    without: Collection[str] = (),
    refused: Collection[str] = (),
    helps: Mapping[str, str] | None = None,
) -> Callable[[Verb], Verb]:
    """Decorator: add the options of these classes to a verb, which receives them as keywords.

    without, refused: names of fields; those refused are accepted and not in the help, for the verb to say why not. helps:
    by field, the help of an option that means something else for this verb. In the help, the verb's own options come
    after those of the first topic.
    """

    def decorate(verb: Verb) -> Verb:
        own = [
            one for one in inspect.signature(verb, eval_str=True).parameters.values() if one.kind is not one.VAR_KEYWORD
        ]
        options = [one for one in in_order(*classes) if one.name not in without]
        added = [
            _parameter(one, (helps or {}).get(one.name, one.option.help), is_refused=one.name in refused)
            for one in options
        ]
        first = [made for one, made in zip(options, added, strict=True) if one.option.topic == TOPICS[0]]
        rest = [made for one, made in zip(options, added, strict=True) if one.option.topic != TOPICS[0]]
        arguments = [one for one in own if one.kind is not one.KEYWORD_ONLY]
        verb.__signature__ = inspect.Signature([*arguments, *first, *own[len(arguments) :], *rest])  # type: ignore[attr-defined]
        return verb

    return decorate


def given(cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of this class that were typed, by field. Typer passes None, False or [] for an option that was not."""
    there = {name: value for name, value in options.items() if value is not None and value is not False and value != []}
    return {one.name: there[one.name] for one in declared(cls) if one.option.on_command_line and one.name in there}


def _parameter(one: Declared, text: str, *, is_refused: bool) -> inspect.Parameter:
    """text: its help."""
    option = typer.Option(
        *one.flags,
        metavar=one.option.takes or None,
        help=text,
        envvar=None if is_refused else one.option.environment,
        hidden=is_refused,
    )
    kind = _kind(one)
    default = False if kind is bool else None
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind if kind is bool else kind | None, option],
    )


def _kind(one: Declared) -> Any:
    """The type that typer converts to. What needs a parser of ours stays text: the configuration reads it."""
    if get_origin(one.kept) is tuple:
        return list[str]
    if isinstance(one.read, FromText):
        return Path if one.read.parse is Path else str
    if one.kept in (bool, int) or get_origin(one.kept) is Literal:
        return one.kept
    return str
