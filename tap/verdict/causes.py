"""Why the rounds of a loop end, and which setting to which value would end the loop.

The wire shows who closed, in which phase, how long the other side had been silent, and by their offsets how much the
master wrote between two grants. Each cause has its picture:

    cause                 who closes  phase            and
    output_buffer         master      any              it has written a lot since the grant
    repl_timeout          either      any              the other side was silent, as long each time
    backlog_too_small     any         stream           the next PSYNC is out of the backlog
    backlog_reset         any         stream           the same, and the reason of that resync rules the size out
    rdb_not_loadable      replica     loading          at once, or the RDB is of a version that it cannot load
    capability_missing    master      rdb              Valkey 9 writes RDB 11 for a replica that announced no version
    child_fails           master      waiting, rdb     it has written little, and no disk holds the RDB; or it said so
    disk_full             replica     rdb              nothing else is known
    fault                 tap         any
    unknown               the rest

Some pictures fit several causes; then the likeliest is named, the others are its alternatives, and a clause says what
would decide. Some figures are estimates or lower bounds; then fields say so, as well as the text.

A master that may be asked (--inspect) decides between some of them, and says what the setting is now:

    its limits              a buffer that has not grown to half of the lowest one has not overrun
    its output buffer       a Pressure has seen it near a limit
    its repl-timeout        after a silence of another length the master has not timed out
    rdb_last_bgsave_status  whether the last child failed that wrote to disk; a diskless one does not change it
    repl-diskless-sync      whether children write to disk

Sources: Redis 7.0 replication.c, replicationCron and readSyncBulkPayload; networking.c, checkClientOutputBufferLimits;
Valkey 9.1 rdb.c.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tap.replication.events import Side
from tap.replication.inspected import Inspected
from tap.replication.reasons import BACKLOG_RESET, BACKLOG_TOO_SMALL
from tap.units import seconds, size
from tap.verdict import sizing
from tap.verdict.loadable import can_load, loaders
from tap.verdict.rounds import Round

OUTPUT_BUFFER = "output_buffer"
REPL_TIMEOUT = "repl_timeout"
RDB_NOT_LOADABLE = "rdb_not_loadable"
CAPABILITY_MISSING = "capability_missing"
CHILD_FAILS = "child_fails"
DISK_FULL = "disk_full"
FAULT = "fault"
UNKNOWN = "unknown"
CAUSES = (
    OUTPUT_BUFFER,
    REPL_TIMEOUT,
    BACKLOG_TOO_SMALL,
    BACKLOG_RESET,
    RDB_NOT_LOADABLE,
    CAPABILITY_MISSING,
    CHILD_FAILS,
    DISK_FULL,
    FAULT,
    UNKNOWN,
)

LEAST_LIMIT = 2**18  # bytes; no output buffer in use is smaller, and most are a thousand times as large
LEAST_TIMEOUT = 2.0  # seconds of silence that may be a timeout
SPREAD = 1.6  # seconds by which timers of once a second differ
TIMEOUT_LATE = 2.5  # seconds after repl-timeout by which its once-a-second timer, and ours, may be late
SHORT_OUTAGE = 2.0  # seconds: the replica asked again at once
FIRST_VERSION_SENT = "Valkey 9"  # writes an older RDB for a replica that has not announced its version


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A cause, and what to do. Fields as of events.Verdict."""

    cause: str
    text: str
    server: str
    setting: str = ""
    value: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()
    decide: str = ""
    at_least: bool = False
    assumed: tuple[str, ...] = ()
    known_from: str = "wire"
    present: str = ""


_SAYS_NOTHING = Inspected(0.0, 0.0)


def find(rounds: Sequence[Round], now: Round, said: Inspected | None = None) -> Diagnosis:
    """The cause that ends these rounds, oldest first, all of them unloaded, or all in the stream. now: the next one.

    said: what the master said of itself last; None if it is not asked.
    """
    found = _find(rounds, now, said or _SAYS_NOTHING)
    if said is None or found.server != "master" or not found.setting:
        return found
    return replace(found, present=said.present(found.setting))


def _find(rounds: Sequence[Round], now: Round, said: Inspected) -> Diagnosis:
    last = rounds[-1]
    assert last.end is not None
    if not last.is_unloaded:
        return _in_stream(rounds, now, said)
    # A round that the tap has ended says nothing about the servers.
    of_servers = [one for one in rounds if one.end is not None and one.end.by is not Side.TAP]
    if not of_servers:
        text = f"this tap {_ends(rounds)}: a fault that is armed, or its own trouble"
        return Diagnosis(FAULT, text, "", known_from="tap")
    rounds, last = of_servers, of_servers[-1]
    assert last.end is not None
    silences = _silences(rounds)
    if silences is not None:
        is_common = silences[1] - silences[0] <= SPREAD
        if last.end.by is Side.REPLICA or (is_common and _may_be_timeout(silences[1], said)):
            return _timeout(rounds, now, silences, said)
    return _by_replica(rounds) if last.end.by is Side.REPLICA else _by_master(rounds, now, said)


def _ends(rounds: Sequence[Round]) -> str:
    """Which rounds the side that ended the last one has ended, and in which phase."""
    ends = {(one.end.by, one.end.phase) for one in rounds if one.end is not None}
    last = rounds[-1].end
    assert last is not None
    return f"{'ends each' if len(ends) == 1 else 'ended the last'} round in phase {last.phase}"


# ---- who has waited in vain ----


def _silences(rounds: Sequence[Round]) -> tuple[float, float] | None:
    """The shortest and the longest silence of the other side before an end; None if one cannot have been a timeout.

    Timeouts end equally long silences, unless the machine is so busy that their timers come late. A replica whose disk is
    full, or which cannot load what it receives, ends while bytes come.
    """
    found = [one.end.silence for one in rounds if one.end is not None]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or min(known) < LEAST_TIMEOUT:
        return None
    return min(known), max(known)


def _may_be_timeout(silence: float, said: Inspected) -> bool:
    """Whether a master closes after this silence: at its repl-timeout, or that is unknown."""
    limit = said.repl_timeout
    return limit is None or limit - 1.0 <= silence <= limit + TIMEOUT_LATE


def _timeout(rounds: Sequence[Round], now: Round, silences: tuple[float, float], said: Inspected) -> Diagnosis:
    last = rounds[-1]
    assert last.end is not None
    least, silence = silences
    is_common = silence - least <= SPREAD
    by, other = last.end.by, Side.MASTER if last.end.by is Side.REPLICA else Side.REPLICA
    value = sizing.timeout(silence, sizing.WIDE_MARGIN)
    is_told = by is Side.MASTER and said.repl_timeout is not None
    if by is Side.REPLICA:
        may_overrun, decide = False, "its log: 'Timeout receiving bulk data from MASTER' is the timeout"
    else:
        # At a steady rate a buffer overruns after equal times, too.
        may_overrun = _may_overrun(_written(rounds, now), said)
        decide = "its log: 'Disconnecting timedout replica' is the timeout"
        decide += ", 'overcoming of output buffer limits' the buffer" if may_overrun else ""
    if is_told and not may_overrun:
        decide = ""
    if by is Side.MASTER and last.end.phase == "rdb":
        what = "nothing of the RDB had passed"
    else:
        what = f"the {other.value} had sent nothing"
    its = f"its repl-timeout of {said.repl_timeout:g} s, as its CONFIG says" if is_told else "its repl-timeout"
    how_long = f"{silence:.1f} s, equally long each time: {its}"
    alternatives = (OUTPUT_BUFFER,) if may_overrun else ()
    if not is_common:
        how_long = f"{least:.1f} to {silence:.1f} s: {its}, late on a busy machine, or it ends by itself"
        alternatives = (*alternatives, "replica_ends")
    return Diagnosis(
        REPL_TIMEOUT,
        f"the {by.value} {_ends(rounds)} after {what} for {how_long}. How long the silence would have lasted is not on "
        f"the wire: look for what stalls there, and set repl-timeout to twice that: {silence:.1f} s x "
        f"{sizing.WIDE_MARGIN:g} = {value}",
        by.value,
        "repl-timeout",
        str(value),
        {"silence_seconds": silence, "margin": sizing.WIDE_MARGIN},
        alternatives,
        decide,
        at_least=True,
        known_from="master" if is_told else "wire",
    )


# ---- the replica ends ----


def _by_replica(rounds: Sequence[Round]) -> Diagnosis:
    last = rounds[-1]
    assert last.end is not None
    version = None if last.rdb is None else last.rdb.version
    loads = None if version is None else can_load(last.version, version)
    if last.end.phase == "loading" or loads is False:
        return _not_loadable(rounds, version, loads)
    if last.end.phase == "rdb":
        received = last.rdb_bytes or 0
        also = "" if version is None or loads else f": RDB {version} is for {loaders(version)}"
        return Diagnosis(
            DISK_FULL,
            f"the replica {_ends(rounds)}, most recently after {size(received)}: it cannot write "
            f"what it receives to its disk, or cannot load it{also}, or ends by itself",
            "replica",
            figures={"received_bytes": received},
            alternatives=(RDB_NOT_LOADABLE, "replica_ends"),
            decide="its log: 'No space left on device' is the disk (free it, or repl-diskless-load); a crash or a kill "
            "for memory is there, too",
        )
    return Diagnosis(
        UNKNOWN,
        f"the replica {_ends(rounds)}, before the RDB has begun",
        "replica",
        decide="its log says why",
    )


def _not_loadable(rounds: Sequence[Round], version: int | None, loads: bool | None) -> Diagnosis:
    last = rounds[-1]
    whole = "" if last.load is None else f", {seconds(last.load)} after the last byte of the RDB"
    text = f"the replica {_ends(rounds)}{whole}: it does not load the snapshot"
    decide = "its log says why it does not load"
    alternatives: tuple[str, ...] = ("replica_ends",)
    if version is not None:
        writer = f" by {last.writer}" if last.writer else ""
        text += f". It is RDB {version}{writer}, which loads into {loaders(version)}"
        if loads is False:
            text += f"; the replica is {last.version}"
            decide, alternatives = "", ()
        elif loads:
            text += f", so into this {last.version}; a value or a module in it may not"
    if last.rdb_problem:
        text += f"; this tap could not read it either: {last.rdb_problem}"
    figures = {} if version is None else {"rdb_version": float(version)}
    return Diagnosis(RDB_NOT_LOADABLE, text, "replica", figures=figures, alternatives=alternatives, decide=decide)


# ---- the master ends ----


def _by_master(rounds: Sequence[Round], now: Round, said: Inspected) -> Diagnosis:
    last = rounds[-1]
    assert last.end is not None
    if last.refusal:
        return _child(rounds, f"answers {last.refusal!r}", (), said)
    written = _written(rounds, now)
    may_overrun = _may_overrun(written, said) or last.pressure is not None
    # Of the children that write to disk, the status is that of the last; it is not known to be that of this round's.
    has_failed = _is_disk(rounds, said) is True and said.is_saved is False
    if has_failed and last.end.phase == "waiting":
        return _child(rounds, "closes the connection", (), said)
    if lacks_version(last):
        return _capability(rounds, may_overrun)
    # A child that has ended can no longer fail: the RDB is complete on the master's disk, or has passed.
    may_be_child = last.end.phase == "waiting" or (last.end.phase == "rdb" and last.is_diskless is not False)
    may_be_child = may_be_child and not (_is_disk(rounds, said) is True and said.is_saved is True)
    if written is not None and may_overrun:
        rate = max(write_rates([*rounds, now]))
        return _output_buffer(rounds, rate, written, (CHILD_FAILS,) if may_be_child else (), said)
    if written is None:
        what = "has written an unknown amount since the snapshot"
    elif said.limit is None:
        what = f"has written {size(written)} since the snapshot, which fills no output buffer"
    else:
        what = f"has written {size(written)} since the snapshot, which does not fill an output buffer of {_limit(said)}"
    if may_be_child:
        return _child(rounds, f"closes the connection, and {what}", (OUTPUT_BUFFER,) if may_overrun else (), said)
    if last.end.phase in ("psync", "waiting"):
        what += ". Its last snapshot to disk succeeded (rdb_last_bgsave_status)"
        text = f"the master {_ends(rounds)}, and {what}"
    else:
        text = f"the master {_ends(rounds)}, when its snapshot was complete, and {what}"
    return Diagnosis(UNKNOWN, text, "master", decide="its log says why")


def _is_disk(rounds: Sequence[Round], said: Inspected) -> bool | None:
    """Whether the master writes the snapshot to disk first; None if that is unknown."""
    transfers = {one.is_diskless for one in rounds} - {None}
    if transfers:
        return transfers == {False}
    return {"no": True, "yes": False}.get(said.present("repl-diskless-sync"))


def _limit(said: Inspected) -> str:
    """The limits of a replica's output buffer in words."""
    limit = said.limit
    if limit is None or limit.least is None:
        return "any size"
    soft = f"{size(limit.soft)} for {limit.soft_seconds:g} s" if limit.soft else ""
    return " or ".join(one for one in (size(limit.hard) if limit.hard else "", soft) if one)


def _written(rounds: Sequence[Round], now: Round) -> float | None:
    """Bytes that the master wrote in the longest round, at its highest rate; None if no two grants show a rate."""
    rate = max(write_rates([*rounds, now]), default=None)
    return None if rate is None else rate * max(one.seconds for one in rounds)


def _may_overrun(written: float | None, said: Inspected) -> bool:
    """Whether an output buffer may have overrun: so much was written, or how much is unknown.

    A rate is that of a whole round, and a burst may have been twice as much in a part of one.
    """
    if said.limit is None:
        return written is None or written >= LEAST_LIMIT
    least = said.limit.least
    return least is not None and (written is None or written >= least / 2)


def write_rates(rounds: Sequence[Round]) -> list[float]:
    """Bytes per second that the master wrote from each grant to the next."""
    found = []
    for one, after in pairwise(rounds):
        if one.offset is not None and after.offset is not None and after.replid == one.replid:
            elapsed = after.granted_at - one.granted_at
            if elapsed > 0 and after.offset >= one.offset:
                found.append((after.offset - one.offset) / elapsed)
    return found


def lacks_version(last: Round) -> bool:
    """Whether the master writes an older RDB because the replica has not announced its version."""
    return (
        last.writer.startswith("Valkey ")
        and (last.rdb is not None and last.rdb.version == 11)
        and can_load(last.writer, 80) is True
        and last.end is not None
        and last.end.phase == "rdb"
        and last.is_diskless is not False
    )


def _capability(rounds: Sequence[Round], may_overrun: bool) -> Diagnosis:
    last = rounds[-1]
    said = f"announced {last.version}" if last.version else "announced no version (REPLCONF version)"
    text = (
        f"the master, {last.writer}, {_ends(rounds)}, in an RDB of version 11, which it writes because the "
        f"replica {said}: a hash with expiring fields fits into no RDB below 80"
    )
    if last.is_masked:
        text += ". This tap's --mask takes the version out of the handshake: leave it out"
    else:
        text += f". A replica of {FIRST_VERSION_SENT} or later announces its version; or HPERSIST such fields"
    return Diagnosis(
        CAPABILITY_MISSING,
        text,
        "replica",
        figures={"rdb_version": 11.0},
        alternatives=(CHILD_FAILS, OUTPUT_BUFFER) if may_overrun else (CHILD_FAILS,),
        decide="the master's log names the key that it cannot store in RDB version 11"
        + (", or says 'overcoming of output buffer limits'" if may_overrun else ""),
    )


def _child(rounds: Sequence[Round], what: str, alternatives: tuple[str, ...], said: Inspected) -> Diagnosis:
    last = rounds[-1]
    assert last.end is not None
    text = f"the master {what}: its child process for the snapshot fails"
    is_disk = _is_disk(rounds, said)
    if is_disk is None:
        is_disk = last.end.phase in ("waiting", "psync")
    is_told = is_disk and said.is_saved is False
    if is_told:
        text += ", as its INFO says (rdb_last_bgsave_status:err)"
    if said.is_aof_written is False:
        text += ". Its disk has refused the AOF, too (aof_last_write_status:err)"
    directory = said.present("dir")
    if is_disk:
        text += f". It writes the snapshot to disk first{f', into {directory}' if directory else ''}; with "
        text += "repl-diskless-sync yes it needs no disk for that"
    return Diagnosis(
        CHILD_FAILS,
        text,
        "master",
        "repl-diskless-sync" if is_disk else "",
        "yes" if is_disk else "",
        alternatives=alternatives,
        decide="its log says why: no space or no right to write in `dir`, no memory to fork (vm.overcommit_memory = 1), "
        "or killed"
        + ("; or 'overcoming of output buffer limits'" if alternatives else "")
        + ("" if is_told else "; rdb_last_bgsave_status in its INFO"),
        known_from="master" if is_told else "wire",
    )


def _output_buffer(
    rounds: Sequence[Round], rate: float, written: float, alternatives: tuple[str, ...], said: Inspected
) -> Diagnosis:
    last = rounds[-1]
    assert last.end is not None
    wait = max((one.wait for one in rounds if one.rdb_at is not None), default=last.wait)
    transfer, is_transferred = max(
        ((one.transfer, one.rdb_done_at is not None) for one in rounds if one.transfer is not None),
        default=(None, False),
    )
    load, is_loaded = max(
        ((one.load, one.loaded_at is not None) for one in rounds if one.load is not None), default=(None, False)
    )
    longest = max(one.seconds for one in rounds)
    margin = sizing.MARGIN if is_transferred and is_loaded else sizing.WIDE_MARGIN
    assumed = transfer if transfer is not None else max(longest, wait)
    loading = load if load is not None else assumed  # a replica rarely loads more slowly than it receives
    limit = None if said.limit is None else said.limit.least
    pressure = next((one.pressure for one in reversed(rounds) if one.pressure is not None), None)
    need = sizing.output_buffer(rate, wait, assumed, loading, margin)
    needed = need.bytes if limit is None else max(need.bytes, math.ceil(limit * sizing.MARGIN))
    figures = {
        "rate_bytes_per_second": rate,
        "written_bytes": written,
        "wait_seconds": wait,
        "transfer_seconds": assumed,
        "load_seconds": loading,
        "margin": margin,
        "needed_bytes": float(needed),
    }
    its = "its client-output-buffer-limit"
    if limit is not None:
        figures["limit_bytes"] = float(limit)
        its = f"{its} of {_limit(said)} allows"
    seen = ""
    if pressure is not None:
        figures["buffer_bytes"] = float(pressure.buffer)
        seen = f" The master said in phase {pressure.phase}: {size(pressure.buffer)} of {size(pressure.limit_bytes)}."
    transfer_is = "" if is_transferred else " (assumed)" if transfer is None else " (estimated)"
    load_is = "" if load is not None else " (assumed: as long as the transfer)"
    unseen = "" if transfer is not None else ", at least: no round has shown how long the RDB takes"
    is_cut_off = load is not None and not is_loaded
    more = " and more" if is_cut_off else ""
    text = (
        f"the master {_ends(rounds)}, {seconds(last.seconds)} after the snapshot, when it had "
        f"written {size(written)} for the replica: more than {its}.{seen} Needed: "
        f"{size(rate)}/s x ({seconds(wait)} wait + {seconds(assumed)} transfer{transfer_is} + "
        f"{seconds(loading)} load{more}{load_is}) x {margin:g} margin = {need.value}{unseen}"
    )
    if limit is not None and needed > need.bytes:
        text += f"; and at least {sizing.MARGIN:g} times the present limit: {sizing.as_size(needed)}"
    is_told = pressure is not None or limit is not None
    decide = "the master's log: 'overcoming of output buffer limits'" + (", or a failed child" if alternatives else "")
    return Diagnosis(
        OUTPUT_BUFFER,
        text,
        "master",
        "client-output-buffer-limit",
        sizing.output_buffer_limit(needed, said.limit),
        figures,
        alternatives,
        "" if is_told and not alternatives else decide,
        known_from="master" if is_told else "wire",
        at_least=transfer is None or is_cut_off,
        assumed=tuple(
            name
            for name, is_shown in (("transfer_seconds", is_transferred), ("load_seconds", load is not None))
            if not is_shown
        ),
    )


# ---- the stream was lost ----


def _in_stream(rounds: Sequence[Round], now: Round, said: Inspected) -> Diagnosis:
    last = rounds[-1]
    assert last.end is not None
    code = "" if now.full is None else now.full.reason.code
    if code != "offset_out_of_backlog":
        text = f"the replica has its stream, loses it, and asks for a full resync: {code or 'unknown'} each time"
        return Diagnosis(UNKNOWN, text, "replica", decide="the reason of the full resync, and its log")
    assert now.full is not None
    reason = now.full.reason
    if reason.causes and BACKLOG_TOO_SMALL not in reason.causes:
        return Diagnosis(
            reason.causes[0],
            "the link is lost in the stream, and each time the master's backlog does not reach back, whatever its size: "
            f"{reason.text}",
            "master",
            alternatives=reason.causes[1:],
            decide=reason.inference,
            known_from=reason.known_from,
        )
    following = [*rounds[1:], now]
    outages = [after.asked_at - one.end.at for one, after in zip(rounds, following, strict=True) if one.end is not None]
    lacked = [
        one.offset - one.asked_offset for one in following if one.offset is not None and one.asked_offset is not None
    ]
    rate, outage, lack = max(write_rates([*rounds, now]), default=0.0), max(outages), max(lacked, default=0)
    is_slow = last.end.by is Side.MASTER and outage < SHORT_OUTAGE and lack > rate * SHORT_OUTAGE + LEAST_LIMIT
    if is_slow and _may_overrun(lack, said):
        return _lags(rounds, rate, lack, said)
    need = sizing.backlog(rate, outage)
    value = max(need.bytes, lack)
    figures = {
        "rate_bytes_per_second": rate,
        "outage_seconds": outage,
        "margin": need.margin,
        "lacked_bytes": float(lack),
        "needed_bytes": float(need.bytes),
    }
    now_is = ""
    if said.backlog_size is not None:
        figures["backlog_bytes"] = float(said.backlog_size)
        now_is = f". It is {size(said.backlog_size)} now, as the master's INFO says"
    is_large = said.backlog_size is not None and said.backlog_size >= value
    if is_large:
        now_is += ", which would hold that: it was smaller, or emptied, when the link was lost"
    return Diagnosis(
        BACKLOG_TOO_SMALL,
        f"the link is lost in the stream, and each time the master's backlog no longer reaches back to what the replica "
        f"has. Needed: {size(rate)}/s x {seconds(outage)}, the longest outage, x {need.margin:g} margin = "
        f"{size(need.bytes)}, and at least the {size(lack)} that it lacked at most: {sizing.as_size(value)}{now_is}. "
        f"What ends the stream is another matter: the last time it was the {last.end.by.value} ({last.end.how})",
        "master",
        "" if is_large else "repl-backlog-size",
        "" if is_large else sizing.as_size(value),
        figures,
        tuple(one for one in reason.causes if one != BACKLOG_TOO_SMALL),
        reason.inference,
        known_from=reason.known_from,
    )


def _lags(rounds: Sequence[Round], rate: float, lack: int, said: Inspected) -> Diagnosis:
    """The replica applies more slowly than the master writes, until its buffer overruns."""
    last = rounds[-1]
    assert last.end is not None
    silences = [one.end.silence for one in rounds if one.end is not None and one.end.silence is not None]
    is_timeout = said.repl_timeout is None or any(_may_be_timeout(one, said) for one in silences)
    needed = int(lack * sizing.WIDE_MARGIN)
    its = "its client-output-buffer-limit"
    if said.limit is not None:
        its = f"{its} of {_limit(said)} allows"
        needed = max(needed, math.ceil((said.limit.least or 0) * sizing.MARGIN))
    value = sizing.output_buffer_limit(needed, said.limit)
    timeout = ", or 'Disconnecting timedout replica'" if is_timeout else ""
    is_told = said.limit is not None and not is_timeout
    return Diagnosis(
        OUTPUT_BUFFER,
        f"the master ends the stream of a replica that lags by up to {size(lack)}: more than {its}, and then more than "
        f"its backlog. The replica applies more slowly than the master writes ({size(rate)}/s): a larger buffer helps "
        f"only if that is not always so. Twice this lag: {value}",
        "master",
        "client-output-buffer-limit",
        value,
        {"rate_bytes_per_second": rate, "lag_bytes": float(lack), "margin": sizing.WIDE_MARGIN}
        | ({} if said.limit is None else {"limit_bytes": float(said.limit.least or 0)}),
        (REPL_TIMEOUT,) if is_timeout else (),
        "" if is_told else f"the master's log: 'overcoming of output buffer limits'{timeout}",
        at_least=True,
        known_from="wire" if said.limit is None else "master",
    )
