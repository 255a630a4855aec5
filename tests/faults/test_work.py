"""One fault on one connection: its draws and counts."""

from __future__ import annotations

import math
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tap.faults.armed import Armed
from tap.faults.spec import parse
from tap.faults.work import Work
from tap.replication.events import Event, Side


def work(spec: str, seed: int = 1) -> Work:
    told: list[Event] = []
    link: Any = SimpleNamespace(now=1.0, tell=told.append, conversation=SimpleNamespace(stream=None))
    return Work(Armed(parse(spec), "one", 0.0), Random(seed), link)


def matched(one: Work, now: float = 1.0) -> bool:
    one._link.now = now
    return one.matched()


@pytest.mark.parametrize(
    ("spec", "fires"),
    [
        ("cut command=SET times=all", [True] * 6),
        ("cut command=SET", [True] + [False] * 5),
        ("cut command=SET nth=3 times=all", [False, False, True, False, False, True]),
        ("cut command=SET nth=2 times=2", [False, True, False, True, False, False]),
        ("cut command=SET probability=1 times=3", [True] * 3 + [False] * 3),
    ],
)
def test_it_fires_on_the_chosen_matches(spec: str, fires: list[bool]) -> None:
    one = work(spec)
    assert [matched(one) for _ in fires] == fires
    assert one.armed.fired == sum(fires)


def test_matches_before_its_time_are_not_counted() -> None:
    one = work("cut command=SET nth=2 after=5s times=all")
    assert [matched(one, now) for now in (0.0, 4.9, 5.0, 5.1)] == [False, False, False, True]
    assert one.matches == 2


def test_chance_is_drawn_from_the_seed() -> None:
    spec = "drop command=SET probability=0.3 times=all"
    first, again, other = ([matched(one) for _ in range(500)] for one in (work(spec), work(spec), work(spec, 2)))
    assert first == again != other
    assert 100 < sum(first) < 200


def test_without_a_probability_it_always_fires_and_draws_nothing() -> None:
    one = work("cut")
    before = one.rng.getstate()
    assert one.has_luck
    assert one.rng.getstate() == before


def test_its_place_is_drawn_once_from_the_seed() -> None:
    spec = "cut at=rdb:10%..90%"
    assert work(spec).amount == work(spec).amount != work(spec, 2).amount
    assert 10 <= work(spec).amount <= 90
    assert work("cut").amount == 0.0


@pytest.mark.parametrize(
    ("spec", "sides"),
    [
        ("delay 1ms", (Side.MASTER, Side.REPLICA)),
        ("delay 1ms from=master", (Side.MASTER,)),
        ("delay 1ms from=replica", (Side.REPLICA,)),
    ],
)
def test_it_applies_to_its_directions(spec: str, sides: tuple[Side, ...]) -> None:
    assert work(spec).sides == sides


def test_at_first_nothing_has_begun() -> None:
    one = work("rewrite ack=freeze")
    assert one.notes == {}
    assert (one.is_on, one.ends_at, one.last_occasion) == (False, math.inf, -1)
    keyed = work("drop key=user:*")
    assert keyed.is_key is not None
    assert (keyed.is_key(b"user:1"), keyed.is_key(b"order:1")) == (True, False)
