"""The results of chaos: a line for each run, everything about a run that failed, and scenarios by servers."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table

from tap.console.figures import seconds, size, times
from tap.console.sentences import sentence
from tap.console.terminal import Words, lines, stacked
from tap.scenario import Result, Scenario

PLACES = 3  # places shown at the most for one fault
WIDE = 130  # columns of a terminal from which every figure has a column of its own
STORY = 40  # last events shown of a run that failed


def run_line(result: Result) -> Words:
    """A finished run in one line."""
    line = Words()
    line.append(*_mark(result))
    line.append(f"  {result.scenario}", style="bold")
    line.append(f"  {result.server}", style="cyan")
    line.append(f"  {_summary(result)}")
    if not result.skipped:
        line.append(f"  {seconds(result.seconds)}, seed {result.seed}", style="dim")
    return line


def _mark(result: Result) -> tuple[str, str]:
    if result.failure:
        return "ERROR  ", "bold red"
    if result.skipped:
        return "skipped", "dim"
    return ("met    ", "green") if result.met else ("NOT MET", "bold red")


def _summary(result: Result) -> str:
    if result.failure or result.skipped:
        return result.failure or result.skipped
    return f"{resyncs(result)}; outage {seconds(result.outage)}, re-sent {size(result.resent)}"


def resyncs(result: Result) -> str:
    """ "full (first_sync), partial"; consecutive resyncs of one kind are counted: "3 x partial"."""
    said: list[tuple[str, int]] = []
    for one in result.resyncs:
        name = f"{one.kind} ({one.reason})" if one.reason else one.kind
        if said and said[-1][0] == name:
            said[-1] = (name, said[-1][1] + 1)
        else:
            said.append((name, 1))
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in said) or "no resync"


def table(results: Sequence[Result], width: int) -> RenderableType:
    """A row for each run; on a narrow terminal several figures share a column, one below the other."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_lines=width < WIDE)
    if width < WIDE:
        columns = ["scenario", "fault, and where it fired", "resync", "verdict"]
    else:
        columns = ["scenario", "server", "fault", "fired", "resync", "outage", "re-sent", "verdict"]
    for column in columns:
        figures = column in ("outage", "re-sent")
        justify: JustifyMethod = "right" if figures else "left"
        shown.add_column(column, justify=justify, no_wrap=figures or column == "verdict", overflow="fold")
    for result in results:
        scenario, mark = Words(result.scenario, style="bold"), Words(*_mark(result))
        instead = result.failure or result.skipped
        came_to = lines(instead) if instead else Words(resyncs(result))
        outage, resent = ("", "") if result.skipped else (seconds(result.outage), size(result.resent))
        places = [_fired(fault.fired, fault.places) for fault in result.faults]
        specs = [fault.spec for fault in result.faults]
        if width < WIDE:
            fired = [line for spec, place in zip(specs, places, strict=True) for line in (spec, f"  {place}")]
            figures_too = [f"outage {outage}", f"re-sent {resent}"] if outage else []
            came_to = stacked(came_to, *map(Words, figures_too))
            shown.add_row(stacked(scenario, Words(result.server)), stacked(*map(Words, fired)), came_to, mark)
        else:
            fault_of, place_of = stacked(*map(Words, specs)), stacked(*map(Words, places))
            shown.add_row(scenario, result.server, fault_of, place_of, came_to, outage, resent, mark)
    return shown


def _fired(count: int, places: Sequence[str]) -> str:
    if not count:
        return "never"
    first = places[0] if places else "once"
    return first if count == 1 else f"{count} times, first: {first}"


def _each_time(count: int, places: Sequence[str]) -> str:
    if not count:
        return "never fired"
    return f"fired {times(count)}: {'; '.join(places[:PLACES])}"


def trouble(result: Result) -> RenderableType:
    """Everything about a run whose expectations were not met, and the command that repeats it."""
    server = f" on {result.server}" if result.server else ""
    parts: list[RenderableType] = [
        Words(),
        Words(f"{result.scenario}{server}, seed {result.seed}: {result.title}", style="bold red"),
    ]
    repeat = Words.assemble(("repeat it with: ", "dim"), result.command)
    if result.failure:
        parts.append(lines(result.failure))
    if not result.steps:
        return Group(*parts, repeat)
    steps = Table.grid(padding=(0, 2))
    for step in result.steps:
        problem = Words(step.problem, style="red")
        steps.add_row(Words(f"{step.at:8.3f} s", style="dim"), Words(step.text), f"{seconds(step.seconds)}", problem)
    parts += [Words("steps", style="dim"), steps]
    faults = Table.grid(padding=(0, 2))
    for fault in result.faults:
        faults.add_row(Words(fault.spec), Words(_each_time(fault.fired, fault.places)))
    if result.faults:
        parts += [Words("faults", style="dim"), faults]
    story = Table.grid(padding=(0, 2))
    for entry in [entry for entry in result.story if sentence(entry.event)][-STORY:]:
        where = f"{entry.told.link} {entry.told.connection or ''}" if entry.told.link else "tap"
        story.add_row(Words(f"{entry.at:8.3f} s", style="dim"), where, Words(sentence(entry.event) or ""))
    parts += [Words("what the tap reported", style="dim"), story, _verdicts(result)]
    return Group(*parts, repeat)


def failures(results: Sequence[Result]) -> list[Words]:
    """A line with the reason for each run that was not met. In a long campaign its own report has scrolled away."""
    return [
        Words.assemble(
            _mark(one),
            (f"  {one.scenario}", "bold"),
            (f"  {one.server}", "cyan"),
            f"  seed {one.seed}: {'; '.join(one.troubles)}",
        )
        for one in results
        if not one.met
    ]


def by_hand(commands: Sequence[str]) -> list[Words]:
    """The commands that restore the user's pair if a run on it is killed."""
    said = "if this run is killed, these commands restore the pair (passwords go into REDISCLI_AUTH):"
    return [Words(said, style="dim"), *(Words(f"  {command}") for command in commands)] if commands else []


def _verdicts(result: Result) -> RenderableType:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in ("expectation", "expected", "found", ""):
        shown.add_column(column, overflow="fold")
    for verdict in result.verdicts:
        mark = Words("met", style="green") if verdict.met else Words("NOT MET", style="bold red")
        shown.add_row(verdict.name, Words(verdict.expected), Words(verdict.found), mark)
    return shown


def single(result: Result, width: int) -> RenderableType:
    """One run requested by name: its table and each verdict; nothing if it did not begin."""
    if result.failure and not result.steps:
        return Group()
    row = table([result], width)
    return row if result.skipped else Group(row, _verdicts(result))


def matrix(results: Sequence[Result]) -> RenderableType:
    """A table of scenarios by servers; a cell of repeated runs says how many were met."""
    servers = list(dict.fromkeys(result.server for result in results))
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    shown.add_column("scenario", no_wrap=True)
    for server in servers:
        shown.add_column(server, overflow="fold")
    for scenario in sorted({result.scenario for result in results}):
        cells = [
            _cell([one for one in results if (one.scenario, one.server) == (scenario, server)]) for server in servers
        ]
        shown.add_row(scenario, *cells)
    return shown


def _cell(results: Sequence[Result]) -> Words:
    if not results or all(result.skipped for result in results):
        return Words("-", style="dim")
    met = sum(result.met for result in results)
    of = "" if len(results) == 1 else f" {met}/{len(results)}"
    if met < len(results):
        return Words(f"NOT MET{of}", style="bold red")
    return Words.assemble((f"met{of} ", "green"), (_outcome(results[-1]), "dim"))


def _outcome(result: Result) -> str:
    """The outcome of a run, in a word or two."""
    verdicts = {verdict.name: verdict for verdict in result.verdicts}
    if "replica_exits" in verdicts:
        return "replica exits"
    if "zombie" in verdicts:
        return "zombie"
    if "converged" in verdicts and verdicts["converged"].expected == "different":
        return "data differ"
    return result.resyncs[-1].kind if result.resyncs else "no resync"


def listing(scenarios: Sequence[Scenario]) -> RenderableType:
    """The scenarios in the library: name, title, and what healthy servers do."""
    parts: list[RenderableType] = []
    for scenario in scenarios:
        where = f"  only {', '.join(map(str, scenario.servers))}" if scenario.servers else ""
        parts.append(Words.assemble((scenario.name, "bold"), (where, "cyan")))
        parts.append(Words(f"  {scenario.title}"))
        why = " ".join(scenario.why.split())
        if why:
            parts.append(Words(f"  {why}", style="dim"))
    return Group(*parts)
