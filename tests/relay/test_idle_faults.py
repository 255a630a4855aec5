"""Law 2 with armed faults that never fire, and with faults that come and go: bytes out are bytes in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from random import Random

import pytest

from tap.faults import Armed
from tap.replication import events
from tests.relay.wire import LOCALHOST, Writes, add, in_front_of, remove, rounds
from tests.support import (
    WITHIN,
    Capture,
    Servers,
    TapThread,
    captures,
    client,
    digest,
    follow,
    is_up,
    level,
    master_offset,
    wait_until,
)

FAR = "999999999999"
IDLE = (
    f"cut at=offset:{FAR}",
    f"cut at=offset:{FAR} edge=transaction",
    "cut at=rdb:key:99999999",
    "cut at=stream:99gb edge=command",
    "cut after=1h",
    "cut at=psync nth=99",
    "drop command=NOSUCHCMD",
    "drop command=SET key='nosuch:*'",
    "drop key='nosuch:*'",
    "drop pings after=1h",
    "drop acks after=1h",
    "drop keepalives after=1h",
    "duplicate command=NOSUCHCMD",
    "reorder command=NOSUCHCMD",
    "corrupt command=SET key='nosuch:*'",
    "truncate 99gb",
    "answer '-ERR no' request=NOSUCHCMD",
    "answer '-ERR no' reply=NOSUCHCMD",
    "rewrite psync='? -1' after=1h",
    "rewrite ack=freeze after=1h",
    "delay 5s after=1h",
    "throttle 1kb/s after=1h",
    "slice 1b after=1h",
    "stall after=1h",
)


class Collector(threading.Thread):
    """Reads a socket to its end."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(name="collector")
        self.data = bytearray()
        self._socket = sock
        self.start()

    def run(self) -> None:
        while piece := self._socket.recv(65536):
            self.data += piece


def play(capture: Capture, connection: int, tap: TapThread, listener: socket.socket) -> None:
    """Play one connection through the tap, chunk by chunk as it was; each side gets what the other sent."""
    chunks = [chunk for chunk in capture.chunks if chunk.connection == connection]
    sent = {"master": b"", "replica": b""}
    with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0] as master:
        link = tap.tap.links[-1]
        master.settimeout(WITHIN)
        sockets = {"master": master, "replica": replica}
        at_replica, at_master = Collector(replica), Collector(master)
        for chunk in chunks:
            sockets[chunk.side].sendall(chunk.data)
            sent[chunk.side] += chunk.data

            def is_read() -> bool:
                read = link.conversation
                return (read.from_master, read.from_replica) == (len(sent["master"]), len(sent["replica"]))

            wait_until(is_read)
        for sock in sockets.values():
            sock.shutdown(socket.SHUT_WR)
        at_replica.join(WITHIN)
        at_master.join(WITHIN)
        assert (bytes(at_replica.data), bytes(at_master.data)) == (sent["master"], sent["replica"])


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: capture.name)
def test_captures_pass_unchanged_through_faults_that_never_fire(capture: Capture) -> None:
    with socket.create_server((LOCALHOST, 0)) as listener:
        listener.settimeout(WITHIN)
        with TapThread(in_front_of(listener.getsockname()[1], *IDLE, destructive=True)) as tap:
            for connection in dict.fromkeys(chunk.connection for chunk in capture.chunks):
                play(capture, connection, tap, listener)
            assert not tap.events(events.FaultFired)


def test_a_real_pair_does_not_notice_faults_that_never_fire(servers: Servers, server_name: str) -> None:
    master, replica = servers.start(server_name), servers.start(server_name)
    with TapThread(in_front_of(master.port, *IDLE, destructive=True)) as tap:
        with Writes(master.port):
            follow(replica, tap.port)
            wait_until(lambda: is_up(replica))
            there = master_offset(master)
            wait_until(lambda: master_offset(master) > there + 5_000_000)
        level(master, replica)
        assert digest(master) == digest(replica)
        assert tap.offset() == master_offset(master)
        assert client(master).info("stats")["sync_full"] == 1
        assert not tap.events(events.FaultFired)
        assert not tap.events(events.Opaque)


# ---- faults that come and go ----

# Each of them leaves the data unchanged, whatever it does in the meantime.
HARMLESS = (
    "delay 20ms",
    "delay 5ms jitter=5ms",
    "delay 5ms jitter=2ms distribution=normal from=master",
    "throttle 5mb/s",
    "throttle 20mb/s burst=100kb from=master",
    "slice 100b from=master",
    "slice 10kb gap=100us",
    "stall",
    "stall for=20ms from=master",
    "stall every=50ms for=10ms times=all",
    "drop acks",
    "drop acks probability=0.5 times=all",
    "drop keepalives",
    "drop command=NOSUCHCMD",
    "drop command=SET key='nosuch:*'",
    "drop key='nosuch:*'",
    "duplicate command=NOSUCHCMD",
    "reorder command=NOSUCHCMD",
    "corrupt command=NOSUCHCMD",
    "rewrite ack=-100b",
    "rewrite ack=freeze",
    f"cut at=offset:{FAR}",
    f"cut at=offset:{FAR} edge=transaction",
    "truncate 99gb",
    "answer '-ERR no' request=NOSUCHCMD",
    "refuse close",
    "refuse blackhole",
)


def come_and_go(tap: TapThread, times: int, passed: Callable[[], int]) -> None:
    """Add and remove faults at random, at most five at once; now and then let some bytes pass in between."""
    rng = Random(1)
    armed: list[Armed] = []
    for _ in range(times):
        if len(armed) == 5 or (armed and rng.random() < 0.5):
            remove(tap, armed.pop(rng.randrange(len(armed))))
        else:
            armed.append(add(tap, rng.choice(HARMLESS)))
        if rng.random() < 0.1:
            for one in armed:
                remove(tap, one)
            armed.clear()
            there = passed()
            wait_until(lambda there=there: passed() > there + rng.randrange(100_000))  # type: ignore[misc]
    for one in armed:
        remove(tap, one)


def test_faults_come_and_go_on_a_live_pair_and_nothing_is_lost(servers: Servers, server_name: str) -> None:
    master = servers.start(server_name, "client-output-buffer-limit", "replica 0 0 0", "repl-timeout", "600")
    replica = servers.start(server_name, "repl-timeout", "600")
    with TapThread(in_front_of(master.port)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        link = tap.tap.links[0]
        with Writes(master.port):
            come_and_go(tap, rounds(400, 4000), lambda: link.conversation.from_master)
        level(master, replica)
        assert digest(master) == digest(replica)
        assert tap.offset() == master_offset(master)
        stats = client(master).info("stats")
        assert stats["sync_full"] == 1
        assert not tap.events(events.Opaque)
        assert link.faults is None
        tap.wait_for(events.FaultExpired, len(tap.events(events.FaultArmed)))
