"""Why a resync was a full one: a code and a sentence, from what the wire alone shows.

The rules are those of a master that decides on PSYNC <replid> <offset>: Redis 7.0 replication.c,
masterTryPartialResynchronization. The master's backlog is not on the wire, so only bounds of it are known.
"""

from tap.replication.events import Reason
from tap.replication.memory import Memory

CODES = (
    "first_sync",
    "replication_id_unknown",
    "offset_out_of_backlog",
    "offset_ahead_of_master",
    "legacy_sync",
    "master_refused_psync",
    "forced_by_fault",
    "unknown",
)
FIRST_SYNC = Reason(code="first_sync", text="the replica has no history yet (it asked ? -1): it needs a snapshot first")


def why_full(
    memory: Memory, replica: str, asked: str | None, wanted: int, granted: str, offset: int, *, written: int | None = None
) -> Reason:
    """The reason for +FULLRESYNC <granted> <offset> as answer to PSYNC <asked> <wanted>; asked is None for `?`.

    written: the highest offset of the history *asked* that the master was known to have written at the request; None if
    none was. The answer may come seconds later (repl-diskless-sync-delay), so its offset is only an upper bound of that.
    To be called before the memory learns of the new history.
    """
    past = memory.past(replica)
    if asked is None:
        if past is None:
            return FIRST_SYNC
        if past.unloaded:
            return Reason(
                code="first_sync",
                text=f"the replica has no history: its last full resync through this tap ended in phase {past.unloaded}, "
                "before it had acknowledged the snapshot; if that repeats, its log says why the snapshot does not load",
            )
        had = "" if past.offset is None else f" up to offset {past.offset}"
        return Reason(
            code="first_sync",
            text=f"the replica asked ? -1 although it had followed {short(past.replid)}{had} through this tap: "
            "it gave that up (a restart without an RDB, a protocol error, or a failed load)",
        )
    held = wanted - 1
    if asked == granted:
        if held > offset:
            return Reason(
                code="offset_ahead_of_master",
                text=f"the replica is ahead: it holds {short(asked)} up to offset {held}, the master only up to "
                f"{offset} ({held - offset} bytes less)",
            )
        behind = offset - held
        if behind == 0:
            return Reason(
                code="offset_out_of_backlog",
                text=f"the replica has all that the master has ({short(asked)} up to offset {held}), but the master "
                "keeps no backlog to go on from: it frees it when no replica was there for repl-backlog-ttl",
            )
        least = 0 if written is None else min(max(0, written - held), behind)
        distance = f"{behind}" if least == behind else f"{least} to {behind}" if least else f"at most {behind}"
        return Reason(
            code="offset_out_of_backlog",
            text=f"the replica was {distance} bytes behind when it asked (it has offset {held}, the master had {offset} "
            f"when it answered) and the master's backlog no longer reaches back that far: repl-backlog-size "
            f"{_backlog(behind)} would have saved it",
        )
    if memory.succession.parent(granted) == asked:
        return Reason(
            code="offset_ahead_of_master",
            text=f"the replica holds {short(asked)} up to offset {held}, beyond the point where the master's history "
            f"went on as {short(granted)}",
        )
    elsewhere = memory.elsewhere(asked)
    if elsewhere is not None:
        return Reason(
            code="replication_id_unknown",
            text=f"the replica offered {short(asked)} up to offset {held}, which the master of link {elsewhere} wrote; "
            f"this master does not go on from there, it writes {short(granted)}",
        )
    if past is not None and past.replid == asked:
        return Reason(
            code="replication_id_unknown",
            text=f"the replica offered {short(asked)} up to offset {held}, which this master gave it earlier, but the "
            f"master now writes {short(granted)}: it was restarted without its history, or replaced",
        )
    if memory.knows(asked):
        return Reason(
            code="replication_id_unknown",
            text=f"the replica offered {short(asked)} up to offset {held}, a history that this master wrote earlier; "
            f"it now writes {short(granted)}",
        )
    if past is not None and past.unloaded:
        return Reason(
            code="replication_id_unknown",
            text=f"the replica still offers its history from before, {short(asked)} up to offset {held}: its last full "
            f"resync through this tap ended in phase {past.unloaded}, before it had acknowledged the snapshot",
        )
    return Reason(
        code="replication_id_unknown",
        text=f"the replica offered a history of its own, {short(asked)} up to offset {held}, which the master does not "
        f"know: the replica was a master until now, or followed another one; this master writes {short(granted)}",
    )


def why_sync(refusal: str | None) -> Reason:
    """The reason for an RDB after SYNC. refusal: the master's error in answer to an earlier PSYNC, None without one."""
    if refusal is None:
        return Reason(
            code="legacy_sync",
            text="the peer asked with SYNC, the request from before PSYNC, which always gets a snapshot",
        )
    return Reason(
        code="master_refused_psync",
        text=f"the master answered PSYNC with {refusal!r}, so the replica fell back to SYNC",
    )


def short(replid: str) -> str:
    """A replication ID as sentences name it."""
    return replid[:8] + "…"


def _backlog(behind: int) -> str:
    """A backlog size that would have held these bytes, as redis.conf writes sizes."""
    megabytes = -(-behind // 2**20)
    return f"{behind} bytes ({megabytes}mb)" if behind >= 2**19 else f"{behind} bytes"
