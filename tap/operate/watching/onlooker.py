"""Looks on while a replica and its master talk, and reports what a tap in between would.

Played packets become events, as in `show`; here they come while they happen, on a bus that observers attach to as to a
tap's. What a capture cannot know stays unknown: what a connection said before the capture began, and what was lost. The
offset survives both, because ACKs and the numbers of TCP show it. Counts of commands and keys are lower bounds after a
gap.

Time is that of the packets. While none comes it goes on by this machine's clock, so that silence and lag grow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Protocol

from tap.bus import COUNTLESS, Bus, Told
from tap.capture.content import GoesOn
from tap.capture.pcapng import Packet
from tap.config import LinkConfig
from tap.config.config import Config
from tap.errors import EnvironmentFailure
from tap.observers.attached import Attached
from tap.observers.observer import Observer
from tap.observers.registry import configured
from tap.operate.watching.packet_feed import PacketFeed
from tap.operate.watching.silences import Silences
from tap.recording.played import Played
from tap.recording.player import Player
from tap.recording.playing import BytesSink, Connected
from tap.recording.reader import nothing
from tap.replication import events
from tap.replication.events import Event, Side
from tap.status import AlertFigures, ConnectionStatus, LinkStatus, Status, connection_status, lag_of
from tap.tap import recorder_of
from tap.thresholds import Threshold
from tap.url import Address
from tap.verdict.alerts import Alerts
from tap.verdict.loops import Loops

TICK_SECONDS = 0.1
ASK_SECONDS = 1.0  # between two looks at what the kernel has dropped
FINISH_SECONDS = 0.8  # for packets that were captured before the end
MAX_WAITING_BYTES = 8 * 2**20  # that wait for the disk, before a capture that can wait has to
NAME = "watch"  # of the link in the configuration; in events, as on a transparent link, it is the master's address


def watched_link() -> LinkConfig:
    """The link of a Config for an Onlooker: each connection has its own master."""
    return LinkConfig(name=NAME, transparent=True)


class CaptureSource(Protocol):
    """Where packets come from: tcpdump.py, capture_file.py."""

    name: str

    @property
    def ports(self) -> tuple[int, ...]: ...

    @property
    def is_pipe(self) -> bool: ...

    @property
    def can_wait(self) -> bool: ...

    @property
    def lost(self) -> int: ...

    async def start(self) -> None: ...

    def packets(self, problems: list[str], goes_on: GoesOn) -> Iterator[Packet]: ...

    async def failure(self) -> str: ...

    def ask(self) -> None: ...

    async def stop(self) -> None: ...


class Onlooker:
    """Watches one source between __aenter__ and __aexit__, inside one event loop. config: with the link watched_link().

    bus, loops, recorder: as a tap's. lost_packets: dropped by the kernel. gaps, gap_bytes: RecordingGaps, and
    their bytes.
    """

    def __init__(
        self,
        source: CaptureSource,
        config: Config,
        *,
        observers: Iterable[Observer] = (),
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        """notice: called once, if connections cannot be read. Raises ConfigError for an impossible observer."""
        self.config = config
        self.bus = Bus()
        self.recorder = recorder_of(config, self.bus, lambda: self._player.now or time.time_ns())
        self.loops = Loops(self._loaded)
        self.lost_packets = 0
        self.gaps = 0
        self.gap_bytes = 0
        self._source = source
        self._notice: Callable[[str], None] | None = notice
        self._player = Player(
            self._heard,
            every_command=config.every_command,
            every_key=config.every_key,
            wants=self.bus.takes,
            samples=self.bus.samples,
            sinks=None if self.recorder is None else self._recorded,
        )
        self._feed: PacketFeed | None = None
        self._silences = Silences()
        self._alerts = Alerts({NAME: [Threshold.parse(one) for one in config.alerts]}, self._publish)
        self._ticker: asyncio.TimerHandle | None = None
        self._ticked = 0.0  # loop time
        self._asked = 0.0
        self._packets = 0  # at the last tick
        self._observers = [Attached(one, self.bus) for one in observers]
        self._observers += [Attached(one, self.bus) for one in configured(config)]

    async def __aenter__(self) -> Onlooker:
        """Begin. Raises EnvironmentFailure if nothing can be captured, or the source or a recording cannot be opened."""
        if self.recorder is not None:
            self.recorder.open()
        try:
            await self._source.start()
            for observer in self._observers:
                observer.start(tuple, self.status, lambda: None)
        except BaseException:
            await self.close()
            if self.recorder is not None:
                self.recorder.discard()
            raise
        self._feed = PacketFeed(
            self._source.packets, self._player.packet, is_pipe=self._source.is_pipe, is_ready=self._is_ready
        )
        self._player.account.problems = self._feed.problems
        self._publish("", 0, "", events.Watching(source=self._source.name, ports=self._source.ports))
        self._feed.start()
        self._ticked = self._asked = asyncio.get_running_loop().time()
        self._tick()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def ended(self) -> None:
        """Wait until no more packets can come. Raises EnvironmentFailure if tcpdump has failed."""
        assert self._feed is not None
        await asyncio.shield(self._feed.ended)
        failure = await self._source.failure()
        if failure:
            raise EnvironmentFailure(failure)

    async def close(self) -> None:
        """Take what has been captured so far, report what is pending, and stop the observers."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        await self._source.stop()
        if self._feed is not None:
            feed, self._feed = self._feed, None
            await feed.finish(FINISH_SECONDS)
            self._tell_lost()
            self._player.close()
            self._alerts.end(self._now)
        if self.recorder is not None:
            await self.recorder.close()
        await asyncio.gather(*(observer.stop() for observer in self._observers))

    def status(self, most: int | None = None) -> Status:
        """The present state of every connection that replicates. most: how many to describe; the others are counted."""
        now, links = self._now, self._player.links
        described = links if most is None else links[:most]
        connections = tuple([self._status_of(link, now) for link in described])
        omitted = len(links) - len(described)
        return Status(time.time(), (LinkStatus(NAME, Address(), None, connections, omitted=omitted),))

    @property
    def remarks(self) -> list[str]:
        """Sentences worth knowing at the end that make nothing incomplete."""
        why = nothing(self._player)
        return self._player.remarks if why is None else [*self._player.remarks, f"{self._source.name}: {why}"]

    @property
    def lacks(self) -> list[str]:
        """What the figures lack, a sentence each; empty if they are whole."""
        said = list(self._player.account.problems)
        if self.lost_packets:
            said.append(f"the kernel dropped {self.lost_packets} packets before tcpdump could read them")
        if self.gaps:
            said.append(
                f"{self.gap_bytes} bytes in {self.gaps} gaps were not captured, so counts of commands and keys are lower "
                "bounds"
            )
        return said

    # ---- packets and events ----

    def _heard(self, told: Told) -> None:
        """Publish an event, and what follows from it."""
        event = told.event
        if type(event) in COUNTLESS:
            self.bus.tell(told)
            return
        if isinstance(event, events.RecordingGap):
            self.gaps += 1
            self.gap_bytes += event.bytes
        self.bus.tell(told)
        self._alerts.event(told, self._now)
        for said in self.loops.take(told):
            self.bus.tell(said)

    def _publish(self, link: str, connection: int, replica: str, event: Event) -> None:
        self.bus.tell(Told(self._now or time.time(), link, connection, replica, event))

    def _recorded(self, link: Connected, opened_at: int | None) -> BytesSink | None:
        """See Player: sinks."""
        assert self.recorder is not None
        one, other = link.connection.ends
        replica, master = (one, other) if link.peer == one else (other, one)
        peer, address = link.ends
        opened = events.LinkOpened(peer=peer, master=address)
        ends = (replica.host, replica.port), (master.host, master.port)
        return self.recorder.watched(link.name, link.conversation, *ends, opened, opened_at)

    def _is_ready(self) -> bool:
        """Whether to take more packets: those of a capture that waits may wait for the disk."""
        return self.recorder is None or not self._source.can_wait or self.recorder.waiting < MAX_WAITING_BYTES

    def _loaded(self) -> set[int]:
        """The numbers of the connections whose replicas have acknowledged a stream."""
        streams = ((link.number, link.conversation.stream) for link in self._player.links)
        return {number for number, stream in streams if stream is not None and stream.acked is not None}

    # ---- time ----

    @property
    def _now(self) -> float:
        """Seconds since the epoch, by the clock of the capture; 0 before its first packet."""
        return self._player.now / 1e9

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticker = loop.call_later(TICK_SECONDS, self._tick)
        now, player = loop.time(), self._player
        if player.packets == self._packets and self._feed is not None and self._feed.is_idle:
            player.rest(now - self._ticked)
        self._packets, self._ticked = player.packets, now
        if now - self._asked >= ASK_SECONDS:
            self._asked = now
            self._source.ask()
        self._tell_lost()
        if player.tls and self._notice is not None:
            notice, self._notice = self._notice, None
            notice(f"WARNING: {player.tls}")
        self._silences.tick(player.links, self._now)
        for told in self.loops.tick(self._now):
            self.bus.tell(told)
        self._alerts.tick(self._figures, self._now)

    def _figures(self, wanted: Mapping[str, Container[str]]) -> dict[str, list[AlertFigures]]:
        """Those that alerts compare, of every connection."""
        now, found = self._now, []
        for link in self._player.links:
            silence = self._silences.of(link)
            master, replica = (
                None if silence is None else silence.seconds(side, now) for side in (Side.MASTER, Side.REPLICA)
            )
            lag = lag_of(link.conversation, silence, now)
            found.append(AlertFigures(link.name, link.number, link.conversation.replica, lag, master, replica))
        return {NAME: found}

    def _tell_lost(self) -> None:
        lost = self._source.lost
        if lost > self.lost_packets:
            count, self.lost_packets = lost - self.lost_packets, lost
            self._publish("", 0, "", events.PacketsLost(count=count, total=lost))

    def _status_of(self, link: Played, now: float) -> ConnectionStatus:
        peer, master = link.ends
        return connection_status(
            link.conversation,
            now,
            number=link.number,
            link=link.name,
            peer=peer,
            master=_address(master),
            opened=now if link.opened_at is None else link.opened_at,
            silence=self._silences.of(link),
        )


def _address(text: str) -> Address | None:
    """The address of a packet's end; a recording may say anything in its place."""
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port)) if host and port.isdecimal() else None
