"""What observers receive: events whose words others chose, for figures and for a user's script."""

from __future__ import annotations

import contextlib
import io
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tap.bus import Told
from tap.errors import ConfigError
from tap.observers.scripted import Message, ScriptTrouble, Through, load, message, packed
from tap.observers.series import MAX_SERIES
from tap.observers.statsd import DATAGRAM, Figures, datagrams
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Reason, Role, Side
from tap.status import LinkStatus, Status, connection_status
from tap.url import Address
from tests.fuzz.mutate import INTEGERS, damaged, lines, text

WORDS = [
    "-LOADING Redis is loading the dataset in memory",
    "-NOMASTERLINK Can't SYNC",
    "fin",
    "10.0.0.7:6379",
    "[fd00::5%eth0]:6380",
    "a.b:c|d@e#f",
    "\u202e\udcff\x00\n",
    "",
]
LINE = re.compile(
    r"redis_tap\.([A-Za-z0-9_-]{1,64}\.)?[a-z_]{1,64}(\.[A-Za-z0-9_-]{1,64})?:-?[0-9]+(\.[0-9]+)?\|(c|g|ms)"
)


def figures(rng: random.Random) -> list[tuple[str, int, float, Any]]:
    """A series of events: a link, a connection, a time, an event."""
    return [
        (_word(rng), rng.randrange(4), float(rng.randrange(100)), _event(rng))
        for _ in range(rng.choice([1, 5, 20, 20, 20, 20, 20, 20, 20, 3000]))
    ]


def _word(rng: random.Random) -> str:
    return rng.choice(WORDS) if rng.random() < 0.5 else text(rng.choice(WORDS), rng, WORDS)[:5000]


def _event(rng: random.Random) -> Any:
    count = rng.choice(INTEGERS)
    where: dict[str, Any] = {"start": 0, "end": 1}
    kinds: list[Callable[[], Any]] = [
        lambda: events.LinkOpened(peer=_word(rng), master=_word(rng)),
        lambda: events.ConnectionsRefused(count=count, peer=_word(rng), limit=_word(rng), most=count),
        lambda: events.LinkClosed(
            by=Side.MASTER,
            how=_word(rng),
            text=_word(rng),
            role=Role.REPLICA,
            phase="stream",
            offset=count,
            bytes_from_master=count,
            bytes_from_replica=count,
        ),
        lambda: events.FullResync(**where, replid=None, offset=count, reason=Reason(code=_word(rng), text=_word(rng))),
        lambda: events.ResyncRefused(**where, reply=_word(rng)),
        lambda: events.ReplicaTalkedBack(**where, what=_word(rng), text=_word(rng), count=count),
        lambda: events.FaultFired(
            fault=_word(rng),
            spec=_word(rng),
            text=_word(rng),
            side=Side.MASTER,
            phase="stream",
            position=0,
            offset=None,
            bytes=1,
            count=count,
        ),
        lambda: events.Ack(
            **where, offset=count, fsynced=None, lag_bytes=rng.choice([None, count]), lag_seconds=rng.choice([None, 1e9])
        ),
    ]
    return rng.choice(kinds)()


def figures_complaints(told: list[tuple[str, int, float, Any]], rng: random.Random) -> Iterator[str]:
    """Every line is valid StatsD, whatever the words; datagrams fit; names are bounded."""
    heard = Figures()
    for link, connection, time, event in told:
        heard.hear(Told(time, link, connection, "x", event))
    connections = []
    for number in range(3):
        idle = connection_status(Conversation(print), 0, number=number, link=_word(rng), peer="", master=None, opened=0)
        offset, lag_bytes = rng.choice([None, *INTEGERS]), rng.choice([None, *INTEGERS])
        connections.append(idle._replace(offset=offset, lag_bytes=lag_bytes, lag_seconds=rng.choice([None, 1e9])))
    main = LinkStatus("main", Address("127.0.0.1", 6400), Address("127.0.0.1", 6379), tuple(connections))
    said = heard.lines(Status(1e9, (main,)), rng.choice([None, 0, 2**70]))
    for line in said:
        if not LINE.fullmatch(line):
            yield f"no line of StatsD: {line[:300]!r}"
    for datagram in datagrams(said):
        if len(datagram) >= DATAGRAM:
            yield f"a datagram of {len(datagram)} bytes"
    if b"\n".join(datagrams(said)).decode().splitlines() != said:
        yield "the datagrams are not these lines"
    if len(said) > 2 * MAX_SERIES + 4 * len({link for link, *_ in told}) + 2000:
        yield f"{len(said)} lines"


# ---- a script ----

SCRIPTS = [
    "def on_event(told):\n    return told.event\n",
    "import json\nfrom dataclasses import dataclass\n\n@dataclass\nclass A:\n    x: int = 1\n\n"
    "def on_full_resync(told, more=A()):\n    pass\n",
    'on_ack = [].append\non_command = int\n"""text"""\n',
    "async def on_link_opened(told): pass\n",
    "# coding: latin-1\ndef on_commands(*told, **more):\n    x = f'{told!r:>{10}}'\n",
    "class on_event:\n    def __init__(self, told): self.told = told\n",
    "def on_link_closed(told):\n    match told:\n        case [1, *_]: yield 1\n",
    "raise SystemExit(3)\n",
    "on_event = lambda told: told\n",
]


def script(rng: random.Random) -> str:
    made = lines(rng.choice(SCRIPTS), rng, SCRIPTS)
    depth = rng.choice([10, 300, 60_000])
    deep = [
        f"x = {'(' * depth}{')' * depth}\n",
        f"x = {'-' * depth}1\n",
        f"x = {'a.' * depth}b\n",
        f"x = {'9' * depth}\n",
    ]
    return rng.choice(deep) + made if rng.random() < 0.1 else made


def script_complaints(given: str, rng: random.Random) -> Iterator[str]:
    """It is loaded, or refused in one line."""
    paths, modules = list(sys.path), set(sys.modules)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        path = Path(directory) / "script.py"
        path.write_bytes(given.encode("utf-8", "surrogateescape"))
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                load(path)
        except ConfigError as error:
            said = str(error)
            if "\n" in said and "\n" not in given:
                yield f"more than a line: {said[:300]!r}"
            if len(said) > 5000 + 10 * len(given):
                yield f"{len(said)} characters in an error: {said[:300]!r}"
        finally:
            sys.path[:] = paths
            for name in set(sys.modules) - modules:
                if name.startswith("redis-tap script"):
                    del sys.modules[name]


# ---- what the process of a script sends ----


def messages(rng: random.Random) -> bytes:
    """One message: of the kinds that there are, with other values in them, or damaged."""
    kinds: list[Callable[[], Message]] = [
        lambda: frozenset(rng.sample(sorted(events.EVENTS), rng.randint(0, 9))),
        lambda: frozenset({_word(rng)}),
        lambda: ScriptTrouble(_word(rng), rng.choice([None, _word(rng)])),
        lambda: Through(rng.choice(INTEGERS), rng.choice([True, False])),
        lambda: _word(rng),
    ]
    data = packed(rng.choice(kinds)())
    if rng.random() < 0.2:
        depth = rng.choice([b"[", b'{"text":', b'{"events":[']) * rng.choice([1, 300, 60_000])
        data = data.replace(rng.choice([b'"', b"[", b"1", b"true"]), depth, 1)
    return damaged(data, rng) if rng.random() < 0.7 else data


def messages_complaints(data: bytes, rng: random.Random) -> Iterator[str]:
    """It is a message of one of the kinds, or refused in one line."""
    try:
        said = message(data)
    except ValueError as error:
        if "\n" in str(error):
            yield f"more than a line: {error}"
        return
    match said:
        case (
            str()
            | frozenset()
            | ScriptTrouble(text=str(), traceback=str() | None)
            | Through(failures=int(), is_over=bool())
        ):
            pass
        case _:
            yield f"a {type(said).__name__}"
