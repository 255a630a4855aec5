"""Events in words: one sentence for a journal, or none if only programs want the event."""

import errno
import os
import re
from collections.abc import Callable
from typing import Any

from tap.console.figures import seconds, size, times
from tap.printable import BLANKS, one_line
from tap.replication import events
from tap.replication.events import Event, Role, Side, Transfer


def sentence(event: Event) -> str | None:
    """The event in one line for an operator; None for kinds that are too frequent to be read."""
    words = _SENTENCES.get(type(event))
    said = None if words is None else words(event)
    return None if said is None else one_line(said)


def why(reason: events.Reason) -> str:
    """What was observed, and what is inferred from that."""
    return f"{reason.text}. Inferred: {reason.inference}" if reason.inference else reason.text


def is_alarming(event: Event) -> bool:
    """Whether the event should be highlighted."""
    if isinstance(event, events.LinkClosed):
        return event.role is not Role.ORDINARY and (event.how != "fin" or event.phase in ("rdb", "waiting", "loading"))
    if isinstance(event, events.RdbFinished):
        return event.checksum == "wrong"
    if isinstance(event, events.Secured):
        return event.side is Side.MASTER and not event.verified
    if isinstance(event, events.FaultExpired):
        return not event.fired
    return isinstance(event, _ALARMING)


def is_in_vain(event: events.LinkClosed) -> bool:
    """Whether the master was never reached."""
    return (
        event.how == "refused"
        or (event.by is Side.TAP and event.how == "error")
        or (event.how == "tls" and event.bytes_from_master == 0)
        or (event.by is Side.MASTER and event.bytes_from_master == 0 and event.text not in ("", *_OBVIOUS))
    )


_OBVIOUS = (os.strerror(errno.ECONNRESET), os.strerror(errno.EPIPE))  # add nothing to the word "reset"

_SILENT = "no answer from the master"

_ALARMING = (
    events.MasterUnreachable,
    events.ConnectionsRefused,
    events.Opaque,
    events.AckAheadOfMaster,
    events.ReplicaTalkedBack,
    events.ResyncRefused,
    events.RdbProblem,
    events.Silent,
    events.Alert,
    events.InspectFailed,
    events.InspectLacks,
    events.Pressure,
    events.FaultFired,
    events.RecordingStopped,
    events.HandOverTrouble,
    events.RecordingGap,
    events.PacketsLost,
    events.ObserverTrouble,
    events.EventsDropped,
    events.Verdict,
)


def _unreachable(event: events.MasterUnreachable) -> str:
    return f"the master {event.master} cannot be reached: {event.text}; it is dialled again for each replica"


def _refused(event: events.ConnectionsRefused) -> str:
    who = f"{event.peer} is" if event.count == 1 else f"{event.count} connections are, the last one from {event.peer},"
    limit = {
        "max_connections": f"{event.most} are open, the limit of --max-connections",
        "max_connections_per_address": f"{event.most} of its address or IPv6 /64 are open, the limit of "
        "--max-connections-per-address",
        "open_files": f"{event.most} are open, and ulimit -n allows no more",
    }[event.limit]
    return f"{who} refused: {limit}"


def _hand_over_trouble(event: events.HandOverTrouble) -> str:
    wait = "1 file waits" if event.waiting == 1 else f"{event.waiting} files wait"
    again = "" if event.retry_seconds is None else f"; tried again in {seconds(event.retry_seconds)}"
    return f"--on-rotate: {event.file}: {event.text}; {wait}, {size(event.waiting_bytes)} in all{again}"


def _opened(event: events.LinkOpened) -> str | None:
    if not event.master:
        return None  # the connection is closed at once, and that event says why
    return f"connected from {event.peer}, dialling master {event.master}"


def _secured(event: events.Secured) -> str:
    checked = f"certificate of {event.certificate}, checked" if event.verified else "no certificate asked for"
    if event.side is Side.MASTER and not event.verified:
        checked = "its certificate is NOT CHECKED (insecure): anyone could pose as the master"
    return f"TLS with the {event.side.value} ({event.version}, {event.cipher}): {checked}"


def _closed(event: events.LinkClosed) -> str | None:
    if event.role is Role.ORDINARY and event.how in ("fin", "reset") and not is_in_vain(event):
        return None
    if is_in_vain(event):
        what = "cannot dial the master" if event.by is events.Side.TAP else "master not reachable"
        what = {"tls": "no TLS", "fin": _SILENT, "reset": _SILENT}.get(event.how, what)
        return f"{what}: {event.text}; the connection is closed, the replica will try again"
    which = "RDB channel " if event.role is Role.RDB_CHANNEL else ""
    how = {"fin": "closed", "reset": "reset (RST)", "timeout": "lost (timeout)"}.get(event.how, "failed")
    offset = "" if event.offset is None else f" at offset {event.offset}"
    text = f": {event.text}" if event.text and event.text not in _OBVIOUS else ""
    passed = f"{size(event.bytes_from_master)} from the master, {size(event.bytes_from_replica)} from the replica"
    return f"{which}{how} by the {event.by.value} in phase {event.phase}{offset}{text} ({passed})"


def _handshake(event: events.Handshake) -> str | None:
    said = " ".join(event.request) or "connecting"
    if event.sent is not None:
        said += f", sent to the master as {' '.join(event.sent)}"
    if event.reply is not None and event.reply.startswith("-"):
        repeated = "" if event.count == 1 else f" ({times(event.count)})"
        return f"{said}: the master answered {event.reply}{repeated}"
    return None if event.sent is None else said


def _identified(event: events.Identified) -> str | None:
    return None if event.text == "a replica" else f"this is {event.text}"


def _psync(event: events.PsyncRequested) -> str:
    if event.replid is None:
        return "asks for a full resync (PSYNC ? -1)"
    failover = ", failing over" if event.failover else ""
    return f"asks to go on with {event.replid[:8]}… from offset {event.offset} (PSYNC){failover}"


def _full(event: events.FullResync) -> str:
    where = "" if event.replid is None else f", {event.replid[:8]}… at offset {event.offset}"
    # The live view recognizes this sentence by its first two words: screen.py, pages.py, live.py.
    return f"FULL RESYNC{where}. Why: {event.reason.code}: {why(event.reason)}"


def _partial(event: events.PartialResync) -> str:
    history = "a history that is not named" if event.replid is None else f"{event.replid[:8]}…"
    place = "an offset that is not known" if event.offset is None else f"offset {event.offset}"
    changed = "" if event.previous_replid is None else f" (until now {event.previous_replid[:8]}…)"
    if event.previous_link is not None:
        changed = f"{changed[:-1]}: this master has taken over from that of link {event.previous_link})"
    said = f"partial resync: goes on with {history}{changed} after {place}"
    if event.bytes_behind is not None:
        return f"{said}, {event.bytes_behind} bytes behind"
    return f"{said}, at least {event.bytes_behind_at_least} bytes behind" if event.bytes_behind_at_least else said


def _caught_up(event: events.CaughtUp) -> str:
    where = "" if event.offset is None else f" at offset {event.offset}"
    if event.bytes == 0:
        return f"caught up{where}: it lacked nothing"
    if event.bytes is not None:
        lacked = f"{event.bytes} bytes"
    else:
        lacked = f"{event.at_least} to {event.at_most} bytes" if event.at_least else f"at most {event.at_most} bytes"
    return f"caught up{where}: it lacked {lacked}, which passed within {seconds(event.seconds)} of the grant"


def _rdb_started(event: events.RdbStarted) -> str:
    how = "diskless, size unknown" if event.transfer is Transfer.DISKLESS else size(event.size or 0)
    channel = " on its own connection" if event.channel is events.Channel.RDB else ""
    version = "" if event.version is None else f", RDB {event.version}"
    writer = "".join(
        f" by {name} {event.aux[field]}"
        for name, field in (("Valkey", "valkey-ver"), ("Redis", "redis-ver"))
        if field in event.aux
    )
    memory = event.aux.get("used-mem", "")
    used = f", {size(int(memory))} in use there" if memory.isascii() and memory.isdigit() and len(memory) < 20 else ""
    return f"RDB begins{channel} ({how}{version}{writer}{used})"


def _rdb_finished(event: events.RdbFinished) -> str:
    said = f"RDB complete: {size(event.bytes)}"
    if event.seconds >= 0.001:  # a rate over less time means nothing
        said += f" in {seconds(event.seconds)}, {size(event.bytes / event.seconds)}/s"
    keys = "1 key" if event.keys == 1 else f"{event.keys} keys"
    types = ", ".join(f"{share.keys} {name} {size(share.bytes)}" for name, share in event.by_type.items())
    said += f"; {keys}{f' ({types})' if types else ''}"
    if event.largest:
        largest = event.largest[0]
        said += f"; largest {argument(largest.key)} ({largest.type}, {size(largest.serialized_bytes)})"
    return said + (
        f"; checksum {event.checksum.upper()}" if event.checksum == "wrong" else f"; checksum {event.checksum}"
    )


def _rdb_problem(event: events.RdbProblem) -> str:
    where = f"byte {event.position}"
    if event.key is not None:
        where += f", in key {argument(event.key)} of db {event.db}"
    still = "" if event.problem == "missing" else ". Bytes still flow"
    return f"the RDB cannot be read beyond {where} (after {event.keys} keys): {event.text}{still}"


def _rdb_key(event: events.RdbKey) -> str:
    expires = "" if event.expires_at_ms is None else f", expires at {event.expires_at_ms} ms"
    elements = "" if event.type == "string" else f", {event.elements} elements"
    what = f"{event.type} {event.encoding} {size(event.serialized_bytes)}"
    return f"db{event.db} {argument(event.key)} {what}{elements}{expires}"


def _silent(event: events.Silent) -> str:
    if event.side is Side.MASTER:
        beat = "" if event.period is None else f", although it sends PING every {seconds(event.period)}"
        return f"SILENT: the master has sent nothing for {seconds(event.seconds)} in phase {event.phase}{beat}"
    lag = ""
    if event.lag_bytes is not None:
        lag = f", {'at least ' if event.lag_at_least else ''}{size(event.lag_bytes)} behind"
    ends = "" if event.timeout_in is None else f"; its master ends the connection in {seconds(event.timeout_in)}"
    what = "acknowledged nothing" if event.phase == "stream" else "sent nothing"
    return f"SILENT: the replica has {what} for {seconds(event.seconds)} in phase {event.phase}{lag}{ends}"


def _silent_over(event: events.SilentOver) -> str:
    return f"the {event.side.value} sends again, after {seconds(event.seconds)} of silence"


def _alert(event: events.Alert) -> str:
    side = "" if event.side is None else f" of the {event.side.value}"
    lasts = f", for {seconds(event.seconds)} so far" if event.seconds else ""
    verb = "are" if event.figure == "resyncs" else "is"
    return f"ALERT {event.rule}: {event.figure}{side} {verb} {_amount(event.value, event.unit, event.at_least)}{lasts}"


def _alert_over(event: events.AlertOver) -> str:
    now = "the connection has ended" if event.value is None else f"now {_amount(event.value, event.unit)}"
    peak = _amount(event.peak, event.unit, event.at_least)
    return f"alert over: {event.rule} for {seconds(event.seconds)}, {peak} at its peak; {now}"


def _inspect_lacks(event: events.InspectLacks) -> str:
    return f"--inspect: the master {event.master} refuses {' and '.join(event.commands)}: {event.text}"


def _pressure(event: events.Pressure) -> str:
    share = (
        f"{100 * event.buffer / max(1, event.limit_bytes):.0f} % of its {event.limit} limit of {size(event.limit_bytes)}"
    )
    said = f"PRESSURE: the master's output buffer for this replica holds {size(event.buffer)}, {share}"
    if event.seconds_to_close is not None:
        said += f"; as it grows, the master closes this link in {seconds(event.seconds_to_close)}"
    if event.rdb_seconds_left is not None:
        said += f"; the RDB needs about {seconds(event.rdb_seconds_left)} more"
    return said if event.needed is None else f"{said}; output buffer >= {size(event.needed)} would do until then"


def _pressure_over(event: events.PressureOver) -> str:
    now = "the connection has ended" if event.buffer is None else f"now {size(event.buffer)}"
    peak = f"{size(event.peak)} of {size(event.limit_bytes)} at its peak"
    return f"pressure over, after {seconds(event.seconds)}: {peak}; {now}"


def _amount(value: float, unit: str, at_least: bool = False) -> str:
    if unit == "bytes":
        said = size(int(value))
    elif unit == "seconds":
        said = seconds(value)
    else:  # resyncs; or a unit of a newer tap, from its recording
        said = f"{value:g}" if unit == "resyncs" else f"{value:g} {unit}"
    return f"at least {said}" if at_least else said


def _stream(event: events.StreamStarted) -> str:
    buffered = f", {size(event.buffered)} came beside the RDB" if event.buffered else ""
    where = "; its offset is unknown" if event.offset is None else f" after offset {event.offset}"
    return f"the stream begins{where}{buffered}"


def _listening_over(event: events.ListeningOver) -> str:
    return f"no longer listening on {event.address}: the link is {event.how}"


def _opaque(event: events.Opaque) -> str:
    return f"no longer understood: byte {event.start} from the {event.side.value}: {event.reason}. Bytes still flow"


def _ahead(event: events.AckAheadOfMaster) -> str:
    why = "what a fault sent it" if event.by_fault else "a count is wrong, and offsets are unknown from here on"
    ahead = event.offset - event.sent
    return (
        f"the replica acknowledges offset {event.offset}, {ahead} bytes more than the master sent ({event.sent}): {why}"
    )


def _talked_back(event: events.ReplicaTalkedBack) -> str:
    what = {"reply": "a reply", "error": "an error", "command": "a command"}[event.what]
    repeated = "" if event.count == 1 else f" ({times(event.count)})"
    return f"the replica sends its master {what}: {event.text}{repeated}"


def _command(event: events.Command) -> str:
    where = "?" if event.offset is None else str(event.offset)
    db = "?" if event.db is None else str(event.db)
    words = " ".join([event.name, *(argument(word) for word in event.args)])
    omitted = f" ({size(event.omitted_bytes)}, too large to show)" if event.omitted_bytes else ""
    return f"{where} db{db} {words}{omitted}"


def _fault_fired(event: events.FaultFired) -> str:
    repeated = "" if event.count == 1 else f" ({times(event.count)})"
    offset = "" if event.offset is None else f"offset {event.offset}, "
    where = f"; {offset}byte {event.position} from the {event.side.value}" if event.position or event.offset else ""
    return f"FAULT {event.fault}: {event.text}{repeated} in phase {event.phase}{where}"


def _fault_expired(event: events.FaultExpired) -> str:
    if not event.fired:
        return f"fault {event.fault} is over and NEVER FIRED: {event.spec}"
    affected = f", {size(event.bytes)} affected" if event.bytes else ""
    return f"fault {event.fault} is over: fired {times(event.fired)}{affected}"


def _recording_gap(event: events.RecordingGap) -> str:
    offsets = "" if event.from_offset is None else f", offsets {event.from_offset} to {event.to_offset}"
    where = f"bytes {event.start} to {event.end} from the {event.side.value}{offsets}"
    costs = [_COSTS[one] for one in event.lacks if one in _COSTS]
    return "; ".join([f"NOT RECORDED: {size(event.bytes)}, {where}", *costs])


_COSTS = {
    "commands": "counts of commands are lower bounds",
    "db": "the db is unknown until the next SELECT",
    "keys": "the count of keys is a lower bound",
    "checksum": "the RDB's checksum is unknown",
    "handshake": "parts of the handshake are unknown",
    "acks": "some ACKs are missing",
}


def _of_ports(ports: tuple[int, ...]) -> str:
    return f", port {' and '.join(map(str, ports))}" if ports else ""


def _packets_lost(event: events.PacketsLost) -> str:
    total = "" if event.count == event.total else f", {event.total} so far"
    return f"PACKETS LOST: the kernel dropped {event.count} packets before they could be read{total}"


def _verdict(event: events.Verdict) -> str:
    said = f"LOOP of full resyncs, {event.count} so far, one every {seconds(event.period)}: {event.cause}"
    if event.alternatives:
        said += f" (or {', or '.join(event.alternatives)})"
    if event.setting:
        said += f". {remedy(event)}"
    said += f". Why: {event.text}"
    return f"{said}. What decides: {event.decide}" if event.decide else said


def remedy(event: events.Verdict) -> str:
    """The command that ends the loop, where to send it, and what is set now; "" if no setting does."""
    if not event.setting:
        return ""
    value = f'"{event.value}"' if " " in event.value else event.value
    now = f" (now {event.present})" if event.present else ""
    least = ", at least" if event.at_least else ""
    return f"On the {event.server}{least}: CONFIG SET {event.setting} {value}{now}"


def _verdict_over(event: events.VerdictOver) -> str:
    then = "then the stream" if event.how == "stream" else "and the replica has not come back since"
    return f"the loop of full resyncs is over ({event.cause}): {event.count} in {seconds(event.seconds)}, {then}"


def _dropped(event: events.EventsDropped) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in event.by_kind.items())
    return f"{event.count} events are missing here ({kinds}): the reader was too slow"


def argument(word: bytes, *, whole: bool = False) -> str:
    """Bytes in the syntax of redis-cli: bare, or in quotes with escapes. Long ones are shortened unless *whole*."""
    text = word.decode(errors="surrogateescape")
    if not _BARE.fullmatch(text) or not text.isprintable():
        text = f'"{"".join(map(_in_quotes, text))}"'
    return text if whole or len(text) <= 100 else f"{text[:97]}..."


_BARE = re.compile(rf"""[^\s"'{BLANKS}]+""")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\a": "\\a"}


def _in_quotes(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() and character not in BLANKS:
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))


_SENTENCES: dict[type[Event], Callable[[Any], str | None]] = {
    events.MasterUnreachable: _unreachable,
    events.ConnectionsRefused: _refused,
    events.LinkOpened: _opened,
    events.Secured: _secured,
    events.LinkClosed: _closed,
    events.Handshake: _handshake,
    events.Identified: _identified,
    events.PsyncRequested: _psync,
    events.SyncRequested: lambda event: "asks with SYNC",
    events.FullResync: _full,
    events.PartialResync: _partial,
    events.CaughtUp: _caught_up,
    events.ResyncRefused: lambda event: f"resync refused: {event.reply}",
    events.RdbStarted: _rdb_started,
    events.RdbFinished: _rdb_finished,
    events.RdbProblem: _rdb_problem,
    events.RdbKey: _rdb_key,
    events.StreamStarted: _stream,
    events.Silent: _silent,
    events.SilentOver: _silent_over,
    events.Alert: _alert,
    events.AlertOver: _alert_over,
    events.InspectFailed: lambda event: f"--inspect: the master {event.master} does not answer: {event.text}",
    events.InspectBack: lambda event: (
        f"--inspect: the master {event.master} answers again, after {seconds(event.seconds)}"
    ),
    events.InspectLacks: _inspect_lacks,
    events.Pressure: _pressure,
    events.PressureOver: _pressure_over,
    events.ListeningOver: _listening_over,
    events.Opaque: _opaque,
    events.AckAheadOfMaster: _ahead,
    events.ReplicaTalkedBack: _talked_back,
    events.Command: _command,
    events.FaultArmed: lambda event: f"fault {event.fault} armed: {event.spec}",
    events.FaultFired: _fault_fired,
    events.FaultExpired: _fault_expired,
    events.RecordingStopped: lambda event: f"RECORDING HELD UP: {event.text}. Bytes still flow, and may go unrecorded",
    events.HandOverTrouble: _hand_over_trouble,
    events.HandOverResumed: lambda event: f"--on-rotate: {event.file} is handed over; no finished file waits any more",
    events.RecordingMarked: lambda event: f"mark: {event.note}",
    events.RecordingGap: _recording_gap,
    events.Watching: lambda event: f"watching {event.source}{_of_ports(event.ports)}",
    events.PacketsLost: _packets_lost,
    events.ObserverTrouble: lambda event: f"{event.observer}: {event.text}",
    events.EventsDropped: _dropped,
    events.Verdict: _verdict,
    events.VerdictOver: _verdict_over,
}
