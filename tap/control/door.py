"""The socket of the API: on this machine without a token, beyond it only with one, or a Unix socket of mode 0600."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path

from tap.errors import ConfigError, EnvironmentFailure, words
from tap.listening import BACKLOG, listening
from tap.secret import secret
from tap.url import Address

TOKEN = "REDIS_TAP_API_TOKEN"  # noqa: S105  # the name of the variable
LEAST_TOKEN = 16  # characters
LONGEST_PATH = 107  # bytes of a Unix socket's path (unix(7))


def token() -> str | None:
    """The token that clients have to send, see tap.secret; None if there is none. Raises ConfigError for a weak one."""
    said = secret(TOKEN)
    if said is None:
        return None
    if len(said) < LEAST_TOKEN or not said.isascii() or not said.isprintable() or said != said.strip():
        raise ConfigError(
            f"{TOKEN} has to be {LEAST_TOKEN} printable ASCII characters or more, without blanks around them; "
            "`openssl rand -hex 32` makes one"
        )
    return said


def check(address: Address, has_token: bool) -> None:
    """Raise ConfigError for an address beyond this machine without a token, as far as its spelling shows that."""
    if address.path:
        if len(os.fsencode(address.path)) > LONGEST_PATH:
            raise ConfigError(f"{address}: the path of a Unix socket has at most {LONGEST_PATH} bytes")
        return
    with contextlib.suppress(ValueError):
        if not has_token and not ipaddress.ip_address(address.host).is_loopback:
            raise _beyond(address)
    if not has_token and address.host == "*":
        raise _beyond(address)


def _beyond(address: Address) -> ConfigError:
    return ConfigError(
        f"--api {address} can be reached from other machines: set {TOKEN} in the tap's environment, which clients then "
        "send as a bearer; or listen on 127.0.0.1 or unix:PATH"
    )


async def opened(address: Address, *, has_token: bool) -> tuple[list[socket.socket], Address]:
    """Open non-blocking sockets that listen. Returns them and the address, with the port that the system chose.

    Raises ConfigError for a name that leads beyond this machine without a token, EnvironmentFailure if it cannot listen.
    """
    if address.path:
        return [_unix(address)], address
    sockets, found = await listening(address)
    hosts = [ipaddress.ip_address(one.getsockname()[0].partition("%")[0]) for one in sockets]
    if not has_token and not all(one.is_loopback for one in hosts):
        for one in sockets:
            one.close()
        raise _beyond(address)
    return sockets, found


def _unix(address: Address) -> socket.socket:
    path = Path(address.path)
    _make_way(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    before = os.umask(0o177)  # with chmod() afterwards, others could connect in between
    try:
        sock.bind(address.path)
    except OSError as error:
        sock.close()
        raise EnvironmentFailure(f"cannot listen on {address}: {words(error)}") from None
    finally:
        os.umask(before)
    sock.listen(BACKLOG)
    return sock


def _make_way(path: Path) -> None:
    """Remove the socket that a process has left which no longer runs. Raises EnvironmentFailure for anything else."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # none is there, or bind() says why not
        return
    if not stat.S_ISSOCK(mode):
        raise EnvironmentFailure(f"cannot listen on unix:{path}: a file that is not a socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a process that is stopped, and whose queue is full, is there all the same
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise EnvironmentFailure(f"cannot listen on unix:{path}: {words(error)}") from None
        else:
            raise EnvironmentFailure(f"cannot listen on unix:{path}: another process listens there")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def removed(address: Address, made: os.stat_result | None) -> None:
    """Remove the Unix socket that was made here, unless another process has put its own there. made: its stat()."""
    if not address.path or made is None:
        return
    with contextlib.suppress(OSError):
        now = os.lstat(address.path)
        if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):
            os.unlink(address.path)
