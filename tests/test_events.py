"""The events under the name by which users find them."""

from __future__ import annotations

import subprocess
import sys

import tap
import tap.events
from tap import events


def test_the_vocabulary_is_a_module() -> None:
    assert tap.events is events
    code = "import tap.events; from tap.events import FullResync; import tap; assert tap.events.FullResync is FullResync"
    subprocess.run([sys.executable, "-c", code], check=True)
