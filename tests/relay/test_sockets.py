"""What the kernel is asked about a socket."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tap.relay.sockets import hung_up, reset_on_close, shown, tune, unacknowledged, unread
from tests.relay.wire import LOCALHOST
from tests.support import WITHIN, wait_until


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection."""
    with socket.create_server((LOCALHOST, 0)) as listener:
        ours = socket.create_connection(listener.getsockname(), WITHIN)
        theirs, _ = listener.accept()
    return ours, theirs


def test_a_socket_is_tuned_for_small_writes_and_for_peers_that_vanish() -> None:
    ours, theirs = pair()
    with ours, theirs:
        tune(ours)
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 15
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        tune(one)


def test_what_has_come_is_counted_without_reading_it() -> None:
    ours, theirs = pair()
    with ours, theirs:
        assert unread(ours) == 0
        theirs.sendall(bytes(1000))
        wait_until(lambda: unread(ours) == 1000)
        ours.recv(400)
        assert unread(ours) == 600


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_the_end_of_a_peer_is_seen_without_reading(how: str) -> None:
    ours, theirs = pair()
    with ours, theirs:
        theirs.sendall(b"unread")
        assert hung_up(ours) == ""
        if how == "reset":
            reset_on_close(theirs)
        theirs.close()
        wait_until(lambda: hung_up(ours) == how)


def test_bytes_that_a_peer_does_not_take_are_unacknowledged() -> None:
    ours, theirs = pair()
    with ours, theirs:
        assert unacknowledged(ours) == 0
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(bytes(2**16))
        assert unacknowledged(ours) > 0
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        one.sendall(b"unread")
        assert unacknowledged(one) == 0


def test_an_address_is_shown_as_it_is_written() -> None:
    assert shown(("10.0.0.7", 6379)) == "10.0.0.7:6379"
    assert shown(("fe80::7%eth0", 6379, 0, 2)) == "[fe80::7%eth0]:6379"
