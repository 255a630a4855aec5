"""Will the master continue where a replica stops? Decided from INFO of both, before anything is moved.

A replica whose master's address changes asks with the replication ID it follows and the offset after the last command it
has applied. The master grants that if the ID is its own, or its second one up to that one's last offset, and if its
backlog holds the offset at the moment when the request comes (masterTryPartialResynchronization in replication.c). That
moment lies ahead: the master writes on while the replica reconnects, so the backlog must also have room for that.
"""

from __future__ import annotations

from dataclasses import dataclass

from tap.servers.info import ReplicationSection
from tap.verdict.sizing import as_size

# A replica connects at once after REPLICAOF, or within a second (replicationCron). The way back needs as much.
MOVE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """text: the reason, with numbers, for either answer."""

    is_partial: bool
    text: str


def forecast(
    replica: ReplicationSection, master: ReplicationSection, backlog_size: int, bytes_per_second: float
) -> Forecast:
    """replica: asked before the master. backlog_size: repl_backlog_size. bytes_per_second: what the master writes now."""
    offset = replica.slave_repl_offset
    if offset is None:
        return Forecast(False, "the replica names no offset, as it has not followed its master yet")
    if replica.master_replid != master.master_replid:
        last = master.second_repl_offset
        if replica.master_replid != master.master_replid2:
            return Forecast(
                False,
                f"the replica's history is {replica.master_replid}, the master's is {master.master_replid}: "
                + (
                    "this may not be the master that the replica follows"
                    if replica.master_link_status == "up"
                    else "the replica's link is down, and this master could only resync it in full"
                ),
            )
        if last is None or offset + 1 > last:
            return Forecast(False, f"the replica is at offset {offset}, beyond {last}, where the master took over")
    if not master.repl_backlog_active:
        return Forecast(False, "the master has no backlog at present")
    behind = max(0, master.master_repl_offset - offset)
    if offset > master.master_repl_offset:
        return Forecast(
            False, f"the replica is at offset {offset}, ahead of the master, which is at {master.master_repl_offset}"
        )
    first = master.repl_backlog_first_byte_offset
    if first is None or offset + 1 < first:
        return Forecast(
            False, f"the replica is at offset {offset}, and the master's backlog begins at {first}: {_larger(behind)}"
        )
    needed = behind + int(bytes_per_second * MOVE_SECONDS)
    if needed > backlog_size:
        return Forecast(
            False,
            f"the replica is {behind} bytes behind, the master writes {bytes_per_second:.0f} bytes a second, and a move "
            f"may take {MOVE_SECONDS:g} s: this needs {needed} bytes of backlog, which has {backlog_size}; "
            f"{_larger(needed)}",
        )
    return Forecast(
        True,
        f"the replica is {behind} bytes behind, the master writes {bytes_per_second:.0f} bytes a second, and a move "
        f"needs {needed} of the {backlog_size} bytes of its backlog",
    )


def _larger(needed: int) -> str:
    """The remedy, with a margin of as much again."""
    return f"on the master, CONFIG SET repl-backlog-size {as_size(2 * needed)} would do"
