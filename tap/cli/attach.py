"""`redis-tap attach`: step in between a replica and its master while they run, and out again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tap.cli.options import given, takes
from tap.cli.run import relay
from tap.cli.ui import chosen
from tap.config import LinkConfig
from tap.config.config import Config
from tap.config.link_config import MASTER_TLS
from tap.console.stderr import say
from tap.console.terminal import Terminal
from tap.errors import Sentence
from tap.operate.attach_state import refuse_second, state_path
from tap.operate.attachment import Attachment, check, reachable_at
from tap.operate.live_pair import LivePair, examine
from tap.servers.shell import replicaof
from tap.tap import Tap
from tap.url import Address, Url

# The link's master is found, and there is one link.
NOT_HERE = ("master", "transparent", "links")
LISTEN = "Where the replica connects; a free port on this machine's address towards the replica if not given."


@takes(LinkConfig, Config, without=NOT_HERE, helps={"listen": LISTEN})
def attach(
    replica: Annotated[str, typer.Argument(metavar="REPLICA_URL", help="The replica: HOST:PORT, or redis://...")],
    *,
    master: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="How this machine reaches the master, with a login that may run INFO; as the replica if not given.",
        ),
    ] = None,
    tap_address: Annotated[
        str | None,
        typer.Option(metavar="HOST[:PORT]", help="Where the replica reaches the tap, if not where it listens (NAT)."),
    ] = None,
    full_ok: Annotated[bool, typer.Option("--full-ok", help="Attach even if that costs a full resync.")] = False,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to note how to give the replica back.")
    ] = None,
    **options: Any,
) -> None:
    """Step in between a replica and its master while they run, by a partial resync, and out again at the end.

    Takes the options of run. However it ends, even by kill -9, redis-tap detach gives the replica back to its master.
    """
    url = Url.parse(replica)
    path = state or state_path(url)
    refuse_second(path)  # after one that was killed, examine() would take the tap that is gone for the master
    of_link, of_tap = given(LinkConfig, options), given(Config, options)
    reached = None if tap_address is None else Address.parse(tap_address, default_port=0)
    tls_options = {name: of_link[name] for name in MASTER_TLS if name in of_link}
    pair = asyncio.run(
        examine(url, None if master is None else Url.parse(master), tls_options, tls=bool(of_link.get("tls")))
    )
    listen = of_link.pop("listen", None) or _listening(pair)
    link = LinkConfig(**of_link | {"master": pair.master.endpoint, "listen": listen})
    check(pair, speaks_tls=link.listen_cert is not None, full_ok=full_ok)
    reachable_at(pair, link.listen, reached)  # raises before anything listens
    console = Terminal()
    config = Config(**of_tap, links=link)
    config = replace(config, ui=chosen(config.ui, console))
    say(*_intentions(pair, path))
    later: list[str] = []
    try:
        relay(config, console, _beside(pair, reached, path, full_ok, later.append if config.ui == "live" else say))
    finally:
        say(*later)


def _listening(pair: LivePair) -> str:
    return f"[{pair.here}]:0" if ":" in pair.here else f"{pair.here}:0"


def _intentions(pair: LivePair, path: Path) -> list[Sentence]:
    name = pair.replica.address
    said = [f"{name} follows {pair.followed}"]
    if pair.master.address != pair.followed:
        said[0] += f", which is {pair.master.address} from here"
    said[0] += f"; {pair.forecast.text}"
    if pair.sub_replicas:
        said.append(f"{name} has replicas of its own ({pair.sub_replicas}): each move makes them reconnect, too")
    if pair.needs_replicas:
        said.append(
            f"WARNING: {pair.followed} has min-replicas-to-write: if it needs this replica, writes fail for a moment in "
            "each move"
        )
    if pair.config_file:
        said.append(
            f"do not run CONFIG REWRITE on {name} meanwhile: it would write the tap's address into {pair.config_file}"
        )
    said += [f"could not be read: {one}" for one in pair.unseen]
    # Commands on lines of their own: they are to be pasted.
    by_hand = replicaof(pair.replica, pair.followed)
    return [*said, ("if this is killed, either command gives the replica back:", f"redis-tap detach {path}", by_hand)]


def _beside(
    pair: LivePair, reached: Address | None, path: Path, full_ok: bool, tell: Callable[[str], None]
) -> Callable[[Tap, asyncio.Event], Any]:
    async def attached(tap: Tap, stop: asyncio.Event) -> None:
        attachment = Attachment(pair, reachable_at(pair, tap.address, reached), path, say=tell, full_ok=full_ok)
        await attachment.hold(tap, stop)

    return attached
