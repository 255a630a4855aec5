"""Filters, event by event, and the remarks if nothing matches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tap.bus import Told
from tap.errors import ConfigError
from tap.recording.batch import Batch
from tap.recording.filters import Filters
from tap.recording.missing import Account, Missing
from tap.replication import events
from tap.replication.dbs import EVERY_DB
from tap.replication.heads import Head


def command(
    name: str,
    *args: bytes,
    db: int | None = 0,
    offset: int | None = 100,
) -> Told:
    event = events.Command(start=0, end=10, offset=offset, db=db, name=name, args=args, in_transaction=False)
    return Told(5.0, "a", 3, "", event)


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
        ({"begin": 99, "end": 99}, SET, False),
        ({"begin": datetime.fromtimestamp(5, UTC), "end": 99}, SET, False),
        ({"begin": datetime.fromtimestamp(5, UTC), "end": 100}, SET, True),
        ({"begin": 100, "end": datetime.fromtimestamp(4.9, UTC)}, SET, False),
        ({"end": 99}, SET, False),
        ({"begin": 1}, command("SET", b"k", b"v", offset=None), False),
        ({"begin": datetime.fromtimestamp(5, UTC), "end": datetime.fromtimestamp(5, UTC)}, SET, True),
        ({"begin": datetime.fromtimestamp(5.1, UTC)}, SET, False),
        ({"end": datetime.fromtimestamp(4.9, UTC)}, SET, False),
    ],
)
def test_a_command_is_wanted_or_not(wanted: dict[str, Any], told: Told, has: bool) -> None:
    assert Filters(**wanted).has(told) is has


def keepalive(number: int = 3) -> Told:
    return Told(5.0, "a", number, "", events.Keepalive(start=0, end=1, side=events.Side.MASTER))


def test_with_a_filter_for_commands_no_other_event_is_wanted() -> None:
    assert Filters().has(keepalive())
    for filters in ({"dbs": [0]}, {"names": ["SET"]}, {"globs": ["*"]}):
        assert not Filters(**filters).has(keepalive())


def test_an_event_without_an_offset_is_where_its_connection_is() -> None:
    wanted = Filters(begin=100)
    assert not wanted.has(keepalive())
    assert not wanted.has(command("SET", b"k", b"v", offset=99))
    assert not wanted.has(keepalive())
    assert wanted.has(command("SET", b"k", b"v", offset=100))
    assert wanted.has(keepalive())
    assert not wanted.has(keepalive(number=4))  # of another connection, which is not known


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(ConfigError):
        Filters(begin=2, end=1)


def test_absent_things_are_reported_with_those_that_exist() -> None:
    wanted = Filters(links=["b"])
    wanted.has(SET)
    assert wanted.missing == "--link b: not in it; its links: a"
    wanted = Filters(dbs=[7])
    wanted.has(SET)
    wanted.has(command("DEL", b"k", db=None))
    assert wanted.lacks == [
        "--db 7: the db of 1 command is not known, as the recording has no SELECT before it; it is left out"
    ]


# ---- many commands at once ----

HEADS: list[Head] = [
    (10, 10, 0, "SET", (b"user:1",), ()),
    (30, 20, 1, "DEL", (b"user:2", b"other"), ()),
    (40, 10, 0, "FLUSHALL", (), ((EVERY_DB, ()),)),
    (50, 10, 0, "COPY", (b"a",), ((2, (b"b",)),)),
    (60, 10, None, "SET", (b"k",), ()),
]


def batch(base: int | None = 100, at: float = 5.0) -> Batch:
    return Batch(at, "a", 3, "f" * 40, base, HEADS)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    ("wanted", "ends"),
    [
        ({}, [10, 30, 40, 50, 60]),
        ({"links": ["a/3"]}, [10, 30, 40, 50, 60]),
        ({"links": ["a/4"]}, None),
        ({"begin": 130}, [30, 40, 50, 60]),
        ({"begin": 131, "end": 150}, [40, 50]),
        ({"end": 109}, None),
        ({"begin": moment(5), "end": moment(5)}, [10, 30, 40, 50, 60]),
        ({"begin": moment(5.001)}, None),
        ({"end": moment(4.999)}, None),
        ({"begin": moment(4), "end": 110}, [10]),
    ],
)
def test_of_many_commands_those_in_time_are_kept(wanted: dict[str, Any], ends: list[int] | None) -> None:
    found = Filters(**wanted).within(batch())
    assert (None if found is None else [head[0] for head in found.heads]) == ends


def test_without_a_known_offset_none_is_within_offsets() -> None:
    assert Filters(begin=1).within(batch(None)) is None
    assert Filters(end=10**9).within(batch(None)) is None
    assert Filters(begin=moment(1)).within(batch(None)) == batch(None)


@pytest.mark.parametrize(
    ("wanted", "ends"),
    [
        ({}, [10, 30, 40, 50, 60]),
        ({"names": ["set"]}, [10, 60]),
        ({"dbs": [0]}, [10, 40, 50]),
        ({"dbs": [1]}, [30, 40]),
        ({"dbs": [2]}, [40, 50]),
        ({"dbs": [2], "globs": ["b"]}, [50]),
        ({"dbs": [2], "globs": ["a"]}, []),
        ({"dbs": [0], "globs": ["a"]}, [50]),
        ({"globs": ["oth*", "k"]}, [30, 60]),
        ({"globs": ["b"]}, [50]),
        ({"names": ["COPY", "DEL"], "globs": ["user:*"]}, [30]),
    ],
)
def test_of_many_commands_only_matching_ones_are_kept(wanted: dict[str, Any], ends: list[int]) -> None:
    assert [head[0] for head in Filters(**wanted).matching(batch()).heads] == ends


def test_of_many_commands_those_without_a_db_are_counted_if_they_may_be_wanted() -> None:
    for filters, lacks in (({"dbs": [1]}, 1), ({"dbs": [1], "globs": ["x"]}, 0), ({"names": ["SET"]}, 0)):
        wanted = Filters(**filters)
        wanted.matching(batch())
        assert len(wanted.lacks) == lacks
        one = Filters(**filters)
        assert not one.has(command("DEL", b"k", db=0))
        assert one.lacks == []
        one.has(command("DEL", b"k", db=None))
        assert len(one.lacks) == lacks


# ---- unread bytes, and remarks ----


def lacking(**changes: Any) -> Missing:
    fields: dict[str, Any] = {
        "cause": "gap", "link": "a", "connection": 3, "side": events.Side.MASTER, "start": 0, "end": 10, "lost_bytes": 10,
        "is_rdb": False, "replid": "f" * 40, "from_offset": 100, "to_offset": 110, "since": 5.0, "until": 6.0,
        "reason": "",
    }  # fmt: skip
    return Missing(**{**fields, **changes})


@pytest.mark.parametrize(
    ("wanted", "changes", "may"),
    [
        ({}, {}, True),
        ({"links": ["b"]}, {}, False),
        ({}, {"is_rdb": True}, True),
        ({"dbs": [1]}, {}, True),
        ({"dbs": [1]}, {"is_rdb": True}, False),
        ({"names": ["SET"]}, {"side": events.Side.REPLICA}, False),
        ({"begin": moment(6)}, {}, True),
        ({"begin": moment(6.001)}, {}, False),
        ({"end": moment(5)}, {}, True),
        ({"end": moment(4.999)}, {}, False),
        ({"begin": 110}, {}, True),
        ({"begin": 111}, {}, False),
        ({"begin": 111}, {"to_offset": None}, True),
        ({"end": 101}, {}, True),
        ({"end": 100}, {}, False),
        ({"end": 100}, {"from_offset": None}, True),
        ({"begin": 1, "end": 100}, {}, False),
    ],
)
def test_unread_bytes_may_be_wanted(wanted: dict[str, Any], changes: dict[str, Any], may: bool) -> None:
    assert Filters(**wanted).may_lack(lacking(**changes)) is may


def heard(wanted: Filters) -> Filters:
    for told in (SET, command("DEL", b"k", db=2)):
        wanted.has(told)
    return wanted


@pytest.mark.parametrize(
    ("filters", "total", "count", "said"),
    [
        ({}, 2, 2, []),
        ({}, 0, 0, []),
        ({"names": ["set"]}, 2, 1, []),
        ({"dbs": [2, 0], "globs": ["it's"]}, 2, 0, ["0 of 2 commands match --db 0,2 --key 'it'\"'\"'s'"]),
        ({"dbs": [7]}, 1, 0, ["0 of 1 command matches --db 7", "--db 7: no command was executed in it; its dbs: 0, 2"]),
        ({"names": ["get", "DEL"]}, 2, 0, ["0 of 2 commands match --command DEL,GET; its commands: DEL, SET. "
         "Did you mean 'SET'?"]),
        ({"globs": ["a", "b"]}, 0, 0, ["0 of 0 commands match --key a --key b"]),
    ],
)  # fmt: skip
def test_filters_without_matches_are_reported(filters: dict[str, Any], total: int, count: int, said: list[str]) -> None:
    assert heard(Filters(**filters)).remarks(Account(), total, count) == said


def test_a_moment_outside_the_recording_is_reported_once_it_has_ended() -> None:
    account = Account(first=10**9, last=2 * 10**9)
    account.read("a", 3, "f" * 40, 100, 200)
    account.read("b", 4, "f" * 40, 300, 400)
    (late,) = Filters(begin=moment(3)).remarks(account, 0, 0)
    assert late.startswith("--from ")
    assert "lies after the end of the recording" in late
    assert Filters(begin=moment(3)).remarks(account, 0, 0, grows=True) == []
    assert Filters(begin=201, links=["a"]).outside(account) == [
        "--from 201 is more than the highest offset in the recording, 200"
    ]
    assert Filters(begin=400).outside(account) == Filters(begin=moment(3)).outside(Account()) == []
    assert Filters(end=1, names=["SET"]).remarks(account, 0, 0) == ["--until 1: the recording begins after offset 100"]
