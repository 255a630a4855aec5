"""SIGHUP: the configuration file is read again, and the links become those that it has now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import fields
from typing import Any

from tap.config import Config, LinkConfig
from tap.config.option import declared
from tap.errors import TapError
from tap.tap import Tap


class Reload:
    """Makes a running tap's links those of its configuration, each time that it is asked.

    Links that the tap got otherwise, as from its API, stay. A configuration that cannot be read changes nothing.
    """

    def __init__(self, tap: Tap, first: Config, read: Callable[[], Config], say: Callable[[str], object]) -> None:
        """first: what read() returned before. read: takes milliseconds, in a thread; raises TapError."""
        self._tap = tap
        self._last = first
        self._read = read
        self._say = say

    async def now(self) -> list[str]:
        """Read, and follow. Returns the names of the links that were added or changed."""
        try:
            wanted = await asyncio.to_thread(self._read)
        except TapError as error:
            self._say(f"SIGHUP: nothing is changed: {error}")
            return []
        self._say_fixed(wanted)
        before, self._last = {link.name for link in self._last.links}, wanted
        added, changed, removed = list[str](), list[str](), list[str]()
        for name in before - {link.name for link in wanted.links}:
            if await self._done(self._remove(name)):
                removed.append(name)
        for link in wanted.links:
            present = next((one for one in self._tap.config.links if one.name == link.name), None)
            if present == link:
                continue
            if present is not None and link.name in before:
                given = {one.name: getattr(link, one.name) for one in fields(LinkConfig) if one.name != "name"}
                if await self._done(self._tap.change_link(link.name, **given)):
                    changed.append(link.name)
            elif await self._done(self._tap.add_link(link)):
                added.append(link.name)
        what = {"added": added, "changed": changed, "removed": sorted(removed)}
        said = "; ".join(f"{how}: {', '.join(names)}" for how, names in what.items() if names)
        self._say(f"SIGHUP: the configuration was read again; links {said or 'are as they were'}")
        return [*added, *changed]

    async def _remove(self, name: str) -> None:
        if any(one.name == name for one in self._tap.config.links):
            await self._tap.remove_link(name)

    async def _done(self, change: Coroutine[Any, Any, object]) -> bool:
        """Whether the change of one link has worked; a failure is reported, and the others go on."""
        try:
            await change
        except TapError as error:
            self._say(f"SIGHUP: {error}")
            return False
        return True

    def _say_fixed(self, wanted: Config) -> None:
        options = [one for one in declared(Config) if one.name != "links"]
        fixed = [one.key for one in options if getattr(wanted, one.name) != getattr(self._last, one.name)]
        if fixed:
            self._say(f"SIGHUP: {', '.join(fixed)} cannot be changed while the tap runs; restart it for that")
