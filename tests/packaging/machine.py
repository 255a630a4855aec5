"""A machine that systemd has booted: systemd-nspawn, with the programs and the network of this one, and no service of it.

The tap stands in /opt/redis-tap/bin/redis-tap, where the unit expects it: this interpreter, its packages and the tap of
this tree, each at a place of its own, for no home directory is visible to the service.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from tests.support import ROOT, WITHIN, wait_until

SYSTEMD = Path("/usr/lib/systemd/systemd")
TARGETS = ("sysinit", "basic", "shutdown", "network-online", "nss-lookup", "multi-user")
TAP = """#!/bin/sh
export PYTHONHOME=/opt/python PYTHONPATH=/opt/source:/opt/packages:/opt/binary-packages LD_LIBRARY_PATH=/opt/python/lib
exec /opt/python/bin/python3 -m tap "$@"
"""


class Machine:
    """Boots when it is entered; skips the test where it cannot.

    root: its root directory, from outside. has_own_network: it has a network of its own, with nothing but loopback.
    """

    def __init__(self, root: Path, *, has_own_network: bool = False) -> None:
        self.root = root
        self._network = ["--private-network"] if has_own_network else []
        self._init = 0
        self._nspawn: subprocess.Popen[str] | None = None

    def __enter__(self) -> Machine:
        if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None or not SYSTEMD.exists():
            pytest.skip("booting systemd needs root and systemd-nspawn, of the package systemd-container")
        self._furnish()
        self._lock = open(Path(tempfile.gettempdir()) / "redis-tap-machine.lock", "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # two would be one to the kernel: their control groups have one name
        places = {
            sys.base_prefix: "/opt/python",
            sysconfig.get_path("purelib"): "/opt/packages",
            sysconfig.get_path("platlib"): "/opt/binary-packages",
            str(ROOT): "/opt/source",
        }
        # systemd takes its units from one directory alone, and none of this machine's generators runs.
        self._nspawn = subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", f"--directory={self.root}", "--register=no", "--keep-unit"),
                *("--resolv-conf=off", "--timezone=off", "--console=pipe", "--kill-signal=SIGKILL"),
                *self._network,
                *("--bind-ro=/usr", *(f"--bind-ro={here}:{there}" for here, there in places.items())),
                *("--setenv=SYSTEMD_UNIT_PATH=/etc/systemd/system", "--setenv=SYSTEMD_GENERATOR_PATH=/none"),
                *(str(SYSTEMD), "--show-status=no", "--unit=multi-user.target"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until(self._is_up, within=10, what="systemd has booted")
        except AssertionError:
            said = self._end()
            pytest.skip(f"systemd does not boot here: {said.strip() or 'it says nothing'}")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the machine, as root. Returns what it printed."""
        done = subprocess.run(
            ["nsenter", "--target", str(self._init), "--all", *command],
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @property
    def init(self) -> int:
        """Its first process, by the number that it has outside."""
        return self._init

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def _furnish(self) -> None:
        for name in (
            "dev",
            "etc/credstore",
            "etc/systemd/system",
            "opt/redis-tap/bin",
            "proc",
            "run",
            "sys",
            "tmp",
            "usr",
            "var",
        ):
            (self.root / name).mkdir(parents=True)
        self.root.chmod(0o755)  # the service is not root
        for name in ("bin", "lib", "lib64", "sbin"):
            if Path("/", name).exists():
                (self.root / name).symlink_to(f"usr/{name}")
        for name in ("group", "ld.so.cache", "nsswitch.conf", "passwd"):
            shutil.copy(Path("/etc", name), self.root / "etc")
        (self.root / "etc/os-release").write_text("ID=test\n")
        (self.root / "etc/machine-id").touch()
        for name in TARGETS:
            (self.root / f"etc/systemd/system/{name}.target").write_text("[Unit]\n")
        tap = self.root / "opt/redis-tap/bin/redis-tap"
        tap.write_text(TAP)
        tap.chmod(0o755)

    def _is_up(self) -> bool:
        assert self._nspawn is not None
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        for child in children.read_text().split() if children.exists() else ():
            self._init = int(child)
            if self.run("systemctl", "is-active", "multi-user.target", check=False).strip() == "active":
                return True
        return False

    def _end(self) -> str:
        assert self._nspawn is not None
        if self._init and self._nspawn.poll() is None:
            os.kill(self._init, signal.SIGKILL)  # all in it end with it
        elif self._nspawn.poll() is None:
            self._nspawn.kill()
        said, _ = self._nspawn.communicate(timeout=WITHIN)
        self._lock.close()
        return said
