"""One replica connection with its master connection, and what their bytes say."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING

from tap.errors import words
from tap.relay.dial import dial
from tap.relay.leg import Leg
from tap.replication import events
from tap.replication.conversation import Conversation, Phase
from tap.replication.events import Event, Side

if TYPE_CHECKING:
    from tap.relay.listener import Listener

log = logging.getLogger(__name__)


class Link:
    """Born when a replica connects; dials the master; ends when both sockets are gone.

    Bytes are written to the other side first and understood afterwards. A failure to understand ends nothing but the
    understanding.
    """

    def __init__(self, listener: Listener, number: int) -> None:
        self.listener = listener
        self.number = number
        self.name = listener.config.name
        self.peer = ""
        self.replica = Leg(self, Side.REPLICA, listener.buffers)
        self.master = Leg(self, Side.MASTER, listener.buffers)
        self.replica.other = self.master
        self.master.other = self.replica
        self.conversation = Conversation(
            self.tell,
            memory=listener.memory,
            connection=number,
            every_command=listener.every_command,
            every_key=listener.every_key,
        )
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._dialling: asyncio.Task[None] | None = None
        self._end: tuple[Side, str, str] | None = None  # by whom, how, in the system's words
        self._draining: asyncio.TimerHandle | None = None

    # ---- the conversation ----

    def tell(self, event: Event) -> None:
        self.listener.bus.publish(self.name, self.number, self.conversation.replica, event)

    def tick(self, now: float) -> None:
        try:
            master = self.master.transport
            self.conversation.tick(now, held_back=master is not None and not master.is_reading())
        except Exception:
            self._misunderstood(Side.MASTER)

    def _misunderstood(self, side: Side) -> None:
        """A bug of ours must cost the understanding, never the link."""
        log.exception("link %s, connection %d: reading along failed; please report this", self.name, self.number)
        self.conversation.lost(side, "redis-tap failed to read it; this is a bug, its traceback is in the log")

    # ---- called by the legs ----

    def leg_made(self, leg: Leg) -> None:
        if leg is not self.replica:
            return
        self.listener.add(self)
        assert leg.transport is not None
        host, port = leg.transport.get_extra_info("peername")[:2]
        self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.conversation.peer_host = host
        self.tell(events.LinkOpened(peer=self.peer, master=str(self.listener.config.master)))
        self._dialling = self._loop.create_task(self._dial(), name=f"dial {self.name} {self.number}")
        self.listener.own(self._dialling)

    def received(self, leg: Leg, data: memoryview) -> None:
        leg.other.write(data)
        try:
            if leg is self.master:
                self.conversation.receive_from_master(data, self._loop.time())
            else:
                self.conversation.receive_from_replica(data, self._loop.time())
        except Exception:
            self._misunderstood(leg.side)

    def ended(self, leg: Leg) -> None:
        """The leg's peer sent FIN: pass it on; when both have, the link is done."""
        self._note_end(leg.side, "fin", "")
        leg.other.write_eof()
        if leg.other.at_end:
            self._drain()

    def lost(self, leg: Leg, error: Exception | None) -> None:
        """The leg's socket is gone."""
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            self._note_end(leg.side, "reset", words(error))
        elif isinstance(error, TimeoutError):
            self._note_end(leg.side, "timeout", words(error))
        elif error is not None:
            self._note_end(leg.side, "error", words(error))
        other = leg.other
        if other.transport is None:
            if self._dialling is not None:
                self._dialling.cancel()
            self._closed()
        elif other.lost:
            self._closed()
        elif error is not None:
            other.reset()
        else:
            self._drain()

    def _drain(self) -> None:
        """End both sides once what they have not been sent yet is sent; not later than the timeout."""
        if self._draining is None:
            self._draining = self._loop.call_later(self.listener.drain_timeout, self.abort)
        self.replica.close()
        self.master.close()

    # ---- dialling, and the end ----

    async def _dial(self) -> None:
        """Connect to the master, within the timeout; the replica's bytes wait in its socket."""
        within = self.listener.connect_timeout
        by, how, text = Side.MASTER, "refused", ""
        try:
            await dial(self.listener.config.master, self.master, within)
        except TimeoutError:
            how, text = "timeout", f"no connection within {within:g} s"
        except OSError as error:
            text = words(error)
            if error.errno in (errno.EMFILE, errno.ENFILE):  # not a word was said to the master
                by, how = Side.TAP, "error"
        except UnicodeError:
            text = "the name cannot be resolved (no resolver takes it)"
        except Exception as error:
            log.exception("link %s, connection %d: dialling failed; please report this", self.name, self.number)
            by, how, text = Side.TAP, "error", words(error)
        if text:
            self._note_end(by, how, text)
            self.replica.close()
            return
        if self.replica.lost:
            self.master.close()
            return
        assert self.replica.transport is not None
        assert self.master.transport is not None
        self.replica.transport.resume_reading()
        self.master.transport.resume_reading()

    def close(self) -> None:
        """End the link from our side, after what has been read."""
        self._note_end(Side.TAP, "fin", "")
        if self._dialling is not None:
            self._dialling.cancel()
        self._drain()

    def abort(self) -> None:
        """End the link at once."""
        self.replica.abort()
        self.master.abort()

    def _note_end(self, by: Side, how: str, text: str) -> None:
        if self._end is None:
            self._end = (by, how, text)

    def _closed(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._draining is not None:
            self._draining.cancel()
        phase = self.conversation.phase  # as it was: to close a conversation decides what was still open
        offset = self.conversation.offset
        try:
            self.conversation.close(self._loop.time())
        except Exception:
            self._misunderstood(Side.MASTER)
        by, how, text = self._end or (Side.TAP, "fin", "")
        self.tell(
            events.LinkClosed(
                by=by,
                how=how,
                text=text,
                role=self.conversation.role,
                phase=Phase.DONE.value if self.conversation.phase is Phase.DONE else phase.value,
                offset=offset,
                bytes_from_master=self.conversation.from_master,
                bytes_from_replica=self.conversation.from_replica,
            )
        )
        self.listener.forget(self)
