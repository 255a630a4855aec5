"""Command-line options made from declarations."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from tap.cli.options import given, takes
from tap.config.option import FromText, FromWords, Given, Option
from tap.units import parse_duration


@dataclass(frozen=True, kw_only=True)
class Sample:
    wait: Annotated[
        Given[float | str | None, float | None], Option("TIME", "How long.", flags=("--wait-for", "-x"), topic="tls")
    ] = Given(None, FromText(parse_duration))
    count: Annotated[int, Option("N", "How many.", environment="SAMPLE_COUNT")] = field(default_factory=int)
    where: Annotated[Given[Path | str | None, Path | None], Option("FILE", "Where.", topic="links")] = Given(
        None, FromText(Path)
    )
    words: Annotated[Given[tuple[str, ...], tuple[str, ...]], Option("WORD", "Which.")] = Given((), FromWords())
    kind: Annotated[Literal["a", "b"], Option("", "What.")] = "a"
    is_on: Annotated[bool, Option("", "Whether.")] = False
    hidden: Annotated[bool, Option("", "Not here.", on_command_line=False)] = False


heard: list[dict[str, Any]] = []
app = typer.Typer(add_completion=False)


@app.command()
@takes(Sample)
def verb(*, own: Annotated[str | None, typer.Option(help="Of the verb.")] = None, **options: Any) -> None:
    heard.append({"own": own, **given(Sample, options)})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--wait-for", "10m", "--own", "x"], {"own": "x", "wait": "10m"}),
        (["-x", "10m", "--where", "a/b"], {"wait": "10m", "where": Path("a/b")}),
        (["--count", "0", "--is-on", "--kind", "b"], {"count": 0, "is_on": True, "kind": "b"}),
        (["--words", "a", "--words", "b"], {"words": ["a", "b"]}),
    ],
)
def test_typed_values_arrive_by_the_name_of_their_field(words: list[str], expected: dict[str, Any]) -> None:
    heard.clear()
    assert CliRunner().invoke(app, words).exit_code == 0
    assert heard == [{"own": None} | expected]


def test_the_environment_supplies_what_is_not_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_COUNT", "5")
    heard.clear()
    CliRunner().invoke(app, [])
    CliRunner().invoke(app, ["--count", "6"])
    assert [one["count"] for one in heard] == [5, 6]


def test_options_are_sorted_by_topic_with_the_verbs_own_after_the_links() -> None:
    command = typer.main.get_command(app)
    assert [one.opts[0] for one in command.params] == [
        "--where", "--own", "--count", "--words", "--kind", "--is-on", "--wait-for",
    ]  # fmt: skip


def test_a_verb_may_say_in_its_own_words_what_an_option_means() -> None:
    other = typer.Typer(add_completion=False)
    other.command()(takes(Sample, helps={"count": "How often."})(lambda **options: None))
    helps = {one.opts[0]: getattr(one, "help", "") for one in typer.main.get_command(other).params}
    assert (helps["--count"], helps["--kind"]) == ("How often.", "What.")


@pytest.mark.parametrize("words", [["--hidden"], ["--kind", "c"], ["--count", "x"], ["--no-is-on"]])
def test_undeclared_options_are_refused(words: list[str]) -> None:
    assert CliRunner().invoke(app, words).exit_code == 2
