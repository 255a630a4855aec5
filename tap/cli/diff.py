"""`redis-tap diff`: are two data sets equal, and if not, which keys differ."""

from __future__ import annotations

import signal
import sys
import time
from typing import Annotated

import typer

from tap.cli.choosing import dbs_of
from tap.cli.ending import endings
from tap.console import diff_report
from tap.console.stderr import say
from tap.errors import ConfigError
from tap.operate.comparison import comparison
from tap.operate.comparison.difference import Difference
from tap.units import parse_duration

SHOWN = 100  # differences without --limit; --json shows all of them


def diff(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A server, an RDB, an append-only file, or a recording, as day/@12:00.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    dbs: Annotated[
        list[str] | None, typer.Option("--db", metavar="N", help="Only this db. May be repeated, or 0,3.")
    ] = None,
    globs: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="PATTERN", help="Only keys that match, as with KEYS. May be repeated."),
    ] = None,
    ignore_expiry: Annotated[bool, typer.Option("--ignore-expiry", help="Do not compare when keys expire.")] = False,
    expiry_within: Annotated[
        str | None, typer.Option(metavar="TIME", help="Let expiries of keys differ by up to this, as 1s.")
    ] = None,
    scan: Annotated[
        bool, typer.Option("--scan", help="Read servers by SCAN and DUMP instead of as a replica does.")
    ] = False,
    link: Annotated[
        str | None, typer.Option("--link", metavar="NAME", help="This link, of a recording that has several.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The program that restores append-only files and recordings."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Show no more than N differences; all are counted. 100 without --json if not given."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per difference and for the result.")] = False,
) -> None:
    """Are two data sets equal? If not, which keys differ: missing, of another type, value or expiry.

    A server is read once, as by a replica. Exit code 0 if they are equal, 1 if not.
    """
    if ignore_expiry and expiry_within is not None:
        raise ConfigError("--ignore-expiry and --expiry-within: give one of them")
    within = 0.0 if expiry_within is None else parse_duration(expiry_within)
    for number in endings():
        signal.signal(number, signal.default_int_handler)  # so that temporary files are removed
    shown = 0

    def show(difference: Difference) -> None:
        nonlocal shown
        bars.close()
        shown += 1
        sys.stdout.write(f"{diff_report.json_line(difference) if as_json else diff_report.line(difference)}\n")

    begun = time.monotonic()
    bars = diff_report.Bars()
    try:
        done = comparison.diff(
            a,
            b,
            db=dbs_of(dbs),
            key=globs or (),
            ignore_expiry=ignore_expiry,
            expiry_within=within,
            scan=scan,
            link=link,
            server=server,
            limit=SHOWN if limit is None and not as_json else limit,
            found=show,
            advance=bars.advance,
        )
    finally:
        bars.close()
    if as_json:
        sys.stdout.write(f"{diff_report.json_summary(done, shown)}\n")
    else:
        for said in diff_report.summary(done, shown, time.monotonic() - begun):
            sys.stdout.write(f"{said}\n")
    sys.stdout.flush()
    say(*done.lacking)
    raise typer.Exit({True: 0, False: 1, None: 2}[done.equal])
