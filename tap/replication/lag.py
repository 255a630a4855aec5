"""How far a replica lags its master, and what shows that.

The lag is what the master has written and the replica has not acknowledged. The replica's end of it is on the wire; of
the master's end the connection shows only a part:

    acknowledged        received             sent              written
    |-- in the replica --|-- in the system --|-- in the master --|        one history, in bytes
       or under way to it   not read yet        not sent yet

- While the tap reads everything, the master sends whatever it has written, and all three are one: the lag is exact.
- While the tap does not read, because the replica takes no more or a fault holds bytes up, the master goes on writing.
  The system's buffer (SIOCINQ) adds what waits there; what the master keeps in its own buffers is not visible here, so
  the figure is a lower bound: at_least.
- Another connection to the same master shows what it has written, if that one is read. Then the lag is known again, and
  grows although nothing comes on this connection.
- The master's own word (--inspect) is its offset of a moment ago; the lag is then that of this moment.
- While the master is silent for longer than it should be, at_least: the network may not bring what it writes.
- After a partial resync the master sends what it has as fast as it can; until the replica has caught up, at_least.

All readers of a lag use one rule, Stream.lag(), which Silence.bounded() completes: the live view, metrics, status and the
ACKs. Its parts are measured on ticks, and looked up at an ACK only while the tap is not reading or nothing comes.
"""

from __future__ import annotations

from typing import NamedTuple

OVERDUE_SECONDS = 1.5  # without an acknowledgement; replicas send one each second
MORE_THAN_A_READ = 2**18  # bytes that wait: from here on the tap does not keep up, and the master may have more


class Lag(NamedTuple):
    """bytes, seconds: None if unknown. at_least: they are lower bounds.

    known_from: what shows the master's end: "wire", this connection; "link", another connection to the same master;
    "master", if the master said so itself.
    """

    bytes: int | None = None
    seconds: float | None = None
    at_least: bool = False
    known_from: str = "wire"


class Reached(NamedTuple):
    """The highest offset that the master is known to have written. at_least, known_from: see Lag."""

    offset: int
    at_least: bool
    known_from: str


UNKNOWN = Lag()
