"""The state that the parts of a conversation share."""

from __future__ import annotations

import pytest

from tap.replication import events
from tap.replication.events import Event, Role, Side
from tap.replication.identity import Identity
from tap.replication.phase import Lost, Phase
from tap.replication.state import State


def state(told: list[Event]) -> State:
    return State(
        told.append,
        1,
        Identity("10.0.0.7", 0),
        every_command=False,
        every_key=False,
        max_command=0,
        tell_heads=None,
        wants=lambda kind: True,
    )


def test_a_step_out_of_order_is_not_taken() -> None:
    one = state([])
    one.enter(Phase.PSYNC)
    with pytest.raises(Lost, match="rdb does not follow psync"):
        one.enter(Phase.RDB)
    assert one.step is Phase.PSYNC


def test_a_keepalive_is_reported_once_for_a_side_and_phase() -> None:
    told: list[Event] = []
    one = state(told)
    one.keep_alive(Side.MASTER, 0, 1)
    one.keep_alive(Side.MASTER, 1, 2)
    one.keep_alive(Side.REPLICA, 0, 1)
    one.enter(Phase.HANDSHAKE)
    one.keep_alive(Side.MASTER, 2, 3)
    assert [event.side for event in told if isinstance(event, events.Keepalive)] == [
        Side.MASTER,
        Side.REPLICA,
        Side.MASTER,
    ]


def test_a_role_is_reported_once_but_an_ordinary_connection_may_become_a_replica() -> None:
    told: list[Event] = []
    one = state(told)
    one.role = Role.ORDINARY
    one.identify(Role.REPLICA, 5, 9)
    one.identify(Role.RDB_CLIENT, 9, 12)
    (identified,) = told
    assert isinstance(identified, events.Identified)
    assert (identified.role, identified.start, identified.end) == (Role.REPLICA, 5, 9)
    assert "an ordinary connection until now" in identified.text


def test_before_a_stream_the_offset_is_that_of_the_rdb_and_only_a_replica_has_one() -> None:
    one = state([])
    one.base = 77
    assert one.offset is None
    one.role = Role.REPLICA
    assert one.offset == 77
    one.acked = 80
    assert one.offset == 80
