"""Results of chaos as JUnit XML for build servers: a suite for each server, a case for each run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tap.console.sentences import sentence
from tap.errors import EnvironmentFailure, words
from tap.printable import one_line
from tap.scenario.result import Result


def write(path: Path, results: Sequence[Result]) -> None:
    """Write the results to a file. Raises EnvironmentFailure."""
    root = ElementTree.Element("testsuites", name="redis-tap chaos")
    for server in dict.fromkeys(result.server for result in results):
        mine = [result for result in results if result.server == server]
        suite = _element(
            root,
            "testsuite",
            name=server,
            tests=str(len(mine)),
            failures=str(sum(not one.met and not one.failure for one in mine)),
            errors=str(sum(bool(one.failure) for one in mine)),
            skipped=str(sum(bool(one.skipped) for one in mine)),
            time=f"{sum(one.seconds for one in mine):.3f}",
        )
        for one in mine:
            _case(suite, one)
    ElementTree.indent(root)
    try:
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise EnvironmentFailure(f"{path}: {words(error)}") from None


def _case(suite: ElementTree.Element, result: Result) -> None:
    """Add a case. Its name does not contain the seed, so that a build server recognizes the case in the next run."""
    case = _element(suite, "testcase", classname=result.server, name=result.scenario, time=f"{result.seconds:.3f}")
    properties = _element(case, "properties")
    for name, value in (("seed", str(result.seed)), ("command", result.command)):
        _element(properties, "property", name=name, value=value)
    if result.skipped:
        _element(case, "skipped", message=result.skipped)
    elif result.failure:
        _element(case, "error", message=result.failure)
    elif not result.met:
        repeat = f"repeat it with: {result.command}"
        _element(case, "failure", [*result.troubles, repeat], message="; ".join(result.troubles))
    if not result.met:
        _element(case, "system-out", _story(result))


def _element(parent: ElementTree.Element, tag: str, lines: Iterable[str] = (), **attributes: str) -> ElementTree.Element:
    """Add an element, with all text made printable: build servers show it, and XML lacks most control characters."""
    element = ElementTree.SubElement(parent, tag, {name: one_line(value) for name, value in attributes.items()})
    element.text = "\n".join(map(one_line, lines)) or None
    return element


def _story(result: Result) -> Iterator[str]:
    """The steps, the events, and the logs of the servers."""
    yield "steps, and seconds since the run began:"
    for step in result.steps:
        yield f"{step.at:9.3f}  {step.text}{f': {step.problem}' if step.problem else ''}"
    yield from ("", "events:")
    for entry in result.story:
        words = sentence(entry.event)
        if words is not None:
            where = f"{entry.told.link}/{entry.told.connection}" if entry.told.connection else entry.told.link or "tap"
            yield f"{entry.at:9.3f}  {where}  {words}"
    for name, log in result.logs.items():
        yield from ("", f"log of the {name}:")
        yield from (f"  {line}" for line in log.rstrip().splitlines())
