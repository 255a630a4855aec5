"""When the tap is examined, on which link, and with what: on a stage that a test sets."""

from __future__ import annotations

import asyncio
import itertools
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
from tap.replication.events import Role, Side
from tap.replication.phase import Phase
from tap.scenario import examine
from tap.scenario.accounts import Checked
from tap.scenario.backlog_commands import BacklogCommands, Executed
from tap.scenario.examine import TapExamination
from tap.scenario.journal import Journal
from tap.scenario.load import Expect
from tests.relay.wire import command
from tests.scenario.atonce import at_once

WRITE = command("SET", "a", "b")
NUMBERS = itertools.count(1)


def link(
    name: str = "main", *, role: Role = Role.REPLICA, phase: Phase = Phase.STREAM, has_ended: bool = False,
    begun: bool = True, offset: int | None = 5,
) -> Any:  # fmt: skip
    """The status of a connection, and whether its stream has begun."""
    return SimpleNamespace(
        number=next(NUMBERS), link=name, role=role, phase=phase, offset=offset, begun=begun, has_ended=has_ended
    )


class Play:
    """tried: the links of the trials. snapshots: one for each question, the last one repeats."""

    def __init__(self, *links: Any, **expect: Any) -> None:
        self.expect = Expect(**expect)
        self.links = list(links)
        self.tap = SimpleNamespace(status=lambda: SimpleNamespace(connections=self.links))
        self.journal = Journal()
        for one in links:
            if one.begun:
                self.begin(one)
        self.pair = SimpleNamespace(
            given=False,
            damaged=False,
            master=SimpleNamespace(exit_code=None, client="the master's client"),
            replica=SimpleNamespace(),
        )
        self.armed: list[Armed] = []
        self.offsets = {"a": [100]}
        self.start: Executed | None = Executed(100, Counter(), "p")
        self.tried: list[str] = []
        self.trial: Callable[[], None] = lambda: None
        self.record: Any = BacklogCommands(100, "a")
        self.record.add(WRITE * 3)
        self.asked: list[Any] = []
        self.level_after = 0.0
        ends = self.record.ends
        self.snapshots: list[Any] = [
            Executed(ends[0], Counter(SET=1), "p"),
            Executed(ends[2], Counter(SET=3), "p"),
        ]

    async def master_offset(self) -> int:
        return 700

    async def has_applied(self, offset: int) -> bool:
        assert offset == 700
        return asyncio.get_running_loop().time() - 1000 >= self.level_after

    async def snapshot(self) -> Executed | None:
        return self.snapshots.pop(0) if len(self.snapshots) > 1 else self.snapshots[0]  # type: ignore[no-any-return]

    def begin(self, connection: Any) -> None:
        started = events.StreamStarted(start=0, end=0, replid="a", offset=5, db=0)
        self.tell(connection.number, started)

    def tell(self, connection: int, event: events.Event) -> None:
        self.journal(Told(0.0, "main", connection, "", event))

    def examined(self, *, is_partial: bool = True, prepare: Any = None) -> tuple[Checked, float]:
        """The outcome, and how many seconds it took."""

        class Trial:
            def __init__(self, stage: Any, connection: Any, checked: Checked) -> None:
                assert stage is play
                assert isinstance(checked, Checked)
                play.tried.append(connection.link)

            async def run(self) -> None:
                play.trial()

        async def read(client: Any, offsets: Any) -> Any:
            play.asked.append((client, offsets))
            if isinstance(play.record, Exception):
                raise play.record
            return play.record

        async def story() -> tuple[Checked, float]:
            began = asyncio.get_running_loop().time()
            self.journal._began = began
            if prepare is not None:
                prepare()
            stage: Any = self
            one = TapExamination(stage)
            await one.try_link()
            await one.check_accounts(is_partial=is_partial)
            return one.checked, asyncio.get_running_loop().time() - began

        play = self
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(examine, "Trial", Trial)
            patch.setattr(examine, "read", read)
            return at_once(story())


@pytest.mark.parametrize(
    ("expect", "tried"),
    [
        ({}, True),
        ({"acked_offset": "level"}, True),
        ({"acked_offset": "behind"}, False),
        ({"acked_offset": "ahead"}, False),
        ({"converged": False}, False),
        ({"converged": False, "acked_offset": "level"}, False),
    ],
)
def test_there_is_a_trial_if_the_replica_should_equal_its_master(expect: dict[str, Any], tried: bool) -> None:
    play = Play(link(), **expect)
    play.examined()
    assert play.tried == ["main"] * tried


@pytest.mark.parametrize(
    ("links", "tried"),
    [
        ([], []),
        ([link("old"), link("new")], ["new"]),
        ([link("good"), link("lost", has_ended=True)], ["good"]),
        ([link("good"), link("other", role=Role.RDB_CHANNEL)], ["good"]),
        ([link("good"), link("early", phase=Phase.RDB, begun=False)], ["good"]),
        ([link("sync", offset=None)], []),
    ],
)  # fmt: skip
def test_the_trial_takes_the_newest_link_with_a_stream_and_both_ends(links: list[Any], tried: list[str]) -> None:
    play = Play(*links)
    play.examined()
    assert play.tried == tried


def test_a_stream_that_is_about_to_begin_is_waited_for_up_to_a_limit() -> None:
    one = link(begun=False)
    play = Play(one)

    def begin() -> None:
        assert not play.tried
        play.begin(one)

    _, seconds = play.examined(prepare=lambda: asyncio.get_running_loop().call_later(1.0, begin))
    assert play.tried == ["main"]
    assert seconds == pytest.approx(1.0, abs=0.1)
    play = Play(link(begun=False))
    _, seconds = play.examined()
    assert play.tried == ["main"]
    assert seconds == pytest.approx(2.5, abs=0.1)


def test_a_late_link_is_waited_for() -> None:
    play = Play()

    def come() -> None:
        one = link()
        play.links.append(one)
        play.begin(one)

    _, seconds = play.examined(prepare=lambda: asyncio.get_running_loop().call_later(1.0, come))
    assert play.tried == ["main"]
    assert seconds == pytest.approx(1.0, abs=0.1)


# ---- what was executed ----


def test_executed_commands_are_compared_since_the_trial_and_since_the_steps_began() -> None:
    play = Play(link())
    checked, _ = play.examined()
    assert checked.problems == []
    assert checked.executed_all
    assert checked.commands == 2 + 3
    assert play.asked == [(play.pair.master.client, play.offsets)]


def test_a_command_executed_twice_is_a_problem() -> None:
    play = Play(link())
    play.snapshots[1].executed["SET"] = 4
    checked, _ = play.examined()
    assert [one.found for one in checked.problems] == ["executed of those sent: SET 3 of 2"]
    assert not checked.executed_all


@pytest.mark.parametrize("why", ["a full resync", "damaged", "no start"])
def test_an_incomplete_record_is_compared_from_the_trial_on(why: str) -> None:
    play = Play(link())
    play.pair.damaged = why == "damaged"
    play.start = None if why == "no start" else play.start
    checked, _ = play.examined(is_partial=why != "a full resync")
    assert (checked.commands, checked.executed_all) == (2, False)


@pytest.mark.parametrize("number", [0, 1])
def test_without_a_snapshot_nothing_is_compared(number: int) -> None:
    play = Play(link())
    play.snapshots[number] = None
    checked, _ = play.examined()
    assert (checked.commands, checked.executed_all) == (0, False)


@pytest.mark.parametrize("error", [Unreachable("gone"), OSError("gone")])
def test_a_trial_that_a_server_ends_does_not_count(error: Exception) -> None:
    def fails() -> None:
        raise error

    play = Play(link())
    play.trial = fails
    checked, _ = play.examined()
    assert (checked.commands, checked.problems) == (0, [])


def test_the_replica_may_become_level_before_it_is_asked() -> None:
    play = Play(link())
    play.level_after = 1.0
    _, seconds = play.examined()
    assert seconds == pytest.approx(1.0, abs=0.1)
    play.level_after = 1e9
    _, seconds = play.examined()
    assert seconds == pytest.approx(5.0, abs=0.2)  # before and after the trial


# ---- the record, and the accounts ----


def lies(play: Play) -> None:
    """About commands, which only a record shows."""
    share = {"GET": events.Share(count=1, bytes=1)}
    play.tell(1, events.StreamStarted(start=0, end=0, replid="a", offset=100, db=0))
    end = len(WRITE)
    play.tell(
        1,
        events.Commands(
            start=0, end=end, offset=100 + end, count=1, bytes=end, by_name=share, db=0, in_transaction=False
        ),
    )


def test_events_are_compared_with_the_masters_record() -> None:
    play = Play()
    lies(play)
    checked, _ = play.examined()
    assert [one.name for one in checked.problems] == ["commands"]


@pytest.mark.parametrize(
    "why", ["given", "ended", Unreachable("gone"), OSError(), EOFError(), ValueError(), TimeoutError(), None]
)
def test_without_a_record_events_are_compared_with_each_other(why: Any) -> None:
    play = Play(link())
    lies(play)
    if why in ("given", "ended"):
        play.pair.given = why == "given"
        play.pair.master.exit_code = 0 if why == "ended" else None
    else:
        play.record = why
    checked, _ = play.examined()
    assert (checked.problems, checked.commands, checked.offsets) == ([], 0, 1)
    assert len(play.asked) == (why not in ("given", "ended"))


def fired(text: str, offset: int | None = None, fault: str = "one") -> events.FaultFired:
    return events.FaultFired(
        fault=fault, spec="cut", text=text, side=Side.MASTER, phase="stream", position=0, offset=offset, bytes=0
    )


def test_a_link_that_was_cut_may_take_a_while_to_be_gone() -> None:
    play = Play()
    closed = events.LinkClosed(
        by=Side.TAP, how="reset", text="", role=Role.REPLICA, phase="stream", offset=None, bytes_from_master=0,
        bytes_from_replica=0,
    )  # fmt: skip
    play.tell(1, fired("cut with RST"))
    checked, seconds = play.examined(prepare=lambda: asyncio.get_running_loop().call_later(6.0, play.tell, 1, closed))
    assert checked.problems == []
    assert seconds == pytest.approx(2.5 + 3.5, abs=0.2)
    play = Play()
    play.tell(1, fired("cut with RST"))
    checked, seconds = play.examined()
    assert [one.name for one in checked.problems] == ["cut"]
    assert seconds == pytest.approx(2.5 + 10, abs=0.2)


@pytest.mark.parametrize(
    ("spec", "endless"),
    [("stall", True), ("stall for=2s", False), ("stall times=3", True), ("stall at=offset:+1kb for=2s", False)],
)
def test_an_endless_stall_is_known_by_its_name(spec: str, endless: bool) -> None:
    play = Play()
    play.armed = [Armed(parse(spec), "one", 0.0)]
    play.tell(1, fired("stalled, both directions", 100))
    play.tell(1, events.Ack(start=0, end=1, offset=200, fsynced=None, lag_bytes=0, lag_seconds=0.0))
    checked, _ = play.examined()
    assert [one.name for one in checked.problems] == ["stall"] * endless


@pytest.mark.parametrize("damaged", [True, False])
def test_of_a_damaged_stream_the_resuming_offset_is_not_checked(damaged: bool) -> None:
    play = Play()
    play.pair.damaged = damaged
    play.tell(1, events.StreamStarted(start=0, end=0, replid="a", offset=100, db=0))
    play.tell(1, events.Ack(start=0, end=1, offset=100, fsynced=None, lag_bytes=0, lag_seconds=0.0))
    play.journal.entries[:] = [type(one)(0.0, one.told) for one in play.journal.entries]
    end = 100 + len(WRITE)

    def cut() -> None:
        event = events.FaultFired(
            fault="one", spec="cut", text="cut with RST", side=Side.MASTER, phase="stream", position=len(WRITE),
            offset=end, bytes=0,
        )  # fmt: skip
        play.tell(1, event)
        play.tell(
            1,
            events.LinkClosed(
                by=Side.TAP, how="reset", text="cut by fault one", role=Role.REPLICA, phase="stream", offset=end,
                bytes_from_master=0, bytes_from_replica=0,
            ),
        )  # fmt: skip
        play.tell(2, events.PsyncRequested(start=0, end=1, replid="a", offset=end + 5))

    checked, _ = play.examined(prepare=lambda: asyncio.get_running_loop().call_later(0.1, cut))
    assert [one.name for one in checked.problems] == ([] if damaged else ["cut"])
