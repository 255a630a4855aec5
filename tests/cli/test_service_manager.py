"""What a service manager hears of a tap."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.cli.running import running
from tests.support import WITHIN

UNDER_NOHUP = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("is_abstract", [False, True])
def test_it_hears_of_readiness_reloads_the_watchdog_and_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool
) -> None:
    file = tmp_path / "tap.toml"
    file.write_text('[links.a]\nmaster = "127.0.0.1:1"\n')
    name = f"@redis-tap-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name[1:]}" if is_abstract else name)
        manager.settimeout(WITHIN)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        with running("--config", str(file), "--ui", "none") as tap:
            assert manager.recv(999) == b"READY=1"
            with contextlib.suppress(ConnectionResetError):  # it listens, and its master is nowhere
                socket.create_connection(("127.0.0.1", tap.port), WITHIN).close()
            for _ in range(3):
                assert manager.recv(999) == b"WATCHDOG=1"

            def said() -> bytes:
                while (said := manager.recv(999)) == b"WATCHDOG=1":
                    pass
                return said

            if not UNDER_NOHUP:
                before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                tap.process.send_signal(signal.SIGHUP)
                word, number = said().split(b"\nMONOTONIC_USEC=")
                assert word == b"RELOADING=1"
                assert before <= int(number) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                assert said() == b"READY=1"
            tap.process.send_signal(signal.SIGTERM)
            assert said() == b"STOPPING=1"
            assert tap.process.wait(WITHIN) == 0


def test_a_watchdog_for_another_process_gets_no_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WITHIN)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000")
        monkeypatch.setenv("WATCHDOG_PID", "1")
        with running("--master", "127.0.0.1:1", "--ui", "none") as tap:
            assert manager.recv(999) == b"READY=1"
            tap.process.send_signal(signal.SIGTERM)
            assert manager.recv(999) == b"STOPPING=1"


def test_a_manager_that_is_not_there_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with running("--master", "127.0.0.1:1", "--ui", "none") as tap:
        assert tap.end(signal.SIGTERM) == ""
        assert tap.process.returncode == 0
