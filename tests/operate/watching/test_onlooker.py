"""An onlooker reports of packets what a tap in between reports of the bytes, while it happens."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tap.bus import Told
from tap.errors import EnvironmentFailure
from tap.observers.observer import Observer
from tap.operate.watching import onlooker as module
from tap.operate.watching.capture_file import CaptureFile
from tap.operate.watching.onlooker import Onlooker
from tap.operate.watching.tcpdump import Tcpdump
from tap.recording.player import Player
from tap.recording.reader import read
from tap.replication import events
from tap.replication.heads import Head
from tap.replication.phase import Phase
from tap.tap import Tap
from tap.url import Address
from tests.operate.watching.watched import (
    Given,
    configured,
    needs_tcpdump,
    packets_of,
    pour,
    skip_if_lost,
    told,
    without_watching,
)
from tests.recording.wires import STREAM, Wire, of, streamed
from tests.relay.wire import BASE, REPLID
from tests.support import FIXTURES, WITHIN, Servers, client, follow, is_up, master_offset, wait_inside, wait_until

CAPTURES = sorted((FIXTURES / "captures").glob("*.pcap"))


def shown(path: Path) -> list[Told]:
    heard: list[Told] = []
    player = Player(heard.append, every_command=True, every_key=True)
    for _ in read([path], player):
        pass
    return heard


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [1, 1000])
def test_it_reports_what_show_reports(path: Path, size: int, tmp_path: Path) -> None:
    thread = pour(tmp_path / "pipe", path.read_bytes(), size)
    heard, _ = asyncio.run(told(CaptureFile(tmp_path / "pipe"), every_command=True, every_key=True))
    thread.join(WITHIN)
    batches = (events.Commands, events.Silent, events.SilentOver)  # go by time, which passes here while nothing comes
    mine = [one for one in without_watching(heard) if not isinstance(one.event, batches)]
    theirs = [one for one in shown(path) if not isinstance(one.event, batches)]
    assert [(one.link, one.connection, one.replica, one.event) for one in mine] == [
        (one.link, one.connection, one.replica, one.event) for one in theirs
    ]


def test_status_is_that_of_a_tap() -> None:
    source = Given(packets_of(streamed(STREAM[:10]).packets))

    async def watch() -> None:
        async with Onlooker(source, configured()) as onlooker:
            assert onlooker.status().connections == []
            await wait_inside(lambda: onlooker.status().connections)
            end = BASE + sum(map(len, STREAM[:10]))
            await wait_inside(lambda: onlooker.status().connections[0].acked == end)
            await wait_inside(lambda: not onlooker.status().connections[0].lag_at_least)  # it has caught up
            (one,) = onlooker.status().connections
            assert (one.number, one.link, one.peer) == (1, "127.0.0.1:6379", "127.0.0.1:50000")
            assert (one.master, one.phase, one.replid) == (Address("127.0.0.1", 6379), Phase.STREAM, REPLID)
            assert (one.offset, one.db, one.lag_bytes) == (end, 3, 0)
            await wait_inside(lambda: (onlooker.status().connections[0].master_silence or 0) > 0.2)

    asyncio.run(watch())


def test_commands_are_sampled_for_an_observer_that_does_not_want_each() -> None:
    heads: list[Head] = []

    async def watch() -> None:
        onlooker = Onlooker(Given(packets_of(streamed(STREAM[:10]).packets)), configured())
        onlooker.bus.samples.take = heads.extend
        async with onlooker:
            await wait_inside(lambda: len(heads) == 10)

    asyncio.run(watch())
    assert sum(head[1] for head in heads) == sum(map(len, STREAM[:10]))
    assert heads[-1][4] == (b"key:8",)


def test_nothing_is_made_that_no_observer_wants() -> None:
    async def watch(**options: Any) -> set[str]:
        kinds: set[str] = set()
        onlooker = Onlooker(Given(packets_of(streamed(STREAM[:10]).packets)), configured(every_command=True))
        onlooker.bus.subscribe(lambda told: kinds.add(told.event.kind), **options)
        async with onlooker:
            await wait_inside(lambda: onlooker.status().connections)
            await wait_inside(lambda: onlooker.status().connections[0].acked == BASE + sum(map(len, STREAM[:10])))
        return kinds

    assert {"ack", "command"} <= asyncio.run(watch())
    assert not {"ack", "command"} & asyncio.run(watch(without=[events.Ack, events.Command]))


def test_lost_packets_are_reported_while_it_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.0)
    source = Given(packets_of(streamed(STREAM[:3]).packets))

    async def watch() -> tuple[list[Told], Onlooker]:
        heard: list[Told] = []
        onlooker = Onlooker(source, configured())
        onlooker.bus.subscribe(heard.append)
        async with onlooker:
            await wait_inside(lambda: source.asked > 1)
            source.lost = 3
            await wait_inside(lambda: of(heard, events.PacketsLost))
            source.lost = 10
            await wait_inside(lambda: len(of(heard, events.PacketsLost)) > 1)
            source.lost = 12
        return heard, onlooker

    heard, onlooker = asyncio.run(watch())
    assert [(one.count, one.total) for one in of(heard, events.PacketsLost)] == [(3, 3), (7, 10), (2, 12)]
    assert onlooker.lacks == ["the kernel dropped 12 packets before tcpdump could read them"]


def test_a_hole_is_a_gap_with_what_it_costs() -> None:
    """The offset goes on, because TCP numbers the bytes; the commands in the hole are not counted."""
    packets = packets_of(streamed(STREAM[:30]).packets)
    at = next(number for number, one in enumerate(packets) if b"key:10" in one.data)
    source = Given(packets[:at] + packets[at + 1 :])
    source.why = "over"
    heard: list[Told] = []

    async def watch() -> Onlooker:
        onlooker = Onlooker(source, configured(every_command=True))
        onlooker.bus.subscribe(heard.append)
        async with onlooker:
            with pytest.raises(EnvironmentFailure, match="over"):
                await onlooker.ended()
        return onlooker

    onlooker = asyncio.run(watch())
    (gap,) = of(heard, events.RecordingGap)
    lost = len(STREAM[11])
    assert (gap.bytes, gap.lacks) == (lost, ("commands", "db"))
    assert gap.to_offset == gap.from_offset + lost
    commands = of(heard, events.Command)
    assert len(commands) == 29
    assert commands[-1].offset == BASE + sum(map(len, STREAM[:30]))
    assert [one.db for one in commands][9:12] == [3, 3, None]
    assert onlooker.lacks == [
        f"{lost} bytes in 1 gaps were not captured, so counts of commands and keys are lower bounds"
    ]


def test_an_alert_begins_and_ends() -> None:
    source = Given(packets_of(streamed(STREAM[:3]).packets))

    async def watch() -> list[Told]:
        heard: list[Told] = []
        onlooker = Onlooker(source, configured(alerts="silence > 300ms"))
        onlooker.bus.subscribe(heard.append)
        async with onlooker:
            await wait_inside(lambda: of(heard, events.Alert))
        return heard

    heard = asyncio.run(watch())
    (over,) = of(heard, events.AlertOver)
    assert over.how == "closed"


def test_tls_is_noticed_at_once_and_at_the_end() -> None:
    wire = Wire()
    wire.open()
    wire.send(0, bytes.fromhex("16 03 01 00 05 01 00 00 01 00"))
    noticed: list[str] = []

    async def watch() -> Onlooker:
        onlooker = Onlooker(Given(packets_of(wire.packets)), configured(), notice=noticed.append)
        async with onlooker:
            await wait_inside(lambda: noticed)
        return onlooker

    onlooker = asyncio.run(watch())
    (said,) = noticed
    assert said.startswith("WARNING: 1 connection is TLS (to 127.0.0.1:6379), and cannot be read")
    (remark,) = onlooker.remarks
    assert remark.startswith("given: no replication can be seen in it: 1 TCP connection")


class Noting(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def event(self, told: Told) -> None:
        self.said.append(told.event.kind)

    async def stop(self) -> None:
        self.said.append("stopped")


def test_observers_attach_as_to_a_tap() -> None:
    one = Noting()

    async def watch() -> None:
        source = Given(packets_of(streamed(STREAM[:3]).packets))
        async with Onlooker(source, configured(), observers=[one]):
            await wait_inside(lambda: "partial_resync" in one.said)

    asyncio.run(watch())
    assert one.said[0] == "watching"
    assert one.said[-1] == "stopped"


def test_observers_are_stopped_where_nothing_can_be_captured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    one = Noting()

    async def watch() -> None:
        async with Onlooker(Tcpdump("lo", [1]), configured(), observers=[one]):
            pass

    with pytest.raises(EnvironmentFailure):
        asyncio.run(watch())
    assert one.said == ["stopped"]


# ---- beside a tap ----

TIMED = {"seconds", "seconds_left", "inspected", "announced", "peer", "master"}  # of time, or of where it stands


def known(heard: list[Told]) -> list[list[tuple[str, dict[str, Any]]]]:
    """The events of each connection that replicates, in order, without what depends on time and place."""
    connections: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for one in heard:
        if isinstance(one.event, SAME):
            names = {field.name for field in dataclasses.fields(one.event)} - TIMED
            found = connections.setdefault(one.connection, [])
            found.append((one.event.kind, {name: getattr(one.event, name) for name in names}))
    return [one for one in connections.values() if any(kind == "identified" for kind, _ in one)]


SAME = (
    events.Handshake,
    events.Identified,
    events.PsyncRequested,
    events.FullResync,
    events.PartialResync,
    events.RdbStarted,
    events.RdbFinished,
    events.StreamStarted,
    events.Command,
)


@needs_tcpdump
def test_it_reports_what_a_tap_in_between_reports(servers: Servers, server_name: str) -> None:
    """The tap's own connection to the master is watched: the same bytes, in other segments."""
    master = servers.start(server_name)
    with client(master) as writer:
        for number in range(500):
            writer.set(f"before:{number}", b"x" * number)
    replica = servers.start(server_name)
    by_tap: list[Told] = []
    by_watch: list[Told] = []

    async def watch() -> None:
        onlooker = Onlooker(Tcpdump("lo", [master.port]), configured(every_command=True))
        onlooker.bus.subscribe(by_watch.append)
        async with onlooker, Tap(f"{master.host}:{master.port}", every_command=True) as tap:
            tap.bus.subscribe(by_tap.append)
            await asyncio.to_thread(follow, replica, tap.port)
            await asyncio.to_thread(wait_until, lambda: is_up(replica))
            with client(master) as writer:
                for number in range(60):
                    await asyncio.to_thread(writer.set, f"after:{number}", b"y" * number)
            for link in tap.links:
                link.abort()
            await wait_inside(lambda: len(of(by_tap, events.PartialResync)) == 1)
            end = await asyncio.to_thread(master_offset, master)
            acked = [end]
            await wait_inside(
                lambda: (
                    onlooker.lost_packets
                    or [one.acked for one in onlooker.status().connections if one.acked is not None] == acked
                )
            )
            skip_if_lost(onlooker.lost_packets)
            await wait_inside(lambda: [one.acked for one in tap.status().connections if one.acked is not None] == acked)

    asyncio.run(watch())
    assert len(known(by_tap)) >= 2
    assert known(by_watch) == known(by_tap)


@needs_tcpdump
def test_a_pair_that_runs_is_understood_from_the_middle(servers: Servers, any_server: str) -> None:
    """Two equal acknowledgements with nothing in between show the offset."""
    master = servers.start(any_server)
    replica = servers.start(any_server, "replicaof", f"{master.host} {master.port}")
    wait_until(lambda: is_up(replica))

    async def watch() -> None:
        async with Onlooker(Tcpdump("lo", [master.port]), configured(every_command=True)) as onlooker:
            await wait_inside(lambda: onlooker.status().connections)
            await wait_inside(lambda: onlooker.lost_packets or onlooker.status().connections[0].offset is not None)
            with client(master) as writer:
                await asyncio.to_thread(writer.set, "key", "value")
            end = await asyncio.to_thread(master_offset, master)
            await wait_inside(lambda: onlooker.lost_packets or onlooker.status().connections[0].offset == end)
            skip_if_lost(onlooker.lost_packets)

    asyncio.run(watch())
