"""Where the two connections of one sync find each other: each waits under names that the other one will send."""

from __future__ import annotations

from typing import Generic, TypeVar

MAX_WAITING = 1024  # names; beyond this, the oldest is forgotten

_T = TypeVar("_T")


class Rendezvous(Generic[_T]):
    """The connections to one master that wait for their counterpart."""

    def __init__(self) -> None:
        self._waiting: dict[str, _T] = {}

    def wait(self, key: str, one: _T) -> None:
        """Register a connection under *key*, the name that its counterpart will send."""
        self._waiting.pop(key, None)
        self._waiting[key] = one
        while len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def named(self, key: str) -> _T | None:
        """The connection that waits under this name."""
        return self._waiting.get(key)

    def keys_of(self, one: _T) -> tuple[str, ...]:
        """The names under which a connection waits."""
        return tuple(key for key, other in self._waiting.items() if other is one)

    def all(self) -> list[_T]:
        """The waiting connections, the oldest first."""
        return list(dict.fromkeys(self._waiting.values()))

    def leave(self, one: _T) -> None:
        """Remove a connection under all of its names."""
        self._waiting = {key: other for key, other in self._waiting.items() if other is not one}
