"""Names and arguments of commands, for any split, and what is left out of a large one."""

from __future__ import annotations

import pytest

from tap.replication.command_arguments import ArgumentReader
from tap.replication.scanner import StreamScanner
from tests.relay.wire import command

STREAM = command("set", "key", "v" * 50) + command("AUTH", "secret") + b"\n" + command("PING")


def read(data: bytes, size: int, max_command: int = 1000) -> list[tuple[bytes, tuple[bytes, ...], bool]]:
    scanner = StreamScanner(0, keep_ends=True)
    words = ArgumentReader(scanner, max_command)
    found = []
    for begin in range(0, len(data), size):
        piece = data[begin : begin + size]
        scanner.feed(piece)
        words.feed(piece)
        found += [words.words(begin, end) for begin, end, _, _ in scanner.take_ends()]
        words.drop_read()
        assert words.held <= max_command + size
    return found


@pytest.mark.parametrize("size", [1, 3, 40, 1000])
def test_commands_are_read_the_same_for_any_split(size: int) -> None:
    assert read(STREAM, size) == [
        (b"SET", (b"key", b"v" * 50), False),
        (b"AUTH", (b"***",), False),
        (b"PING", (), False),
    ]


@pytest.mark.parametrize("size", [1, 3, 40, 1000])
def test_of_a_command_that_is_too_large_the_whole_arguments_of_its_beginning_are_read(size: int) -> None:
    assert read(STREAM, size, max_command=60)[0] == (b"SET", (b"key",), True)
    assert read(command("SET", "key", "v" * 100_000) + command("PING"), 1 + size * 50, max_command=60) == [
        (b"SET", (b"key",), True),
        (b"PING", (), False),
    ]


def test_after_nonsense_nothing_is_kept() -> None:
    scanner = StreamScanner(0, keep_ends=True)
    words = ArgumentReader(scanner, 1000)
    data = command("PING") + b"nonsense"
    scanner.feed(data)
    words.feed(data)
    assert [words.words(begin, end)[0] for begin, end, _, _ in scanner.take_ends()] == [b"PING"]
    words.drop_read()
    assert words.held == 0
