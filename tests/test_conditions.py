"""Conditions on events: what they match, and which are impossible."""

from __future__ import annotations

import pytest

from tap.bus import Told
from tap.conditions import Conditions, check, event_named, matches
from tap.errors import ConfigError
from tap.replication import events

FULL = events.FullResync(
    start=0, end=1, replid="a" * 40, offset=7, reason=events.Reason(code="first_sync", text="it is new")
)
COMMANDS = events.Commands(
    start=0,
    end=100,
    offset=None,
    count=4,
    bytes=100,
    by_name={"SET": events.Share(count=3, bytes=80)},
    db=0,
    in_transaction=False,
)


@pytest.mark.parametrize(
    ("event", "where", "is_met"),
    [
        (FULL, {"reason.code": "first*", "offset": 7, "link": "main"}, True),
        (FULL, {"reason.code": "legacy*"}, False),
        (FULL, {"offset": 8}, False),
        (FULL, {"offset": "7"}, True),
        (FULL, {"channel": "main", "connection": 3}, True),
        (FULL, {"channel": "r*"}, False),
        (COMMANDS, {"by_name.SET.count": 3}, True),
        (COMMANDS, {"by_name.GET.count": 3}, False),
        (COMMANDS, {"offset": "", "in_transaction": False}, True),
    ],
)
def test_fields_are_compared_by_glob_or_value_also_nested_ones(
    event: events.Event, where: Conditions, is_met: bool
) -> None:
    check(type(event), where)
    assert matches(Told(1.0, "main", 3, "10.0.0.7:6379", event), where) == is_met


@pytest.mark.parametrize(
    ("event", "where", "says"),
    [
        (
            "full_resync",
            {"ofset": 1},
            "full_resync has no field 'ofset'; known: channel, connection, end, link, offset, ",
        ),
        ("full_resync", {"ofset": 1}, " Did you mean 'offset'?"),
        ("full_resync", {"event": "x"}, "full_resync has no field 'event'"),
        (
            "full_resync",
            {"reason.cod": "x"},
            "full_resync.reason has no field 'cod'; "
            "known: causes, code, inference, known_from, text. Did you mean 'code'?",
        ),
        ("full_resync", {"reason.code.x": "y"}, "full_resync.reason.code has no fields, so no 'x' either"),
        (
            "full_resync",
            {"reason": "x"},
            "full_resync.reason is an object: compare what is in it: reason.code, reason.text",
        ),
        ("commands", {"by_name.SET.cuont": 1}, "commands.by_name.SET has no field 'cuont'; known: bytes, count."),
        ("commands", {"by_name": 1}, "commands.by_name is an object: compare what is in it: by_name.NAME"),
        (
            "full_resync",
            {"channel": "mian"},
            "full_resync.channel is never 'mian'; known: main, rdb. Did you mean 'main'?",
        ),
        ("link_closed", {"by": "Master"}, "link_closed.by is never 'Master'; known: master, replica, tap."),
        ("partial_resync", {"replid": 5}, "partial_resync.replid is text: write it in quotes"),
        ("rdb_finished", {"largest": 5}, "rdb_finished.largest is a list, and cannot be compared with a value"),
    ],
)
def test_an_impossible_condition_is_refused(event: str, where: Conditions, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(event_named(event), where)
    assert says in str(caught.value)


def test_an_unknown_event_gets_a_suggestion() -> None:
    assert event_named("full_resync") is events.FullResync
    with pytest.raises(ConfigError, match=r"unknown event 'ful_resync'; known: .* Did you mean 'full_resync'\?"):
        event_named("ful_resync")


@pytest.mark.parametrize("kind", events.EVENTS.values(), ids=lambda kind: kind.kind)
def test_every_field_of_every_event_can_be_a_condition(kind: type[events.Event]) -> None:
    with pytest.raises(ConfigError) as caught:
        check(kind, {"?": 1})
    for name in str(caught.value).partition("known: ")[2].partition(".")[0].split(", "):
        try:
            check(kind, {name: "*"})
        except ConfigError as error:
            assert "is an object" in str(error) or "is a list" in str(error)  # noqa: PT017
