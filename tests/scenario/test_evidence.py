"""The evidence at the end of a run, with played servers: their answers, and the tap's earlier events."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import InvalidResponse as InvalidReply

from tap.bus import Told
from tap.faults.armed import Armed
from tap.faults.spec import parse
from tap.replication import events
from tap.replication.events import Channel, Event, Reason, Side, Transfer
from tap.scenario import evidence
from tap.scenario.accounts import Checked
from tap.scenario.evidence import EvidenceCollector
from tap.scenario.journal import Journal, JournalEntry
from tap.scenario.judge import RunEvidence
from tap.scenario.load import Expect
from tap.scenario.pair_difference import PairDifference
from tap.scenario.result import StepTaken
from tap.scenario.stage import OffsetSample
from tap.scenario.workload import Noted
from tap.servers.info import ReplicationSection
from tests.servers.infos import replication

REPLID = "a" * 40


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "SETTLED", 0.05)
    monkeypatch.setattr(evidence, "POLL", 0.001)
    monkeypatch.setattr("tap.scenario.stage.POLL", 0.001)


class Server:
    """A server that holds values, or cannot be asked."""

    def __init__(self, name: str, values: dict[str, bytes], *, exit_code: int | None = None) -> None:
        self.name = name
        self.values = values
        self.exit_code = exit_code
        self.is_there = True
        self.asked: list[int] = []  # how many keys at a time
        self.counts: list[tuple[int, int]] = [(0, 0)]  # sync_full and sync_partial_ok, the last one repeats
        self.infos: list[dict[str, Any]] = [{}]

    @property
    def client(self) -> Server:
        return self

    async def ask(self, name: str, *words: str) -> Any:
        if name == "SET":
            self.values[words[0]] = words[1].encode()
            return True
        assert name == "MGET"
        if not self.is_there:
            raise Unreachable("gone")
        self.asked.append(len(words))
        return [self.values.get(key) for key in words]

    async def maybe_replication(self) -> ReplicationSection:
        return replication(self.infos.pop(0) if len(self.infos) > 1 else self.infos[0])


class Unexamined:
    """The examination of a correct tap."""

    def __init__(self, stage: object) -> None:
        self.checked = Checked()

    async def try_link(self) -> None:
        pass

    async def check_accounts(self, *, is_partial: bool) -> None:
        pass


class Play:
    """A stage, driven by its test."""

    def __init__(self, **expect: Any) -> None:
        self.expect = Expect(**{"settle": "1s", **expect})
        self.journal = Journal()
        self.master, self.replica = Server("master", {}), Server("replica", {})
        self.pair = SimpleNamespace(
            nodes=(self.master, self.replica), master=self.master, replica=self.replica, version="Redis 7.0", given=False
        )
        self.workload = SimpleNamespace(stop=self._stop, refused={"OOM": 2, "READONLY": 1}, ledger=[])
        self.armed: list[Armed] = []
        self.outages = SimpleNamespace(found=[0.5])
        self.stopped: set[str] = set()
        self.since = 0.0
        self.tally = SimpleNamespace(grown=self._grown)
        self.links = ["up"]
        self.samples: list[OffsetSample | None] = [OffsetSample(100, 100, 100, 100, "up")]

    async def _stop(self) -> None:
        self.has_stopped = True

    async def _grown(self, node: Server) -> tuple[int, int]:
        if not node.is_there:
            raise Unreachable("gone")
        return node.counts.pop(0) if len(node.counts) > 1 else node.counts[0]

    async def master_offset(self) -> int:
        return (await self.master.maybe_replication()).master_repl_offset

    async def link(self) -> str:
        return self.links.pop(0) if len(self.links) > 1 else self.links[0]

    async def sample(self) -> OffsetSample | None:
        return self.samples.pop(0) if len(self.samples) > 1 else self.samples[0]

    def tell(self, at: float, event: Event, connection: int = 1) -> None:
        self.journal.entries.append(JournalEntry(at, Told(at, "main", connection, "r:1", event)))

    def found(self, *steps: StepTaken, differences: Iterable[PairDifference | Exception] = ()) -> RunEvidence:
        said = itertools.chain(differences, itertools.repeat(PairDifference(equal=True, by="digest")))

        async def compare(*nodes: object, debug: bool) -> PairDifference:
            one = next(said)
            if isinstance(one, Exception):
                raise one
            return one

        stage: Any = self
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evidence, "compare", compare)
            patch.setattr(evidence, "TapExamination", Unexamined)
            return asyncio.run(EvidenceCollector(stage, list(steps)).evidence())


def fired(offset: int | None, position: int = 10, fault: str = "cut-1") -> events.FaultFired:
    return events.FaultFired(
        fault=fault, spec="cut", text="", side=Side.MASTER, phase="stream", position=position, offset=offset, bytes=3
    )


def ack(offset: int) -> events.Ack:
    return events.Ack(start=0, end=1, offset=offset, fsynced=None, lag_bytes=0, lag_seconds=0.0)


def full(offset: int = 500, channel: Channel = Channel.MAIN) -> events.FullResync:
    reason = Reason(code="first_sync", text="none yet")
    return events.FullResync(start=0, end=1, replid=REPLID, offset=offset, reason=reason, channel=channel)


def partial(offset: int = 700, behind: int = 40) -> events.PartialResync:
    return events.PartialResync(
        start=0,
        end=1,
        replid=REPLID,
        previous_replid=None,
        offset=offset,
        bytes_behind=None,
        bytes_behind_at_least=behind,
    )


def caught_up(at_most: int) -> events.CaughtUp:
    return events.CaughtUp(
        start=1, end=2, offset=740, bytes=None, at_least=0, at_most=at_most, seconds=0.1, known_from="wire"
    )


def asked() -> events.PsyncRequested:
    return events.PsyncRequested(start=0, end=1, replid=REPLID, offset=1)


# ---- writes that must exist ----


def with_writes(limit: int | str, *writes: tuple[int, str]) -> Play:
    """The ledger: offset and value of each; both servers have them all."""
    play = Play(no_data_loss_before_offset=limit)
    for number, (offset, value) in enumerate(writes):
        play.workload.ledger.append(Noted(offset, f"key:{number}", value))
        for node in play.pair.nodes:
            node.values[f"key:{number}"] = value.encode()
    return play


def test_writes_up_to_an_offset_are_searched_for_and_later_ones_are_not() -> None:
    play = with_writes(200, (100, "a"), (200, "b"), (201, "c"))
    del play.replica.values["key:2"]
    found = play.found()
    assert (found.looked_for, found.missing) == (2, [])


def test_a_missing_or_stale_write_is_named_with_its_server() -> None:
    play = with_writes(200, (100, "a"), (150, "new"), (200, "c"))
    play.replica.values["key:1"] = b"old"
    del play.master.values["key:0"]
    found = play.found()
    assert found.missing == ["key:0 at 100 on the master", "key:1 at 150 on the replica"]
    assert found.looked_for == 3


def test_a_server_that_cannot_be_asked_has_lost_everything() -> None:
    play = with_writes(200, (100, "a"))
    play.replica.is_there = False
    assert play.found().missing == ["all on the replica: gone"]


def test_many_writes_are_searched_for_in_turn() -> None:
    play = with_writes(10_000, *((number, "v") for number in range(1100)))
    del play.replica.values["key:1099"], play.replica.values["key:500"]
    found = play.found()
    assert play.master.asked == play.replica.asked == [500, 500, 100]
    assert found.looked_for == 1100
    assert [one.split()[0] for one in found.missing] == ["key:500", "key:1099"]


def test_the_acknowledged_offset_before_the_first_fault_is_the_limit() -> None:
    play = with_writes("acked", (100, "a"), (150, "b"), (151, "c"), (300, "d"))
    for at, event in ((1.0, ack(100)), (2.0, ack(150)), (3.0, fired(400)), (3.5, ack(300)), (4.0, fired(500))):
        play.tell(at, event)
    assert play.found().looked_for == 2
    play = with_writes("acked", (100, "a"))
    play.tell(3.0, fired(400))
    play.tell(3.5, ack(300))
    assert play.found().looked_for == 0  # nothing had been acknowledged by then


def test_the_first_fault_with_an_offset_is_the_limit() -> None:
    play = with_writes("fault", (100, "a"), (150, "b"), (151, "c"))
    for at, event in ((0.5, fired(20)), (2.0, fired(None)), (3.0, fired(150)), (4.0, fired(300))):
        play.tell(at, event)
    play.since = 1.0  # a firing before the steps began does not count
    assert play.found().looked_for == 2
    play = with_writes("fault", (100, "a"))
    assert play.found().looked_for == 0
    play.tell(2.0, fired(None))
    assert play.found().looked_for == 0


# ---- counting ----


def test_the_masters_counts_and_the_taps_are_collected() -> None:
    play = Play()
    for at, event in ((1.0, asked()), (1.1, full()), (2.0, asked()), (2.1, partial()), (3.0, asked())):
        play.tell(at, event)
    play.tell(0.4, full())
    play.since = 0.5
    play.master.counts, play.replica.counts = [(1, 0)], [(0, 1)]
    found = play.found()
    counters = found.counters
    assert counters is not None
    assert (counters.sync_full, counters.sync_partial_ok) == (1, 1)
    assert (counters.full_seen, counters.partial_seen, counters.unanswered) == (1, 1, 1)
    assert counters.two_connections == 0
    assert [(one.kind, one.at, one.reason, one.offset, one.bytes) for one in found.resyncs] == [
        ("full", 1.1, "first_sync", 500, 0),
        ("partial", 2.1, "", 700, 40),
    ]


def test_the_upper_bound_of_missed_bytes_counts_after_catching_up() -> None:
    play = Play()
    for at, event in ((1.0, asked()), (1.1, partial()), (1.4, caught_up(70)), (2.0, asked()), (2.1, partial())):
        play.tell(at, event)
    assert [one.bytes for one in play.found().resyncs] == [70, 40]


def test_a_refused_request_was_answered() -> None:
    play = Play()
    play.tell(1.0, asked())
    play.tell(1.1, events.ResyncRefused(start=0, end=1, reply="-NOMASTERLINK"))
    play.tell(1.2, events.SyncRequested(start=0, end=1, inline=False))
    counters = play.found().counters
    assert counters is not None
    assert counters.unanswered == 1


@pytest.mark.parametrize(("version", "count"), [("Valkey 8.1", 1), ("Redis 8.0", 0)])
def test_only_valkey_counts_a_second_connection_as_a_partial_resync(version: str, count: int) -> None:
    play = Play()
    play.pair.version = version
    play.tell(1.0, full())
    play.tell(1.1, full(channel=Channel.RDB))
    play.master.counts = [(2, count)]
    counters = play.found().counters
    assert counters is not None
    assert counters.two_connections == count
    assert counters.agree


def test_counters_are_read_again_until_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "SETTLED", 1.0)  # three readings take longer than 0.05 s on a busy machine
    play = Play()
    play.tell(1.0, full())
    play.master.counts = [(0, 0), (0, 0), (1, 0)]
    counters = play.found().counters
    assert counters is not None
    assert counters.agree


def test_counters_that_never_agree_are_reported() -> None:
    play = Play()
    play.master.counts = [(1, 0)]
    counters = play.found().counters
    assert counters is not None
    assert not counters.agree


def test_without_info_there_are_no_counters() -> None:
    play = Play()
    play.master.is_there = False
    assert play.found().counters is None


def test_servers_that_have_ended_are_reported_and_not_asked() -> None:
    play = Play(replica_exits=True, settle="100ms")
    play.replica.exit_code = 1
    play.replica.counts = [(9, 9)]
    found = play.found()
    assert found.exited == {"replica": 1}
    assert found.counters is not None
    assert found.counters.sync_full == 0
    play.stopped = {"replica"}
    play.replica.exit_code = None
    assert play.found().exited == {}
    play.replica.exit_code = 0
    assert play.found().exited == {}  # a step has killed it


def test_a_process_that_is_expected_to_end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [None, None, None, 1]
    ends = property(lambda self: answers.pop(0) if len(answers) > 1 else 1, lambda self, code: None)
    monkeypatch.setattr(Server, "exit_code", ends, raising=False)
    play = Play(replica_exits=True)
    play.stopped = {"master"}
    assert play.found().exited == {"replica": 1}
    assert len(answers) == 1


@pytest.mark.parametrize("gone", ["master", "replica"])
def test_the_other_server_is_counted_where_one_has_ended(gone: str) -> None:
    play = Play(replica_exits=True, settle="100ms")
    play.stopped = {gone}
    play.replica.exit_code = 1
    play.master.counts, play.replica.counts = [(1, 2)], [(10, 20)]
    if gone == "master":
        play.replica.exit_code = None
    counters = play.found().counters
    assert counters is not None
    assert (counters.sync_full, counters.sync_partial_ok) == ((10, 20) if gone == "master" else (1, 2))


def test_the_bytes_of_an_rdb_are_those_of_its_own_connection_and_transfer() -> None:
    def progress(size: int) -> events.RdbProgress:
        return events.RdbProgress(
            start=0, end=1, bytes=size, size=None, keys=0, keys_announced=0, bytes_per_second=None, seconds_left=None
        )

    def finished(size: int) -> events.RdbFinished:
        return events.RdbFinished(
            start=0, end=1, transfer=Transfer.DISK, bytes=size, seconds=0.1, keys=0, expiring=0, functions=0,
            by_type={}, largest=(), checksum="ok",
        )  # fmt: skip

    play = Play()
    play.master.counts = [(3, 0)]
    play.tell(1.0, full(), 1)
    play.tell(1.1, progress(100), 1)
    play.tell(1.15, progress(999), 2)
    play.tell(1.2, progress(200), 1)  # and then it was cut
    play.tell(2.0, full(), 3)
    play.tell(2.1, progress(50), 3)
    play.tell(2.2, finished(300), 3)
    play.tell(2.3, progress(400), 3)
    play.tell(3.0, full(), 1)
    play.tell(3.1, finished(500), 1)
    assert [one.bytes for one in play.found().resyncs] == [200, 300, 500]


def test_each_fault_has_its_places_up_to_a_limit() -> None:
    play = Play()
    armed = Armed(parse("cut at=stream"), "cut-1", 0.0)
    armed.fired, armed.bytes = 7, 90
    play.armed = [armed]
    play.tell(1.0, fired(400, 12))
    play.tell(1.1, fired(None, 13, "other"))
    for number in range(30):
        play.tell(2.0, fired(None, number))
    (seen,) = play.found().faults
    assert (seen.name, seen.spec, seen.fired, seen.bytes) == ("cut-1", "cut at=stream", 7, 90)
    assert seen.places[:2] == ("stream, offset 400, byte 12 from the master", "stream, byte 0 from the master")
    assert len(seen.places) == evidence.PLACES


# ---- the state of the pair ----


def test_refusals_and_the_outage_are_collected() -> None:
    play = Play()
    found = play.found()
    assert (found.refused, found.outages, found.link) == (3, [0.5], "up")
    assert play.has_stopped


def test_a_late_link_is_waited_for() -> None:
    play = Play()
    play.links = ["down", "unknown", "up"]
    assert play.found().link == "up"
    play = Play(link_up=False)
    play.links = ["down"]
    assert play.found().link == "down"


def test_data_that_become_equal_late_are_equal() -> None:
    play = Play()
    play.samples = [
        OffsetSample(100, 90, 100, 90, "up"),
        OffsetSample(100, 95, 100, 95, "up"),
        OffsetSample(100, 100, 100, 100, "up"),
    ]
    unequal = PairDifference(equal=False, by="keys", keys=("db 0: a",))
    assert play.found(differences=[unequal, Unreachable("busy"), unequal]).difference == PairDifference(True, "digest")


def test_lasting_differences_are_reported() -> None:
    unequal = PairDifference(equal=False, by="keys", keys=("db 0: a",))
    assert Play().found(differences=itertools.repeat(unequal)).difference == unequal
    play = Play(settle="200ms", link_up=False)
    play.links, play.samples = ["down"], [OffsetSample(100, 90, 100, 90, "down")]
    assert play.found(differences=itertools.repeat(unequal)).difference == unequal


def test_servers_are_at_rest_while_their_distance_stays_whatever_is_written() -> None:
    """As PINGs are: both offsets grow."""
    unequal = PairDifference(equal=False, by="keys", keys=("db 0: a",))
    play = Play(settle="10s")
    play.samples = [OffsetSample(100 + n, 90 + n, 100 + n, 90 + n, "up") for n in range(10_000)]
    began = time.monotonic()
    assert play.found(differences=itertools.repeat(unequal)).difference == unequal
    assert time.monotonic() - began < 5


def test_servers_that_cannot_be_compared_say_why() -> None:
    play = Play(settle="50ms")
    found = play.found(differences=itertools.repeat(Unreachable("gone")))
    assert (found.difference, found.why) == (None, "the servers did not come to rest")
    play = Play()
    play.replica.exit_code = 3
    found = play.found()
    assert (found.difference, found.why) == (None, "the replica's process has ended")
    for failure, why in (
        (InvalidReply("h:1: SCAN of db 0 does not end"), "h:1: SCAN of db 0 does not end"),
        (TimeoutError(), "reading the data sets took longer than 900 s"),
    ):
        found = Play().found(differences=itertools.chain([failure], itertools.repeat(Unreachable("asked again"))))
        assert (found.difference, found.why) == (None, why)


@pytest.mark.parametrize(
    ("samples", "standing"),
    [
        ([OffsetSample(100, 100, 100, 100, "up")], "level"),
        ([OffsetSample(100, 100, 100, 90, "up"), OffsetSample(100, 100, 100, 100, "up")], "level"),
        (
            [OffsetSample(100, 100, 100, 90, "up"), OffsetSample(120, 110, 120, 100, "up")],
            "level",
        ),  # it said what it had then
        ([None, OffsetSample(100, 100, 100, 100, "up")], "level"),
        ([OffsetSample(100, 90, 100, 90, "up")], "behind"),
        ([OffsetSample(100, 100, 100, 90, "up")], "behind"),  # and never says so
        ([OffsetSample(100, 100, 100, None, "up")], "behind"),
        ([OffsetSample(100, 101, 100, 100, "up")], "ahead"),
        ([OffsetSample(100, 100, 100, 101, "up")], "ahead"),
        (
            [OffsetSample(100, 101, 100, 101, "up")] * 2 + [OffsetSample(101, 101, 101, 101, "up")],
            "level",
        ),  # between two heartbeats
    ],
)
def test_the_position_of_the_replica_is_found(samples: list[OffsetSample | None], standing: str) -> None:
    play = Play(acked_offset="level")
    play.samples = [samples[0], *samples]  # the first is for the comparison
    found = play.found()
    assert found.standing == standing
    assert "the master is at" in found.standing_text


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        (OffsetSample(100, 100, 105, 100, "up"), "applied 100, acknowledged 100, the master is at 105"),
        (OffsetSample(100, 90, 100, None, "up"), "applied 90, acknowledged -1, the master is at 100"),
        (OffsetSample(100, -1, 100, None, "unknown"), "applied -1, acknowledged -1, the master is at 100"),
        (OffsetSample(0, 0, 0, None, "up"), "applied 0, acknowledged -1, the master is at 0"),
    ],
)
def test_where_the_replica_stands_is_said_in_numbers(sample: OffsetSample, text: str) -> None:
    play = Play(acked_offset="level", settle="100ms")
    play.samples = [sample]
    for _ in range(2):
        play.tell(1e9, ack(0))  # after all that is looked at
    found = play.found()
    assert found.standing_text == text
    assert found.standing == ("level" if sample.acked == 100 else "behind")


@pytest.mark.parametrize("heard", [0, 1, 2])
def test_a_replica_is_behind_once_acks_that_say_no_more_have_come_or_at_the_end(heard: int) -> None:
    play = Play(acked_offset="behind", settle="2s")
    play.samples = [OffsetSample(100, 100, 100, 0, "up")]
    for _ in range(heard):
        play.tell(1e9, ack(0))  # after everything that is examined
    began = time.monotonic()
    assert play.found().standing == "behind"
    assert (time.monotonic() - began < 2) is (heard == 2)


def test_a_replica_that_still_comes_nearer_is_not_called_behind() -> None:
    """However long that takes, and whatever its ACKs said on the way."""
    play = Play(acked_offset="level", settle="5s")
    for _ in range(3):
        play.tell(1e9, ack(0))  # after all that is looked at
    play.samples = [OffsetSample(1000, applied, 1000, applied, "up") for applied in range(900, 1001)]
    began = time.monotonic()
    found = play.found()
    assert time.monotonic() - began > 2 * evidence.SETTLED
    assert (found.standing, found.standing_text) == ("level", "applied 1000, acknowledged 1000, the master is at 1000")


@pytest.mark.parametrize(
    ("infos", "is_zombie", "text"),
    [
        ([{"slave_read_repl_offset": 99}], False, "the link takes no bytes"),
        ([{"slave_read_repl_offset": 100, "slave_repl_offset": 90, "master_link_status": "up"}], True,
         "byte 100 received, 90 applied"),
        ([{"slave_read_repl_offset": 100, "slave_repl_offset": 100, "master_link_status": "up"}], False,
         "what arrives is applied"),
        ([{"slave_read_repl_offset": 100, "slave_repl_offset": 99, "master_link_status": "down"}], False,
         "the link is down"),
        ([{"slave_read_repl_offset": 100, "slave_repl_offset": 99}], False, "the link is unknown"),
    ],
)  # fmt: skip
def test_a_zombie_takes_bytes_and_applies_nothing(infos: list[dict[str, Any]], is_zombie: bool, text: str) -> None:
    play = Play(zombie=True, settle="100ms")
    play.master.infos, play.replica.infos = [{"master_repl_offset": 100}], infos
    found = play.found()
    assert found.zombie == is_zombie
    assert found.zombie_text.startswith(text)


def test_a_run_that_has_failed_is_not_waited_for_long() -> None:
    play = Play(settle="1h")
    play.links = ["down"]
    began = time.monotonic()
    found = play.found(StepTaken("wait", 1.0, 1.0, "not within 1 s"))
    assert found.link == "down"
    assert time.monotonic() - began < 60
