"""The command `redis-tap`: one module per verb."""

from __future__ import annotations

import io
import signal
import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from tap.cli.output import leave_stdout
from tap.console.stderr import say
from tap.errors import ConfigError, EnvironmentFailure, TapError, expected, words


def _plain(parameters: list[Any]) -> list[Any]:
    """Flags take nothing, so none of typer's words for what it would be (0.29: <bool>) stands beside them in the help."""
    for one in parameters:
        if getattr(one, "is_flag", False):
            one.metavar = ""
    return parameters


class _Verb(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))


class _Verbs(TyperGroup):
    """Imports the module of a verb when that verb is asked for: to import all of them takes longer than most answers."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands: dict[str, Any] = dict.fromkeys(VERBS)

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))

    def get_command(self, _ctx: Any, name: str) -> Any:
        if name not in VERBS:
            return None
        if self.commands[name] is None:
            alone = typer.Typer(add_completion=False)
            alone.command(name, cls=_Verb)(getattr(import_module(f"tap.cli.{name}"), name))
            self.commands[name] = typer.main.get_command(alone)
        return self.commands[name]


VERBS = ("run", "faults", "chaos", "show", "export", "replay", "rdb", "demo")  # each a function in a module of its name
app = typer.Typer(
    name="redis-tap",
    cls=_Verbs,
    help="Sits between a real Redis or Valkey replica and its real master, and tells what happens on the wire.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from tap.rdb import parser
        from tap.replication import scanner
        from tap.version import version

        compiled = scanner.COMPILED and parser.COMPILED
        typer.echo(f"redis-tap {version()} (scanners {'compiled' if compiled else 'not compiled'})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


# Of click, which typer brought as a package of its own once, and now brings within itself.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main() -> None:
    """Entry point. What a user did wrong is one line on stderr, and an exit code (see tap/errors.py)."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character that the locale lacks does not end the output
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if not sys.argv[1:]:
            app(["--help"], standalone_mode=False)
            sys.exit(ConfigError.exit_code)
        code = app(standalone_mode=False)
        sys.stdout.flush()  # not at the interpreter's end, where a reader that has gone would be a complaint
        sys.exit(code)
    except TapError as error:
        say(*error.sentences)
        sys.exit(error.exit_code)
    except _UsageError as error:
        say(_mistake(error), name=_verb())
        sys.exit(ConfigError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        _leave_unread()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer and rich make an exit code of 1 of it
            _leave_unread()
        raise
    except MemoryError:
        say("there is not enough memory; a limit of this shell (ulimit -v) may be too low")
        sys.exit(EnvironmentFailure.exit_code)
    except ImportError as error:
        say(f"a part of redis-tap cannot be loaded: {error}")
        sys.exit(EnvironmentFailure.exit_code)
    except OSError as error:  # a full disk, a broken one: verbs name the files that they open themselves
        leave_stdout()
        say(f"reading or writing failed: {words(error)}")
        sys.exit(EnvironmentFailure.exit_code)


def _leave_unread() -> NoReturn:
    """Whoever read our output has seen enough: end as what SIGPIPE ends, for a shell that asks (set -o pipefail)."""
    leave_stdout()
    sys.exit(128 + signal.SIGPIPE)


def _mistake(error: Any) -> str:
    """In one line, with the closest of what may have been meant first."""
    said = expected(error.format_message().removesuffix(".").replace("Value error, ", ""))  # pydantic's
    if getattr(error, "possibilities", None):
        closest = sorted(error.possibilities, key=lambda one: (-_likeness(error.option_name, one), one))
        said = f"no such option: {error.option_name} (did you mean {', '.join(closest)}?)"
    return f"{said[0].lower()}{said[1:]}; see {_verb()} --help"


def _verb() -> str:
    """As far as it was given."""
    return " ".join(["redis-tap", *(word for word in sys.argv[1:2] if word in VERBS)])


def _likeness(given: str, known: str) -> float:
    import difflib  # for a mistake alone

    return difflib.SequenceMatcher(None, given, known).ratio()
