"""Results as JUnit XML, which build servers read: a suite for each server, a case for each run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tap.console.sentences import sentence
from tap.errors import EnvironmentFailure, words
from tap.scenario.result import Result


def write(path: Path, results: Sequence[Result]) -> None:
    """Raises EnvironmentFailure."""
    root = ElementTree.Element("testsuites", name="redis-tap chaos")
    for server in dict.fromkeys(result.server for result in results):
        mine = [result for result in results if result.server == server]
        suite = ElementTree.SubElement(
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
    """The name is the same whatever the seed, so that a build server knows the case again."""
    case = ElementTree.SubElement(
        suite, "testcase", classname=result.server, name=result.scenario, time=f"{result.seconds:.3f}"
    )
    properties = ElementTree.SubElement(case, "properties")
    for name, value in (("seed", str(result.seed)), ("command", result.command)):
        ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
    if result.skipped:
        ElementTree.SubElement(case, "skipped", message=_clean(result.skipped))
    elif result.failure:
        ElementTree.SubElement(case, "error", message=_clean(result.failure))
    elif not result.met:
        failed = [verdict for verdict in result.verdicts if not verdict.met]
        said = [f"{one.name}: expected {one.expected}, found {one.found}" for one in failed]
        failure = ElementTree.SubElement(case, "failure", message=_clean("; ".join(said)))
        failure.text = _clean("\n".join([*said, f"repeat it with: {result.command}"]))
    if not result.met:
        ElementTree.SubElement(case, "system-out").text = _clean("\n".join(_story(result)))


def _story(result: Result) -> Iterator[str]:
    """What happened: steps, events, and what the servers wrote to their logs."""
    yield "steps, and seconds since the run began:"
    for step in result.steps:
        yield f"{step.at:9.3f}  {step.text}{f': {step.problem}' if step.problem else ''}"
    yield "\nevents:"
    for entry in result.story:
        words = sentence(entry.event)
        if words is not None:
            where = f"{entry.told.link}/{entry.told.connection}" if entry.told.connection else entry.told.link or "tap"
            yield f"{entry.at:9.3f}  {where}  {words}"
    for name, log in result.logs.items():
        yield f"\nlog of the {name}:"
        yield log.rstrip()


def _clean(text: str) -> str:
    """Without what XML has no way to write (XML 1.0, 2.2)."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
