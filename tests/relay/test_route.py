"""The settings of a link, as its connections get them."""

from __future__ import annotations

import dataclasses

import pytest

from tap import Address, Config, LinkConfig
from tap.relay.route import Route


def test_a_link_has_its_own_settings_or_those_of_the_tap() -> None:
    master = Address("10.0.0.5", 6379)
    link = LinkConfig(name="eu", master=master, mask=["capa:psync2"])
    route = Route.of(link, Config(links=(link,), announce="keep", connect_timeout=3.0, drain_timeout=7.0))
    assert (route.name, route.master, route.masked, route.keeps_address) == ("eu", master, ("psync2",), True)
    assert (route.connect_timeout, route.drain_timeout, route.tls, route.is_transparent) == (3.0, 7.0, False, False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        route.name = "us"  # type: ignore[misc]


def test_a_transparent_link_has_a_route_for_each_master_with_its_own_facts() -> None:
    link = LinkConfig(transparent=True)
    route = Route.of(link, Config(links=(link,)))
    assert (route.master, route.is_transparent) == (None, True)
    one = route.to(Address("10.0.0.5", 6379))
    assert (one.name, one.master) == ("10.0.0.5:6379", Address("10.0.0.5", 6379))
    assert one.is_transparent
    assert one.facts is not route.facts
    route.facts.memory.history("a" * 40)
    assert one.facts.memory.elsewhere("a" * 40) == link.name
