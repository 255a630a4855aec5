"""What segments of TCP are made of."""

from __future__ import annotations

from dataclasses import dataclass

FIN = 0x01
SYN = 0x02
RST = 0x04
PUSH = 0x08
ACK = 0x10

MAX_DATA = 65_535 - 40  # an IPv4 packet says its length in 16 bits, both headers included
WINDOW = 65_535


@dataclass(frozen=True, slots=True)
class Endpoint:
    """host: an address in digits. Without a zone, which a packet cannot say."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
