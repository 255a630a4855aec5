"""Taps that are broken on purpose: what they pass on, or what they report, is wrong in one way each.

Each is a context: while it lasts, every tap of this process is broken in that way.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tap.bus import Bus
from tap.faults.flow import Flow
from tap.faults.flow_items import CloseLink
from tap.faults.kinds.cut import Cut
from tap.faults.kinds.delay import DelayLine
from tap.faults.site import Site
from tap.relay.connection import Connection
from tap.relay.leg import Leg
from tap.relay.performer import Performer
from tap.replication import events
from tap.replication.events import Event, Side

EVERY = 10  # of frequent things, one in this many goes wrong

Break = Callable[[pytest.MonkeyPatch], None]

BROKEN: dict[str, Break] = {}


def _broken(function: Break) -> Break:
    BROKEN[function.__name__] = function
    return function


@contextlib.contextmanager
def broken(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        BROKEN[name](patch)
        yield


# ---- what is passed on ----


def _to_replica(patch: pytest.MonkeyPatch, change: Callable[[Leg, list[bytes]], list[bytes]]) -> None:
    """Change the commands of a stream on their way to the replica, if a piece of it begins with a whole one."""
    write = Leg.write

    def changed(self: Leg, data: bytes | memoryview) -> None:
        if self.side is Side.REPLICA and _has_stream(self):
            commands, rest = whole_commands(bytes(data))
            if commands:
                data = b"".join(change(self, commands)) + rest
        write(self, data)

    patch.setattr(Leg, "write", changed)


def _has_stream(leg: Leg) -> bool:
    assert isinstance(leg.owner, Connection)
    return leg.owner.conversation.stream is not None


def whole_commands(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole commands, and the bytes after them."""
    found: list[bytes] = []
    at = 0
    while header := re.compile(rb"\*(\d+)\r\n").match(data, at):
        end = header.end()
        for _ in range(int(header[1])):
            length = re.compile(rb"\$(\d+)\r\n").match(data, end)
            if length is None:
                return found, data[at:]
            end = length.end() + int(length[1]) + 2
        if end > len(data):
            break
        found.append(data[at:end])
        at = end
    return found, data[at:]


def _counted(leg: Leg, number: int = 1) -> int:
    """How many came before these."""
    before: int = getattr(leg, "broken_counter", 0)
    leg.broken_counter = before + number  # type: ignore[attr-defined]
    return before


def _is_data(command: bytes) -> bool:
    return b"redis-tap:" in command


@_broken
def a_byte_of_a_value_is_flipped(patch: pytest.MonkeyPatch) -> None:
    def change(leg: Leg, commands: list[bytes]) -> list[bytes]:
        for number, command in enumerate(commands):
            if command.startswith(b"*3\r\n$3\r\nSET\r\n") and not _counted(leg) % EVERY:
                commands[number] = command[:-3] + bytes([command[-3] ^ 1]) + b"\r\n"
        return commands

    _to_replica(patch, change)


@_broken
def a_byte_is_passed_on_twice(patch: pytest.MonkeyPatch) -> None:
    def change(leg: Leg, commands: list[bytes]) -> list[bytes]:
        if _counted(leg) == EVERY:
            commands[0] = commands[0][:-3] + commands[0][-3:-2] + commands[0][-3:]
        return commands

    _to_replica(patch, change)


@_broken
def two_commands_are_swapped(patch: pytest.MonkeyPatch) -> None:
    def change(leg: Leg, commands: list[bytes]) -> list[bytes]:
        at = 0
        while at + 1 < len(commands):
            if _is_data(commands[at]) and _is_data(commands[at + 1]):
                commands[at : at + 2] = commands[at + 1], commands[at]
                at += 1
            at += 1
        return commands

    _to_replica(patch, change)


@_broken
def a_command_is_told_and_not_passed_on(patch: pytest.MonkeyPatch) -> None:
    def change(leg: Leg, commands: list[bytes]) -> list[bytes]:
        return [command for command in commands if not _is_data(command) or _counted(leg) != 20]

    _to_replica(patch, change)


@_broken
def a_command_is_passed_on_twice(patch: pytest.MonkeyPatch) -> None:
    def change(leg: Leg, commands: list[bytes]) -> list[bytes]:
        return [one for command in commands for one in [command] * (1 + (_is_data(command) and _counted(leg) == 20))]

    _to_replica(patch, change)


_ACK = re.compile(rb"\*(?:3|5)\r\n\$8\r\nREPLCONF\r\n\$3\r\nACK\r\n\$\d+\r\n\d+\r\n(?:\$4\r\nFACK\r\n\$\d+\r\n\d+\r\n)?")


def _acks(patch: pytest.MonkeyPatch, instead: Callable[[bytes], bytes]) -> None:
    """What happens to one ACK in ten."""
    write = Leg.write

    def changed(self: Leg, data: bytes | memoryview) -> None:
        if self.side is Side.MASTER:

            def replaced(match: re.Match[bytes]) -> bytes:
                return match[0] if _counted(self) % EVERY != EVERY - 1 else instead(match[0])

            data = _ACK.sub(replaced, bytes(data))
        write(self, data)

    patch.setattr(Leg, "write", changed)


@_broken
def one_ack_in_ten_is_dropped(patch: pytest.MonkeyPatch) -> None:
    _acks(patch, lambda ack: b"")


@_broken
def one_ack_in_ten_is_passed_on_twice(patch: pytest.MonkeyPatch) -> None:
    _acks(patch, lambda ack: ack * 2)


@_broken
def the_last_command_before_a_cut_is_swallowed(patch: pytest.MonkeyPatch) -> None:
    """Each waits for the next, or a moment."""
    write, cut = Leg.write, Performer.cut
    held: dict[Leg, bytes] = {}

    def flush(leg: Leg) -> None:
        write(leg, held.pop(leg, b""))

    def changed(self: Leg, data: bytes | memoryview) -> None:
        data = held.pop(self, b"") + bytes(data)
        if self.side is Side.REPLICA and _has_stream(self):
            commands, rest = whole_commands(data)
            if commands:
                held[self] = commands.pop() + rest
                data = b"".join(commands)
                asyncio.get_running_loop().call_later(0.05, flush, self)
        write(self, data)

    def cut_without(self: Performer, how: CloseLink) -> None:
        held.pop(self._of.replica, None)
        cut(self, how)

    patch.setattr(Leg, "write", changed)
    patch.setattr(Performer, "cut", cut_without)


# ---- what faults do ----


@_broken
def a_fault_tells_that_it_cut_and_did_not(patch: pytest.MonkeyPatch) -> None:
    def changed(self: Cut, site: Site, side: Side, position: int, *, at_once: bool) -> None:
        site.fired(side, position, 0, "cut with RST")

    patch.setattr(Cut, "act", changed)


@_broken
def a_delay_does_not_delay(patch: pytest.MonkeyPatch) -> None:
    begin = DelayLine.__init__

    def changed(self: DelayLine, latency: float, jitter: float, *more: Any) -> None:
        begin(self, 0.0, 0.0, *more)

    patch.setattr(DelayLine, "__init__", changed)


@_broken
def a_stall_does_not_stall(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Flow, "stall", lambda self, *, on: None)


# ---- wrong reports ----


def _telling(patch: pytest.MonkeyPatch, change: Callable[[int, Event], Event | None]) -> None:
    """Change the events of a connection, by its number; None is dropped."""
    publish = Bus.publish

    def changed(self: Bus, link: str, connection: int, replica: str, event: Event) -> None:
        told = change(connection, event)
        if told is not None:
            publish(self, link, connection, replica, told)

    patch.setattr(Bus, "publish", changed)


def _off_by_one(event: Any, by: int) -> Event:
    moved: Event = event if event.offset is None else dataclasses.replace(event, offset=event.offset + by)
    return moved


@_broken
def the_offset_of_commands_is_one_too_high(patch: pytest.MonkeyPatch) -> None:
    _telling(patch, lambda _, event: _off_by_one(event, 1) if isinstance(event, events.Commands) else event)


@_broken
def the_offset_of_a_fault_is_one_too_low(patch: pytest.MonkeyPatch) -> None:
    _telling(patch, lambda _, event: _off_by_one(event, -1) if isinstance(event, events.FaultFired) else event)


@_broken
def the_offset_of_a_closed_link_is_one_too_high(patch: pytest.MonkeyPatch) -> None:
    _telling(patch, lambda _, event: _off_by_one(event, 1) if isinstance(event, events.LinkClosed) else event)


@_broken
def the_offset_of_an_ack_is_one_too_low(patch: pytest.MonkeyPatch) -> None:
    _telling(patch, lambda _, event: _off_by_one(event, -1) if isinstance(event, events.Ack) else event)


@_broken
def a_reconnect_is_not_told(patch: pytest.MonkeyPatch) -> None:
    def change(connection: int, event: Event) -> Event | None:
        return None if connection == 3 else event

    _telling(patch, change)
