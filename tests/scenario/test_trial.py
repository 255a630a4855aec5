"""The trial of a tap: its reports of a few writes, compared with those of played servers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Unreachable

from tap.bus import Told
from tap.faults.armed import Armed
from tap.faults.spec import parse
from tap.replication import events
from tap.scenario.accounts import Checked
from tap.scenario.backlog_commands import BacklogCommands, Executed
from tap.scenario.journal import Journal
from tap.scenario.stage import OffsetSample
from tap.scenario.trial import Trial, compare_executed
from tap.scenario.workload import PROBE
from tap.servers.info import ReplicationSection
from tests.relay.wire import command
from tests.scenario.atonce import at_once
from tests.servers.infos import replication, slave

WRITE = 10  # bytes of the stream


class World:
    """A pair and a tap. Each write comes to the replica at once, is acknowledged, told and heard, but for what a test
    changes: told and heard say of the number of an ACK how often it is.
    """

    def __init__(self) -> None:
        self.told: Callable[[int], int] = lambda number: 1
        self.heard: Callable[[int], int] = lambda number: 1
        self.late = 0.0  # seconds until the master receives an ACK
        self.takes = 0.01  # seconds of a write
        self.acknowledged = 1
        self.said: Any = True
        self.others = 0  # further replicas of the master
        self.ahead = 0  # bytes by which the tap is wrong
        self.acked_wrong = 0  # bytes by which the ACK that the master received last is
        self.applied_wrong = 0
        self.moving = 0  # samples in which the master kept writing
        self.failing = 0  # questions without an answer
        self.writes: list[tuple[Any, ...]] = []
        self.during: Callable[[], None] = lambda: None

        self.offset = 1000
        self.commandstats = Counter(REPLCONF=7, PING=3)
        self.journal = Journal()
        self.link = SimpleNamespace(number=4, link="main", offset=self.offset)
        self.links = [self.link]
        self.tap = SimpleNamespace(status=lambda: SimpleNamespace(connections=self.links))
        self.armed: list[Armed] = []
        self.pair = SimpleNamespace(master=self, replica=SimpleNamespace(ports={6380}), damaged=False)
        self.checked = Checked()

    # ---- as the stage ----

    async def of_master(self) -> ReplicationSection:
        self._answer()
        heard = slave(6380, self.offset + self.acked_wrong)
        others = {f"slave{number + 1}": slave(1, 5) for number in range(self.others)}
        return replication(
            {"master_repl_offset": self.offset, "connected_slaves": 1 + self.others, "slave0": heard, **others}
        )

    async def sample(self) -> OffsetSample | None:
        if self.failing:
            self.failing -= 1
            return None
        before = self.offset
        self.moving -= 1
        if self.moving >= 0:
            self.offset += 1
        return OffsetSample(before, before + self.applied_wrong, self.offset, None, "up")

    # ---- as the master ----

    def _answer(self) -> None:
        if self.failing:
            self.failing -= 1
            raise Unreachable("gone")

    async def info(self, section: str) -> Any:
        assert section == "commandstats"
        self._answer()
        return SimpleNamespace(commandstats=self.commandstats.copy())

    @property
    def client(self) -> World:
        return self

    async def ask_all(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        self.writes += commands
        await asyncio.sleep(self.takes)
        self.offset += WRITE
        self.link.offset = self.offset + self.ahead
        number = len(self.writes) // 2 - 1
        for _ in range(self.told(number)):
            self.tell(self.link.number)
        if self.late:
            asyncio.get_running_loop().call_later(self.late, self._hear, self.heard(number))
        else:
            self._hear(self.heard(number))
        self.during()
        return [self.said, self.acknowledged]

    def _hear(self, times: int) -> None:
        self.commandstats["REPLCONF"] += times

    def tell(self, connection: int, offset: int | None = None) -> None:
        at = self.offset if offset is None else offset
        event = events.Ack(start=0, end=1, offset=at, fsynced=None, lag_bytes=0, lag_seconds=0.0)
        self.journal(Told(0.0, "main", connection, "", event))

    def arm(self, *specs: str, at_work: int = 1) -> None:
        for spec in specs:
            one = Armed(parse(spec), spec, 0.0)
            one.at_work = at_work
            self.armed.append(one)

    def problems(self) -> dict[str, str]:
        """The findings by name."""
        stage: Any = self
        link: Any = self.link
        at_once(Trial(stage, link, self.checked).run())
        return {one.name: one.found for one in self.checked.problems}


@pytest.fixture
def world() -> World:
    return World()


def test_a_tap_that_reports_the_truth_is_right(world: World) -> None:
    assert world.problems() == {}
    assert world.writes[:2] == [("SET", PROBE, "trial 0"), ("WAIT", 1, 2000)]
    assert world.writes[-2:] == [("SET", PROBE, "trial 11"), ("WAIT", 1, 2000)]
    assert (world.checked.acks, world.checked.offsets) == (12, 2)


def test_acks_of_other_connections_and_before_the_trial_do_not_count(world: World) -> None:
    world.tell(world.link.number, 10)
    world.tell(9)
    world.during = lambda: world.tell(9, 5)
    world.told = lambda number: 1
    assert world.problems() == {}
    assert world.checked.acks == 12


@pytest.mark.parametrize(
    ("told", "heard", "found"),
    [
        (1, 0, "the master heard 11: 1 of 12 did not reach it"),
        (1, 3, "the master heard 14: 2 more than the tap reports"),
        (0, 1, "the master heard 12: 1 more than the tap reports"),
    ],
)
def test_each_ack_is_heard_once(world: World, told: int, heard: int, found: str) -> None:
    world.told = lambda number: told if number == 5 else 1
    world.heard = lambda number: heard if number == 5 else 1
    assert world.problems() == {"acks": found}
    (problem,) = world.checked.problems
    assert problem.expected == f"the master hears each of the replica's ACKs once: {11 + told}, as the tap reports"
    assert world.checked.acks == 11 + told


def test_acks_of_other_replicas_cannot_be_distinguished(world: World) -> None:
    world.others = 1
    world.heard = lambda number: 2
    assert world.problems() == {}
    assert world.checked.acks == 0


@pytest.mark.parametrize(("late", "found"), [(4.0, False), (6.0, True)])
def test_an_ack_may_be_in_flight_for_a_while(world: World, late: float, found: bool) -> None:
    world.late = late
    assert ("acks" in world.problems()) is found


@pytest.mark.parametrize("number", [5, 11])
@pytest.mark.parametrize("late", [0.1, 2.0, 4.0])
@pytest.mark.parametrize("heartbeats", [0, 10])
def test_an_unreported_late_ack_is_not_missed_by_a_moment_of_agreement(
    world: World, number: int, late: float, heartbeats: int
) -> None:
    """It alone is late: what the replica sends after it comes after it."""
    hear = world._hear

    def during() -> None:
        loop = asyncio.get_running_loop()
        if len(world.writes) == 2 * (number + 1):
            loop.call_later(late, hear, 1)
        if len(world.writes) == 24:
            for second in range(1, heartbeats + 1):
                loop.call_later(second, world.tell, world.link.number)
                loop.call_later(max(second, late + 0.001), hear, 1)

    world.during = during
    world.told = world.heard = lambda count: int(count != number)
    found = world.problems()["acks"]
    assert found.endswith(": 1 more than the tap reports")


@pytest.mark.parametrize("late", [0.001, 0.25, 0.6, 0.9])
def test_acks_that_continue_through_a_delay_are_right_although_they_seldom_rest(world: World, late: float) -> None:
    def during() -> None:
        if len(world.writes) == 24:
            for second in range(1, 10):
                asyncio.get_running_loop().call_later(second, world.tell, world.link.number)
                asyncio.get_running_loop().call_later(second + late, world._hear, 1)

    world.during = during
    world.late = late
    assert world.problems() == {}


def test_acks_in_flight_before_the_trial_are_waited_for(world: World) -> None:
    """The count of the last moment is the one to count from."""

    async def info(section: str, answer: Any = world.info) -> Any:
        if before:
            before.pop()
            world._hear(1)
            world.tell(world.link.number)
        return await answer(section)

    before = [None] * 5
    world.info = info  # type: ignore[method-assign]
    assert world.problems() == {}
    assert world.checked.acks == 12


def test_acks_that_never_rest_are_not_compared(world: World) -> None:
    async def info(section: str, answer: Any = world.info) -> Any:
        world._hear(1)
        return await answer(section)

    world.info = info  # type: ignore[method-assign]
    assert world.problems() == {}
    assert world.checked.acks == 0


def test_offsets_are_those_of_the_servers(world: World) -> None:
    world.ahead = 7
    assert world.problems() == {
        "offsets": "the master is at offset 1120, and the tap reports that it has passed on up to 1127"
    }
    assert world.checked.offsets == 2


@pytest.mark.parametrize("wrong", [-WRITE, 3])
def test_the_last_ack_is_what_the_master_heard(world: World, wrong: int) -> None:
    world.acked_wrong = wrong
    found = f"the replica last acknowledged 1120, as the tap reports; the master heard {1120 + wrong}"
    assert world.problems() == {"offsets": found}


def test_the_last_ack_counts_and_not_the_first(world: World) -> None:
    world.told = lambda number: int(number > 3)
    world.heard = world.told
    world.tell(world.link.number, 1)
    assert world.problems() == {}


def test_unknown_offsets_are_not_compared(world: World) -> None:
    world.told = world.heard = lambda number: 0
    world.during = lambda: setattr(world.link, "offset", None)
    assert world.problems() == {}


def test_offsets_that_agree_later_are_right(world: World) -> None:
    world.ahead = 7

    def soon() -> None:
        asyncio.get_running_loop().call_later(2.0, setattr, world.link, "offset", world.offset)

    world.during = soon
    assert world.problems() == {}


@pytest.mark.parametrize("what", ["offset", "ack"])
def test_offsets_that_move_while_they_are_read_are_read_again(world: World, what: str) -> None:
    """Figures of one moment are not compared with those of another."""
    turns = 0

    async def of_master(answer: Any = world.of_master) -> Any:
        nonlocal turns
        info = await answer()
        turns += 1
        if 2 <= turns <= 4:  # after the first, which asks for the number of replicas
            if what == "offset":
                world.offset += WRITE
                world.link.offset = world.offset
                world.tell(world.link.number)
            else:
                world.tell(world.link.number, world.offset + turns - 4)
        return info

    world.of_master = of_master  # type: ignore[method-assign]
    assert world.problems() == {}
    assert turns > 4


@pytest.mark.parametrize(
    ("wrong", "found"),
    [(-3, "it has applied 3 bytes less"), (4, "it has applied 4 bytes more: some came twice")],
)
def test_the_replica_has_applied_each_byte_once(world: World, wrong: int, found: str) -> None:
    world.applied_wrong = wrong
    assert world.problems() == {"bytes": found}
    (problem,) = world.checked.problems
    assert problem.expected == "the replica gets each byte of the stream once, up to offset 1120"


def test_the_bytes_of_a_damaged_stream_are_not_counted(world: World) -> None:
    world.applied_wrong = -3
    world.pair.damaged = True
    assert world.problems() == {}


def test_a_sample_counts_only_while_the_master_rests(world: World) -> None:
    """Those before and after a write do not belong together: they prove nothing about the replica."""
    world.moving = 10**9
    assert world.problems() == {"bytes": "it has applied 0 bytes less"}
    other = World()
    other.moving = 3
    assert other.problems() == {}


def test_servers_that_do_not_answer_are_asked_again_once_it_has_begun(world: World) -> None:
    def gone() -> None:
        world.failing = 3

    world.during = gone
    assert world.problems() == {}
    assert world.checked.acks == 12
    other = World()
    other.failing = 1
    with pytest.raises(Unreachable):
        other.problems()


def test_an_empty_sample_is_taken_again(world: World) -> None:
    async def of_master(answer: Any = world.of_master) -> Any:
        found = await answer()
        if len(world.writes) == 24:
            world.failing = 2
        return found

    world.of_master = of_master  # type: ignore[method-assign]
    assert world.problems() == {}
    assert not world.failing


def test_nothing_is_said_about_a_link_that_ends(world: World) -> None:
    def end() -> None:
        if len(world.writes) == 4:
            world.links.clear()

    world.during = end
    world.told = lambda number: 2
    world.applied_wrong = world.acked_wrong = 1
    world.ahead = 1
    world.arm("delay 1s from=master")
    assert world.problems() == {}
    assert (world.checked.acks, world.checked.offsets) == (0, 0)


def test_a_link_that_ends_gets_no_further_writes(world: World) -> None:
    world.during = lambda: world.links.clear() if len(world.writes) == 6 else None
    world.problems()
    assert len(world.writes) == 6


def test_the_writes_end_in_time(world: World) -> None:
    world.takes = 0.9
    world.problems()
    assert len(world.writes) == 2 * 3  # at 2.7 s of 2


# ---- delays ----


@pytest.mark.parametrize(
    ("specs", "takes", "found"),
    [
        (["delay 200ms from=master"], 0.2, ""),
        (["delay 200ms from=master"], 0.1985, ""),
        (["delay 200ms from=master"], 0.19, "200 ms 190.0 ms"),
        (["delay 200ms jitter=50ms from=master"], 0.14, "150 ms 140.0 ms"),
        (["delay 200ms jitter=300ms from=master"], 0.0001, ""),
        (["delay 200ms"], 0.39, "400 ms 390.0 ms"),
        (["delay 200ms from=replica", "delay 100ms from=master link=main"], 0.29, "300 ms 290.0 ms"),
        (["delay 200ms from=master link=other"], 0.01, ""),
        (["delay 200ms from=master channel=rdb"], 0.01, ""),
        (["delay 200ms jitter=50ms distribution=normal from=master"], 0.01, ""),
        (["throttle 1mb/s from=master"], 0.01, ""),
        (["delay 200ms from=master times=1"], 0.01, ""),
    ],
)
def test_no_write_is_acknowledged_sooner_than_its_delay_allows(
    world: World, specs: list[str], takes: float, found: str
) -> None:
    world.takes = takes
    world.arm(*specs)
    said = world.problems()
    if not found:
        assert said == {}
        return
    floor, quickest = found.split(" ms ")
    assert said == {"delay": f"one was acknowledged after {quickest}"}
    (problem,) = world.checked.problems
    assert problem.expected == f"through the delay a write is acknowledged after {floor} ms at the earliest"


def test_through_a_delay_there_are_fewer_writes(world: World) -> None:
    world.takes = 0.3
    world.arm("delay 200ms from=master")
    assert world.problems() == {}
    assert len(world.writes) == 2 * 2


@pytest.mark.parametrize("state", ["over", "not at work"])
def test_an_inactive_delay_delays_nothing(world: World, state: str) -> None:
    world.arm("delay 200ms from=master", at_work=int(state == "over"))
    world.armed[0].is_over = state == "over"
    assert world.problems() == {}


@pytest.mark.parametrize(("said", "acknowledged"), [(True, 0), (Unreachable("refused"), 1)])
def test_unacknowledged_writes_are_not_quick(world: World, said: Any, acknowledged: int) -> None:
    world.arm("delay 200ms from=master")
    world.said, world.acknowledged = said, acknowledged
    assert world.problems() == {}


def test_the_quickest_write_counts(world: World) -> None:
    world.takes = 0.1
    world.arm("delay 200ms from=master")
    world.during = lambda: setattr(world, "takes", 0.5)
    assert world.problems() == {"delay": "one was acknowledged after 100.0 ms"}


# ---- executed commands ----

STREAM = command("PING") + command("SET", "a", "b") + command("INCR", "a") + command("SET", "a", "c")


def executed(
    counts: dict[str, int], *, begin: int = 0, end: int | None = None, process: str = "p"
) -> tuple[bool, Checked]:
    record = BacklogCommands(100, "a")
    record.add(STREAM)
    before = Executed(100 + begin, Counter(SET=5, INCR=2, GET=1), "p")
    after = Executed(record.end if end is None else 100 + end, before.executed + Counter(counts), process)
    checked = Checked()
    return compare_executed(before, after, record, checked), checked


def test_each_command_of_the_stream_is_executed_once() -> None:
    met, checked = executed({"SET": 2, "INCR": 1, "GET": 9})
    assert (met, checked.problems, checked.commands) == (True, [], 3)
    met, checked = executed({"SET": 1, "INCR": 3})
    assert not met
    (problem,) = checked.problems
    assert (problem.name, problem.found) == ("executed", "executed of those sent: INCR 3 of 1, SET 1 of 2")
    assert problem.expected == (
        f"the replica executes each command of the stream once, from offset 100 to {100 + len(STREAM)}"
    )
    met, checked = executed({"SET": 2, "INCR": 2})
    assert [one.found for one in checked.problems] == ["executed of those sent: INCR 2 of 1"]
    assert checked.commands == 3


@pytest.mark.parametrize(
    "more", [{"begin": -1}, {"end": len(STREAM) + 1}, {"process": "another"}, {"begin": 30, "end": 20}]
)
def test_commands_outside_the_record_or_of_another_process_are_not_compared(more: dict[str, Any]) -> None:
    met, checked = executed({}, **more)
    assert (met, checked.problems, checked.commands) == (False, [], 0)


def test_nothing_between_two_equal_offsets_is_executed_once() -> None:
    assert executed({}, begin=14, end=14)[0]
