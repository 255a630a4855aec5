"""The command `redis-tap`: one module per verb."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tap.cli import demo, run
from tap.errors import TapError

app = typer.Typer(
    name="redis-tap",
    help="Sits between a real Redis or Valkey replica and its real master, and tells what happens on the wire.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("demo")(demo.demo)


def _version(wanted: bool) -> None:
    if wanted:
        from tap import __version__
        from tap.replication.scanner import COMPILED

        typer.echo(f"redis-tap {__version__} (scanners {'compiled' if COMPILED else 'not compiled'})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point. What a user did wrong is one line on stderr, and an exit code (see tap/errors.py)."""
    try:
        app()
    except TapError as error:
        if sys.stderr is not None:
            print(f"redis-tap: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
