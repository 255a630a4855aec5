"""The plan: when a fault may fire, how often, with which dice, and what is reported when it is over."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tap.errors import ConfigError
from tap.faults.armed import Armed
from tap.faults.plan import Plan
from tap.faults.spec import parse
from tap.replication.events import Event, FaultArmed, FaultExpired, FaultFired, Side

BEGAN = 100.0


def armed(spec: str) -> Armed:
    return Armed(parse(spec), "x", BEGAN)


def opaque() -> Plan:
    """A plan for one link that is not parsed."""
    plan = Plan(1, print, lambda: 0.0)
    plan.set_link("main", is_opaque=True)
    return plan


def by_address() -> Plan:
    """A plan for one transparent link."""
    plan = Plan(1, print, lambda: 0.0)
    plan.set_link("main", is_transparent=True)
    return plan


class Desk:
    """A plan with a clock that the test sets."""

    def __init__(self, *specs: str, seed: int = 1, links: tuple[str, ...] | None = None) -> None:
        self.now = BEGAN
        self.told: list[Event] = []
        self.changes = 0
        self.plan = Plan(seed, self.told.append, lambda: self.now, links=links)
        for spec in specs:
            self.plan.add(spec)
        self.plan.changed = self._changed

    def _changed(self) -> None:
        self.changes += 1


# ---- when ----


@pytest.mark.parametrize(
    ("spec", "due"),
    [
        ("delay 1ms", [BEGAN, BEGAN + 1e6]),
        ("delay 1ms after=2s", [BEGAN + 2, BEGAN + 1e6]),
        ("delay 1ms for=3s", [BEGAN, BEGAN + 2.999]),
        ("delay 1ms after=2s for=3s", [BEGAN + 2, BEGAN + 4.999]),
        ("stall at=rdb for=3s", [BEGAN, BEGAN + 1e6]),  # counts from when it fires
    ],
)
def test_a_fault_may_fire_from_its_first_moment_until_its_last(spec: str, due: list[float]) -> None:
    fault = armed(spec)
    first, last = due
    assert fault.is_due(first)
    assert fault.is_due(last)
    assert not fault.is_due(first - 0.001)
    assert fault.is_due(last + 0.001) == (last > BEGAN + 1e5)
    assert not fault.is_past(last)
    assert fault.is_past(last + 0.001) == (last < BEGAN + 1e5)
    fault.is_over = True
    assert not fault.is_due(first)


def test_a_fault_that_has_fired_as_often_as_it_may_is_over_once_it_is_inactive() -> None:
    fault = armed("cut command=SET times=2")
    fault.fired = 1
    assert fault.is_due(BEGAN)
    assert not fault.is_past(BEGAN)
    fault.fired = 2
    assert not fault.is_due(BEGAN)
    fault.at_work = 1
    assert not fault.is_past(BEGAN)
    fault.at_work = 0
    assert fault.is_past(BEGAN)


@pytest.mark.parametrize(
    ("spec", "now", "opened", "last", "number"),
    [
        ("cut", BEGAN, BEGAN, -1, 0),
        ("cut", BEGAN - 0.001, BEGAN, -1, None),
        ("cut", BEGAN, BEGAN, 0, None),
        ("cut after=2s", BEGAN + 1.999, BEGAN, -1, None),
        ("cut after=2s", BEGAN + 2, BEGAN, -1, 0),
        ("cut every=5s", BEGAN + 4.999, BEGAN, -1, None),
        ("cut every=5s", BEGAN + 5, BEGAN, -1, 0),
        ("cut every=5s", BEGAN + 9.999, BEGAN, 0, None),
        ("cut every=5s", BEGAN + 10, BEGAN, 0, 1),
        ("cut every=5s", BEGAN + 21, BEGAN, 0, 3),  # a link that was busy takes only the newest
        ("cut every=5s after=2s", BEGAN + 2, BEGAN, -1, 0),
        ("cut every=5s after=2s", BEGAN + 6.999, BEGAN, 0, None),
        ("cut every=5s after=2s", BEGAN + 7, BEGAN, 0, 1),
        ("stall every=5s for=1s", BEGAN + 10, BEGAN, 0, 1),
        ("cut", BEGAN + 3, BEGAN + 3, -1, 0),  # no link was there: the next one gets it
    ],
)
def test_a_timer_has_its_occasions(spec: str, now: float, opened: float, last: int, number: int | None) -> None:
    assert armed(spec).occasion(now, opened, last) == number


@pytest.mark.parametrize("began", [0.0, 0.1, BEGAN, 1138.408, 86_400.7])
@pytest.mark.parametrize("every", ["1ms", "7ms", "100ms", "259ms", "551ms", "860ms", "2030ms", "10s"])
def test_an_occasion_is_there_at_the_time_that_was_named_for_it(every: str, began: float) -> None:
    fault = Armed(parse(f"cut every={every}"), "cut", began)
    now = fault.next_occasion(began)
    for number in range(1000):
        assert fault.occasion(now, began, number - 1) == number
        assert fault.occasion(math.nextafter(now, 0), began, number - 1) is None
        assert fault.next_occasion(math.nextafter(now, 0)) == now
        before, now = now, fault.next_occasion(now)
        assert now > before


def test_open_links_share_an_occasion_and_later_ones_wait_for_the_next() -> None:
    fault = armed("cut every=5s times=2")
    assert fault.occasion(BEGAN + 5, BEGAN, -1) == 0
    fault.take(0)
    assert fault.occasion(BEGAN + 5.1, BEGAN + 4.9, -1) == 0
    fault.take(0)
    assert fault.fired == 1
    assert fault.occasion(BEGAN + 5.1, BEGAN + 5, -1) is None  # opened as it came
    assert fault.occasion(BEGAN + 5.1, BEGAN + 5.1, -1) is None
    assert fault.occasion(BEGAN + 10, BEGAN + 5.1, -1) == 1
    fault.take(1)
    assert fault.occasion(BEGAN + 10, BEGAN, 0) == 1  # is_spent, but shared all the same
    assert fault.occasion(BEGAN + 15, BEGAN, 1) is None
    assert fault.fired == 2
    fault.is_over = True
    assert fault.occasion(BEGAN + 10, BEGAN, 0) is None


def test_an_occasion_that_comes_too_late_does_not_count() -> None:
    fault = armed("cut for=4s")
    assert fault.occasion(BEGAN + 3.999, BEGAN, -1) == 0
    assert fault.occasion(BEGAN + 4, BEGAN, -1) is None


@pytest.mark.parametrize(
    ("spec", "now", "following"),
    [
        ("cut after=2s", BEGAN, BEGAN + 2),
        ("cut after=2s", BEGAN + 2, math.inf),
        ("cut every=5s", BEGAN, BEGAN + 5),
        ("cut every=5s", BEGAN + 5, BEGAN + 10),
        ("cut every=5s", BEGAN + 9.9, BEGAN + 10),
        ("cut every=5s after=2s", BEGAN + 1, BEGAN + 2),
        ("cut every=5s after=2s", BEGAN + 2, BEGAN + 7),
    ],
)
def test_the_next_occasion_is_known(spec: str, now: float, following: float) -> None:
    fault = armed(spec)
    assert fault.next_occasion(now) == following


def test_no_occasion_comes_after_the_last_one() -> None:
    fault = armed("cut every=5s times=1")
    fault.take(0)
    assert fault.next_occasion(BEGAN + 5) == math.inf


# ---- dice ----


def test_every_fault_link_connection_and_seed_has_its_own_dice_and_the_same_each_time() -> None:
    def rolls(seed: int, name: str, link: str, ordinal: int) -> tuple[int, ...]:
        plan = Plan(seed, lambda _: None, lambda: BEGAN)
        rng = plan.rng(plan.add(f"cut name={name}"), link, ordinal)
        return tuple(rng.randrange(2**32) for _ in range(4))

    asked = [(seed, name, link, n) for seed in (1, 2) for name in "ab" for link in ("main", "eu") for n in (1, 2, 3)]
    assert len({rolls(*one) for one in asked}) == len(asked)
    assert [rolls(*one) for one in asked] == [rolls(*one) for one in asked]


def test_refusing_by_chance_draws_for_each_replica_and_the_same_with_the_same_seed() -> None:
    def refused(seed: int, chance: float) -> list[bool]:
        plan = Desk(f"refuse close probability={chance}", seed=seed).plan
        return [plan.refusal("main") is not None for _ in range(200)]

    assert refused(1, 0.2) == refused(1, 0.2)
    assert refused(1, 0.2) != refused(2, 0.2)
    assert 20 < sum(refused(1, 0.2)) < 60
    assert 140 < sum(refused(1, 0.8)) < 180


# ---- refusing ----


def test_refusals_depend_on_link_and_mode() -> None:
    desk = Desk("delay 1ms", "refuse close link=a for=2s", links=("a", "b"))
    found = desk.plan.refusal("a")
    assert found is not None
    assert found.fault.spec == "refuse close link=a for=2s"
    assert desk.plan.refusal("b") is None
    assert desk.plan.closes("a") is None
    desk.plan.add("refuse link=b after=1s")
    assert desk.plan.closes("b") is None
    desk.now += 1
    closing = desk.plan.closes("b")
    assert closing is not None
    assert closing.name == "refuse-2"
    assert desk.plan.closes("a") is None
    desk.now += 1
    assert desk.plan.refusal("a") is None


@pytest.mark.parametrize(
    ("how", "text"),
    [("refuse", "no longer listening"), ("close", "closed at once"), ("blackhole", "accepted, and left alone")],
)
def test_a_replica_that_is_kept_out_is_reported(how: str, text: str) -> None:
    desk = Desk(f"refuse {how}")
    (one,) = desk.plan.armed
    told: list[Event] = []
    desk.plan.refuse(one, how, told.append)
    assert told == [
        FaultFired(
            fault="refuse-1",
            spec=f"refuse {how}",
            text=text,
            side=Side.REPLICA,
            phase="connect",
            position=0,
            offset=None,
            bytes=0,
        )
    ]
    assert one.fired == 1


# ---- armed, and over ----


def test_a_fault_is_reported_when_armed_and_when_over() -> None:
    desk = Desk("delay 1ms for=2s", "cut at=rdb", seed=7)
    first, second = desk.plan.armed
    assert desk.told == [
        FaultArmed(fault="delay-1", spec="delay 1ms for=2s", seed=7),
        FaultArmed(fault="cut-1", spec="cut at=rdb", seed=7),
    ]
    first.fired, first.bytes = 3, 40
    desk.plan.tick(BEGAN + 1.999)
    assert (len(desk.told), desk.changes) == (2, 0)
    desk.plan.tick(BEGAN + 2)
    assert desk.told[2:] == [FaultExpired(fault="delay-1", spec="delay 1ms for=2s", fired=3, bytes=40)]
    assert (desk.plan.armed, desk.changes) == ([second], 1)
    assert first.is_over
    desk.plan.remove("cut-1")
    assert desk.told[3:] == [FaultExpired(fault="cut-1", spec="cut at=rdb", fired=0, bytes=0)]
    assert desk.plan.never_fired == [second]
    assert desk.changes == 2
    with pytest.raises(ConfigError, match=r"no fault is named 'cut-1'; armed: none\."):
        desk.plan.remove("cut-1")


def test_removing_a_fault_leaves_the_others() -> None:
    desk = Desk("cut name=a", "cut name=b", "cut name=c")
    desk.plan.remove("b")
    assert [one.name for one in desk.plan.armed] == ["a", "c"]
    with pytest.raises(ConfigError, match="armed: a, c"):
        desk.plan.remove("b")
    desk.plan.clear()
    assert desk.plan.armed == []
    assert desk.changes == 2
    assert [event.fault for event in desk.told if isinstance(event, FaultExpired)] == ["b", "a", "c"]


def test_a_fault_with_other_parameters_keeps_its_name_and_place_and_draws_anew() -> None:
    desk = Desk("cut name=a", "delay 1ms name=b", "cut name=c")
    before = desk.plan.armed[1]
    after = desk.plan.change("b", parse("throttle 1kb/s"))
    assert [one.name for one in desk.plan.armed] == ["a", "b", "c"]
    assert desk.plan.armed[1] is after
    assert (before.is_over, after.is_over, after.origin is before.origin, after.edition) == (True, False, True, 1)
    assert desk.told[3:] == [
        FaultExpired(fault="b", spec="delay 1ms name=b", fired=0, bytes=0),
        FaultArmed(fault="b", spec="throttle 1kb/s", seed=desk.plan.seed),
    ]
    assert desk.changes == 1
    assert desk.plan.never_fired == []
    draws = {desk.plan.rng(one, "main", 1).random() for one in (before, after, desk.plan.change("b", after.fault))}
    assert len(draws) == 3


def test_a_fault_that_is_not_there_gets_no_other_parameters() -> None:
    desk = Desk("cut name=a", links=("eu",))
    with pytest.raises(ConfigError, match=r"no fault is named 'b'; armed: a\."):
        desk.plan.change("b", parse("cut"))
    with pytest.raises(ConfigError, match="no link is named 'us'"):
        desk.plan.change("a", parse("cut link=us"))
    assert not desk.plan.armed[0].is_over


def test_generated_names_are_new_and_count_by_kind() -> None:
    desk = Desk("cut", "delay 1ms", "cut name=cut-2", "cut", "delay 1ms")
    assert [one.name for one in desk.plan.armed] == ["cut-1", "delay-1", "cut-2", "cut-3", "delay-2"]
    desk.plan.remove("cut-3")
    assert desk.plan.add("cut").name == "cut-4"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Desk("cut name=a").plan.add("cut name=a"), "another one is named 'a'"),
        (lambda: Desk().plan.check(parse("cut name=a"), parse("stall name=a")), "another one is named 'a'"),
        (lambda: Plan(1, print, lambda: 0.0, read_only=True).add("cut"), "read-only"),
        (lambda: opaque().add("cut at=rdb"), "needs to parse the traffic"),
        (lambda: Plan(1, print, lambda: 0.0).add("corrupt at=rdb"), "is destructive"),
        (lambda: Desk(links=("eu", "us")).plan.add("cut link=ue"), "no link is named 'ue'; known: eu, us"),
        (lambda: by_address().add("cut link=eu"), "an address of a master"),
    ],
)
def test_a_plan_refuses_impossible_faults(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def test_a_plan_accepts_possible_faults() -> None:
    Desk().plan.add("cut link=whatever")  # it does not know the names
    Desk(links=("eu", "us")).plan.add("cut link=us")
    by_address().add("cut link=10.0.0.5:6379")
    opaque().add("cut after=1s")
    Plan(1, print, lambda: 0.0, destructive=True).add("corrupt at=rdb")
