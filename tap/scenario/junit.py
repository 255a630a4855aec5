"""Results as JUnit XML, which build servers read: a suite for each server, a case for each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

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
    name = f"{result.scenario} (seed {result.seed})"
    case = ElementTree.SubElement(suite, "testcase", classname=result.server, name=name, time=f"{result.seconds:.3f}")
    if result.skipped:
        ElementTree.SubElement(case, "skipped", message=result.skipped)
    elif result.failure:
        ElementTree.SubElement(case, "error", message=_clean(result.failure))
    elif not result.met:
        failed = [verdict for verdict in result.verdicts if not verdict.met]
        said = [f"{one.name}: expected {one.expected}, found {one.found}" for one in failed]
        failure = ElementTree.SubElement(case, "failure", message=_clean("; ".join(said)))
        failure.text = _clean("\n".join([*said, f"repeat it with: {result.command}"]))


def _clean(text: str) -> str:
    """XML has no way to write most control characters."""
    return "".join(one if one >= " " or one in "\n\t" else "�" for one in text)
