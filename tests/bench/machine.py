"""What the figures were taken on and with."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

from tap.replication.scanner import COMPILED
from tap.servers.embedded import Server
from tests.support import programs

from .pair import server_name
from .peers import MATRIX


def describe() -> dict[str, str]:
    """By the words that stand before each fact."""
    facts = {
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "CPU": f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": platform.platform(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "scanner": "compiled" if COMPILED else "not compiled",
        "hiredis": version("hiredis"),
    }
    if programs():
        facts["servers"] = Server(programs()[server_name()]).version
    for peer in MATRIX:
        facts[peer.name] = f"left out: {peer.missing}" if peer.missing else f"{peer.version()}; {peer.setup}".lstrip("; ")
    return facts


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()  # ARM kernels tell no name
