"""The command as a user types it, without the start of a process."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO
from unittest import mock

import pytest
import typer.main

from tap.cli import app, main

# Typer makes a verb's options anew for each command line, which takes most of the time of a short one.
made_once = functools.cache(typer.main.get_command)


def tap(
    *words: str | Path, data: bytes = b"", width: int = 200, stdout: TextIO | None = None, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    """Within this process, which has imported everything already.

    data: what comes on stdin. width: of the terminal. stdout: where the output goes; without it, into what is returned.
    encoding: of the locale.
    """
    typed = ["redis-tap", *map(str, words)]
    streams = [
        io.TextIOWrapper(io.BytesIO(given), encoding, newline="", write_through=True) for given in (data, b"", b"")
    ]
    for name, stream in zip(("<stdin>", "<stdout>", "<stderr>"), streams, strict=True):
        stream.buffer.name = name
    with contextlib.ExitStack() as within:
        within.enter_context(mock.patch.object(sys, "stdin", streams[0]))
        within.enter_context(mock.patch.object(sys, "stdout", stdout or streams[1]))
        within.enter_context(mock.patch.object(sys, "stderr", streams[2]))
        within.enter_context(mock.patch.object(sys, "argv", typed))
        within.enter_context(mock.patch.dict(os.environ, COLUMNS=str(width), NO_COLOR="1", TERM="dumb"))
        within.enter_context(mock.patch.object(typer.main, "get_command", made_once))
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    out, err = (stream.buffer.getvalue().decode(errors="surrogateescape") for stream in streams[1:])
    return subprocess.CompletedProcess(typed, code or 0, out, err)


def command(verb: str) -> Any:
    """What typer knows about a verb: its parameters and their help."""
    verbs = typer.main.get_command(app)
    return verbs.get_command(verbs.make_context(None, [], resilient_parsing=True), verb)  # type: ignore[attr-defined]
