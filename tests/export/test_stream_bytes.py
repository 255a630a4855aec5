"""The stream as it came, in whole commands."""

from __future__ import annotations

import io

import pytest

from tap.export import stream_bytes
from tap.export.stream_bytes import copy_commands
from tests.relay.wire import command


@pytest.mark.parametrize("back", [0, 1, 20, 60])
def test_none_of_several_commands_in_one_rreplay_is_cut_off(back: int) -> None:
    """back: bytes before the wrapper's end."""
    both = command("SET", "a", "1") + command("PEXPIREAT", "a", "9")
    first, behind = command("SELECT", "3"), command("DEL", "b")
    wrapped = command("RREPLAY", "0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d", both, "4")
    out = io.BytesIO()
    begin = 100 + len(first + wrapped) - back
    copied = copy_commands(io.BytesIO(first + wrapped + behind), out, 100, begin, None)
    assert out.getvalue() == wrapped + behind
    assert (copied.offset, copied.commands, copied.without_db) == (100 + len(first), 3, 0)


@pytest.mark.parametrize("db", [None, 0, 3])
def test_commands_before_the_first_select_are_counted_if_their_db_is_unknown(db: int | None) -> None:
    stream = command("SET", "a", "1") + command("DEL", "b") + command("SELECT", "0") + command("SET", "a", "2")
    out = io.BytesIO()
    copied = copy_commands(io.BytesIO(stream + b"*2\r\n$3"), out, 100, None, db)
    assert out.getvalue() == stream
    assert (copied.offset, copied.end_offset, copied.commands) == (100, 100 + len(stream), 4)
    assert copied.without_db == (2 if db is None else 0)


@pytest.mark.parametrize("size", [1, 7, 30, 10**6])
def test_a_stream_is_cut_before_the_first_command_that_ends_at_or_after_an_offset(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_bytes, "CHUNK", size)
    said = [command("SELECT", "0"), command("SET", "a", "1"), command("DEL", "b")]
    whole = b"".join(said)
    ends = [sum(map(len, said[: number + 1])) for number in range(3)]
    for begin in range(90, 100 + len(whole) + 1):
        out = io.BytesIO()
        copied = copy_commands(io.BytesIO(whole), out, 100, begin, None)
        left = [one for one, end in zip(said, ends, strict=True) if 100 + end >= begin]
        assert out.getvalue() == b"".join(left)
        assert (copied.commands, copied.end_offset) == (len(left), 100 + len(whole))
        assert copied.offset == 100 + len(whole) - len(out.getvalue())
    nothing = copy_commands(io.BytesIO(whole), out := io.BytesIO(), 100, 101 + len(whole), None)
    assert (out.getvalue(), nothing.offset, nothing.commands) == (b"", 100 + len(whole), 0)
