"""The announcements of a tap complete the event that the bytes make, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap.recording.announcements import Announcements
from tap.recording.comments import Comment, parse
from tap.replication import events

BASE = {"time": 1.0, "link": "main", "connection": 1, "replica": "r"}


def comment(kind: str, **fields: Any) -> Comment:
    found = parse(json.dumps({"event": kind, **BASE, **fields}))
    assert found is not None
    return found


def partial(least: int) -> events.PartialResync:
    return events.PartialResync(
        start=0, end=9, replid="a" * 40, previous_replid=None, offset=7, bytes_behind=None, bytes_behind_at_least=least
    )


def test_an_event_is_completed_once() -> None:
    said = Announcements()
    fields = events.as_dict(partial(5))
    said.hear(comment(fields.pop("event"), **fields))
    assert said.completed(partial(0)) == partial(5)
    assert said.completed(partial(0)) == partial(0)


def full(reason: events.Reason) -> events.FullResync:
    return events.FullResync(start=0, end=9, replid="a" * 40, offset=7, reason=reason)


def handshake(start: int, sent: tuple[str, ...] | None = None) -> events.Handshake:
    return events.Handshake(start=start, end=start + 5, request=("PING",), reply="+PONG", sent=sent)


KNOWN = events.Reason(code="forced_by_fault", text="a fault had it so")
GUESSED = events.Reason(code="unknown", text="")


@pytest.mark.parametrize(
    ("announced", "made", "completed"),
    [
        (partial(5), partial(0), partial(5)),
        (partial(5), full(GUESSED), full(GUESSED)),
        (full(KNOWN), full(GUESSED), full(KNOWN)),
        (full(KNOWN), partial(0), partial(0)),
        (handshake(3, ("PING", "x")), handshake(3), handshake(3, ("PING", "x"))),
        (handshake(3, ("PING", "x")), handshake(4), handshake(4)),
        (handshake(3, ("PING", "x")), partial(0), partial(0)),
    ],
)
def test_each_kind_of_event_takes_what_bytes_do_not_say_from_its_own_announcement(
    announced: events.Event, made: events.Event, completed: events.Event
) -> None:
    said = Announcements()
    fields = json.loads(json.dumps(events.as_dict(announced)))
    said.hear(comment(fields.pop("event"), **fields))
    other = events.Keepalive(start=0, end=1, side=events.Side.MASTER)
    assert said.completed(other) is other
    assert said.completed(made) == completed
    assert said.completed(made) is made, "an announcement is of one event"


def test_a_comment_whose_fields_do_not_fit_completes_nothing() -> None:
    said = Announcements()
    said.hear(comment("partial_resync", offset="seven"))
    assert said.completed(partial(0)) == partial(0)


def test_the_offsets_of_a_gap_apply_to_one_gap() -> None:
    said = Announcements()
    said.hear(comment("rdb_omitted", start=1, end=2))
    said.hear(comment("recording_gap", side="master", from_offset=10, to_offset="x"))
    assert said.take_gap() == (True, (10, None))
    assert said.take_gap() == (False, (None, None))


def test_a_gap_of_the_replica_does_not_affect_the_masters() -> None:
    said = Announcements()
    said.hear(comment("recording_gap", side="replica", from_offset=10, to_offset=20))
    assert said.take_gap() == (False, (None, None))


def test_an_estimate_in_an_older_recording_completes_nothing() -> None:
    said = Announcements()
    fields = events.as_dict(partial(0)) | {"bytes_behind": 1234}
    del fields["bytes_behind_at_least"]
    said.hear(comment(fields.pop("event"), **fields))
    assert said.completed(partial(0)) == partial(0)
