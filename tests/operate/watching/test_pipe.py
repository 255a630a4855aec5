"""The size of a pipe."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from tap.operate.watching.pipe import PIPE_BYTES, widen


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has the size of a pipe")
def test_a_pipe_holds_a_megabyte() -> None:
    ends = os.pipe()
    widen(ends[0])
    assert fcntl.fcntl(ends[1], fcntl.F_GETPIPE_SZ) == PIPE_BYTES
    for end in ends:
        os.close(end)


def test_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        widen(file.fileno())
