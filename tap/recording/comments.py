"""The vocabulary of packet comments: what a tap writes into a recording beside the packets, and how it is read back.

The bytes of a connection do not say everything: not the name of the link, why a fault made a resync full, how a
connection stood where a file of a rotation begins, nor what was left out. All of this stands in packet comments of the
pcapng file, one JSON object each, whose "event" names its kind:

    the kinds of tap.replication.events   with the fields of Told, as in `--ui json`
    link_state       how the connection stands here: LinkState
    carried_db       "db": the db in force at the start of the stream, where no SELECT says it
    rdb_omitted      "start", "end": the positions of an RDB that was left out on demand
    not_understood   the tap only passed the connection on (--opaque), so no event of it follows

Which events are kept is decided by KEPT in recorder/recorder.py; which of them are reported again on reading, because the
bytes alone do not show them, by Player._comment().

Every section of a file states in a comment of its header the format of this vocabulary:

    recording        "format": a whole number; a section without it is of format 1

A reader refuses a newer format before it reads the first packet (check_format), because a comment that it does not know
might change what the bytes mean. Raise FORMAT whenever an older reader would misunderstand a recording, but not for a new
kind or field that an older reader may ignore.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tap.bus import Told
from tap.capture.pcapng import MAX_TIME
from tap.errors import RecordingError
from tap.replication import events
from tap.replication.dbs import MAX_DB
from tap.replication.events import Event, Side
from tap.replication.standing import Standing

FORMAT = 1

RECORDING = "recording"
LINK_STATE = "link_state"
CARRIED_DB = "carried_db"
RDB_OMITTED = "rdb_omitted"
NOT_UNDERSTOOD = "not_understood"

MAX_NUMBER = 2**256  # longer numbers are an attempt to make the reader slow

# The types of fields that several kinds share.
_TYPES: dict[str, type | tuple[type, ...]] = {
    "time": (int, float),
    "connection": int,
    "link": str,
    "replica": str,
    "peer": str,
    "master": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How a connection stands at a packet, where reading on from there needs more than the bytes.

    A tap writes it where a file of a rotation begins, so that reading can start at any file, and after a gap in a stream.
    A reader that has read everything before it already knows it, and ignores it.

    time: seconds. link, connection, replica: as in tap.bus.Told. peer, master: as in events.LinkOpened.

    standing: the state after the bytes acknowledged by the packet's TCP numbers and *held* further bytes of the master,
    which follow the packet first; None in the handshake. begins: the whole handshake follows once more, with its original
    TCP numbers. lost: otherwise, how many bytes of replica and master came before. said: the comments that went with
    those bytes, and in every state those about TLS.
    """

    event: str = LINK_STATE
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
        """Number of bytes from the replica before this packet."""
        return self.lost[0] if self.standing is None else self.standing.from_replica

    @property
    def from_master(self) -> int:
        """Number of bytes from the master before this packet."""
        return self.lost[1] if self.standing is None else self.standing.from_master

    @property
    def comments(self) -> list[Comment]:
        """The comments in *said*, without any that no tap has written."""
        return [comment for one in self.said if (comment := _checked(one)) is not None]


_states = TypeAdapter(LinkState)


# ---- out ----


def recording_json() -> str:
    """The comment that states the format, for the header of a section."""
    return _compact({"event": RECORDING, "format": FORMAT})


def told_json(told: Told) -> str:
    return json.dumps(told.as_dict(), ensure_ascii=False, separators=(",", ":"))


def state_json(state: LinkState) -> str:
    return _states.dump_json(state).decode()


def carried_db_json(db: int) -> str:
    return _compact({"event": CARRIED_DB, "db": db})


def rdb_omitted_json(start: int, end: int) -> str:
    """start, end: positions in the master's bytes."""
    return _compact({"event": RDB_OMITTED, "start": start, "end": end})


def not_understood_json() -> str:
    return _compact({"event": NOT_UNDERSTOOD})


def _compact(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))


# ---- in ----


def check_format(path: str, comment: str) -> None:
    """Raise RecordingError if this comment of a section's header states a format that is newer than FORMAT.

    path: what the error calls the file. A comment of another program passes.
    """
    try:
        said = json.loads(comment)
    except (ValueError, RecursionError):
        return
    if not isinstance(said, dict) or said.get("event") != RECORDING:
        return
    found = said.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise RecordingError(
            f"{path}: written in recording format {found}, this redis-tap reads up to {FORMAT}. "
            "Upgrade redis-tap to read it; the file is intact."
        )


@dataclass(frozen=True, slots=True)
class OpeningComment:
    """What a tap says about a connection on its first packet. peer, master: addresses, as in events.LinkOpened."""

    link: str
    connection: int
    peer: str
    master: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of a tap. kind: its "event", which need not be in this vocabulary. fields: all of them.

    Fields listed in _TYPES have the types given there; any other field may hold anything, so the properties below return
    None for a value that makes no sense.
    """

    kind: str
    fields: Mapping[str, Any]

    @property
    def connection(self) -> int | None:
        return self.fields.get("connection")

    @property
    def opening(self) -> OpeningComment | None:
        if self.kind != events.LinkOpened.kind:
            return None
        try:
            return OpeningComment(*(self.fields[name] for name in ("link", "connection", "peer", "master")))
        except KeyError:
            return None

    @property
    def state(self) -> LinkState | None:
        if self.kind != LINK_STATE:
            return None
        try:
            return _states.validate_python(self.fields)
        except ValidationError:
            return None

    @property
    def event(self) -> Event | None:
        """None for another kind, or an event whose fields do not fit."""
        try:
            return events.from_dict(self.fields)
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def told(self) -> Told | None:
        """The event with its time, link and connection."""
        event, fields = self.event, self.fields
        if event is None or not fields.keys() >= {"time", "link", "connection", "replica"}:
            return None
        return Told(fields["time"], fields["link"], fields["connection"], fields["replica"], event)

    @property
    def left_out(self) -> tuple[Side, int] | None:
        """The side whose bytes are not in the recording, and the position of the first byte after them."""
        end = self.fields.get("end")
        if self.kind not in (events.RecordingGap.kind, RDB_OMITTED) or not isinstance(end, int):
            return None
        return (Side.REPLICA if self.fields.get("side") == "replica" else Side.MASTER), end

    @property
    def gap_offsets(self) -> tuple[int | None, int | None] | None:
        """The replication offsets before and after a gap in the master's bytes, each None if unknown."""
        if self.kind != events.RecordingGap.kind or self.fields.get("side") != "master":
            return None
        before, after = self.fields.get("from_offset"), self.fields.get("to_offset")
        return (before if isinstance(before, int) else None), (after if isinstance(after, int) else None)

    @property
    def carried_db(self) -> int | None:
        db = self.fields.get("db")
        return db if self.kind == CARRIED_DB and isinstance(db, int) and 0 <= db < MAX_DB else None

    @property
    def doubts_stream(self) -> bool:
        """Whether a replica has acknowledged, through no fault of the tap, more than the master had sent."""
        return self.kind == events.AckAheadOfMaster.kind and not self.fields.get("by_fault")


def parse(text: str) -> Comment | None:
    """None for a comment of another program."""
    try:
        said = _decoder.decode(text)
    except (ValueError, RecursionError):
        return None
    return _checked(said)


def _checked(said: object) -> Comment | None:
    if not isinstance(said, dict) or not isinstance(said.get("event"), str):
        return None
    has_types = all(isinstance(said[key], kind) for key, kind in _TYPES.items() if key in said)
    if not has_types or not 0 <= said.get("time", 0) < MAX_TIME / 1e9:
        return None
    return Comment(said["event"], said)


def _number(text: str) -> float:
    """Raise ValueError for a number that is not finite, or that a float cannot hold."""
    number = float(text) if re.search(r"[.eE]", text) else int(text)
    if not -MAX_NUMBER < number < MAX_NUMBER:
        raise ValueError(text)
    return number


_decoder = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_number)
