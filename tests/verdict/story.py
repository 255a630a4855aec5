"""Events of full resyncs on a virtual clock."""

from __future__ import annotations

from typing import Any

from tap.bus import Told
from tap.replication import events
from tap.replication.events import Event, Reason, Role, Side, Transfer
from tap.verdict.loops import Loops

ID = "8371a4ee67df5dfc0e22c0d4ab19dcd9e6a2b0c1"
REPLICA = "10.0.0.7:6380"
MB = 2**20


class Story:
    """Tells events to a Loops, and keeps what they lead to. now: seconds. connection: the present one."""

    def __init__(self, replica: str = REPLICA, loops: Loops | None = None) -> None:
        self.now = 1000.0
        self.connection = 0
        self.loaded = True
        self.loops = loops or Loops(lambda: range(10_000) if self.loaded else ())
        self.said: list[Event] = []
        self.replica = replica

    def tell(self, event: Event, connection: int | None = None) -> Story:
        number = self.connection if connection is None else connection
        self.said += [one.event for one in self.loops.take(Told(self.now, "main", number, self.replica, event))]
        return self

    def after(self, seconds: float) -> Story:
        """Time passes, with a tick each second."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1.0)
            self.said += [one.event for one in self.loops.tick(self.now)]
        return self

    def asks(self, held: int | None = None, version: str = "") -> Story:
        self.connection += 1
        if version:
            request = ("REPLCONF", "version", version)
            self.tell(events.Handshake(start=0, end=1, request=request, reply="+OK"))
        replid = None if held is None else ID
        return self.tell(events.PsyncRequested(start=0, end=1, replid=replid, offset=-1 if held is None else held + 1))

    def granted(
        self, offset: int | None, code: str = "first_sync", replid: str | None = ID, causes: tuple[str, ...] = ()
    ) -> Story:
        reason = Reason(code=code, text="", causes=causes, inference="its log" if len(causes) > 1 else "")
        return self.tell(events.FullResync(start=0, end=1, replid=replid, offset=offset, reason=reason))

    def rdb(self, size: int | None = None, version: int = 10, aux: dict[str, str] | None = None) -> Story:
        return self.tell(
            events.RdbStarted(
                start=0,
                end=100,
                transfer=Transfer.DISKLESS if size is None else Transfer.DISK,
                size=size,
                version=version,
                aux={"redis-ver": "7.0.15"} if aux is None else aux,
            )
        )

    def rdb_done(self, size: int = 100 * MB) -> Story:
        self.tell(
            events.RdbFinished(
                start=0,
                end=1,
                transfer=Transfer.DISK,
                bytes=size,
                seconds=1.0,
                keys=1,
                expiring=0,
                functions=0,
                by_type={},
                largest=(),
                checksum="ok",
            )
        )
        return self.tell(events.StreamStarted(start=0, end=1, replid=ID, offset=0, db=0))

    def ends(self, by: Side, phase: str, connection: int | None = None, **fields: Any) -> Story:
        whole: dict[str, Any] = {
            "how": "fin",
            "text": "",
            "role": Role.REPLICA,
            "offset": 0,
            "bytes_from_master": 100,
            "bytes_from_replica": 200,
            "master_silence": 0.1,
            "replica_silence": 0.1,
        }
        return self.tell(events.LinkClosed(by=by, phase=phase, **{**whole, **fields}), connection)

    @property
    def verdicts(self) -> list[events.Verdict]:
        return [one for one in self.said if isinstance(one, events.Verdict)]

    @property
    def over(self) -> list[events.VerdictOver]:
        return [one for one in self.said if isinstance(one, events.VerdictOver)]

    @property
    def count(self) -> int:
        """The full resyncs of the only loop, so far."""
        (told,) = self.loops.verdicts
        assert isinstance(told.event, events.Verdict)
        return told.event.count

    @property
    def verdict(self) -> events.Verdict:
        """The only one."""
        (one,) = self.verdicts
        return one
