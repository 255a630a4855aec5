"""Law 5 from outside: a gigabyte through a tap process, and the peak memory of that process."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support import WITHIN

GIGABYTE = 1 << 30
LIMIT = 100 << 20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("commands", [False, True])
def test_a_gigabyte_passes_in_bounded_memory(commands: bool) -> None:
    """An RDB of half of it, then one command with a value of the other half."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WITHIN)
        command = [
            sys.executable,
            "-m",
            "tap",
            "run",
            "--ui",
            "json",
            "--master",
            f"127.0.0.1:{listener.getsockname()[1]}",
        ]
        command += ["--commands"] if commands else []
        tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert tap.stderr is not None
        assert tap.stdout is not None
        try:
            said = tap.stderr.readline().decode()
            port = int(re.search(r"listening on 127.0.0.1:(\d+)", said)[1])  # type: ignore[index]
            listener.accept()[0].close()  # run checks at its start whether the master is there
            with socket.create_connection(("127.0.0.1", port), WITHIN) as replica, listener.accept()[0] as master:
                replica.sendall(b"PSYNC ? -1\r\n")
                half = GIGABYTE // 2
                parts = [
                    (f"+FULLRESYNC {'a' * 40} 0\r\n${half}\r\n".encode(), half),
                    (b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n" % half, half),
                    (b"\r\n*1\r\n$4\r\nping\r\n", 0),
                ]
                sender = threading.Thread(target=send, args=(master, parts))
                sender.start()
                left = sum(len(head) + body for head, body in parts)
                while left:
                    left -= len(replica.recv(min(left, 1 << 20)))
                sender.join(WITHIN)
                peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{tap.pid}/status").read_text())[1]) << 10  # type: ignore[index]
            assert peak < LIMIT
        finally:
            tap.terminate()
            out, _ = tap.communicate(timeout=WITHIN)
        assert tap.returncode == 0
        assert b'"rdb_finished"' in out
        if commands:
            assert b'"omitted_bytes":5368709' in out


def send(master: socket.socket, parts: list[tuple[bytes, int]]) -> None:
    block = bytes(1 << 20)
    for head, body in parts:
        master.sendall(head)
        for _ in range(body >> 20):
            master.sendall(block)
