"""How large a buffer or a timeout has to be: the arithmetic, and the values as a server's configuration spells them.

During a full resync the master keeps what it writes for the replica in that replica's output buffer, from the snapshot
until the replica has loaded it:

    output buffer  >=  bytes written per second  x  seconds (wait for the RDB + transfer + load)

During an outage it keeps what it writes in its backlog, from the last byte that the replica has:

    backlog        >=  bytes written per second  x  seconds of the outage

Rates and times of tomorrow are not those of today. So every value has a margin, which a sentence has to name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tap.replication.inspected import BufferLimit

MARGIN = 1.5  # where all parts were measured
WIDE_MARGIN = 2.0  # where a part of the time is an estimate, or was cut off
ROUND_TO = 2**20  # buffers are given in whole megabytes


@dataclass(frozen=True, slots=True)
class Need:
    """A buffer that is needed. rate: bytes per second. seconds: for which it fills. bytes: with the margin."""

    rate: float
    seconds: float
    margin: float

    @property
    def bytes(self) -> int:
        return math.ceil(self.rate * self.seconds * self.margin)

    @property
    def value(self) -> str:
        """The bytes as a configuration spells them."""
        return as_size(self.bytes)


def output_buffer(rate: float, wait: float, transfer: float, load: float, margin: float = MARGIN) -> Need:
    """What the output buffer of a replica has to hold in a full resync.

    rate: bytes per second that the master writes, at its peak. wait, transfer, load: seconds of the three parts.
    """
    return Need(rate, wait + transfer + load, margin)


def backlog(rate: float, outage: float, margin: float = MARGIN) -> Need:
    """What the backlog has to hold. outage: seconds, of the longest one that should cost no full resync."""
    return Need(rate, outage, margin)


def timeout(seconds: float, margin: float = MARGIN) -> int:
    """The repl-timeout that allows for this many seconds without a byte."""
    return math.ceil(seconds * margin)


def as_size(size: int) -> str:
    """Bytes as a configuration spells them, rounded up to whole megabytes: 1 -> "1mb". Servers read 1mb as 2**20."""
    return f"{max(1, -(-size // ROUND_TO))}mb"


def output_buffer_limit(size: int, present: BufferLimit | None = None) -> str:
    """The value of client-output-buffer-limit that lets a replica's buffer grow to this size.

    The soft limit, which ends a connection that exceeds it for a minute, is the same: a full resync may take longer.
    present: what is configured now, if that is known; nothing of it is lowered.
    """
    if present is None:
        return f"replica {as_size(size)} {as_size(size)} 60"
    hard, soft = (as_size(max(size, one)) if one else "0" for one in (present.hard, present.soft))
    return f"replica {hard} {soft} {present.soft_seconds:g}"
