"""The content of an RDB as the parser reports it, in a form that does not depend on how the bytes were split."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from typing import Any

from tap.rdb.parser import Parser
from tap.rdb.problem import Problem
from tap.rdb.tape import Tape
from tap.rdb.tokens import END, ITEM, KEY, NODE, PIECE, SIZES, STREAM
from tests.support import ROOT

Token = tuple[int | bytes, ...]


@dataclass(frozen=True)
class Story:
    """The report of one reading. consumed: bytes that feed() counted as the RDB's own."""

    tokens: list[Token]
    problem: Problem | None
    checksum: str
    consumed: int


class Listener:
    """A reader of tapes that keeps every token, with the bytes it names, and joins pieces.

    A stream's nodes stand before the token that follows them all.
    """

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self._pieces = bytearray()
        self._nodes: list[tuple[int, int, bytearray]] = []

    def __call__(self, tape: Tape) -> None:
        numbers = list(tape.numbers[: tape.count])
        i = 0
        while i < len(numbers):
            token = numbers[i]
            i += 1
            told = numbers[i : i + SIZES[token]]
            i += SIZES[token]
            if token == PIECE:
                self._pieces += tape.text(*told)
            elif token == ITEM:
                self.tokens.append((ITEM, bytes(self._pieces) + tape.text(*told)))
                self._pieces.clear()
            elif token == NODE:
                ms, seq, start, size = told
                if not self._nodes or self._nodes[-1][:2] != (ms, seq):
                    self._nodes.append((ms, seq, bytearray()))
                self._nodes[-1][2].extend(tape.text(start, size))
            elif token == KEY:
                self.tokens.append((KEY, *told[:2], tape.text(*told[2:4]), *told[4:]))
            else:
                if token in (STREAM, END):
                    self._put_nodes()
                self.tokens.append((token, *told))

    def _put_nodes(self) -> None:
        self.tokens += [(NODE, ms, seq, bytes(blob)) for ms, seq, blob in self._nodes]
        self._nodes.clear()

    def end(self) -> list[Token]:
        """All tokens, except of a string or a node that did not end: that depends on the split."""
        if self._nodes and len(self._nodes[-1][2]) != int.from_bytes(self._nodes[-1][2][:4], "little"):
            self._nodes.pop()
        self._put_nodes()
        return self.tokens


def exactly(data: bytes) -> memoryview:
    """The bytes in memory of exactly their size: to a sanitizer, the next byte is out of bounds."""
    return memoryview((ctypes.c_ubyte * len(data)).from_buffer_copy(data)).cast("B")


def cuts(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The bytes in pieces of these sizes, and the rest in one."""
    i = 0
    for size in sizes:
        if i >= len(data):
            return
        yield data[i : i + size]
        i += size
    if i < len(data):
        yield data[i:]


def read(
    data: bytes, sizes: Iterable[int] = (), *, values: bool = True, size: int | None = None, kind: type[Parser] = Parser
) -> Story:
    """Feed it in pieces of these sizes, and the rest in one."""
    listener = Listener()
    parser = kind(listener, values=values, size=size)
    consumed = 0
    for piece in cuts(data, sizes):
        consumed += parser.feed(exactly(piece))
    problem = parser.close()
    assert parser.close() == problem, "closing again tells something else"
    return Story(listener.end(), problem, parser.checksum, consumed)


def of_keys(story: Story) -> list[Token]:
    """The keys and their ends."""
    return [token for token in story.tokens if token[0] in (KEY, END)]


# ---- uncompiled ----


class SourcesOnly:
    """Finds the modules of tap.rdb as sources, even if they are compiled."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith("tap.rdb."):
            return None
        return importlib.util.spec_from_file_location(name, ROOT / (name.replace(".", "/") + ".py"))


@contextlib.contextmanager
def _sources_only() -> Iterator[None]:
    package = importlib.import_module("tap.rdb")
    attributes = dict(vars(package))
    compiled = {name: module for name, module in sys.modules.items() if name.startswith("tap.rdb.")}
    for name in compiled:
        if name != "tap.rdb.problem":
            del sys.modules[name]
    sys.meta_path.insert(0, SourcesOnly)
    try:
        yield
    finally:
        sys.meta_path.remove(SourcesOnly)
        for name in [name for name in sys.modules if name.startswith("tap.rdb.")]:
            del sys.modules[name]
        sys.modules.update(compiled)
        vars(package).update(attributes)


def uncompiled(name: str) -> Any:
    """A module of tap.rdb as without a compiler, with its imports from this room."""
    with _sources_only():
        return importlib.import_module(f"tap.rdb.{name}")


def uncompiled_parser() -> type[Parser]:
    found: type[Parser] = uncompiled("parser").Parser
    return found
