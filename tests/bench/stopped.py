"""A program on a terminal that was stopped with Ctrl-S: `python -m tests.bench.stopped PROGRAM ARGUMENT ...`."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios


def main(*command: str) -> None:
    shown, terminal = os.openpty()  # nobody reads what is shown; the program keeps it open, unknowingly
    os.set_inheritable(shown, True)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    termios.tcflow(terminal, termios.TCOOFF)
    os.dup2(terminal, sys.stdout.fileno())
    os.execvpe(command[0], command, {**os.environ, "TERM": "xterm"})


if __name__ == "__main__":
    main(*sys.argv[1:])
