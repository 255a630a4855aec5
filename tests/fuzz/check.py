"""What every input has to withstand: a format makes inputs and checks how they are read, a checker sets the limits."""

from __future__ import annotations

import faulthandler
import random
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CPU_SECONDS = 30.0  # for one input, in all the ways in which it is read; the usual one takes some milliseconds
BYTES_PER_SECOND = 20_000  # more for an input of more bytes
MEMORY = 2**30  # bytes that the process may take beyond those at the beginning
CRASHED = 120.0  # seconds without an answer after which the process says where it is, and ends: C code is not interrupted


@dataclass(frozen=True)
class Format:
    """make: an input out of dice. complaints: what is wrong with how the tap reads it, a line each.

    An input is printable as a whole. suffix: of the file that a failing one is kept in. weight: inputs in a round.
    """

    name: str
    make: Callable[[random.Random], Any]
    complaints: Callable[[Any, random.Random], Iterable[str]]
    suffix: str = "txt"
    weight: int = 1


class TooLong(BaseException):  # no `except Exception` under test may swallow it
    """An input took more CPU time than it may."""


class Checker:
    def __init__(self, kept: Path) -> None:
        self._kept = kept

    def __enter__(self) -> Self:
        faulthandler.enable()
        signal.signal(signal.SIGPROF, _too_long)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()

    def fails(self, form: Format, seed: int, number: int) -> bool:
        """Try one input. What is wrong with it is printed, and the input kept."""
        rng = random.Random(f"{seed} {form.name} {number}")
        data = form.make(rng)
        limit = CPU_SECONDS + len(data) / BYTES_PER_SECOND
        faulthandler.dump_traceback_later(CRASHED + 4 * limit, exit=True)
        signal.setitimer(signal.ITIMER_PROF, limit)
        began = time.process_time()
        try:
            found = list(form.complaints(data, rng))
        except TooLong:
            found = [f"took more than {limit:.0f} s of CPU time", *_where()]
        except Exception:
            found = [traceback.format_exc(limit=-12)]
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if found:
            took = time.process_time() - began
            self._kept.mkdir(exist_ok=True)
            path = self._kept / f"{form.name}-{seed}-{number}.{form.suffix}"
            path.write_bytes(data if isinstance(data, bytes) else repr(data).encode())
            print(f"{path}: {len(data)} long, {took:.1f} s", *found, sep="\n  ", flush=True)
        return bool(found)


def _too_long(*_: Any) -> None:
    raise TooLong


def _where() -> Iterator[str]:
    yield traceback.format_exc(limit=-6)


def differences(way: str, whole: list[Any], told: list[Any]) -> Iterator[str]:
    """What differs between ways of reading."""
    if told != whole:
        at = next((at for at, (a, b) in enumerate(zip(told, whole, strict=False)) if a != b), min(len(told), len(whole)))
        yield f"{way}: number {at} of {len(told)} is {_cut(told[at : at + 1])}\n  whole: {_cut(whole[at : at + 1])}"


def _cut(told: list[Any]) -> str:
    return repr(told)[:600]


def cuts(size: int, rng: random.Random, most: int) -> list[int]:
    """Sizes of pieces that add up to this many bytes."""
    pieces = []
    while size > 0:
        pieces.append(min(size, rng.randint(1, most)))
        size -= pieces[-1]
    return pieces


def pieces(data: bytes, rng: random.Random, most: int) -> Iterator[bytes]:
    at = 0
    for size in cuts(len(data), rng, most):
        yield data[at : at + size]
        at += size
