"""The vocabulary of TCP segments: flags, sizes, endpoints."""

from __future__ import annotations

from dataclasses import dataclass

FIN = 0x01
SYN = 0x02
RST = 0x04
PUSH = 0x08
ACK = 0x10

MAX_DATA = 65_535 - 40  # IPv4 stores a packet's length in 16 bits, and it includes both headers
WINDOW = 65_535


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port. host: a numeric address, without a zone, which packets do not carry."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
