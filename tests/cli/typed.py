"""The command as a user types it, without the start of a process."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tap.cli import main


def tap(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Within this process, which has imported everything already."""
    typed = ["redis-tap", *map(str, words)]
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", typed), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return subprocess.CompletedProcess(typed, code or 0, out.getvalue(), err.getvalue())
