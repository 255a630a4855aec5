"""The stream as it came, in whole commands."""

from __future__ import annotations

import io

import pytest

from tap.export.stream_bytes import copy_commands
from tests.relay.wire import command


@pytest.mark.parametrize("back", [0, 1, 20, 60])
def test_of_several_commands_in_one_rreplay_none_is_cut_off(back: int) -> None:
    """back: bytes before the wrapper's end."""
    both = command("SET", "a", "1") + command("PEXPIREAT", "a", "9")
    first, behind = command("SELECT", "3"), command("DEL", "b")
    wrapped = command("RREPLAY", "0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d", both, "4")
    out = io.BytesIO()
    begin = 100 + len(first + wrapped) - back
    copied = copy_commands(io.BytesIO(first + wrapped + behind), out, 100, begin, None)
    assert out.getvalue() == wrapped + behind
    assert (copied.offset, copied.commands, copied.without_db) == (100 + len(first), 3, 0)
