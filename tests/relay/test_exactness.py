"""`cut at=offset:+N` is at byte N: for a peer that counts bytes, and for real replicas, which ask for what follows."""

from __future__ import annotations

import bisect
import socket
from random import Random

import pytest

from tap.bus import Told
from tap.replication import events
from tests.conftest import need
from tests.relay.wire import (
    BASE,
    Counter,
    Flood,
    Writes,
    add,
    in_front_of,
    rounds,
)
from tests.support import Servers, TapThread, client, digest, follow, is_up, level, thinned, wait_until

SEED = 20240229
MAX_BYTES = 300_000  # of N


def replid_and_offset(port: int) -> tuple[str, int]:
    info = client(port).info("replication")
    return info["master_replid"], int(info["master_repl_offset"])


def test_a_counter_gets_exactly_the_requested_bytes_of_a_real_master_under_load(
    servers: Servers, any_server: str
) -> None:
    """From the stream's beginning if the fault was there first, otherwise from the present offset."""
    master = servers.start(any_server, "repl-backlog-size", "512mb", "client-output-buffer-limit", "replica 0 0 0")
    other = servers.start(any_server)
    follow(other, master.port)
    wait_until(lambda: is_up(other))
    rng = Random(SEED)
    with TapThread(in_front_of(master.port)) as tap, Writes(master.port):
        before = client(master).info("stats")["sync_partial_ok"]
        count = rounds(50, 1000)
        for number in range(count):
            replid, offset = replid_and_offset(master.port)
            more = rng.randrange(MAX_BYTES)
            live = number % 2 == 1
            since = [0]

            def arm(more: int = more, since: list[int] = since) -> None:
                link = tap.tap.links[-1]
                assert link.conversation.stream is not None
                since[0] = link.conversation.stream.received
                tap.tap.faults.add(f"cut at=offset:+{more}b")

            if live:
                counter = Counter(tap.port, offset, replid)
                counter.start()
                wait_until(lambda counter=counter: counter.count > 0)  # type: ignore[misc]
                tap.call(arm)
            else:
                add(tap, f"cut at=offset:+{more}b")
                counter = Counter(tap.port, offset, replid)
                counter.start()
            counter.finish()
            fired = tap.wait_for(events.FaultFired, number + 1)
            assert counter.how == "fin"
            assert counter.count == since[0] + more
            assert fired.offset == offset + counter.count
            wait_until(lambda: not tap.tap.links)
        assert client(master).info("stats")["sync_partial_ok"] == before + count


class Heard:
    """Collects what matters among a tap's events, while it reports commands by the hundred thousand.

    offsets: where a replica can be, the ends of commands outside MULTI. ends: of all commands.
    """

    def __init__(self, tap: TapThread) -> None:
        self.offsets: list[int] = []
        self.ends: list[int] = []
        self.fired: list[events.FaultFired] = []
        self.asked: list[events.PsyncRequested] = []
        self._cut: list[int] = []  # the links that were cut
        self._closed: set[int] = set()  # only then all of its commands have been reported
        tap.call(lambda: tap.tap.bus.subscribe(self._hear))

    def _hear(self, told: Told) -> None:
        event = told.event
        if isinstance(event, events.Command) and event.offset is not None:
            self._note(self.ends, event.offset)
            if not event.in_transaction or event.name in ("EXEC", "DISCARD"):
                self._note(self.offsets, event.offset)
        elif isinstance(event, events.FaultFired):
            self.fired.append(event)
            self._cut.append(told.connection)
        elif isinstance(event, events.PsyncRequested):
            self.asked.append(event)
        elif isinstance(event, events.LinkClosed):
            self._closed.add(told.connection)

    def is_over(self, number: int) -> bool:
        """Whether the link of that cut has closed, and the replica has asked for what follows."""
        return min(len(self._cut), len(self.asked)) > number and self._cut[number] in self._closed

    def _note(self, into: list[int], offset: int) -> None:
        if not into or offset > into[-1]:
            into.append(offset)

    def before(self, offset: int) -> int:
        """The last one at or before it."""
        return self.offsets[bisect.bisect_right(self.offsets, offset) - 1]

    def end_behind(self, offset: int) -> int:
        """The first end of a command at or after it."""
        return self.ends[bisect.bisect_left(self.ends, offset)]


@pytest.mark.long
@pytest.mark.parametrize("edge", thinned(["byte", "command", "transaction"], 3))
def test_a_real_replica_under_load_asks_for_what_follows_its_last_whole_command(servers: Servers, edge: str) -> None:
    name = need("redis-7.0")  # reconnects at once; others wait for their next second
    master = servers.start(name, "repl-backlog-size", "512mb", "client-output-buffer-limit", "replica 0 0 0")
    replica = servers.start(name)
    rng = Random(SEED)
    with TapThread(in_front_of(master.port, every_command=True)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        heard = Heard(tap)
        before = client(master).info("stats")["sync_partial_ok"]
        count = rounds(15, 334)
        with Writes(master.port):
            for number in range(count):
                more = rng.randrange(MAX_BYTES)
                origin: list[int] = []

                def arm(more: int = more, origin: list[int] = origin) -> bool:
                    links = [link for link in tap.tap.links if link.conversation.stream is not None]
                    stream = links[-1].conversation.stream if links else None
                    if stream is None or stream.offset is None:
                        return False
                    origin.append(stream.offset)
                    tap.tap.faults.add(f"cut at=offset:+{more}b edge={edge}")
                    return True

                wait_until(lambda arm=arm: answer(tap, arm))  # type: ignore[misc]
                wait_until(lambda number=number: heard.is_over(number))  # type: ignore[misc]
                fired = heard.fired[number]
                assert fired.offset is not None
                wanted = origin[0] + more
                if edge == "byte":
                    assert fired.offset == wanted
                elif edge == "command":
                    assert fired.offset == heard.end_behind(wanted)
                else:
                    assert fired.offset == heard.before(fired.offset) >= wanted
                assert heard.asked[number].offset == heard.before(fired.offset) + 1
        level(master, replica)
        assert digest(master) == digest(replica)
        stats = client(master).info("stats")
        assert stats["sync_partial_ok"] - before == count
        wait_until(lambda: len(tap.events(events.PartialResync)) == count)
        assert len(tap.events(events.FullResync)) == 1


def answer(tap: TapThread, function: object) -> bool:
    """The return value, called in the tap's thread."""
    got: list[bool] = []
    tap.call(lambda: got.append(function()))  # type: ignore[operator]
    return got[0]


def last_bytes(seed: int, count: int) -> list[int]:
    """Where cuts drawn from this seed fall, one link after the other."""
    cuts = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        config = in_front_of(listener.getsockname()[1], "cut at=offset:+1kb..1mb times=all", seed=seed)
        with TapThread(config) as tap:
            for _ in range(count):
                flood, counter = Flood(listener), Counter(tap.port)
                flood.start()
                counter.start()
                counter.finish()
                flood.stop()
                cuts.append(counter.count)
                assert tap.events(events.FaultFired)[-1].offset == BASE + counter.count
    return cuts


def test_one_seed_cuts_at_the_same_bytes_every_time() -> None:
    first = last_bytes(7, 10)
    assert first == last_bytes(7, 10)
    assert len(set(first)) == 10
    assert all(1024 <= count <= 2**20 for count in first)
    assert first != last_bytes(8, 10)
