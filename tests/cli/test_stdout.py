"""What becomes of stdout when nothing can be written to it any more."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from tap.cli.stdout import leave_stdout
try:
    sys.stdout.write("lost")
    sys.stdout.flush()
except OSError:
    leave_stdout()
"""


def test_what_can_go_nowhere_is_no_complaint_at_the_end() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", CODE], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
