"""Records what the links of a tap receive, in pcapng files.

A connection through the tap becomes one TCP connection from the replica to its master, with their real addresses. Events
worth keeping (KEPT) become packet comments, in the JSON of `--ui json`.

    recorded_connection.py  bytes of one connection → packets, without secrets
    watched_connection.py   the same for bytes from a capture, of which some may be missing
    filling.py              packets of all connections → blocks; when a file is full; when the queue is
    writer.py               blocks → files, in a thread of its own
    recorder.py             begins and ends all that, and hears the bus

The relay never waits for the disk. When the disk cannot follow, bytes are left out of the recording, which says how many
and where (recording_gap).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tap.bus import COUNTLESS, Bus, Told
from tap.capture import pcapng
from tap.capture.output import Output
from tap.capture.packets import Blocks, ends
from tap.capture.pcapng import Packet, PcapngReader
from tap.capture.rotation import Rotation, is_rotation
from tap.errors import ConfigError, EnvironmentFailure, words
from tap.recorder.filling import Filling
from tap.recorder.handing_over import SUFFIX, HandingOver
from tap.recorder.recorded_connection import Keeps, RecordedConnection
from tap.recorder.watched_connection import WatchedConnection
from tap.recorder.writer import Sync, Writer
from tap.recording import comments
from tap.redaction.grammars import Redact
from tap.redaction.redaction import Redaction
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event
from tap.units import Limits

NEXT_RETRY_SECONDS = 10.0  # after which a next file that could not be made is tried again

KEPT = (
    events.LinkOpened,
    events.Secured,
    events.LinkClosed,
    events.FullResync,
    events.PartialResync,
    events.CaughtUp,
    events.Silent,
    events.SilentOver,
    events.Alert,
    events.AlertOver,
    events.Pressure,
    events.PressureOver,
    events.ResyncRefused,
    events.RdbProblem,
    events.Opaque,
    events.AckAheadOfMaster,
    events.ReplicaTalkedBack,
    events.FaultArmed,
    events.FaultFired,
    events.FaultExpired,
    events.RecordingStopped,
    events.RecordingMarked,
    events.RecordingGap,
)
SHOWN = 5  # names of files in a sentence
MAX_NOTE = 1000  # characters of a mark; a packet comment has room for 65,535 bytes


class Recorder:
    """A tap.relay.sink.Sink, and an observer of the bus.

    lost_bytes: dropped because the disk could not keep up, and the bytes of files that another process spoiled.
    lost_links: connections that are not recorded because too much waited for the disk when they were opened.
    not_handed: after close(), the files that the command of on_rotate has not taken.
    """

    def __init__(
        self,
        path: Path,
        bus: Bus,
        *,
        sync: Sync = "interval",
        without_rdb: bool = False,
        redact: Sequence[Redact] = (),
        rotate: Limits = Limits(),  # noqa: B008
        keep: Limits = Limits(),  # noqa: B008
        on_rotate: str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """path: a new file; with rotate, the name from which those of the files are made; or a directory for them.

        on_rotate: a shell command to which every finished file is handed, see handing_over.py. clock: nanoseconds since
        the epoch, for packets and gaps.
        """
        self._clock = clock
        self._first = path
        self._heading = pcapng.heading(pcapng.APPLICATION, comments.recording_json())
        self._rotation = Rotation(path, rotate, keep)
        self._rotates = self._has_looked = is_rotation(path, rotate)  # without a call of rotate()
        self._redaction = Redaction(redact) if redact else None
        # The data of an RDB is compressed and packed, so redaction leaves it out.
        self._keeps = Keeps(self._rotates, without_rdb or bool(redact), self._redaction)
        self.lost_bytes = 0
        self.lost_links = 0
        self._unrecorded: set[int] = set()  # those of lost_links that are still open
        self.trouble = ""  # the first thing that went wrong
        self._bus = bus
        self._sync = sync
        self._connections: dict[int, RecordedConnection] = {}
        self._unsubscribe: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop
        self._writer: Writer | None = None
        self._on_rotate = on_rotate
        self._handing_over: HandingOver | None = None
        self.not_handed: list[Path] = []
        self._filling: Filling
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None

    # ---- the life of a recording ----

    def open(self) -> None:
        """Make the file; to be called in the event loop.

        Raises ConfigError if it exists, EnvironmentFailure if it cannot be made.
        """
        self._loop = asyncio.get_running_loop()
        self._filling = Filling(self._connections.values, self._begin_file, self._trouble, self._clock)
        try:
            if self._rotates:
                self._rotation.look()
                self._first = self._rotation.next()
                self._begin_file()
            output = Output(self._first, self._heading)
            if self._on_rotate is not None:
                self._begin_handing_over(self._on_rotate)
        except FileExistsError:
            raise ConfigError(
                f"{self.path} already exists and is not overwritten; give the recording another name"
            ) from None
        except OSError as error:
            raise EnvironmentFailure(f"{self.path}: cannot record: {words(error)}") from None
        self._writer = Writer(
            output,
            self._heading,
            self._rotation,
            self._sync,
            troubled=self._trouble,
            no_next=self._no_next,
            spoiled=self._spoiled,
            lost=self._lost,
            given_up=self._restated,
            gathering=self._filling.gathering,
            finished=self._finished,
        )
        self._filling.write_to(self._writer)
        self._unsubscribe = self._bus.subscribe(self, without=COUNTLESS)

    async def close(self) -> None:
        """Write what waits, for a few seconds at most, and report as lost what the disk does not take by then.

        A second call does nothing.
        """
        self._unsubscribe()
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is None or self._is_closed:
            return
        self._is_closed = True
        self._filling.finish()
        left = _by_link(await self._writer.close())
        for link, packets in left.items():
            for gap in link.missing(packets):
                self._report(link, gap)
        if left and not self.trouble:
            self._trouble("the disk did not take it in time")
        if self._handing_over is not None:
            self.not_handed = await asyncio.to_thread(self._handing_over.close)

    def rotate(self) -> None:
        """Go on in another file now, however small this one is.

        A recording in a single file reuses its name if the file has been moved away; otherwise the next file is named as
        in a rotation.
        """
        if self._writer is None or self._is_closed:
            return
        if not self._has_looked:
            self._has_looked = True
            with contextlib.suppress(OSError):  # then the numbers begin with 1; no file is written over
                self._rotation.look()
        self._filling.next_file(self._clock())

    def mark(self, note: str) -> None:
        """Put a note at this place of the recording, as a packet comment, and report it. Raises ConfigError if too long.

        Before the first packet the note waits for one.
        """
        if len(note) > MAX_NOTE:
            raise ConfigError(f"a note of {len(note)} characters is too long: at most {MAX_NOTE} are kept")
        self._bus.publish("", 0, "", events.RecordingMarked(note=note))
        if self._writer is not None and not self._is_closed:
            self._filling.speak_for_all()

    def discard(self) -> None:
        """After close(), if the tap never ran: remove the file, so that the name is free again."""
        self.path.unlink(missing_ok=True)

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._first if self._writer is None else self._writer.path

    @property
    def waiting(self) -> int:
        """Bytes that are not in a file yet."""
        return 0 if self._writer is None else self._filling.waiting

    # ---- the relay and the bus call ----

    def opened(
        self, link: str, conversation: Conversation, replica: tuple[str, int], tap: tuple[str, int]
    ) -> RecordedConnection | None:
        if self._is_overrun(conversation):
            return None
        recorded = RecordedConnection(self._filling, self._keeps, self._report, link, conversation, replica, tap)
        self._connections[conversation.connection] = recorded
        return recorded

    def joined(
        self,
        link: str,
        conversation: Conversation,
        replica: tuple[str, int],
        tap: tuple[str, int],
        master: tuple[str, int] | None,
        opened: events.LinkOpened,
    ) -> RecordedConnection | None:
        recorded = self.opened(link, conversation, replica, tap)
        if recorded is not None:
            recorded.join(opened, master)
        return recorded

    def watched(
        self,
        link: str,
        conversation: Conversation,
        replica: tuple[str, int],
        master: tuple[str, int],
        opened: events.LinkOpened,
        opened_at: int | None,
    ) -> WatchedConnection | None:
        """As opened(), of a connection that is read from a capture. opened_at: see WatchedConnection."""
        if self._is_overrun(conversation):
            return None
        recorded = WatchedConnection(
            self._filling,
            self._keeps,
            self._report,
            self._bus.tell,
            link,
            conversation,
            replica,
            master,
            opened,
            opened_at,
        )
        self._connections[conversation.connection] = recorded
        return recorded

    def _is_overrun(self, conversation: Conversation) -> bool:
        """Whether too much waits for the disk to record another connection."""
        if not self._filling.is_overrun:
            return False
        self._unrecorded.add(conversation.connection)
        self.lost_links += 1
        if self.lost_links == 1:
            self._trouble("the disk takes nothing, and connections that come now are not recorded")
        return True

    def __call__(self, told: Told) -> None:
        event = told.event
        if told.connection in self._unrecorded:
            if isinstance(event, events.LinkClosed):
                self._unrecorded.remove(told.connection)
            return
        is_changed = isinstance(event, events.Handshake) and event.sent is not None  # the bytes do not show it
        if not isinstance(event, KEPT) and not is_changed:
            return
        link = self._connections.get(told.connection)
        if link is not None:
            self._heard(link, told)
        elif not told.connection:  # concerns the whole tap; a refused connection has no bytes
            self._filling.say(None, comments.told_json(self._redacted(told)))

    def _heard(self, link: RecordedConnection, told: Told) -> None:
        """Keep an event of this connection."""
        event = told.event
        if isinstance(event, events.LinkClosed):
            link.settle(at_end=True)
        told = self._redacted(told)
        link.heard(told)
        if link.keeps(event):
            self._filling.say(link, comments.told_json(told))
        if isinstance(event, events.LinkClosed):
            link.closed(event.how)
            del self._connections[told.connection]

    def _redacted(self, told: Told) -> Told:
        return told if self._redaction is None else dataclasses.replace(told, event=self._redaction.event(told.event))

    def _report(self, connection: RecordedConnection, event: events.RecordingGap) -> None:
        self.lost_bytes += event.bytes
        self._bus.tell(connection.told(event))

    # ---- finished files ----

    def _begin_handing_over(self, command: str) -> None:
        """Raises OSError."""
        rotation = self._rotation
        journal = rotation.journal.with_name(f"{rotation.journal.name}{SUFFIX}")
        self._handing_over = HandingOver(command, journal, self._publish_from_thread)
        self._handing_over.start(rotation.files)
        rotation.is_held, rotation.holds_up = self._handing_over.is_waiting, self._handing_over.holds_up

    def _finished(self, path: Path) -> None:
        """Called in the writer's thread."""
        if self._handing_over is not None:
            self._handing_over.finished(path)

    def _publish_from_thread(self, event: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, so nothing listens any more
            self._loop.call_soon_threadsafe(self._bus.publish, "", 0, "", event)

    # ---- the writer calls ----

    @staticmethod
    def _restated(left: Sequence[Blocks]) -> Blocks:
        """Report what is missing at the end of the file: these few packets may find room where the data did not."""
        out = Blocks()
        for link, packets in _by_link(left).items():
            link.restated(out, packets)
        return out

    def _begin_file(self) -> None:
        self._wait_for_next(self._rotation.limits.seconds)

    def _wait_for_next(self, seconds: float | None) -> None:
        """Begin the next file after this time, however small the current one is."""
        if self._timer is not None:
            self._timer.cancel()
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._time_is_up)

    def _time_is_up(self) -> None:
        if self._rotates:
            self._filling.file_is_due()
        else:  # a file that rotate() asked for could not be made: try again
            self.rotate()

    def _no_next(self, text: str) -> None:
        self._filling.file_goes_on()
        self._wait_for_next(NEXT_RETRY_SECONDS)
        self._trouble(text)

    def _spoiled(self, what: str) -> None:
        """Another process has deleted, replaced or truncated the file: report it, and go on in another one."""
        self._trouble(f"{what}; what it held is lost")
        self.rotate()

    def _lost(self, size: int) -> None:
        """Count the bytes of a spoiled file."""
        self.lost_bytes += size

    @property
    def trouble_so_far(self) -> str:
        """What went wrong, and what is missing because of it; "" if nothing did."""
        if not self.trouble and not self.lost_bytes:
            return ""
        beside = f" and {self.lost_links} connections" if self.lost_links else ""
        return f"{self.trouble}; {self.lost_bytes} bytes{beside} are not in the recording"

    @property
    def complaints(self) -> list[str]:
        """After close(), what of this recording did not end as it should, in sentences."""
        found = [f"{self.path}: {self.trouble_so_far}"] if self.trouble else []
        if self.not_handed:
            count = "1 file was" if len(self.not_handed) == 1 else f"{len(self.not_handed)} files were"
            names = ", ".join(path.name for path in self.not_handed[:SHOWN])
            more = "" if len(self.not_handed) <= SHOWN else f" and {len(self.not_handed) - SHOWN} more"
            found.append(
                f"--on-rotate: {count} not handed over by the end: {names}{more}; "
                "a rotation that goes on there hands them over at its start"
            )
        return found

    def _trouble(self, text: str) -> None:
        self.trouble = self.trouble or text
        self._bus.publish("", 0, "", events.RecordingStopped(text=text))


def _by_link(blocks: Sequence[Blocks]) -> dict[RecordedConnection, list[Packet]]:
    """The packets in the blocks, by connection."""
    found: dict[RecordedConnection, list[Packet]] = {}
    for one in blocks:
        owners = {key: flow.owner for flow in one.flows for key in flow.ends()}
        for packet in PcapngReader().feed(pcapng.heading(pcapng.APPLICATION) + bytes(one.view())):
            found.setdefault(owners[ends(packet.data)], []).append(packet)
    return found
