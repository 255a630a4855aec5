"""`rewrite`: change what the replica tells the master about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.errors import ConfigError
from tap.faults.kind import FALSE_CONTINUE, Kind, Watch
from tap.faults.parameters import param, parameters, port, psync, size
from tap.faults.request_words import capable, replaced, shown
from tap.faults.scope import Scope
from tap.faults.site import Site
from tap.faults.when import When
from tap.replication.requests import Request
from tap.units import parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite(Kind):
    """Change what the replica says about itself."""

    kind: ClassVar[str] = "rewrite"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"nth"})
    ends_servers: ClassVar[str] = "rewrite psync='0 1'"
    example: ClassVar[str] = "rewrite psync='? -1' times=1"
    psync: str | None = param(psync, "'REPLID OFFSET'", "what PSYNC asks for; '? -1' forces a full resync")
    capa: str | None = param(str, "-NAME|+NAME", "remove a capability, or add one")
    ip: str | None = param(str, "ADDRESS", "announce this address", name="ip-address")
    port: int | None = param(port, "PORT", "announce this port", name="listening-port")
    ack: str | None = param(
        lambda text: _ack(text),
        "-SIZE|+SIZE|freeze",
        "lower or raise acknowledged offsets, or repeat the first one forever",
    )

    def wrong(self, when: When, scope: Scope) -> str:
        given = [name for name, field in parameters(Rewrite).items() if getattr(self, field.name) is not None]
        if len(given) != 1:
            return f"one thing at a time; write for example {self.example!r}"
        if self.capa is not None and (self.capa[:1] not in ("+", "-") or not self.capa[1:].replace("-", "").isalnum()):
            return f"capa: {self.capa!r}; allowed: - or + and a name, as -psync2"
        return ""

    def danger(self, when: When) -> str:
        return "" if self.psync in (None, "? -1") else FALSE_CONTINUE

    @property
    def watches(self) -> Watch:
        return Watch.REQUESTS

    def rewritten(self, site: Site, request: Request) -> tuple[list[bytes], str] | None:
        args = list(request.args)
        if self.psync is not None:
            if request.name != b"PSYNC":
                return None
            words = [b"PSYNC", *self.psync.encode().split()]
            return None if words == args[:3] else (words, f"{shown(words)} instead of {shown(args)}")
        if request.name != b"REPLCONF":
            return None
        if self.ack is not None:
            return self._acknowledged(site, self.ack, args)
        if self.capa is not None:
            return capable(args, self.capa[0], self.capa[1:].encode())
        if self.port is not None:
            return replaced(args, b"listening-port", str(self.port).encode())
        assert self.ip is not None
        return replaced(args, b"ip-address", self.ip.encode(), after=b"listening-port")

    def _acknowledged(self, site: Site, ack: str, args: list[bytes]) -> tuple[list[bytes], str] | None:
        if len(args) < 3 or args[1].upper() != b"ACK" or not args[2].isdigit() or len(args[2]) > 19:
            return None
        offset = int(args[2])
        if ack == "freeze":
            changed = site.notes.setdefault("frozen", offset)
        else:
            by = parse_size(ack[1:])
            changed = max(0, offset + by if ack[0] == "+" else offset - by)
        return [*args[:2], str(changed).encode(), *args[3:]], f"ACK {changed} instead of {offset}"


def _ack(text: str) -> str:
    if text != "freeze":
        if text[:1] not in ("+", "-"):
            raise ConfigError(f"{text!r}; allowed: freeze, or + or - and a size, as -100b")
        size(text[1:])
    return text
