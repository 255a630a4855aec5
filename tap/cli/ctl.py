"""`redis-tap ctl`: ask a running tap, and change it, through its API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from tap.cli.plain import PlainCommand, PlainGroup
from tap.console import control_tables
from tap.console.terminal import Terminal
from tap.control.api_client import ApiClient, name_in_path, the_tap
from tap.control.door import TOKEN
from tap.errors import ConfigError
from tap.units import parse_duration

ctl = typer.Typer(
    cls=PlainGroup,
    help="Ask a running tap, and change it, through the API that `redis-tap run --api` opens.",
    add_completion=False,
)

_PATIENCE = 10.0  # seconds that an answer may take beyond the time that was asked for

Json = Annotated[bool, typer.Option("--json", help="For programs: the API's own answer.")]
Api = Annotated[
    str | None,
    typer.Option(
        "--api",
        metavar="HOST:PORT|unix:PATH",
        envvar="REDIS_TAP_API",
        help="Where the API is; with TLS https://HOST:PORT. The tap of this machine, if there is one only. The token is "
        f"taken from {TOKEN}.",
    ),
]
Link = Annotated[str | None, typer.Option("--link", metavar="NAME", help="Only of this link.")]


@dataclass(frozen=True, slots=True)
class _Tls:
    cacert: str | None
    cert: str | None
    key: str | None


@ctl.callback()
def _options(
    context: typer.Context,
    cacert: Annotated[
        str | None, typer.Option("--cacert", metavar="FILE", help="CAs that may sign the API's certificate.")
    ] = None,
    cert: Annotated[str | None, typer.Option("--cert", metavar="FILE", help="The client's certificate.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="FILE", help="Its key.")] = None,
) -> None:
    context.obj = _Tls(cacert, cert, key)


@contextlib.contextmanager
def _client(context: typer.Context, api: str | None) -> Iterator[ApiClient]:
    tls: _Tls = context.obj
    where = api if api is not None else the_tap()
    with ApiClient(where, os.environ.get(TOKEN), cacert=tls.cacert, cert=tls.cert, key=tls.key) as client:
        yield client


def _show(said: Any, as_json: bool, table: Any) -> None:
    """table: makes what a person reads of the answer."""
    if as_json:
        print(json.dumps(said))
    else:
        Terminal().print(table(said))


@ctl.command(cls=PlainCommand)
def status(context: typer.Context, link: Link = None, api: Api = None, as_json: Json = False) -> None:
    """Show every link and its replicas: phase, offset, lag, silence, and what is wrong."""
    with _client(context, api) as client:
        path = "/v1/links" if link is None else f"/v1/links/{name_in_path(link)}"
        said = client.ask("GET", path).said
    _show(said, as_json, lambda said: control_tables.links(said["links"] if link is None else [said]))


@ctl.command(cls=PlainCommand)
def faults(context: typer.Context, api: Api = None, as_json: Json = False) -> None:
    """List the faults, those that are over, too, with how often each has fired."""
    with _client(context, api) as client:
        _show(client.ask("GET", "/v1/faults").said, as_json, control_tables.faults)


@ctl.command(cls=PlainCommand)
def add(
    context: typer.Context,
    spec: Annotated[list[str], typer.Argument(metavar="SPEC", help="As of --fault, such as: cut at=rdb:50%")],
    api: Api = None,
    as_json: Json = False,
) -> None:
    """Arm a fault; see `redis-tap faults`."""
    with _client(context, api) as client:
        said = client.ask("POST", "/v1/faults", {"spec": " ".join(spec)}).said
    _show(said, as_json, control_tables.armed)


@ctl.command(cls=PlainCommand)
def remove(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Of the faults.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All faults.")] = False,
    api: Api = None,
    as_json: Json = False,
) -> None:
    """Disarm faults, and release the bytes that they hold."""
    if every == bool(names):
        raise ConfigError("name the faults to remove, or write --all")
    with _client(context, api) as client:
        if every:
            removed = client.ask("DELETE", "/v1/faults").said["removed"]
        else:
            removed = [client.ask("DELETE", f"/v1/faults/{name_in_path(name)}").said for name in names or ()]
    _show({"removed": removed}, as_json, control_tables.removed)


@ctl.command(cls=PlainCommand)
def wait(
    context: typer.Context,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Its kind, such as full_resync; several with commas.")],
    where: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="What the event's fields must be, such as reason.code=offset_*"),
    ] = None,
    link: Link = None,
    within: Annotated[str, typer.Option("--within", metavar="TIME", help="For how long to wait.")] = "10s",
    after: Annotated[
        str, typer.Option("--after", metavar="start|now|ID", help="From where on; start for all that is kept.")
    ] = "now",
    api: Api = None,
    as_json: Json = False,
) -> None:
    """Wait for an event. Exit code 1: it did not happen in time; what happened instead is shown."""
    body = {
        "event": event.split(","),
        "where": dict(_condition(one) for one in where or ()),
        "link": link,
        "within": within,
        "after": after,
    }
    patience = parse_duration(within) + _PATIENCE
    with _client(context, api) as client:
        answer = client.ask("POST", "/v1/wait", body, within=patience, allowed=(409,))
    _show(answer.said, as_json, control_tables.waited)
    if answer.status == 409:
        raise typer.Exit(1)


@ctl.command(cls=PlainCommand)
def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="EVENT", help="Only events of this kind; may be repeated.")
    ] = None,
    link: Link = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after", metavar="start|now|ID", help="From where on: start, which is all that is kept; with --follow now."
        ),
    ] = None,
    api: Api = None,
    as_json: Json = False,
) -> None:
    """Show the events that the tap has kept, and with --follow those that come."""
    query = {"kind": kind or [], "link": [] if link is None else [link], "after": after or ("now" if follow else "start")}
    with _client(context, api) as client:
        end = None if follow else client.ask("GET", "/v1/events/streams").said["last"]
        try:
            for one in client.events(query):
                if one.kind and as_json:
                    print(json.dumps({"event": one.kind, **one.said}), flush=True)
                elif one.kind:
                    Terminal().print(control_tables.event(one.kind, one.said))
                    sys.stdout.flush()
                if end is not None and _is_reached(one.place, end):
                    return
        except KeyboardInterrupt:
            raise typer.Exit(128 + signal.SIGINT) from None


@ctl.command(cls=PlainCommand)
def record(
    context: typer.Context,
    do: Annotated[
        Literal["show", "start", "stop", "mark", "rotate"], typer.Argument(help="What to do with the recording.")
    ] = "show",
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|NOTE",
            help="start: the name of a new file, such as today.pcapng, in the tap's directory for recordings. mark: what "
            "the mark says.",
        ),
    ] = None,
    without_rdb: Annotated[bool, typer.Option("--without-rdb", help="start: leave the RDBs out.")] = False,
    redact: Annotated[
        list[str] | None, typer.Option("--redact", metavar="keys|values", help="start: replace these; may be repeated.")
    ] = None,
    api: Api = None,
    as_json: Json = False,
) -> None:
    """Show the recording; start, stop or mark one; begin its next file."""
    words = " ".join(what or ())
    if (do in _NEEDS) != bool(words):
        raise ConfigError(f"write: record {do} {_NEEDS[do]}" if do in _NEEDS else f"record {do} takes nothing more")
    with _client(context, api) as client:
        if do == "show":
            found = client.ask("GET", "/v1/recordings").said["recordings"]
        elif do == "start":
            new = {"name": words, "without_rdb": without_rdb, "redact": redact or []}
            found = [client.ask("POST", "/v1/recordings", new).said]
        elif do == "stop":
            found = [client.ask("DELETE", "/v1/recordings").said]
        else:
            found = [client.ask("POST", f"/v1/recordings/{do}", {"note": words} if words else None).said]
    _show({"recordings": found}, as_json, control_tables.recordings)


_NEEDS = {"start": "NAME.pcapng", "mark": "NOTE"}


def _is_reached(place: str, end: str) -> bool:
    """Whether a place among the events, RUN-NUMBER, is not before another one of the same run."""
    return bool(place) and int(place.rpartition("-")[2]) >= int(end.rpartition("-")[2])


def _condition(text: str) -> tuple[str, Any]:
    """FIELD=VALUE. Numbers, true and false are those of JSON; all else is text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"{text}: write FIELD=VALUE, such as reason.code=offset_*")
    with contextlib.suppress(ValueError):
        found = json.loads(value)
        if isinstance(found, bool | int | float):
            return name, found
    return name, value
