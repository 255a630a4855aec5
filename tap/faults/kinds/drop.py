"""`drop`: bytes are swallowed: whole frames, or a number of bytes at a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.errors import ConfigError, did_you_mean
from tap.faults.kind import DAMAGED_RDB, Kind, Watch
from tap.faults.parameters import param, some_bytes
from tap.faults.scope import Scope
from tap.faults.site import HandshakeFrame, Site
from tap.faults.taken_command import TakenCommand
from tap.faults.when import When
from tap.replication.events import Side

_WATCHES = {"acks": Watch.ACKS, "pings": Watch.PINGS, "keepalives": Watch.NEWLINES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Kind):
    """Swallow bytes: acknowledgements, pings, keepalives, matching commands, or a number of bytes at a place."""

    kind: ClassVar[str] = "drop"
    damages: ClassVar[bool] = True
    once: ClassVar[bool] = False
    ends_servers: ClassVar[str] = "drop 1b at=rdb:50%"
    example: ClassVar[str] = "drop command=SET key='user:*' times=1"
    target: str | int = param(
        lambda text: text if text in _WATCHES else _dropped(text),
        "acks|pings|keepalives|SIZE",
        "what to drop; not given with command, key, request or reply",
        default="",
        positional=True,
    )

    def wrong(self, when: When, scope: Scope) -> str:
        if (self.target == "") != when.matches:
            return f"drop what? acks, pings, keepalives, a size, or a match, as {self.example!r}"
        if self.watches is not Watch.NOTHING and when.at is not None:
            return f"{self.target} are dropped wherever they are, not at a place"
        return ""

    def danger(self, when: When) -> str:
        return DAMAGED_RDB if isinstance(self.target, int) and (when.is_in_rdb or when.at is None) else ""

    @property
    def watches(self) -> Watch:
        return Watch.NOTHING if isinstance(self.target, int) else _WATCHES.get(self.target, Watch.NOTHING)

    def act(self, site: Site, side: Side, position: int, *, at_once: bool) -> None:
        assert isinstance(self.target, int)
        lane, size = site.lane(side), self.target
        lane.skip(on=True)
        site.until(side, position + size, lambda: lane.skip(on=False))
        site.fired(side, position, size, f"dropped {size} bytes")

    def take_command(self, site: Site, taken: TakenCommand) -> None:
        lane = site.lane(Side.MASTER)

        def ended(end: int) -> None:
            def act() -> None:
                lane.skip(on=False)
                taken.fired(end - taken.begin, f"dropped {taken.text}")

            lane.mark(end, act)

        lane.mark(taken.begin, lambda: lane.skip(on=True))
        taken.on_end = taken.on_unread = ended

    def take_frame(self, site: Site, frame: HandshakeFrame) -> bytes | None:
        text = frame.text if frame.side is Side.REPLICA else f"the reply to {frame.text}"
        site.replace_frame(frame, b"", f"dropped {text if frame.name else 'a keepalive'}")
        return None


def _dropped(text: str) -> int:
    if not text[:1].isdigit():
        raise ConfigError(f"{text!r}; allowed: {', '.join(_WATCHES)} or a size, as 100b.{did_you_mean(text, _WATCHES)}")
    return some_bytes(text)
