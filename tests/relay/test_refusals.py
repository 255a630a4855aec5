"""Refused connections, as events."""

from __future__ import annotations

from tap.relay.admission import Refused
from tap.relay.refusals import Refusals
from tap.replication import events


def test_each_limit_names_the_last_connection_that_it_refused() -> None:
    told: list[events.Event] = []
    refusals = Refusals(told.append)
    of_all, of_address = Refused("max_connections", 9), Refused("max_connections_per_address", 2)
    for refused, peer in ((of_all, "a:1"), (of_all, "b:1"), (of_address, "c:1"), (of_address, "d:1")):
        refusals.add(refused, peer, 1.0)
    refusals.settle(1000.0)
    assert told == [
        events.ConnectionsRefused(count=1, peer="a:1", limit="max_connections", most=9),
        events.ConnectionsRefused(count=1, peer="b:1", limit="max_connections", most=9),
        events.ConnectionsRefused(count=2, peer="d:1", limit="max_connections_per_address", most=2),
    ]
