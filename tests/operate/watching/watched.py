"""Captures to watch, and what an onlooker makes of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tap.bus import Told
from tap.capture.content import GoesOn
from tap.capture.pcapng import Packet
from tap.config.config import Config
from tap.operate.watching.onlooker import CaptureSource, Onlooker, watched_link
from tap.replication import events
from tests.support import WITHIN


def may_capture() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except (AttributeError, OSError):
        return False
    return shutil.which("tcpdump") is not None


def skip_if_lost(packets: object) -> None:
    """packets: that the kernel has dropped; anything that is true if there are some."""
    if packets:
        pytest.skip("this machine was too busy to capture every packet")


needs_tcpdump = pytest.mark.skipif(not may_capture(), reason="tcpdump is not installed, or may not capture")


class Given:
    """A source of packets that a test hands in, and of what it says is lost."""

    name = "given"
    ports = (6379,)
    is_pipe = False
    can_wait = True

    def __init__(self, packets: Iterable[Packet]) -> None:
        self.lost = 0
        self.why = ""
        self.asked = 0
        self.stopped = threading.Event()
        self._packets = packets

    async def failure(self) -> str:
        return self.why

    async def start(self) -> None:
        pass

    def packets(self, problems: list[str], goes_on: GoesOn) -> Iterator[Packet]:
        for packet in self._packets:
            yield packet
            if not goes_on(False):
                return
        while not self.why and goes_on(True):
            pass

    def ask(self) -> None:
        self.asked += 1

    async def stop(self) -> None:
        self.stopped.set()


def packets_of(raw: Iterable[tuple[int, bytes]]) -> list[Packet]:
    return [Packet(at, 101, data, len(data)) for at, data in raw]


def configured(**options: Any) -> Config:
    return Config(links=watched_link(), **options)


async def told(source: CaptureSource, **options: Any) -> tuple[list[Told], Onlooker]:
    """Watch to the end of the source."""
    heard: list[Told] = []
    onlooker = Onlooker(source, configured(**options))
    onlooker.bus.subscribe(heard.append)
    async with onlooker, asyncio.timeout(WITHIN):
        await onlooker.ended()
    return heard, onlooker


def pour(path: Path, data: bytes, size: int) -> threading.Thread:
    """Write into a named pipe, in pieces of that size."""

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for at in range(0, len(data), size):
                pipe.write(data[at : at + size])

    thread = threading.Thread(target=write, name="pour")
    os.mkfifo(path)
    thread.start()
    return thread


def without_watching(heard: Iterable[Told]) -> list[Told]:
    return [one for one in heard if not isinstance(one.event, events.Watching)]
