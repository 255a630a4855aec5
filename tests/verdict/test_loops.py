"""What is a loop, what is none, and when it is over."""

from __future__ import annotations

from typing import Any

from tap.bus import Told
from tap.replication import events
from tap.replication.events import Reason, Role, Side
from tap.verdict.loops import LONG_PAUSE, MAX_REPLICAS, PAUSE, Loops, judging
from tests.verdict.story import ID, MB, Story

OTHER = "f" * 40


def fails(story: Story, times: int = 1, offset: int = 0, **granted: Any) -> Story:
    """Rounds of two seconds that the master ends in its RDB."""
    for _ in range(times):
        story.asks().granted(offset, **granted).rdb().after(2)
        story.ends(Side.MASTER, "rdb", bytes_from_master=1100).after(0.5)
    return story


def syncs(story: Story, offset: int = 0) -> Story:
    return story.asks().granted(offset).rdb().after(2).rdb_done()


def test_a_first_sync_and_one_retry_are_no_loop() -> None:
    assert not syncs(Story()).after(3600).said
    assert not syncs(fails(Story())).after(3600).said


def test_the_third_full_resync_is_a_loop() -> None:
    verdict = fails(Story(), 2).asks().granted(0).verdict
    assert (verdict.count, verdict.period, verdict.by, verdict.phase) == (3, 2.5, Side.MASTER, "rdb")
    assert (verdict.bytes, verdict.seconds, verdict.known_from) == (1000, 2.0, "wire")


def test_a_loop_is_reported_again_with_the_tenth_and_hundredth() -> None:
    assert [one.count for one in fails(Story(), 101).verdicts] == [3, 10, 100]


def test_a_loop_is_over_when_the_stream_has_lasted_for_longer_than_a_round() -> None:
    story = syncs(fails(Story(), 2)).after(2.9)
    assert not story.over
    story.after(2)
    assert [(one.cause, one.count) for one in story.over] == [("child_fails", 3)]
    assert story.over[0].seconds == 2 * 2.5 + 2 + 1  # to the tick that has seen the first ACK
    assert not story.loops.verdicts
    assert not syncs(story.ends(Side.MASTER, "stream")).after(3600).verdicts[1:]


def test_a_loop_whose_replica_does_not_come_back_is_over_by_time() -> None:
    story = fails(Story(), 3)
    assert story.verdicts
    began = story.now
    story.after(PAUSE)
    assert story.over == []
    story.after(60)
    (over,) = story.over
    assert (over.cause, over.how, over.count) == (story.verdict.cause, "gone", 3)
    assert over.seconds < began
    assert story.loops.verdicts == []
    assert fails(story, 1).over == [over]


def test_a_replica_that_comes_back_in_time_goes_on_with_its_loop() -> None:
    story = fails(Story(), 3).after(PAUSE - 5)
    fails(story, 1).after(PAUSE - 5)
    assert (story.over, story.count) == ([], 4)


def test_a_partial_resync_that_lasts_ends_a_loop() -> None:
    def loses(story: Story, held: int | None) -> Story:
        story.asks(held).granted(0, "first_sync" if held is None else "offset_out_of_backlog").rdb().rdb_done()
        return story.after(5).ends(Side.REPLICA, "stream").after(1)

    story = Story()
    for held in (None, 0, 0, 0):
        loses(story, held)
    assert len(story.verdicts) == 1

    def goes_on() -> None:
        partial = {"replid": ID, "previous_replid": None, "offset": 0, "bytes_behind": None}
        story.asks(0).tell(events.PartialResync(start=0, end=1, **partial))  # type: ignore[arg-type]

    goes_on()
    story.after(1).ends(Side.REPLICA, "stream").after(60)
    assert story.over == []
    goes_on()
    story.after(20)
    (over,) = story.over
    assert (over.cause, over.how, over.count) == (story.verdict.cause, "stream", 4)
    story.after(2 * LONG_PAUSE)
    assert len(story.over) == 1


def test_time_passes_with_other_events_too() -> None:
    story = syncs(fails(Story(), 2))
    story.now += 10
    listening = events.Listening(address="127.0.0.1:1", host="127.0.0.1", port=1, master=None)
    story.tell(listening, 0)
    story.now += 10
    assert [one.kind for one in story.tell(listening, 0).over] == ["verdict_over"]


def test_a_stream_that_is_not_acknowledged_ends_no_loop() -> None:
    story = fails(Story(), 2)
    story.loaded = False
    assert not syncs(story).after(100).over
    story.ends(Side.MASTER, "loading")
    assert story.asks().granted(0).count == 4


def test_an_acknowledgement_shows_that_the_replica_has_loaded() -> None:
    story = syncs(fails(Story(loops=Loops()), 2)).after(10)
    assert not story.over
    ack = events.Ack(start=0, end=1, offset=0, fsynced=None, lag_bytes=0, lag_seconds=0.0)
    assert [one.seconds for one in story.tell(ack).after(10).over] == [2 * 2.5 + 2 + 10]


def test_verdicts_stand_among_the_events_of_a_recording() -> None:
    heard: list[str] = []
    judge = judging(lambda told: heard.append(told.event.kind))
    full = events.FullResync(start=0, end=1, replid=ID, offset=0, reason=Reason(code="first_sync", text=""))
    closed = events.LinkClosed(
        by=Side.MASTER,
        how="fin",
        text="",
        role=Role.REPLICA,
        phase="waiting",
        offset=0,
        bytes_from_master=1,
        bytes_from_replica=1,
    )
    command = events.Command(start=0, end=1, offset=1, db=0, name="SET", args=(), in_transaction=False)
    for number in range(1, 4):
        for event in (full, closed, command):
            judge(Told(1000.0 + number, "main", number, "r:1", event))
    assert heard == ["full_resync", "link_closed", "command"] * 2 + ["full_resync", "verdict", "link_closed", "command"]


def test_a_short_stream_between_failures_goes_on_with_the_streak() -> None:
    story = fails(Story(), 2)
    syncs(story).after(1).ends(Side.MASTER, "loading").after(0.5)
    story.asks().granted(0)
    assert not story.over
    assert story.count == 4


def test_a_failover_is_no_loop() -> None:
    story = fails(fails(Story(), 2, replid=ID), 2, replid=OTHER)
    assert not story.said


def test_rounds_that_end_in_different_ways_are_no_loop() -> None:
    story = fails(Story())
    syncs(story).after(1).ends(Side.REPLICA, "stream", how="reset").after(1)
    story.asks(held=0).granted(5 * MB, "offset_out_of_backlog")
    assert not story.said


def test_failures_far_apart_are_no_loop() -> None:
    story = fails(Story()).after(100)
    assert not fails(story).after(100).asks().granted(0).said


def test_each_replica_and_link_has_its_own() -> None:
    one = Story()
    other = Story("10.0.0.8:6380", one.loops)
    for story in (one, other):
        fails(story).connection += 1000
    assert not fails(one).asks().granted(0).verdict.alternatives
    assert not other.said


def test_a_replica_that_asks_again_has_given_up_its_earlier_connection() -> None:
    story = Story()
    for _ in range(3):
        story.asks().granted(0).rdb().after(5)
    verdict = story.verdict
    assert (verdict.cause, verdict.by, verdict.phase, verdict.setting) == (
        "repl_timeout",
        Side.REPLICA,
        "rdb",
        "repl-timeout",
    )
    story.ends(Side.REPLICA, "rdb", connection=1).ends(Side.REPLICA, "rdb", connection=2)  # their ends change nothing
    assert story.after(0.1).asks().granted(0).count == 4


def rdb_comes_on_its_own(story: Story) -> int:
    """A sync with two connections, up to the RDB. Returns the number of the second one."""
    story.asks()
    channel = story.connection + 100
    identified = events.Identified(
        start=0, end=1, role=Role.RDB_CHANNEL, replica="", text="", main_connection=story.connection
    )
    story.tell(identified, channel).granted(0).rdb().after(2)
    return channel


def test_in_a_sync_with_two_connections_the_first_end_counts() -> None:
    story = Story()
    for _ in range(2):
        channel = rdb_comes_on_its_own(story)
        story.ends(Side.MASTER, "rdb", channel, role=Role.RDB_CHANNEL, bytes_from_master=5100)
        story.ends(Side.REPLICA, "rdb").after(0.5)
    verdict = story.asks().granted(0).verdict
    assert (verdict.by, verdict.bytes, verdict.cause) == (Side.MASTER, 5000, "child_fails")


def test_the_ordinary_end_of_an_rdb_channel_is_none() -> None:
    story = Story()
    for _ in range(2):
        channel = rdb_comes_on_its_own(story)
        story.rdb_done().ends(Side.MASTER, "done", channel).after(1).ends(Side.REPLICA, "loading").after(0.5)
    assert story.asks().granted(0).verdict.by is Side.REPLICA


def test_the_cause_may_turn_out_to_be_another() -> None:
    story = fails(Story(), 3)
    story.asks().granted(0).rdb().after(2).ends(Side.REPLICA, "rdb").after(0.5).asks().granted(0)
    assert [(one.cause, one.count) for one in story.verdicts] == [("child_fails", 3), ("disk_full", 5)]


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    story = syncs(fails(Story(), 2)).after(1)
    story.now -= 3600
    assert story.after(3700).over


def test_memory_is_bounded() -> None:
    loops = Loops()
    for number in range(MAX_REPLICAS + 10):
        story = Story(f"10.0.0.7:{number}", loops)
        story.connection = 10 * number
        syncs(story).ends(Side.REPLICA, "stream")
    assert len(loops._streaks) == MAX_REPLICAS
    assert not loops._rounds
    assert not loops._requests
