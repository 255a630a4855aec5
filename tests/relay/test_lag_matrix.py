"""Every figure of lag and silence beside what the servers say at that moment, in each situation, on each server.

A figure is right if it lies between what the master had written when the last acknowledgement came and what it has
written by now. One that is marked as a lower bound may be less, and never more.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tap.config import Config, LinkConfig
from tap.replication import events
from tap.replication.events import Side
from tap.servers.embedded import Server
from tap.status import AlertFigures, ConnectionStatus
from tests.conftest import need
from tests.support import Asked, Servers, TapThread, client, follow, is_up, level, wait_until

NAMES = ["redis-7.0", "redis-newest", "valkey-newest", "redis-8.0"]
ACK_AGE = 2.6  # seconds: an acknowledgement each second counts until it is 1.5 s old, and has to pass
RESOLUTION = 1.3  # seconds: silence is looked at once a second
LOOKS = 4.0  # seconds


class Pair:
    """A master and its replica with a tap in between, and the master's offsets as it said them, by the time before."""

    def __init__(self, servers: Servers, name: str, tap: TapThread, master: Server, replica: Server) -> None:
        self.tap, self.master, self.replica = tap, master, replica
        self.written: list[tuple[float, int]] = []
        self._asked = Asked(master)

    def offset(self) -> int:
        return int(self._asked.info("replication")["master_repl_offset"])

    def status(self) -> ConnectionStatus:
        """Made in the tap's thread: its figures belong together. Alerts compare the same."""
        found: list[tuple[ConnectionStatus, AlertFigures]] = []

        def take() -> None:
            one = self.tap.tap.links[-1]
            found.append((one.status(), one.figures({"lag", "silence", "buffer"}, time.monotonic())))

        self.tap.call(take)
        [(status, figures)] = found
        assert (figures.link, figures.number, figures.replica) == (status.link, status.number, status.replica)
        assert (figures.lag.bytes, figures.lag.at_least) == (status.lag_bytes, status.lag_at_least)
        assert figures.master_silence == pytest.approx(status.master_silence, abs=0.1)
        assert figures.replica_silence == pytest.approx(status.replica_silence, abs=0.1)
        assert figures.buffer_bytes == status.buffer_bytes
        return status

    def look(self) -> ConnectionStatus:
        """The tap's figures, which are right beside the master's own, asked before and after."""
        at = time.monotonic()
        self.written.append((at, self.offset()))
        one = self.status()
        after = self.offset()
        assert one.offset is not None
        assert one.offset <= after
        if one.lag_bytes is not None and one.acked is not None:
            reached = one.acked + one.lag_bytes
            assert reached <= after, "a lag of more than is written"
            known = [offset for then, offset in self.written if then <= at - ACK_AGE]
            if known and not one.lag_at_least:
                assert reached >= known[-1], f"{one} is no bound, and less than the master had written"
        return one

    def close(self) -> None:
        self._asked.close()


@contextlib.contextmanager
def pair(servers: Servers, name: str, *options: str, inspect: bool = False) -> Iterator[Pair]:
    master = servers.start(need(name), "client-output-buffer-limit", "replica 0 0 0", *options)
    replica = servers.start(name)
    url = f"redis://127.0.0.1:{master.port}" if inspect else None
    with TapThread(Config(links=LinkConfig(master=f"127.0.0.1:{master.port}", inspect=url))) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        level(master, replica)
        wait_until(lambda: tap.tap.links[0].route.facts.pulse.ping_period)
        with contextlib.closing(Pair(servers, name, tap, master, replica)) as one:
            yield one


@contextlib.contextmanager
def writing(master: Server, pause: float = 0.0) -> Iterator[None]:
    """As fast as one client can, or with a pause after each hundred kilobytes."""
    is_over = threading.Event()

    def write() -> None:
        with client(master) as to_master:
            while not is_over.wait(pause):
                pipeline = to_master.pipeline(transaction=False)
                for number in range(100):
                    pipeline.set(f"key:{number}", "v" * 1000)
                pipeline.execute()

    thread = threading.Thread(target=write, name="writer")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[float]:
    """The time since when it is stopped."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        os.kill(server.pid, signal.SIGCONT)


def idle(one: Pair) -> None:
    """The lag is none, and the offset the master's own, at every look."""
    end = time.monotonic() + LOOKS
    while time.monotonic() < end:
        before = one.offset()
        now = one.look()
        if before == one.offset() == now.offset:
            assert (now.lag_bytes, now.lag_at_least) in ((0, False), (14, False))  # a PING that is not acknowledged yet
        time.sleep(0.05)


def full_load(one: Pair) -> None:
    with writing(one.master):
        end = time.monotonic() + LOOKS + ACK_AGE
        while time.monotonic() < end:
            one.look()


def throttled(one: Pair) -> None:
    one.tap.call(lambda: one.tap.tap.faults.add("throttle 300kb/s from=master name=slow"))
    with writing(one.master, pause=0.1):
        end = time.monotonic() + LOOKS + ACK_AGE
        while time.monotonic() < end:
            one.look()
    assert one.look().lag_bytes
    one.tap.call(lambda: one.tap.tap.faults.remove("slow"))


def replica_stopped(one: Pair) -> None:
    """While the master writes more than buffers hold, until the silence is reported."""
    with stopped(one.replica) as since, writing(one.master, pause=0.01):
        wait_until(lambda: one.look().silent is Side.REPLICA)
        now = one.look()
        assert now.replica_silence is not None
        assert now.replica_silence == pytest.approx(time.monotonic() - since, abs=RESOLUTION)
        assert now.lag_at_least
        assert (now.lag_bytes or 0) > 0


def master_stopped(one: Pair) -> None:
    """After a load that has come to its end: nothing is written that the tap has not seen."""
    with writing(one.master):
        wait_until(lambda: (one.look().stream_bytes or 0) > 1_000_000)
    level(one.master, one.replica)
    written = one.offset()
    with stopped(one.master) as since:
        wait_until(lambda: one.status().silent is Side.MASTER)
        now = one.status()
        assert now.master_silence is not None
        assert now.master_silence == pytest.approx(time.monotonic() - since, abs=RESOLUTION + 1.0)  # and a PING's period
        assert now.acked is not None
        assert now.lag_bytes is not None
        assert written <= now.acked + now.lag_bytes <= written + 3 * 14
        assert now.lag_at_least
    assert one.tap.wait_for(events.SilentOver).side is Side.MASTER


@pytest.mark.long
@pytest.mark.parametrize(
    ("situation", "name"),
    [
        (replica_stopped, NAMES[0]),
        *(
            pytest.param(situation, name, marks=pytest.mark.slow)
            for situation, name in itertools.product([idle, full_load, throttled, replica_stopped, master_stopped], NAMES)
            if (situation, name) != (replica_stopped, NAMES[0])
        ),
    ],
)
def test_every_figure_is_the_masters_own_or_a_bound_that_holds(
    servers: Servers, name: str, situation: Callable[[Pair], None]
) -> None:
    with pair(servers, name, "repl-ping-replica-period", "1") as one:
        situation(one)
        level(one.master, one.replica)
        wait_until(lambda: (one.look().lag_bytes, one.status().lag_at_least) == (0, False))


@pytest.mark.long
@pytest.mark.parametrize("name", ["redis-7.0", *(pytest.param(one, marks=pytest.mark.slow) for one in NAMES[1:])])
def test_the_end_by_a_timeout_comes_when_the_tap_says(servers: Servers, name: str) -> None:
    with pair(servers, name, "repl-timeout", "9", "repl-ping-replica-period", "1", inspect=True) as one:
        wait_until(lambda: one.tap.tap.status().links[0].inspected)
        with stopped(one.replica):
            wait_until(lambda: one.status().timeout_in is not None)
            left = one.status().timeout_in
            assert left is not None
            ends = time.monotonic() + left
            wait_until(lambda: "Disconnecting timedout replica" in one.master.log)
            assert time.monotonic() == pytest.approx(ends, abs=2 * RESOLUTION)


@pytest.mark.long
@pytest.mark.parametrize("name", ["redis-7.0", *(pytest.param(one, marks=pytest.mark.slow) for one in NAMES[1:])])
def test_the_distance_out_of_the_backlog_is_that_of_the_request(servers: Servers, name: str, nobody: int) -> None:
    """A diskless master answers two seconds later, and has written all the time."""
    options = ("repl-backlog-size", "16kb", "repl-diskless-sync", "yes")
    with pair(servers, name, *options, "repl-ping-replica-period", "1") as one:
        client(one.master).config_set("repl-diskless-sync-delay", "2")
        fulls = len(one.tap.events(events.FullResync))
        follow(one.replica, nobody)
        with writing(one.master, pause=0.02):
            wait_until(lambda: one.offset() > 2_000_000)
            follow(one.replica, one.tap.port)
            before = one.offset()
            asked = one.tap.wait_for(events.PsyncRequested, fulls + 1)
            after = one.offset()
            reason = one.tap.wait_for(events.FullResync, fulls + 1).reason
            answered = one.offset()
        assert reason.code == "offset_out_of_backlog"
        held = asked.offset - 1
        said = re.search(r"was (?:(\d+) to |(at most) )?(\d+) bytes behind", reason.text)
        assert said is not None, reason.text
        least = int(said[1]) if said[1] else 0 if said[2] else int(said[3])
        assert least <= after - held
        assert before - held <= int(said[3]) <= answered - held
