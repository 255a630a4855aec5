"""Why a resync was a full one: a code and a sentence, from what the wire shows, and what may be inferred from that.

The rules are those of a master that decides on PSYNC <replid> <offset>: Redis 7.0 replication.c,
masterTryPartialResynchronization. It looks at three things that are not on the wire: its ID, its second ID with an
offset, and its backlog. So the answer shows which rule failed, and often not why:

    the granted ID is the one asked for     its backlog does not reach back. It is too small; or it is new, because this
                                            master is itself a replica that has resynced in full
    another ID                              this master does not know the ID, or knows it up to a lower offset only. It
                                            drew a new ID: after repl-backlog-ttl without a replica, or in a restart; it
                                            came back from an older snapshot; it was promoted before the replica's last
                                            byte was written; or it is another server

The text of a Reason holds what was observed, and Reason.causes what this allows. The memory of other connections excludes
some of them: what this master's offset is now, how far it followed another link's master, whether it resynced in full
there. A master that may be asked (--inspect) says all three, and its role. One cause that is left is certain.

Of what a master said a moment ago, these hold without a time: an ID has one second ID and one offset of it, for whatever
changes them draws a new ID, and a server that writes under an ID drawn by itself has had its backlog since then.
(changeReplicationId() and clearReplicationId2(), in the same place.)
"""

from __future__ import annotations

from tap.replication.events import Reason
from tap.replication.inspected import NO_HISTORY, Inspected
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

PING_BYTES = 14  # *1\r\n$4\r\nPING\r\n

BACKLOG_TOO_SMALL = "backlog_too_small"
BACKLOG_RESET = "backlog_reset"  # the master has itself resynced in full, which begins a new backlog
BACKLOG_FREED = "backlog_freed"  # repl-backlog-ttl
MASTER_RESTARTED = "master_restarted"
MASTER_REPLACED = "master_replaced"
OLDER_SNAPSHOT = "older_snapshot"
MASTER_LAGS = "master_lags"  # it is a replica, and has less than its own replica
PROMOTED_BEFORE = "promoted_before"  # the master was promoted before the replica's last bytes were written
OWN_HISTORY = "own_history"  # the replica was a master
PSYNC_UNANSWERED = "psync_unanswered"  # Redis 6.2 replication.c, slaveTryPartialResynchronization
OTHER_MASTER = "other_master"  # the replica followed another master


def why_full(
    memory: Memory, replica: str, asked: str | None, wanted: int, granted: str, offset: int, *, written: int | None = None
) -> Reason:
    """The reason for +FULLRESYNC <granted> <offset> as answer to PSYNC <asked> <wanted>; asked is None for `?`.

    written: the highest offset of the history *asked* that the master was known to have written at the request; None if
    none was. The answer may come seconds later (repl-diskless-sync-delay), so its offset is only an upper bound of that.
    To be called before the memory learns of the new history.
    """
    if asked is None:
        return _first(memory, replica)
    held = wanted - 1
    if asked == granted:
        return _same_id(memory, asked, held, offset, written)
    known = _known_as_former(memory, asked, held, granted, offset)
    return known or _other_id(memory, replica, asked, held, granted, offset)


def _first(memory: Memory, replica: str) -> Reason:
    past = memory.past(replica)
    if past is None:
        return FIRST_SYNC
    if past.unloaded:
        return Reason(
            code="first_sync",
            text=f"the replica has no history: its last full resync through this tap ended in phase {past.unloaded}, "
            "before it had acknowledged the snapshot; if that repeats, its log says why the snapshot does not load",
        )
    had = "" if past.offset is None else f" up to offset {past.offset}"
    if past.is_unanswered:
        return Reason(
            code="first_sync",
            text=f"the replica asked ? -1 although it had followed {short(past.replid)}{had} through this tap, and its "
            "last connection ended before it had acknowledged an answer to PSYNC: it gave that up",
            causes=(PSYNC_UNANSWERED, "replica_restarted", "protocol_error", "failed_load"),
            inference="a replica of Redis 6.2 or older drops its history if the answer to PSYNC does not come "
            "('Unexpected reply to PSYNC' in its log); or it restarted without an RDB, met a protocol error, or failed "
            "to load",
        )
    return Reason(
        code="first_sync",
        text=f"the replica asked ? -1 although it had followed {short(past.replid)}{had} through this tap: it gave that "
        "up",
        causes=("replica_restarted", "protocol_error", "failed_load"),
        inference="it restarted without an RDB, met a protocol error, or failed to load; its log says which",
    )


def _same_id(memory: Memory, asked: str, held: int, offset: int, written: int | None) -> Reason:
    """The master knows the history, and cannot go on from the replica's offset."""
    if held <= offset:
        return _out_of_backlog(memory, asked, asked, held, offset, written)
    said = _said(memory, asked)
    text = (
        f"the replica is ahead: it holds {short(asked)} up to offset {held}, the master only up to {offset} "
        f"({held - offset} bytes less)"
    )
    if said is not None and said.role == "slave":
        return Reason(
            code="offset_ahead_of_master",
            text=f"{text}. The master is itself a replica, as its INFO says: it lags",
            known_from="master",
            causes=(MASTER_LAGS,),
        )
    return Reason(
        code="offset_ahead_of_master",
        text=text,
        causes=(MASTER_LAGS, OLDER_SNAPSHOT),
        inference="the master is itself a replica that lags, or came back from an older snapshot: role and "
        "master_link_status in its INFO, and its log, say which",
    )


def _said(memory: Memory, granted: str) -> Inspected | None:
    """What the master said of itself while it wrote this history; None if nothing."""
    said = memory.inspected
    return said if said is not None and said.replid == granted else None


def _out_of_backlog(memory: Memory, asked: str, granted: str, held: int, offset: int, written: int | None) -> Reason:
    """The master has the replica's last byte in its history, and not the next one in its backlog."""
    behind = offset - held
    own = memory.resynced()
    if own is not None and own[1] > held:
        link, reset = own
        return Reason(
            code="offset_out_of_backlog",
            text=f"the replica has offset {held}, and its master has itself resynced in full, at offset {reset} through "
            f"link {link}, which begins a new backlog there: no repl-backlog-size of this master would have saved it",
            causes=(BACKLOG_RESET,),
        )
    said = _said(memory, granted)
    is_its_own = said is not None and said.role == "master" and asked == granted and said.backlog_first is not None
    began = None if said is None or (said.backlog_first or 0) <= held + 1 else said.backlog_first
    if said is not None and began is not None and said.role == "slave" and _is_filling(said):
        return Reason(
            code="offset_out_of_backlog",
            text=f"the replica has offset {held}, and its master, itself a replica, began a new backlog at {began}, as "
            "its INFO said before it answered: no repl-backlog-size of this master would have saved it",
            known_from="master",
            causes=(BACKLOG_RESET,),
        )
    if said is not None and is_its_own:
        size = "" if said.backlog_size is None else f" of {said.backlog_size} bytes"
        seen = f"began at {began}, as its INFO said before it answered"
        if began is None:
            seen = f"no longer reached back to there when it answered, at offset {offset}"
        return Reason(
            code="offset_out_of_backlog",
            text=f"the replica has offset {held}, and the master's backlog{size} {seen}: "
            f"repl-backlog-size {_backlog(behind)} would have saved it",
            known_from="master",
            causes=(BACKLOG_TOO_SMALL,),
        )
    if behind == 0:
        role = None if said is None else said.role
        text = f"the replica has all that the master has ({short(asked)} up to offset {held}), but the master keeps "
        text += "no backlog to go on from"
        if role == "slave":
            return Reason(
                code="offset_out_of_backlog",
                text=f"{text}: it is itself a replica, as its INFO says, and a full resync of its own begins a new one",
                known_from="master",
                causes=(BACKLOG_RESET,),
            )
        return Reason(
            code="offset_out_of_backlog",
            text=text,
            causes=(BACKLOG_RESET, BACKLOG_FREED),
            inference="the master is itself a replica and has just resynced in full, which begins a new backlog; or it "
            "freed its backlog after repl-backlog-ttl without a replica: role in its INFO, and its log, say which",
        )
    least = 0 if written is None else min(max(0, written - held), behind)
    distance = f"{behind}" if least == behind else f"{least} to {behind}" if least else f"at most {behind}"
    name = "" if asked == granted else f" of {short(asked)}, which the master knows and goes on with as {short(granted)}"
    return Reason(
        code="offset_out_of_backlog",
        text=f"the replica was {distance} bytes behind when it asked (it has offset {held}{name}, the master had "
        f"{offset} when it answered) and the master's backlog no longer reaches back that far",
        causes=(BACKLOG_TOO_SMALL, BACKLOG_RESET),
        inference=f"repl-backlog-size {_backlog(behind)} would have saved it; unless the master is itself a replica and "
        "has just resynced in full, which begins a new backlog: role in its INFO says whether",
    )


def _is_filling(said: Inspected) -> bool:
    """Whether the backlog has not been full since it began."""
    if said.offset is None or said.backlog_first is None or said.backlog_size is None:
        return False
    return said.offset - said.backlog_first + 1 < said.backlog_size


def _known_as_former(memory: Memory, asked: str, held: int, granted: str, offset: int) -> Reason | None:
    """The master goes on from the replica's history, under another ID; None if nothing shows that."""
    holds = f"the replica holds {short(asked)} up to offset {held}"
    said = _said(memory, granted)
    told = None if said is None else said.branch(granted, asked)
    if said is not None and told is not None:
        if held <= told:
            return _out_of_backlog(memory, asked, granted, held, offset, None) if held <= offset else None
        text = f"{holds}; its master knows that history up to offset {told} (second_repl_offset in its INFO), and writes"
        is_here = memory.knows(asked) and memory.elsewhere(asked) is None and memory.lives.get(asked) != said.run_id
        return Reason(
            code="offset_ahead_of_master",
            text=f"{text} {short(granted)}: {_beyond(memory, asked, told, held, '')}",
            known_from="master",
            causes=(OLDER_SNAPSHOT, PROMOTED_BEFORE) if is_here else (PROMOTED_BEFORE,),
            inference="it came back from an older snapshot, or a promoted replica has taken its place: its log says which"
            if is_here
            else "",
        )
    followed = memory.followed()
    if followed is not None:
        link, past = followed
        if past.replid == asked and past.offset is not None and past.offset < held:
            seen = f"its master followed that history through link {link} up to offset {past.offset}, and writes"
            beyond = _beyond(memory, asked, past.offset, held, "")
            return Reason(
                code="offset_ahead_of_master",
                text=f"{holds}; {seen} {short(granted)}: {beyond}",
                causes=(PROMOTED_BEFORE,),
            )
    if memory.succession.parent(granted) != asked:
        return None
    text = f"{holds}, beyond the point where the master's history went on as {short(granted)}"
    branch = memory.succession.branch(granted)  # or later: the wire shows where both are still the same
    if branch is not None and branch < held:
        text += f": {_beyond(memory, asked, branch, held, 'at most ')}"
    elif held <= offset:
        return _out_of_backlog(memory, asked, granted, held, offset, None)
    return Reason(code="offset_ahead_of_master", text=text, causes=(PROMOTED_BEFORE,))


def _beyond(memory: Memory, replid: str, branch: int, held: int, bound: str) -> str:
    """What stands in the history between two offsets: its bytes are not the master's."""
    size = held - branch
    has_data = memory.history(replid).has_data(branch, held)
    if has_data is False:
        return f"{bound}{size} bytes more, PINGs and no writes, as other connections show: nothing is lost"
    if has_data:
        return f"{bound}{size} bytes more, with writes that this resync discards"
    if size % PING_BYTES == 0:
        return f"{bound}{size} bytes more, {size // PING_BYTES} PINGs or writes, which this resync discards"
    return f"{bound}{size} bytes more, not PINGs alone; this resync discards them"


def _other_id(memory: Memory, replica: str, asked: str, held: int, granted: str, offset: int) -> Reason:
    """The master does not know the history, or not that far."""
    past, elsewhere = memory.past(replica), memory.elsewhere(asked)
    offered = f"the replica offered {short(asked)} up to offset {held}"
    said = memory.inspected
    if elsewhere is not None:
        if said is not None and said.replid == granted and said.replid2 is not None:  # and it is not the one asked for
            return Reason(
                code="replication_id_unknown",
                text=f"{offered}, which the master of link {elsewhere} wrote; this master writes {short(granted)}, and "
                f"its INFO says that it does not go on from there ({_second(said)})",
                known_from="master",
                causes=(OTHER_MASTER,),
            )
        return Reason(
            code="replication_id_unknown",
            text=f"{offered}, which the master of link {elsewhere} wrote; this master does not go on from there, it "
            f"writes {short(granted)}",
            causes=(PROMOTED_BEFORE, OTHER_MASTER),
            inference="this master was promoted before the last bytes were written, if only a PING; or never followed "
            "that history: master_replid2 and second_repl_offset in its INFO say which",
        )
    is_its_own = past is not None and past.replid == asked
    if is_its_own or memory.knows(asked):
        was = (
            "which this master gave it earlier, but the master now writes"
            if is_its_own
            else "a history that this master wrote earlier; it now writes"
        )
        if offset < held:
            return Reason(
                code="replication_id_unknown",
                text=f"{offered}, {was} {short(granted)} and is at offset {offset}, {held - offset} bytes lower",
                causes=(OLDER_SNAPSHOT, MASTER_RESTARTED, MASTER_REPLACED),
                inference=f"it came back from an older snapshot, and at least {held - offset} bytes of writes that the "
                "replica holds are lost in this resync; or without its data, or as another server: master_replid2 and "
                "second_repl_offset in its INFO, and its log, say which",
            )
        life = memory.lives.get(asked)
        if said is not None and None not in (life, said.run_id) and said.replid != asked:
            if life != said.run_id:
                return Reason(
                    code="replication_id_unknown",
                    text=f"{offered}, {was} {short(granted)}, and is another process, as its INFO says",
                    known_from="master",
                    causes=(MASTER_RESTARTED, MASTER_REPLACED),
                    inference="it was restarted without its history, or replaced: its log says which",
                )
            if said.role == "master" and said.replid2 == NO_HISTORY:
                return Reason(
                    code="replication_id_unknown",
                    text=f"{offered}, {was} {short(granted)}, and is the same process, as its INFO says: it had no "
                    "replica for repl-backlog-ttl, and drew a new ID",
                    known_from="master",
                    causes=(BACKLOG_FREED,),
                )
        return Reason(
            code="replication_id_unknown",
            text=f"{offered}, {was} {short(granted)}",
            causes=(BACKLOG_FREED, MASTER_RESTARTED, MASTER_REPLACED),
            inference="it had no replica for repl-backlog-ttl and drew a new ID, was restarted without its history, or "
            "replaced: uptime_in_seconds in its INFO, and its log, say which",
        )
    if past is not None and past.unloaded:
        return Reason(
            code="replication_id_unknown",
            text=f"the replica still offers its history from before, {short(asked)} up to offset {held}: its last full "
            f"resync through this tap ended in phase {past.unloaded}, before it had acknowledged the snapshot",
        )
    return Reason(
        code="replication_id_unknown",
        text=f"{offered}, a history that the master does not know; this master writes {short(granted)}",
        causes=(OWN_HISTORY, OTHER_MASTER, BACKLOG_FREED, MASTER_RESTARTED),
        inference="the replica was a master until now, or followed another one; or this master has drawn a new ID since, "
        "in a restart or after repl-backlog-ttl without a replica: its log says whether",
    )


def _second(said: Inspected) -> str:
    return "no master_replid2" if said.replid2 in (None, NO_HISTORY) else f"master_replid2 is {short(said.replid2 or '')}"


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
