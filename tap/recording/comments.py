"""What a recording says of how a link stands, where reading on from there needs more than the bytes.

That is where a file of a rotation begins, so that reading can start at any file, and behind a gap in a stream. A comment
on a packet of the link, a JSON object with the fields of LinkState, its "event" being "link_state"; "standing" is an
object with those of tap.replication.standing. Who has read all that was before knows it, and leaves it aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tap.replication.standing import Standing

EVENT = "link_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """time: seconds. link, connection, replica: as in tap.bus.Told. peer, master: as in events.LinkOpened.

    standing: behind the bytes that TCP's numbers of the packet acknowledge, and *held* more of the master's, which come
    first behind the packet; None in the handshake. begins: all bytes of the handshake follow, once more and with their
    numbers of before. lost: if not, so many bytes of replica and master went before. said: the comments that went with
    them, and those on TLS, in whatever state it is.
    """

    event: str = EVENT
    time: float
    link: str
    connection: int
    replica: str
    peer: str
    master: str
    standing: Standing | None
    begins: bool
    said: tuple[dict[str, Any], ...]
    held: int = 0
    lost: tuple[int, int] = (0, 0)

    @property
    def from_replica(self) -> int:
        """Bytes before this."""
        return self.lost[0] if self.standing is None else self.standing.from_replica

    @property
    def from_master(self) -> int:
        """Bytes before this."""
        return self.lost[1] if self.standing is None else self.standing.from_master


_adapter = TypeAdapter(LinkState)


def as_comment(state: LinkState) -> str:
    return _adapter.dump_json(state).decode()


def from_comment(said: dict[str, Any]) -> LinkState | None:
    """The state that a comment tells; None for another comment, or one that no tap has written."""
    if said.get("event") != EVENT:
        return None
    try:
        return _adapter.validate_python(said)
    except ValidationError:
        return None
