"""What the tap learns of one master from its connections, for the connections after them."""

from __future__ import annotations

import itertools
import math

from tap.replication.inspected import Inspected
from tap.replication.memory import Memory
from tap.replication.silence import Pulse

ASK_AGAIN_SECONDS = 60.0


class MasterFacts:
    """Shared by all connections to one master.

    memory: its replication histories. pulse: its timers. ordinals: the numbers of its connections, from 1. speaks_tls:
    whether the master expects TLS although the tap uses none; None while unknown.
    """

    def __init__(self, link: str, beside: Memory | None = None, *, master: str = "") -> None:
        """link: its name. beside: what another link remembers. master: its address, "" if each connection has its own."""
        self.memory = Memory(link, beside, master=master)
        self.pulse = Pulse()
        self.ordinals = itertools.count(1)
        self.speaks_tls: bool | None = None
        self._asked = -math.inf  # loop time of the last question

    def learn(self, inspected: Inspected) -> None:
        """Take what the master says of itself."""
        self.memory.learn(inspected)
        if inspected.repl_timeout is not None:
            self.pulse.timeout = inspected.repl_timeout

    def is_worth_asking(self, now: float) -> bool:
        """Whether to ask the master if it speaks TLS. If so, this counts as asked."""
        if self.speaks_tls is not None or now - self._asked < ASK_AGAIN_SECONDS:
            return False
        self._asked = now
        return True
