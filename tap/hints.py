"""Hints for users who guess a name: what it is called here, or what to write instead."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from tap.errors import did_you_mean

Class = TypeVar("Class", bound=type[Any])


def refuse(what: str, wrong: Iterable[str], known: Collection[str], elsewhere: Mapping[str, str]) -> None:
    """Raise TypeError for the first unknown keyword.

    what: the object that takes the keywords, for example "a Tap". elsewhere: names in other tools, and ours for each.
    """
    for name in wrong:
        if name in known:
            continue
        ours = elsewhere.get(name)
        hint = f" Write {ours}." if ours else did_you_mean(name, known)
        raise TypeError(f"{what} has no option {name!r}.{hint} It has: {', '.join(known)}")


def explained(elsewhere: Mapping[str, str], example: str) -> Any:
    """A decorator for keyword-only dataclasses: wrong arguments raise a TypeError with an explanation."""

    def decorate(cls: Class) -> Class:
        made = cls.__init__
        known = [one.name for one in dataclasses.fields(cls)]

        @functools.wraps(made)
        def init(self: Any, *positional: Any, **given: Any) -> None:
            if positional:
                raise TypeError(f"a {cls.__name__} takes keywords only, as {example}")
            refuse(f"a {cls.__name__}", given, known, elsewhere)
            made(self, **given)

        cls.__init__ = init
        return cls

    return decorate


def no_attribute(what: str, name: str, known: Iterable[str], elsewhere: Mapping[str, str]) -> AttributeError:
    """The AttributeError for an unknown name. elsewhere: by name, what to write instead."""
    public = [one for one in known if not one.startswith("_")]
    hint = f": {elsewhere[name]}" if name in elsewhere else f".{did_you_mean(name, public)}"
    return AttributeError(f"{what} has no {name!r}{hint}")


class OnlyAsync:
    """A base of async context managers: entering one with a plain `with` raises a TypeError that says how to do it."""

    def __enter__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"a {name} runs inside an event loop: write 'async with {name}(...)' in an async def, and run that with "
            "asyncio.run()"
        )

    def __exit__(self, *_: object) -> None:
        """Needed for Python to call __enter__ at all."""
