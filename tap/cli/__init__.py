"""The command `redis-tap`: one module per verb. Arguments in, one call of the library, printing out; no logic.

attach, chaos, ctl, demo, detach, diff, doctor, export, faults, rdb, replay, run, show, watch    the verbs
run                 also carries out the tap of attach.py
options             the parameters of run and attach, from the declarations in tap/config/
choosing            the parameters that select a part of a recording
chaos_campaign      runs and shows what chaos.py parses
replay_as_master    runs and shows what replay.py parses: to replicas
replay_to_server    the same, to a server
ui                  which display a verb has
progress, stdout    progress bars; outputs that were closed
plain               commands whose help shows flags as flags
ending, hangup      signals, and a terminal that is gone
reload              links as the configuration file has them now
service_manager     what systemd hears
"""

from __future__ import annotations

import io
import signal
import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from tap.cli.plain import PlainCommand, PlainGroup
from tap.cli.stdout import leave_stdout
from tap.console.stderr import say
from tap.errors import ConfigError, EnvironmentFailure, TapError, expected, words


class _Verbs(PlainGroup):
    """Imports the module of a verb when that verb is used: importing all of them takes longer than most answers."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands: dict[str, Any] = dict.fromkeys(VERBS)

    def get_command(self, _ctx: Any, name: str) -> Any:
        if name not in VERBS:
            return None
        if self.commands[name] is None:
            verb = getattr(import_module(f"tap.cli.{name}"), name)
            if not isinstance(verb, typer.Typer):
                alone = typer.Typer(add_completion=False)
                alone.command(name, cls=PlainCommand)(verb)
                verb = alone
            self.commands[name] = typer.main.get_command(verb)
        return self.commands[name]


# Each is a function in a module of its name, or a typer.Typer of several.
VERBS = (
    "run",
    "attach",
    "detach",
    "ctl",
    "watch",
    "faults",
    "chaos",
    "show",
    "export",
    "replay",
    "rdb",
    "diff",
    "doctor",
    "demo",
)
app = typer.Typer(
    name="redis-tap",
    cls=_Verbs,
    help="Sits between a real Redis or Valkey replica and its real master, and reports what happens on the wire.",
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


# click's class. Older versions of typer depend on click, newer ones contain a copy, so it is found through typer.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main() -> None:
    """Entry point. A user's mistake is reported in one line on stderr, and by the exit code (see tap/errors.py)."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character that the locale lacks must not end the output
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if not sys.argv[1:]:
            app(["--help"], standalone_mode=False)
            sys.exit(ConfigError.exit_code)
        code = app(standalone_mode=False)
        sys.stdout.flush()  # now, because at the end the interpreter would complain if the reader has gone
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
        if isinstance(ended.__context__, BrokenPipeError):  # which typer and rich turn into exit code 1
            _leave_unread()
        raise
    except MemoryError:
        say("there is not enough memory; a limit of this shell (ulimit -v) may be too low")
        sys.exit(EnvironmentFailure.exit_code)
    except ImportError as error:
        say(f"a part of redis-tap cannot be loaded: {error}")
        sys.exit(EnvironmentFailure.exit_code)
    except OSError as error:  # a full or broken disk: for the files that they open, verbs report errors themselves
        leave_stdout()
        say(f"reading or writing failed: {words(error)}")
        sys.exit(EnvironmentFailure.exit_code)


def _leave_unread() -> NoReturn:
    """The reader of our output has gone: end as SIGPIPE would, for shells that look at it (set -o pipefail)."""
    leave_stdout()
    sys.exit(128 + signal.SIGPIPE)


def _mistake(error: Any) -> str:
    """A usage error in one line, with suggestions, the closest one first."""
    message = " ".join(error.format_message().split())  # the choices of a missing option have lines of their own
    said = expected(message.removesuffix(".").replace("Value error, ", ""))  # pydantic's
    if getattr(error, "possibilities", None):
        closest = sorted(error.possibilities, key=lambda one: (-_likeness(error.option_name, one), one))
        said = f"no such option: {error.option_name} (did you mean {', '.join(closest)}?)"
    see = " See" if said.endswith("?") else "; see"
    return f"{said[0].lower()}{said[1:]}{see} {_verb()} --help"


def _verb() -> str:
    """The command with its verb, if one was given."""
    return " ".join(["redis-tap", *(word for word in sys.argv[1:2] if word in VERBS)])


def _likeness(given: str, known: str) -> float:
    import difflib  # needed only after a mistake

    return difflib.SequenceMatcher(None, given, known).ratio()
