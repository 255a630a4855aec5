"""What a Sentinel publishes of itself, every two seconds, on each master and replica that it watches.

Source: sentinelSendHello() in sentinel.c of Redis and Valkey.
"""

from __future__ import annotations

from dataclasses import dataclass

from tap.url import Address

CHANNEL = "__sentinel__:hello"


@dataclass(frozen=True, slots=True)
class Hello:
    """sentinel: its address. name: what it calls the master. master: where it sees that. epoch: of that view."""

    sentinel: Address
    run_id: str
    name: str
    master: Address
    epoch: int


def parse(text: str) -> Hello | None:
    """ip,port,runid,current_epoch,master_name,master_ip,master_port,master_epoch. None if it is anything else."""
    words = text.split(",")
    if len(words) != 8 or not all(
        word.isascii() and word.isdigit() and len(word) < 20 for word in (words[1], *words[6:])
    ):
        return None
    return Hello(Address(words[0], int(words[1])), words[2], words[4], Address(words[5], int(words[6])), int(words[7]))
