"""The pages of the live view other than the overview, as lines of any number; the viewer moves a window over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tap.console.figures import seconds, size, times
from tap.console.parts import buffered, charts, clock, happening, indented, lasting, phase_style, progress, state, title
from tap.console.picture import EVENTS, FAULTS, LINK, Attempt, Detail, FaultLine, Frame, Happening, Line
from tap.console.terminal import Text, Words
from tap.replication import events

CHART = 5  # lines
HANGING = 10  # columns by which a line that is continued is indented


def page(frame: Frame, width: int) -> list[Text]:
    """The lines of the frame's page, each at most as wide as the terminal."""
    lines = _PAGES.get(frame.page, _help)(frame, width)
    return [part for line in lines for part in indented(line, width, HANGING if width >= 100 else 3)]


# ---- one link ----


def _link(frame: Frame, width: int) -> list[Text]:
    detail = frame.detail
    if detail is None:
        return [Words(" nothing yet", style="dim")]
    line = detail.line
    if not line.replica:
        what = Words(f" {line.trouble}", style="red") if line.trouble else Words(f" no replica; {line.hint}")
        return [Words(f" link {line.link} to {line.master or 'where each connection was going'}", style="bold"), what]
    lines = _facts(line, width)
    lines += [Words(f" {loop.words}", style="bold red") for loop in frame.loops if _is_of(loop.link, loop.replica, line)]
    if frame.charts is not None:
        lines += charts(frame.charts, width, CHART)
    lines += _attempts(detail, frame.now, width)
    faults = [_fault(one) for one in frame.faults if one.state != "over"]
    if faults:
        lines += [title("faults armed", width), *faults]
    lines += [title("what happened to it", width), *(happening(one, "") for one in reversed(detail.happened))]
    return lines


def _is_of(link: str, replica: str, line: Line) -> bool:
    return (link, replica) == (line.link, line.replica)


def _facts(line: Line, width: int) -> list[Text]:
    lag = "?"
    if line.lag_bytes is not None:
        lag = f"{'at least ' if line.lag_at_least else ''}{size(line.lag_bytes)}"
        lag += f", {seconds(line.lag_seconds)}" if line.lag_seconds and line.lag_bytes else ""
        lag += f" (known from: {line.lag_known_from})"
    sides = (("master", line.master_silence), ("replica", line.replica_silence))
    heard = [f"{side} {silence:.0f} s ago" for side, silence in sides if silence is not None]
    ends = "" if line.timeout_in is None else f"; the master's repl-timeout ends it in {seconds(line.timeout_in)}"
    rows = [
        ("replica", f"{line.replica} on link {line.link}, of master {line.master or '?'}"),
        ("phase", f"{line.phase}, for {lasting(line.since)}"),
        ("ID", line.replid or "?"),
        ("offset", f"{_known(line.offset)}, acknowledged {_known(line.acked)}, db {_known(line.db)}"),
        ("lag", lag),
        ("heard", f"{', '.join(heard) or '?'}{ends}"),
        ("passed", f"{size(line.passed)}, {line.full_resyncs} full and {line.partial_resyncs} partial resyncs"),
    ]
    if line.buffer_bytes is not None or line.phase in ("waiting", "rdb", "loading"):
        rows.append(("buffered", buffered(line).removeprefix("buffered ")))
    lines: list[Text] = [
        Words.assemble((f" {name:<9}", "dim"), (said, phase_style(line) if name == "phase" else ""))
        for name, said in rows
    ]
    if line.phase == "rdb":
        lines += [progress(line, width), state(line)]
    elif line.phase not in ("stream", "gone", "opaque") or line.silent_side or line.is_held:
        lines.append(state(line))
    return lines


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)


def _attempts(detail: Detail, now: float, width: int) -> list[Text]:
    """The connections of the replica, the newest first: phases with their durations, and how each ended."""
    if not detail.attempts:
        return [title("connections", width), Words(" none since the live view began", style="dim")]
    lines = []
    for number, attempt in enumerate(reversed(detail.attempts)):
        if number == 0:
            lines.append(title(f"connection {attempt.connection}, from {attempt.peer}", width))
            lines += [_phases(attempt, now), *_outcome(attempt)]
            if attempt.handshake:
                lines.append(title("handshake", width))
                lines += [Words(f" {words}") for words in attempt.handshake]
        else:
            if number == 1:
                lines.append(title("connections before", width))
            began = clock(attempt.steps[0][1]) if attempt.steps else ""
            lines += [Words.assemble((f" {began} ", "dim"), _phases(attempt, now, "")), *_outcome(attempt)]
    return lines


def _phases(attempt: Attempt, now: float, begin: str = " ") -> Text:
    """connect 1.2 ms → handshake 3.4 ms → ...; the end of loading is known to half a second."""
    text = Words(begin)
    ends = [*(at for _, at in attempt.steps[1:]), now if attempt.ended is None else attempt.ended]
    for number, ((phase, began), end) in enumerate(zip(attempt.steps, ends, strict=True)):
        about = "~" if phase == "loading" else ""
        text.append(" → " if number else "", "dim")
        text.append(f"{phase} {about}{seconds(max(0.0, end - began))}")
    return text


def _outcome(attempt: Attempt) -> list[Text]:
    said = []
    if attempt.resync:
        said.append(f"resync {attempt.resync}")
    if attempt.rdb:
        said.append(f"RDB {attempt.rdb}")
    if attempt.how:
        said.append(attempt.how)
    return [Words(f"   {'; '.join(said)}")] if said else []


# ---- faults, events, help ----


def _faults(frame: Frame, width: int) -> list[Text]:
    if not frame.faults:
        return [title("faults", width), Words(" none is armed, and none was", style="dim")]
    lines = [title("faults", width), *map(_fault, frame.faults)]
    fired = [one for one in frame.log if one.kind == events.FaultFired.kind]
    if fired:
        lines += [title("when they fired", width), *map(_happening, reversed(fired))]
    return lines


def _fault(fault: FaultLine) -> Text:
    fired = f"fired {times(fault.fired)}" if fault.fired else "never fired"
    affected = f", {size(fault.bytes)} affected" if fault.bytes else ""
    style = {"at work": "bold yellow", "armed": "yellow"}.get(fault.state, "dim")
    return Words.assemble(
        (f" {fault.state:<8}", style), (f"{fault.name}: ", "bold"), f"{fault.spec}  ({fired}{affected})"
    )


def _events(frame: Frame, width: int) -> list[Text]:
    return [*map(_happening, frame.log)] or [Words(" nothing yet", style="dim")]


def _happening(one: Happening) -> Text:
    return happening(one, f"{f'{one.link}/' if one.link else ''}{one.replica}")


_HELP = """
 ↑ ↓ PgUp PgDn Home End   choose a row, or move a page
 Enter, →                 one link: phases, handshake, resyncs, charts, faults
 f                        faults: armed and over, how often they fired
 e                        events: all that the log would show
 Esc, ←                   back to the overview
 q                        end the tap; asks first while a replica is connected
 Ctrl-C                   end the tap at once

 phase        connect, handshake, psync, waiting for the RDB, rdb, loading, stream
 lag          written by the master and not acknowledged, at the last ACK; ≥: at least
 silence m/r  seconds since the master's last byte, and the replica's last ACK
 now          bytes from the master per second
 offset       the replication offset of the master's last byte
 full/partial resyncs since the tap started
 held         a fault holds bytes
 LOOP, ALERT  full resyncs one after the other; a threshold of --alert is passed
 last minutes the stream's rate, 5 s for each bar
"""


def _help(frame: Frame, width: int) -> list[Text]:
    return [title("keys, and what the columns mean", width), *map(Words, _HELP.strip("\n").split("\n"))]


_PAGES: dict[str, Callable[[Frame, int], Sequence[Text]]] = {
    LINK: _link,
    FAULTS: _faults,
    EVENTS: _events,
}
