"""A link without sockets, on a clock of its own: bytes in, and what the faults let out, when."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from tap.faults.flow_items import CloseLink, End
from tap.faults.link_faults import LinkFaults
from tap.faults.plan import Plan
from tap.faults.rules import Rules
from tap.replication.conversation import Conversation
from tap.replication.events import Event, FaultExpired, FaultFired, Side
from tap.replication.memory import Memory
from tests.support import FIXTURES

REPLID = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb"
FULL = b"+FULLRESYNC " + REPLID.encode() + b" 500\r\n"
MARK = b"f" * 40
RDB = (FIXTURES / "rdb" / "redis-8.0.2-strings.rdb").read_bytes()


class Lab:
    """One link. out: what each side's receiver has, as (time, item), items being bytes, CloseLink or End.

    Like the relay it takes what is due, then waits for what the faults say they wake for.
    """

    def __init__(self, *specs: str, seed: int = 1, destructive: bool = True, rules: Rules | None = None) -> None:
        self.now = 1000.0
        self.told: list[Event] = []
        self.plan = Plan(seed, self.told.append, lambda: self.now, destructive=destructive)
        self.memory = Memory()
        for spec in specs:
            self.plan.add(spec)
        self.rules = rules
        self.connections = 0
        self.plan.changed = self._follow
        self.connect()

    def connect(self) -> None:
        self.connections += 1
        self.out: dict[Side, list[tuple[float, bytes | CloseLink | End]]] = {Side.MASTER: [], Side.REPLICA: []}
        self.cut: CloseLink | None = None
        self.conversation = Conversation(self.told.append, memory=self.memory, connection=self.connections)
        self.again()

    def again(self) -> None:
        """The first fault arrives on a link that had none for a while."""
        self.faults = LinkFaults(
            self.plan,
            self.conversation,
            self.told.append,
            link="main",
            ordinal=self.connections,
            opened=self.now,
            now=self.now,
            rules=self.rules,
        )
        self._take()

    def _follow(self) -> None:
        self.faults.refresh(self.now)
        self._take()

    # ---- what happens ----

    def master(self, *data: bytes) -> None:
        for piece in data:
            self._receive(Side.MASTER, piece)

    def replica(self, *data: bytes) -> None:
        for piece in data:
            self._receive(Side.REPLICA, piece)

    def _receive(self, side: Side, data: bytes) -> None:
        if self.cut is not None or not data:
            return
        if side is Side.MASTER:
            self.conversation.receive_from_master(memoryview(data), self.now)
        else:
            self.conversation.receive_from_replica(memoryview(data), self.now)
        buffer = bytearray(data)
        if self.faults.receive(side, memoryview(buffer), self.now):
            self.out[side].append((self.now, data))
        self._take()
        buffer[:] = bytes(len(buffer))  # as the relay does, which reads into it again

    def wait(self, seconds: float) -> None:
        """Let this much time pass, stopping wherever the faults wake."""
        end = self.now + seconds
        while self.cut is None:
            wakes = min(self.faults.wakes, self.now + 0.1)
            if wakes > end:
                break
            self.now = max(self.now, wakes)
            self.plan.tick(self.now)
            self.faults.tick(self.now)
            self._take()
        self.now = end

    def _take(self) -> None:
        for side, lane in self.faults.lanes.items():
            while self.cut is None and (item := lane.flow.take(self.now)) is not None:
                if isinstance(item, CloseLink):
                    self.cut = item
                self.out[side].append((self.now, bytes(item) if isinstance(item, memoryview) else item))
            lane.flow.keep()
        if self.faults.cut_now is not None:
            self.cut = self.faults.cut_now

    # ---- the outcome ----

    @property
    def at_replica(self) -> bytes:
        return b"".join(item for _, item in self.out[Side.MASTER] if isinstance(item, bytes))

    @property
    def at_master(self) -> bytes:
        return b"".join(item for _, item in self.out[Side.REPLICA] if isinstance(item, bytes))

    @property
    def fired(self) -> list[FaultFired]:
        return [event for event in self.told if isinstance(event, FaultFired)]

    @property
    def expired(self) -> list[FaultExpired]:
        return [event for event in self.told if isinstance(event, FaultExpired)]

    @property
    def is_open(self) -> bool:
        return self.cut is None

    def is_held(self, side: Side) -> bool:
        return self.faults.lanes[side].flow.is_full


def command(*words: bytes | str) -> bytes:
    """As a RESP array."""
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


SET = command("SET", "user:1", "ann")
INCR = command("INCR", "n")
MULTI, EXEC = command("MULTI"), command("EXEC")
PING = command("PING")
PORT = command("REPLCONF", "listening-port", "6380")
CAPA = command("REPLCONF", "capa", "eof", "capa", "psync2")
ASKS_ALL = command("PSYNC", "?", "-1")


def asks(offset: int, replid: str = REPLID) -> bytes:
    return command("PSYNC", replid, str(offset))


def ack(offset: int) -> bytes:
    return command("REPLCONF", "ACK", str(offset))


def shake_hands(lab: Lab) -> None:
    """PING, REPLCONF and their replies."""
    lab.replica(PING)
    lab.master(b"+PONG\r\n")
    lab.replica(PORT + CAPA)
    lab.master(b"+OK\r\n+OK\r\n")


def resync_partially(lab: Lab, offset: int = 1000) -> int:
    """Up to a stream that continues after *offset*. Returns how many bytes the master has sent."""
    shake_hands(lab)
    lab.replica(asks(offset + 1))
    lab.master(b"+CONTINUE\r\n")
    return lab.conversation.from_master


def full_resync(lab: Lab, disk: bool) -> None:
    """A handshake, and an RDB."""
    shake_hands(lab)
    lab.replica(ASKS_ALL)
    lab.master(FULL)
    if disk:
        lab.master(b"$%d\r\n" % len(RDB), RDB)
    else:
        lab.master(b"$EOF:" + MARK + b"\r\n", RDB + MARK)


def pieces(data: bytes, sizes: Iterable[int] | int) -> list[bytes]:
    """The data cut into pieces of that size, or at these positions."""
    if isinstance(sizes, int):
        return [data[at : at + sizes] for at in range(0, len(data), sizes)]
    cuts = [0, *sorted(sizes), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(cuts)]


NEVER = math.inf
