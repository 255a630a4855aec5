"""What happens when nothing more can be written to stdout."""

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


def test_unwritable_output_causes_no_complaint_at_exit() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", CODE], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
