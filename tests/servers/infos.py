"""INFO as a test makes a server report it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap.servers.info import Info, ReplicationSection

MASTER = {"role": "master", "connected_slaves": 0, "master_replid": "a" * 40, "master_repl_offset": 0}


def info(fields: Mapping[str, Any]) -> Info:
    """These fields, besides those that every server has in section "replication"."""
    return Info({name: str(value) for name, value in {**MASTER, **fields}.items()})


def replication(fields: Mapping[str, Any]) -> ReplicationSection:
    return info(fields).replication


def slave(port: int, offset: int | str) -> str:
    """A line slaveN."""
    return f"ip=127.0.0.1,port={port},state=online,offset={offset},lag=0"
