"""What a recording says of how a link stands: comments of a tap, and comments that no tap has written."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tap.bus import Told
from tap.capture import pcapng
from tap.capture.pcapng import Packet
from tap.recording.comments import LinkState, as_comment, from_comment
from tap.recording.reader import Player
from tap.replication import events
from tap.replication.passing import PassingStanding
from tap.replication.standing import Standing
from tests.recording.wires import Wire, streamed
from tests.relay.wire import command


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"db": 2**70}, "Python int too large"),
        (
            {"phase": "ordinary", "passing": PassingStanding((0,) * 10, "psync", "", (0,) * 10, 2**70, True)},
            None,
        ),  # not followed
        ({"phase": "nowhere"}, "'nowhere' is not a valid Phase"),
    ],
)
def test_a_comment_on_how_a_link_stands_that_cannot_be_is_said_and_ends_nothing(
    changes: dict[str, Any], why: str | None
) -> None:
    standing = Standing(
        phase="stream", role=events.Role.REPLICA, from_master=100, from_replica=50, options={}, replid="a" * 40,
        offset=100, db=0, in_transaction=False, unfinished="", has_begun=True, acknowledges=False, rdb=None, main=None,
        awaited=(),
    )  # fmt: skip
    state = LinkState(
        time=1.0, link="main", connection=1, replica="r", peer="a:1", master="b:2", begins=False, said=(),
        standing=dataclasses.replace(standing, **changes),
    )  # fmt: skip
    wire = Wire()
    wire.send(0, command("REPLCONF", "ACK", "100"))
    wire.send(1, command("PING"))
    heard: list[Told] = []
    player = Player(heard.append)
    for (at, data), said in zip(wire.packets, [(as_comment(state),), ()], strict=True):
        player.packet(Packet(at, pcapng.RAW_IP, data, len(data), said))
    player.close()
    reasons = [one.event.reason for one in heard if isinstance(one.event, events.Opaque)]
    assert len(reasons) == (why is not None)
    assert why is None or f"the file says of it what cannot be: {why}" in reasons[0]


SAID = {
    "event": "link_opened",
    "time": 1.0,
    "link": "main",
    "connection": 1,
    "replica": "r",
    "peer": "a:1",
    "master": "b:2",
}


@pytest.mark.parametrize(
    "comment",
    [
        "[" * 60_000,
        '{"event":' * 60_000,
        json.dumps(SAID)[:-1] + ', "x": ' + "[" * 60_000,
        json.dumps(SAID).replace("1.0", "9" * 400),
        json.dumps(SAID).replace("1.0", "9" * 5000),
        json.dumps(SAID).replace("1.0", "NaN"),
        json.dumps(SAID).replace("1.0", "-Infinity"),
        json.dumps(SAID).replace(": 1,", f": {10**400},"),
        json.dumps(SAID),  # on a packet that opens nothing
    ],
    ids=repr,
)
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_no_comment_ends_the_reading(comment: str, number: int) -> None:
    wire = streamed([command("SET", "a", "b")])
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for place, (at, data) in enumerate(wire.packets[number:]):
        player.packet(Packet(at, pcapng.RAW_IP, data, len(data), () if place else (comment,)))
    player.close()
    assert [one.event.name for one in heard if isinstance(one.event, events.Command)] == ["SET"]


STATE = LinkState(
    time=1.5, link="main", connection=1, replica="r", peer="a:1", master="b:2", standing=None, begins=True,
    said=({"event": "tls"},), held=7, lost=(30, 40),
)  # fmt: skip


def test_what_is_said_is_read_back() -> None:
    assert from_comment(json.loads(as_comment(STATE))) == STATE


@pytest.mark.parametrize(
    "changes",
    [{"event": "link_opened"}, {"event": None}, {"connection": "one"}, {"lost": [1]}, {"standing": {"phase": "rdb"}}],
)
def test_another_comment_is_none(changes: dict[str, Any]) -> None:
    assert from_comment({**json.loads(as_comment(STATE)), **changes}) is None
    assert from_comment({}) is None


@pytest.mark.parametrize("name", ["time", "link", "begins", "standing"])
def test_one_that_lacks_a_field_is_none(name: str) -> None:
    said = json.loads(as_comment(STATE))
    del said[name]
    assert from_comment(said) is None


def test_bytes_before_it_are_those_that_were_lost_or_those_of_the_standing() -> None:
    assert (STATE.from_replica, STATE.from_master) == (30, 40)
    standing = Standing(
        phase="stream", role=None, from_master=100, from_replica=50, options={}, replid=None, offset=None, db=None,
        in_transaction=False, unfinished="", has_begun=True, acknowledges=False, rdb=None, main=None, awaited=(),
    )  # fmt: skip
    there = dataclasses.replace(STATE, standing=standing)
    assert (there.from_replica, there.from_master) == (50, 100)
    assert from_comment(json.loads(as_comment(there))) == there
