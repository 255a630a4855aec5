"""What of a recording is asked for, event by event, and what is said where nothing came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tap.bus import Told
from tap.errors import ConfigError
from tap.recording.wanted import Wanted
from tap.replication import events


def command(
    name: str,
    *args: bytes,
    db: int | None = 0,
    offset: int | None = 100,
    at: float = 5.0,
    link: str = "a",
    number: int = 3,
) -> Told:
    event = events.Command(start=0, end=10, offset=offset, db=db, name=name, args=args, in_transaction=False)
    return Told(at, "a", 3, "", event)


SET = command("SET", b"user:1", b"v")


@pytest.mark.parametrize(
    ("wanted", "told", "has"),
    [
        ({}, SET, True),
        ({"links": ["a"]}, SET, True),
        ({"links": ["a/3"]}, SET, True),
        ({"links": ["a/4", "b"]}, SET, False),
        ({"dbs": [0]}, SET, True),
        ({"dbs": [1]}, SET, False),
        ({"dbs": [0]}, command("SET", b"k", b"v", db=None), False),
        ({"names": ["set"]}, SET, True),
        ({"names": ["GET"]}, SET, False),
        ({"globs": ["user:*"]}, SET, True),
        ({"globs": [b"order:*", "u?er:1"]}, SET, True),
        ({"globs": ["v"]}, SET, False),
        ({"names": ["SET"], "dbs": [1]}, SET, False),
        ({"dbs": [1]}, command("FLUSHALL"), True),
        ({"dbs": [1]}, command("COPY", b"a", b"b", b"DB", b"1"), True),
        ({"dbs": [1], "globs": ["a"]}, command("COPY", b"a", b"b", b"DB", b"1"), False),
        ({"dbs": [1], "globs": ["b"]}, command("COPY", b"a", b"b", b"DB", b"1"), True),
        ({"begin": 100, "end": 100}, SET, True),
        ({"begin": 101}, SET, False),
        ({"end": 99}, SET, False),
        ({"begin": 1}, command("SET", b"k", b"v", offset=None), False),
        ({"begin": datetime.fromtimestamp(5, UTC), "end": datetime.fromtimestamp(5, UTC)}, SET, True),
        ({"begin": datetime.fromtimestamp(5.1, UTC)}, SET, False),
        ({"end": datetime.fromtimestamp(4.9, UTC)}, SET, False),
    ],
)
def test_whether_a_command_is_asked_for(wanted: dict[str, Any], told: Told, has: bool) -> None:
    assert Wanted(**wanted).has(told) is has


def keepalive(number: int = 3) -> Told:
    return Told(5.0, "a", number, "", events.Keepalive(start=0, end=1, side=events.Side.MASTER))


def test_with_a_filter_for_commands_no_other_event_is_asked_for() -> None:
    assert Wanted().has(keepalive())
    for filters in ({"dbs": [0]}, {"names": ["SET"]}, {"globs": ["*"]}):
        assert not Wanted(**filters).has(keepalive())


def test_an_event_without_an_offset_is_where_its_connection_is() -> None:
    wanted = Wanted(begin=100)
    assert not wanted.has(keepalive())
    assert not wanted.has(command("SET", b"k", b"v", offset=99))
    assert not wanted.has(keepalive())
    assert wanted.has(command("SET", b"k", b"v", offset=100))
    assert wanted.has(keepalive())
    assert not wanted.has(keepalive(number=4)), "of another one that is not known"


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(ConfigError):
        Wanted(begin=2, end=1)


def test_what_is_not_there_is_said_with_what_is() -> None:
    wanted = Wanted(links=["b"])
    wanted.has(SET)
    assert wanted.missing == "--link b: not in it; its links: a"
    wanted = Wanted(dbs=[7])
    wanted.has(SET)
    wanted.has(command("DEL", b"k", db=None))
    assert wanted.lacks == [
        "--db 7: the db of 1 command is not known, for the recording has no SELECT before it; it is left out"
    ]
