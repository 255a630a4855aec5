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

Sources: Redis 7.0 replication.c, replicationCron and readSyncBulkPayload; networking.c, checkClientOutputBufferLimits;
Valkey 9.1 rdb.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tap.replication.events import Side
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
SHORT_OUTAGE = 2.0  # seconds: the replica asked again at once
FIRST_VERSION_SENT = "Valkey 9"  # writes an older RDB for a replica that has not announced its version


@dataclass(frozen=True, slots=True)
class Finding:
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


def find(rounds: Sequence[Round], now: Round) -> Finding:
    """The cause that ends these rounds, oldest first, all of them unloaded, or all in the stream. now: the next one."""
    last = rounds[-1]
    assert last.end is not None
    if not last.is_unloaded:
        return _in_stream(rounds, now)
    # A round that the tap has ended says nothing about the servers.
    of_servers = [one for one in rounds if one.end is not None and one.end.by is not Side.TAP]
    if not of_servers:
        text = f"this tap {_ends(rounds)}: a fault that is armed, or its own trouble"
        return Finding(FAULT, text, "", known_from="tap")
    rounds, last = of_servers, of_servers[-1]
    assert last.end is not None
    silence = _common_silence(rounds)
    if silence is not None:
        return _timeout(rounds, now, silence)
    return _by_replica(rounds) if last.end.by is Side.REPLICA else _by_master(rounds, now)


def _ends(rounds: Sequence[Round]) -> str:
    """Which rounds the side that ended the last one has ended, and in which phase."""
    ends = {(one.end.by, one.end.phase) for one in rounds if one.end is not None}
    last = rounds[-1].end
    assert last is not None
    return f"{'ends each' if len(ends) == 1 else 'ended the last'} round in phase {last.phase}"


# ---- who has waited in vain ----


def _common_silence(rounds: Sequence[Round]) -> float | None:
    """How long the other side was silent before each end, if always equally long; else None."""
    found = [one.end.silence for one in rounds if one.end is not None]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or min(known) < LEAST_TIMEOUT or max(known) - min(known) > SPREAD:
        return None
    return max(known)


def _timeout(rounds: Sequence[Round], now: Round, silence: float) -> Finding:
    last = rounds[-1]
    assert last.end is not None
    by, other = last.end.by, Side.MASTER if last.end.by is Side.REPLICA else Side.REPLICA
    value = sizing.timeout(silence, sizing.WIDE_MARGIN)
    if by is Side.REPLICA:
        may_overrun, decide = False, "its log: 'Timeout receiving bulk data from MASTER' is the timeout"
    else:
        # At a steady rate a buffer overruns after equal times, too.
        may_overrun = _may_overrun(_written(rounds, now))
        decide = "its log: 'Disconnecting timedout replica' is the timeout"
        decide += ", 'overcoming of output buffer limits' the buffer" if may_overrun else ""
    if by is Side.MASTER and last.end.phase == "rdb":
        what = "nothing of the RDB had passed"
    else:
        what = f"the {other.value} had sent nothing"
    return Finding(
        REPL_TIMEOUT,
        f"the {by.value} {_ends(rounds)} after {what} for {silence:.1f} s, equally long each "
        "time: its repl-timeout. How long the silence would have lasted is not on the wire: look for what stalls there, "
        f"and set repl-timeout to twice that: {silence:.1f} s x {sizing.WIDE_MARGIN:g} = {value}",
        by.value,
        "repl-timeout",
        str(value),
        {"silence_seconds": silence, "margin": sizing.WIDE_MARGIN},
        (OUTPUT_BUFFER,) if may_overrun else (),
        decide,
        at_least=True,
    )


# ---- the replica ends ----


def _by_replica(rounds: Sequence[Round]) -> Finding:
    last = rounds[-1]
    assert last.end is not None
    version = None if last.rdb is None else last.rdb.version
    loads = None if version is None else can_load(last.version, version)
    if last.end.phase == "loading" or loads is False:
        return _not_loadable(rounds, version, loads)
    if last.end.phase == "rdb":
        received = last.rdb_bytes or 0
        also = "" if version is None or loads else f": RDB {version} is for {loaders(version)}"
        return Finding(
            DISK_FULL,
            f"the replica {_ends(rounds)}, most recently after {size(received)}: it cannot write "
            f"what it receives to its disk, or cannot load it{also}, or ends by itself",
            "replica",
            figures={"received_bytes": received},
            alternatives=(RDB_NOT_LOADABLE, "replica_ends"),
            decide="its log: 'No space left on device' is the disk (free it, or repl-diskless-load); a crash or a kill "
            "for memory is there, too",
        )
    return Finding(
        UNKNOWN,
        f"the replica {_ends(rounds)}, before the RDB has begun",
        "replica",
        decide="its log says why",
    )


def _not_loadable(rounds: Sequence[Round], version: int | None, loads: bool | None) -> Finding:
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
    return Finding(RDB_NOT_LOADABLE, text, "replica", figures=figures, alternatives=alternatives, decide=decide)


# ---- the master ends ----


def _by_master(rounds: Sequence[Round], now: Round) -> Finding:
    last = rounds[-1]
    assert last.end is not None
    if last.refusal:
        return _child(rounds, f"answers {last.refusal!r}", ())
    written = _written(rounds, now)
    may_overrun = _may_overrun(written)
    if lacks_version(last):
        return _capability(rounds, may_overrun)
    # A child that has ended can no longer fail: the RDB is complete on the master's disk, or has passed.
    may_be_child = last.end.phase == "waiting" or (last.end.phase == "rdb" and last.is_diskless is not False)
    if written is not None and may_overrun:
        rate = max(write_rates([*rounds, now]))
        return _output_buffer(rounds, rate, written, (CHILD_FAILS,) if may_be_child else ())
    if written is None:
        said = "has written an unknown amount since the snapshot"
    else:
        said = f"has written {size(written)} since the snapshot, which fills no output buffer"
    if may_be_child:
        return _child(rounds, f"closes the connection, and {said}", (OUTPUT_BUFFER,) if may_overrun else ())
    text = f"the master {_ends(rounds)}, when its snapshot was complete, and {said}"
    return Finding(UNKNOWN, text, "master", decide="its log says why")


def _written(rounds: Sequence[Round], now: Round) -> float | None:
    """Bytes that the master wrote in the longest round, at its highest rate; None if no two grants show a rate."""
    rate = max(write_rates([*rounds, now]), default=None)
    return None if rate is None else rate * max(one.seconds for one in rounds)


def _may_overrun(written: float | None) -> bool:
    """Whether an output buffer may have overrun: so much was written, or how much is unknown."""
    return written is None or written >= LEAST_LIMIT


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


def _capability(rounds: Sequence[Round], may_overrun: bool) -> Finding:
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
    return Finding(
        CAPABILITY_MISSING,
        text,
        "replica",
        figures={"rdb_version": 11.0},
        alternatives=(CHILD_FAILS, OUTPUT_BUFFER) if may_overrun else (CHILD_FAILS,),
        decide="the master's log names the key that it cannot store in RDB version 11"
        + (", or says 'overcoming of output buffer limits'" if may_overrun else ""),
    )


def _child(rounds: Sequence[Round], what: str, alternatives: tuple[str, ...]) -> Finding:
    last = rounds[-1]
    assert last.end is not None
    text = f"the master {what}: its child process for the snapshot fails"
    transfers = {one.is_diskless for one in rounds} - {None}
    is_disk = transfers == {False} or (not transfers and last.end.phase in ("waiting", "psync"))
    if is_disk:
        text += ". It writes the snapshot to disk first; with repl-diskless-sync yes it needs no disk for that"
    return Finding(
        CHILD_FAILS,
        text,
        "master",
        "repl-diskless-sync" if is_disk else "",
        "yes" if is_disk else "",
        alternatives=alternatives,
        decide="its log says why: no space or no right to write in `dir`, no memory to fork (vm.overcommit_memory = 1), "
        "or killed"
        + ("; or 'overcoming of output buffer limits'" if alternatives else "")
        + "; rdb_last_bgsave_status in its INFO",
    )


def _output_buffer(rounds: Sequence[Round], rate: float, written: float, alternatives: tuple[str, ...]) -> Finding:
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
    need = sizing.output_buffer(rate, wait, assumed, loading, margin)
    figures = {
        "rate_bytes_per_second": rate,
        "written_bytes": written,
        "wait_seconds": wait,
        "transfer_seconds": assumed,
        "load_seconds": loading,
        "margin": margin,
        "needed_bytes": float(need.bytes),
    }
    transfer_is = "" if is_transferred else " (assumed)" if transfer is None else " (estimated)"
    load_is = "" if load is not None else " (assumed: as long as the transfer)"
    unseen = "" if transfer is not None else ", at least: no round has shown how long the RDB takes"
    is_cut_off = load is not None and not is_loaded
    more = " and more" if is_cut_off else ""
    text = (
        f"the master {_ends(rounds)}, {seconds(last.seconds)} after the snapshot, when it had "
        f"written {size(written)} for the replica: more than its client-output-buffer-limit. Needed: "
        f"{size(rate)}/s x ({seconds(wait)} wait + {seconds(assumed)} transfer{transfer_is} + "
        f"{seconds(loading)} load{more}{load_is}) x {margin:g} margin = {need.value}{unseen}"
    )
    return Finding(
        OUTPUT_BUFFER,
        text,
        "master",
        "client-output-buffer-limit",
        sizing.output_buffer_limit(need.bytes),
        figures,
        alternatives,
        "the master's log: 'overcoming of output buffer limits'" + (", or a failed child" if alternatives else ""),
        at_least=transfer is None or is_cut_off,
        assumed=tuple(
            name
            for name, is_shown in (("transfer_seconds", is_transferred), ("load_seconds", load is not None))
            if not is_shown
        ),
    )


# ---- the stream was lost ----


def _in_stream(rounds: Sequence[Round], now: Round) -> Finding:
    last = rounds[-1]
    assert last.end is not None
    code = "" if now.full is None else now.full.reason.code
    if code != "offset_out_of_backlog":
        text = f"the replica has its stream, loses it, and asks for a full resync: {code or 'unknown'} each time"
        return Finding(UNKNOWN, text, "replica", decide="the reason of the full resync, and its log")
    assert now.full is not None
    reason = now.full.reason
    if reason.causes and BACKLOG_TOO_SMALL not in reason.causes:
        return Finding(
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
    if last.end.by is Side.MASTER and outage < SHORT_OUTAGE and lack > rate * SHORT_OUTAGE + LEAST_LIMIT:
        value = sizing.output_buffer_limit(int(lack * sizing.WIDE_MARGIN))
        return Finding(
            OUTPUT_BUFFER,
            f"the master ends the stream of a replica that lags by up to {size(lack)}: more than its "
            "client-output-buffer-limit, and then more than its backlog. The replica applies more slowly than the master "
            f"writes ({size(rate)}/s): a larger buffer helps only if that is not always so. Twice this lag: {value}",
            "master",
            "client-output-buffer-limit",
            value,
            {"rate_bytes_per_second": rate, "lag_bytes": float(lack), "margin": sizing.WIDE_MARGIN},
            (REPL_TIMEOUT,),
            "the master's log: 'overcoming of output buffer limits', or 'Disconnecting timedout replica'",
            at_least=True,
        )
    need = sizing.backlog(rate, outage)
    value = sizing.as_size(max(need.bytes, lack))
    return Finding(
        BACKLOG_TOO_SMALL,
        f"the link is lost in the stream, and each time the master's backlog no longer reaches back to what the replica "
        f"has. Needed: {size(rate)}/s x {seconds(outage)}, the longest outage, x {need.margin:g} margin = "
        f"{size(need.bytes)}, and at least the {size(lack)} that it lacked at most: {value}. What ends the stream is "
        f"another matter: the last time it was the {last.end.by.value} ({last.end.how})",
        "master",
        "repl-backlog-size",
        value,
        {
            "rate_bytes_per_second": rate,
            "outage_seconds": outage,
            "margin": need.margin,
            "lacked_bytes": float(lack),
            "needed_bytes": float(need.bytes),
        },
        tuple(one for one in reason.causes if one != BACKLOG_TOO_SMALL),
        reason.inference,
        known_from=reason.known_from,
    )
