"""`answer`: the tap replies in the master's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import FALSE_CONTINUE, Kind
from tap.faults.parameters import line, param
from tap.faults.scope import Scope
from tap.faults.site import HandshakeFrame, Site
from tap.faults.when import When
from tap.replication.events import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Kind):
    """Reply in the master's place. The master never sees a request= that matches; a reply= that matches is replaced."""

    kind: ClassVar[str] = "answer"
    takes: ClassVar[frozenset[str]] = frozenset({"request", "reply", "nth"})
    ends_servers: ClassVar[str] = "answer +CONTINUE request=PSYNC"
    example: ClassVar[str] = "answer '-LOADING Redis is loading the dataset in memory' request=PSYNC"
    line: bytes | None = param(line, "LINE", "the reply, without its line ending", positional=True)

    def wrong(self, when: When, scope: Scope) -> str:
        if self.line is None:
            return f"answer with what? write for example {self.example!r}"
        if not when.matches:
            return "to which request? give request=, as request=PSYNC, or reply= to replace the master's own reply"
        return ""

    def danger(self, when: When) -> str:
        assert self.line is not None
        return FALSE_CONTINUE if self.line.upper().startswith(b"+CONTINUE") else ""

    def take_frame(self, site: Site, frame: HandshakeFrame) -> bytes | None:
        assert self.line is not None
        data = self.line + b"\r\n" if frame.side is Side.MASTER else b""
        site.replace_frame(frame, data, f"answered {frame.text} with {self.line.decode('utf-8', 'replace')}")
        return self.line
