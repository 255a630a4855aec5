"""The process that occupies a TCP port, from Linux's /proc. Without /proc, or permission, nothing is found."""

from __future__ import annotations

import contextlib
import ipaddress
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

LISTEN = "0A"  # of the states in /proc/net/tcp (proc_pid_net(5))


def port_owner(host: str, port: int, proc: Path = Path("/proc")) -> str:
    """The process that listens there, or on every address: "redis-server (pid 812)" or "a process of redis"; "": unknown.

    host: a numeric address. Never raises for what it finds in /proc.
    """
    for inode, uid in _listeners(ipaddress.ip_address(host.partition("%")[0]), port, proc):
        pid = _holder(inode, proc)
        if pid is not None:
            with contextlib.suppress(OSError):
                return f"{(proc / pid / 'comm').read_text().strip()} (pid {pid})"
        with contextlib.suppress(KeyError):
            return f"a process of {pwd.getpwuid(uid).pw_name}"
        return f"a process of user {uid}"
    return ""


def _listeners(wanted: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, proc: Path) -> Iterator[tuple[str, int]]:
    """The inode and the user of each socket that occupies the port."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            local, state, uid, inode = (line.split()[column] for column in (1, 3, 7, 9))
            digits, _, its_port = local.partition(":")
            if state != LISTEN or int(its_port, 16) != port:
                continue
            host = _address(digits)
            if host == wanted or host.is_unspecified or wanted.is_unspecified:
                yield inode, int(uid)


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address of /proc/net/tcp: words of 32 bits in the byte order of the machine."""
    data = bytes.fromhex(digits)
    if sys.byteorder == "little":
        data = b"".join(data[start : start + 4][::-1] for start in range(0, len(data), 4))
    host = ipaddress.ip_address(data)
    return host.ipv4_mapped or host if isinstance(host, ipaddress.IPv6Address) else host


def _holder(inode: str, proc: Path) -> str | None:
    """The process that has this socket open; None if we are not permitted to see it."""
    for process in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for file in (process / "fd").iterdir():
                if str(file.readlink()) == f"socket:[{inode}]":
                    return process.name
    return None
