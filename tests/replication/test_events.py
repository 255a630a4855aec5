"""Events as JSON, and back."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import events, json_values

WORDS = st.binary(max_size=40) | st.text(max_size=40).map(str.encode) | st.binary(max_size=9).map(b"base64:".__add__)


@given(st.lists(WORDS, max_size=5))
def test_arguments_have_one_type_whatever_they_hold(args: list[bytes]) -> None:
    command = events.Command(start=0, end=1, offset=1, db=0, name="SET", args=tuple(args), in_transaction=False)
    said = events.as_dict(command)["args"]
    assert [type(one) for one in said] == [str] * len(args)
    assert [events.as_bytes(one) for one in said] == args


def test_every_byte_string_of_an_event_is_converted() -> None:
    key = events.LargeKey(db=0, key=b"\xff", type="string", serialized_bytes=1, elements=1)
    assert json_values.plain(key)["key"] == "base64:" + base64.b64encode(b"\xff").decode()


@pytest.mark.parametrize(
    "event",
    [
        events.FullResync(
            start=1, end=2, replid="a" * 40, offset=7, reason=events.Reason(code="first_sync", text="none"),
            channel=events.Channel.RDB,
        ),
        events.PartialResync(start=1, end=2, replid=None, previous_replid=None, offset=None, bytes_behind=3),
        events.Handshake(start=1, end=2, request=("PING",), reply="+PONG", sent=("PING", "x")),
        events.LinkOpened(peer="p", master="m"),
    ],
)  # fmt: skip
def test_an_event_comes_back_from_its_object(event: events.Event) -> None:
    assert events.from_dict(events.as_dict(event)) == event
    assert events.from_dict(json.loads(events.json_line(events.as_dict(event))) | {"more": 1}) == event


def test_anything_but_an_event_is_ignored_or_refused() -> None:
    assert events.from_dict({"event": "other"}) is None
    said = events.as_dict(events.LinkOpened(peer="p", master="m"))
    for wrong, error in (({**said, "peer": 5}, TypeError), ({"event": "link_opened"}, TypeError)):
        with pytest.raises(error):
            events.from_dict(wrong)
    full = events.as_dict(
        events.FullResync(start=1, end=2, replid=None, offset=None, reason=events.Reason(code="a", text="b"))
    )
    with pytest.raises(ValueError, match="sideways"):
        events.from_dict({**full, "channel": "sideways"})
