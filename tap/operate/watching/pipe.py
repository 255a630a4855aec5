"""Pipes from a program that captures: a full one keeps it waiting, and then the kernel drops packets."""

from __future__ import annotations

import contextlib
import fcntl

PIPE_BYTES = 2**20  # the most that Linux gives a process without privileges; 64 KiB if nothing is asked


def widen(pipe: int) -> None:
    """Let the pipe hold PIPE_BYTES, where the system allows that. pipe: a descriptor, which may be of something else."""
    with contextlib.suppress(AttributeError, OSError):  # Linux alone has the size
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
