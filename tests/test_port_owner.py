"""The owner of a port, by the tables of /proc; those of other machines are made up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tap.port_owner import port_owner

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(local: str, state: str = "0A", uid: int = 0, inode: int = 77) -> str:
    return (
        f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:5}        0 {inode} 1 0 100\n"
    )


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine whose process 812 has socket 77 open, and whose process 813 may not be inspected."""
    for pid, name in ((812, "redis-server"), (813, "secret")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    fds = tmp_path / "812" / "fd"
    fds.mkdir()
    (fds / "0").symlink_to("/dev/null")
    (fds / "6").symlink_to("socket:[77]")
    (tmp_path / "net").mkdir()
    return tmp_path


little = pytest.mark.skipif(sys.byteorder != "little", reason="the tables are those of a little-endian machine")


@little
@pytest.mark.parametrize(
    ("table", "local", "host", "is_in_the_way"),
    [
        ("tcp", "0100007F:18EB", "127.0.0.1", True),
        ("tcp", "0100007F:18EB", "0.0.0.0", True),
        ("tcp", "0100007F:18EB", "127.0.0.2", False),
        ("tcp", "0100007F:18EC", "127.0.0.1", False),
        ("tcp", "00000000:18EB", "10.0.0.5", True),
        ("tcp6", "00000000000000000000000001000000:18EB", "::1", True),
        ("tcp6", "00000000000000000000000000000000:18EB", "127.0.0.1", True),
        ("tcp6", "0000000000000000FFFF00000100007F:18EB", "127.0.0.1", True),
        ("tcp6", "000080FE00000000FF005450FE000000:18EB", "fe80::5054:ff:0:fe%eth0", True),
    ],
)
def test_the_socket_in_the_way_is_found(proc: Path, table: str, local: str, host: str, is_in_the_way: bool) -> None:
    (proc / "net" / table).write_text(HEAD + line("0100007F:18EB", state="01", inode=5) + line(local))
    assert port_owner(host, 6379, proc) == ("redis-server (pid 812)" if is_in_the_way else "")


@little
@pytest.mark.parametrize(("uid", "said"), [(0, "a process of root"), (4123456789, "a process of user 4123456789")])
def test_a_process_without_permission_is_named_by_its_user(proc: Path, uid: int, said: str) -> None:
    (proc / "net" / "tcp").write_text(HEAD + line("0100007F:18EB", uid=uid, inode=78))
    assert port_owner("127.0.0.1", 6379, proc) == said


def test_a_system_without_these_tables_gives_nothing(tmp_path: Path) -> None:
    assert port_owner("127.0.0.1", 6379, tmp_path) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0"])
def test_the_owner_is_found_on_this_machine(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with taken:
        assert port_owner(host, taken.getsockname()[1]).endswith(f"(pid {os.getpid()})")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_another_users_process_is_no_trouble() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asks = "import os, sys; from tap.port_owner import port_owner; os.setuid(65534)\n"
        asks += "print(port_owner(sys.argv[1], int(sys.argv[2])))"
        host, port = taken.getsockname()
        said = subprocess.run([sys.executable, "-c", asks, host, str(port)], capture_output=True, text=True, check=True)
    assert said.stdout == "a process of root\n"
