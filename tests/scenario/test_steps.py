"""Steps, one by one, on a stage that a test sets: the effect of each, how long it may take, how it fails."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import ResponseError

from tap.bus import Told
from tap.errors import ConfigError
from tap.faults import Plan
from tap.replication import events
from tap.scenario.journal import Journal
from tap.scenario.load import Scenario
from tap.scenario.result import StepTaken
from tap.scenario.steps import Steps
from tap.scenario.workload import PROBE
from tap.servers.info import ReplicationSection
from tests.scenario.atonce import at_once
from tests.servers.infos import replication


class Node:
    """Notes what is done to it in the story of its stage."""

    def __init__(self, name: str, story: list[Any]) -> None:
        self.name = name
        self.exit_code: int | None = None
        self.info: dict[str, Any] | None = None
        self.client = self.options = self
        self.fails: Exception | None = None
        self.takes = 0.0  # seconds of a command
        self._story = story

    def _note(self, *what: Any) -> None:
        self._story.append((self.name, *what))

    async def follow(self, address: Any) -> None:
        self._note("follow", address)

    async def set(self, option: str, value: str) -> None:
        self._note("set", option, value)

    async def kill(self) -> None:
        self._note("kill")

    async def restart(self) -> None:
        self._note("restart")

    async def start(self) -> None:
        self._note("start")

    async def ask(self, *words: Any) -> None:
        await asyncio.sleep(self.takes)
        if self.fails is not None:
            raise self.fails
        self._note(*words[: 2 if words[0] == "SET" and words[1] == PROBE else None])

    async def maybe_replication(self) -> ReplicationSection | None:
        return None if self.info is None else replication(self.info)


class Workload:
    def __init__(self, node: Node, story: list[Any]) -> None:
        self.node = node
        self.running = True
        self.keys: set[str] = set()
        self._story = story

    async def burst(self, size: int) -> None:
        self._story.append(("burst", size))

    async def stop(self) -> None:
        self.running = False
        self._story.append("stop")

    def start(self) -> None:
        self.running = True
        self._story.append(("start", self.node.name))


class Play:
    """A stage, and the story of what was done."""

    def __init__(self, *steps: dict[str, Any]) -> None:
        self.story: list[Any] = []
        self.scenario = Scenario(title="a", steps=steps)  # type: ignore[arg-type]
        self.master, self.replica = Node("master", self.story), Node("replica", self.story)
        self.pair: Any = SimpleNamespace(
            master=self.master, replica=self.replica, version="Redis 7.0.15", damaged=False,
            node=lambda role: self.pair.master if role == "master" else self.pair.replica, swap=self._swap,
        )  # fmt: skip
        self.journal = Journal()
        links = [SimpleNamespace(address=name, name=name) for name in ("main", "back")]
        self.connections: list[Any] = []
        self.tap = SimpleNamespace(faults=None, status=lambda: SimpleNamespace(connections=self.connections, links=links))
        self.workload = Workload(self.master, self.story)
        self.tally = SimpleNamespace(remember=self._remember)
        self.armed: list[Any] = []
        self.stopped: set[str] = set()
        self.level_after = 0  # questions answered with no
        self.links = ["up"]

    def _swap(self) -> None:
        self.pair.master, self.pair.replica = self.pair.replica, self.pair.master

    async def _remember(self, node: Node) -> None:
        self.story.append(("remember", node.name))

    async def attach(self) -> None:
        self.story.append("attach")

    async def master_offset(self) -> int:
        self.story.append("offset")
        return 700

    async def has_applied(self, offset: int) -> bool:
        self.story.append(("applied", offset))
        self.level_after -= 1
        return self.level_after < 0

    async def link(self) -> str:
        return self.links.pop(0) if len(self.links) > 1 else self.links[0]

    def tell(self, event: events.Event) -> None:
        self.journal(Told(0.0, "main", 1, "", event))

    def taken(self, prepare: Any = None) -> list[StepTaken]:
        async def story() -> list[StepTaken]:
            self.journal = Journal()
            self.tap.faults = Plan(1, self.tell, lambda: 0.0, destructive=True)
            if prepare is not None:
                prepare()
            stage: Any = self
            steps = Steps(stage)
            await steps.take_all()
            return steps.taken

        return at_once(story())


def done(*steps: str, **more: Any) -> list[Any]:
    """The story of those steps, none of which fails."""
    play = Play(*({"do": step} for step in steps))
    assert [one.problem for one in play.taken()] == [""] * len(steps)
    return play.story


@pytest.mark.parametrize(
    ("do", "story"),
    [
        ("attach", ["attach"]),
        ("write 2kb", [("burst", 2048)]),
        ("send SET a 1", [("master", "SET", "a", "1")]),
        ("stop workload", ["stop"]),
        ("start workload", [("start", "master")]),
        ("set master maxmemory 5", [("master", "set", "maxmemory", "5")]),
        ("set replica maxmemory 5", [("replica", "set", "maxmemory", "5")]),
        ("promote replica", [("replica", "follow", None)]),
        ("restart master", [("remember", "master"), ("master", "restart")]),
        ("restart replica", [("remember", "replica"), ("replica", "restart")]),
        ("kill master", [("remember", "master"), ("master", "kill")]),
        ("start replica", [("replica", "start")]),
        ("disconnect replica", []),
    ],
)
def test_each_step_has_its_effect(do: str, story: list[Any]) -> None:
    assert done(do) == story


def test_a_key_of_ours_that_is_sent_is_removed_with_the_others() -> None:
    play = Play({"do": "send COPY redis-tap:a redis-tap:b"}, {"do": "send SET mine redistap:c"})
    play.taken()
    assert play.workload.keys == {"redis-tap:a", "redis-tap:b"}


def test_a_killed_node_is_known_as_stopped_until_it_is_started() -> None:
    play = Play({"do": "kill replica"})
    play.taken()
    assert play.stopped == {"replica"}
    play.scenario = Play({"do": "start replica"}).scenario
    play.taken()
    assert play.stopped == set()


@pytest.mark.parametrize("running", [True, False])
def test_the_demoted_master_follows_by_the_way_back_and_the_workload_moves_to_the_new_one(running: bool) -> None:
    play = Play({"do": "promote replica"}, {"do": "demote master"}, {"do": "send PING"})
    play.workload.running = running
    assert [one.problem for one in play.taken()] == ["", "", ""]
    assert play.story == [
        ("replica", "follow", None),
        "stop",
        ("master", "follow", "back"),
        *([("start", "replica")] if running else []),
        ("replica", "PING"),
    ]
    assert play.workload.node is play.replica


def test_the_master_closes_the_connections_of_the_tap_by_their_address() -> None:
    addresses = ("127.0.0.1", 5000), None, ("127.0.0.1", 5001)
    play = Play({"do": "disconnect replica"})
    play.connections = [SimpleNamespace(tap_address=one) for one in addresses]
    play.taken()
    assert play.story == [("master", "CLIENT", "KILL", "ADDR", f"127.0.0.1:{port}") for port in (5000, 5001)]


# ---- durations and failures ----


def test_a_pause_takes_its_full_time_and_each_step_says_when_and_how_long() -> None:
    play = Play({"do": "pause 1s"}, {"do": "pause 30s"}, {"do": "pause 2s"})
    taken = play.taken()
    assert [(one.text, one.problem) for one in taken] == [("pause 1s", ""), ("pause 30s", ""), ("pause 2s", "")]
    assert [one.seconds for one in taken] == [pytest.approx(1), pytest.approx(30), pytest.approx(2)]
    assert [one.at for one in taken] == [pytest.approx(0), pytest.approx(1), pytest.approx(31)]


@pytest.mark.parametrize(
    ("fails", "problem"),
    [
        (ResponseError("unknown command"), "ResponseError: unknown command"),
        (Unreachable("gone"), "ConnectionError: gone"),
        (OSError("no route"), "OSError: no route"),
    ],
)
def test_a_refusal_of_a_server_ends_the_run_there(fails: Exception, problem: str) -> None:
    play = Play({"do": "attach"}, {"do": "send SET a 1"}, {"do": "attach"})
    play.master.fails = fails
    assert [(one.text, one.problem) for one in play.taken()] == [("attach", ""), ("send SET a 1", problem)]
    assert play.story == ["attach"]


def test_an_unanswered_command_ends_in_time() -> None:
    play = Play({"do": "send SET a 1"}, {"do": "attach"})
    play.master.takes = 50.0
    (taken,) = play.taken()
    assert taken.problem == "not within 20 s"
    assert taken.seconds == pytest.approx(20, abs=0.2)


def test_a_step_for_other_servers_is_skipped() -> None:
    play = Play({"do": "attach", "only": "Valkey"}, {"do": "send PING", "only": "Redis 7"}, {"do": "stop workload"})
    assert [one.text for one in play.taken()] == ["send PING", "stop workload"]


def test_a_cancelled_run_takes_no_other_step() -> None:
    play = Play({"do": "send PING"}, {"do": "attach"})

    async def story() -> None:
        async def drops(*words: str) -> None:
            asyncio.current_task().cancel()  # type: ignore[union-attr]
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

        play.master.ask = drops  # type: ignore[method-assign]
        play.journal = Journal()
        stage: Any = play
        await Steps(stage).take_all()

    with pytest.raises(asyncio.CancelledError):
        at_once(story())
    assert play.story == []


# ---- faults ----


def test_a_fault_is_armed_and_removed_by_its_name() -> None:
    play = Play({"fault": "delay 1ms name=slow"}, {"fault": "delay 2ms name=slower"}, {"remove": "slow"})
    assert [one.problem for one in play.taken()] == ["", "", ""]
    assert [one.name for one in play.armed] == ["slow", "slower"]
    assert [one.is_over for one in play.armed] == [True, False]


def test_a_fault_that_is_over_need_not_be_removed() -> None:
    play = Play({"fault": "cut name=one"}, {"remove": "one"}, {"remove": "other"})

    def prepare() -> None:
        add = play.tap.faults.add

        def over(spec: str) -> Any:
            armed = add(spec)
            play.tap.faults.remove(armed.name)
            return armed

        play.tap.faults.add = over

    assert [one.problem for one in play.taken(prepare)] == ["", "", ""]


def test_another_fault_with_that_name_stays() -> None:
    play = Play({"fault": "delay 1ms name=one"}, {"fault": "delay 1ms name=two"}, {"remove": "two"})
    play.taken()
    assert [one.is_over for one in play.armed] == [False, True]


@pytest.mark.parametrize(
    ("spec", "damages"),
    [("cut", False), ("delay 1ms", False), ("drop key=a", True), ("duplicate key=a", True), ("reorder key=a", True),
     ("corrupt at=stream", True), ("truncate at=rdb:50%", True)],
)  # fmt: skip
def test_some_faults_damage_the_replicas_data(spec: str, damages: bool) -> None:
    play = Play({"fault": spec}, {"fault": "cut"})
    play.taken()
    assert play.pair.damaged is damages


def test_a_fault_that_cannot_be_armed_is_a_mistake() -> None:
    play = Play({"fault": "delay 1ms name=one"}, {"fault": "delay 1ms name=one"})
    with pytest.raises(ConfigError):
        play.taken()


# ---- waits ----


def waits(name: str, prepare: Any = None, **more: Any) -> tuple[StepTaken, Play]:
    play = Play({"wait": name, "within": "5s", **more})
    (taken,) = play.taken(lambda: prepare(play) if prepare else None)
    return taken, play


def came(taken: StepTaken, seconds: float) -> None:
    """Whether it was met, and after how many events."""
    assert not taken.problem
    assert taken.seconds == pytest.approx(seconds, abs=0.1)


def later(seconds: float, function: Any, *args: Any) -> None:
    asyncio.get_running_loop().call_later(seconds, function, *args)


def test_level_is_what_the_master_had_when_the_waiting_began() -> None:
    taken, play = waits("level", lambda play: setattr(play, "level_after", 2))
    assert not taken.problem
    assert play.story == ["offset", ("applied", 700), ("applied", 700), ("applied", 700)]
    taken, play = waits("level", lambda play: setattr(play, "level_after", 10**9))
    assert taken.problem == "not within 5 s"
    assert taken.text == "wait for level"


@pytest.mark.parametrize(
    ("name", "links", "problem"),
    [
        ("link_up", ["down", "unknown", "up"], ""),
        ("link_up", ["down"], "not within 5 s"),
        ("link_down", ["up", "unknown", "down"], ""),
        ("link_down", ["unknown"], "not within 5 s"),
    ],
)
def test_a_wait_for_the_link_ends_with_it(name: str, links: list[str], problem: str) -> None:
    taken, play = waits(name, lambda play: setattr(play, "links", links))
    assert taken.problem == problem
    assert len(play.links) == 1


def test_a_wait_for_an_exit_ends_with_any_code() -> None:
    taken, _ = waits("replica_exits", lambda play: later(2, setattr, play.replica, "exit_code", 0))
    came(taken, 2)
    taken, _ = waits("replica_exits", lambda play: setattr(play.master, "exit_code", 1))
    assert taken.problem == "not within 5 s"


def test_a_wait_for_no_replica_ends_with_the_last_one() -> None:
    def prepare(play: Play) -> None:
        play.master.info = {"connected_slaves": 1}
        later(1, setattr, play.master, "info", {"connected_slaves": 0})

    taken, _ = waits("no_replica", prepare)
    came(taken, 1)
    assert waits("no_replica")[0].problem == "not within 5 s"  # a master that does not answer counts none


@pytest.mark.parametrize("error", [ResponseError("NOREPLICAS"), Unreachable("gone"), OSError("gone")])
def test_writes_are_tried_until_they_are_refused_or_accepted(error: Exception) -> None:
    taken, play = waits("writes_refused", lambda play: later(1, setattr, play.master, "fails", error))
    came(taken, 1)
    assert set(play.story) == {("master", "SET", PROBE)}

    def prepare(play: Play) -> None:
        play.master.fails = error
        later(1, setattr, play.master, "fails", None)

    taken, _ = waits("writes_taken", prepare)
    came(taken, 1)
    assert waits("writes_refused")[0].problem == "not within 5 s"


def expired(name: str) -> events.FaultExpired:
    return events.FaultExpired(fault=name, spec="cut", fired=1, bytes=0)


def test_events_are_waited_for_as_often_and_as_exactly_as_requested() -> None:
    def prepare(play: Play) -> None:
        for number, name in enumerate(("a", "b", "a", "a")):
            later(number + 1, play.tell, expired(name))

    taken, _ = waits("fault_expired", prepare, where={"fault": "a"}, times=2)
    came(taken, 3)
    assert taken.text == "wait for fault_expired fault=a 2 times"
    taken, _ = waits("fault_expired", prepare, where={"fault": "b"}, times=2)
    assert taken.problem == "not within 5 s"
