"""Each cause by its picture on the wire, with its figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tap.replication import events
from tap.replication.events import Side
from tap.replication.inspected import BufferLimit, Inspected
from tap.verdict.loops import Loops
from tests.verdict.story import MB, Story


def overrun(phase: str, size: int | None) -> events.Verdict:
    """A master that writes 4 MB/s, and ends each round 10 s after the snapshot: half of the RDB took 8 s."""
    story, offset = Story(), 0
    story.loaded = False
    for _ in range(2):
        story.asks().granted(offset).after(2).rdb(size, aux={"redis-ver": "7.0.15", "used-mem": str(200 * MB)})
        if phase == "loading":
            story.after(6).rdb_done().after(2)
        else:
            story.after(8)
        story.ends(Side.MASTER, phase, bytes_from_master=100 + 100 * MB)
        offset += 40 * MB
    return story.asks().granted(offset).verdict


def test_an_output_buffer_has_to_hold_wait_transfer_and_load() -> None:
    verdict = overrun("rdb", 200 * MB)
    assert (verdict.cause, verdict.server, verdict.setting) == ("output_buffer", "master", "client-output-buffer-limit")
    # 4 MB/s x (2 s wait + 16 s transfer + 16 s load, assumed) x 2
    assert verdict.value == "replica 272mb 272mb 60"
    assert verdict.figures == {
        "rate_bytes_per_second": 4 * MB,
        "written_bytes": 40 * MB,
        "wait_seconds": 2,
        "transfer_seconds": 16,
        "load_seconds": 16,
        "margin": 2,
        "needed_bytes": 272 * MB,
    }
    assert (
        "4.0 MB/s x (2.0 s wait + 16.0 s transfer (estimated) + 16.0 s load (assumed: as long as the transfer)) x 2"
        in verdict.text
    )
    assert (verdict.at_least, verdict.assumed) == (False, ("transfer_seconds", "load_seconds"))
    assert "overcoming of output buffer limits" in verdict.decide
    assert not verdict.alternatives  # the child had written the whole RDB to disk


def test_a_diskless_child_may_have_failed_as_well() -> None:
    verdict = overrun("rdb", None)
    assert verdict.figures["transfer_seconds"] == 16  # by the memory that the RDB is a picture of
    assert (verdict.cause, verdict.alternatives) == ("output_buffer", ("child_fails",))
    assert "overcoming of output buffer limits" in verdict.decide


def test_a_transfer_that_was_measured_is_not_estimated() -> None:
    verdict = overrun("loading", None)
    assert (verdict.figures["transfer_seconds"], verdict.figures["load_seconds"]) == (6, 2)
    assert "(2.0 s wait + 6.0 s transfer + 2.0 s load and more) x 2 margin = 80mb" in verdict.text
    assert (verdict.at_least, verdict.assumed) == (True, ())


def test_a_transfer_that_no_round_has_shown_is_a_guess_until_one_shows_it() -> None:
    """The master's buffer overran while its child wrote the RDB to disk. With the first value it overruns later."""
    story, offset = Story(), 0
    story.loaded = False
    for _ in range(3):
        story.asks().granted(offset).after(1).ends(Side.MASTER, "waiting")
        offset += 4 * MB
    story.asks().granted(offset)
    (guess,) = story.verdicts
    assert (guess.cause, guess.value) == ("output_buffer", "replica 24mb 24mb 60")
    assert guess.text.endswith("= 24mb, at least: no round has shown how long the RDB takes")
    assert (guess.at_least, guess.assumed) == (True, ("transfer_seconds", "load_seconds"))
    story.after(2).rdb(200 * MB).after(8).ends(Side.MASTER, "rdb", bytes_from_master=100 + 100 * MB)
    story.asks().granted(offset + 40 * MB)
    assert [(one.value, one.at_least) for one in story.verdicts[1:]] == [("replica 272mb 272mb 60", False)]


def test_a_master_that_wrote_little_has_a_child_that_fails() -> None:
    story = Story()
    for _ in range(2):
        story.asks().granted(0).after(1).ends(Side.MASTER, "waiting").after(1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause, verdict.setting, verdict.value) == ("child_fails", "repl-diskless-sync", "yes")


def test_a_child_that_fails_in_diskless_transfers_may_also_do_so_before_one() -> None:
    story = Story().asks().granted(0).rdb().after(1).ends(Side.MASTER, "rdb").after(1)
    story.asks().granted(0).after(1).ends(Side.MASTER, "waiting").after(1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause, verdict.setting) == ("child_fails", "")


def test_a_master_whose_offsets_are_unknown_may_have_written_more_than_its_buffer_holds() -> None:
    """After SYNC: the grant names no offset."""
    story = Story()
    for _ in range(2):
        story.asks().granted(None, replid=None).after(1).ends(Side.MASTER, "waiting").after(1)
    verdict = story.asks().granted(None, replid=None).verdict
    assert (verdict.cause, verdict.alternatives) == ("child_fails", ("output_buffer",))
    assert "has written an unknown amount since the snapshot: its child" in verdict.text
    assert "overcoming of output buffer limits" in verdict.decide


@pytest.mark.parametrize("phase", ["rdb", "loading"])
def test_a_child_that_has_ended_does_not_fail(phase: str) -> None:
    story = Story()
    for _ in range(2):
        story.asks().granted(0).rdb(100 * MB).after(1)
        if phase == "loading":
            story.rdb_done().loaded = False
        story.ends(Side.MASTER, phase).after(1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause, verdict.decide) == ("unknown", "its log says why")
    assert f"in phase {phase}, when its snapshot was complete, and has written 0 B since" in verdict.text


def test_a_refusal_counts_if_the_snapshot_fails() -> None:
    for reply, cause in (("-BGSAVE failed, replication can't continue", ["child_fails"]), ("-LOADING", [])):
        story = Story()
        for _ in range(3):
            story.asks().tell(events.ResyncRefused(start=0, end=1, reply=reply))
            story.ends(Side.REPLICA, "handshake").after(1)
        assert [one.cause for one in story.verdicts] == cause


@pytest.mark.parametrize(
    ("by", "phase", "silences", "is_timeout"),
    [
        (Side.REPLICA, "rdb", {"master_silence": 60.4}, True),
        (Side.REPLICA, "waiting", {"master_silence": 60.4}, True),
        (Side.REPLICA, "loading", {"master_silence": 60.4}, False),  # it does not look at its master while it loads
        (Side.MASTER, "loading", {"replica_silence": 60.4}, True),
        (Side.MASTER, "rdb", {"replica_silence": 60.4}, False),  # which says nothing while it receives
        (Side.MASTER, "rdb", {"master_silence": 60.4}, True),
        (Side.REPLICA, "rdb", {"master_silence": 1.0}, False),
    ],
)
def test_equal_silences_are_a_timeout(by: Side, phase: str, silences: dict[str, Any], is_timeout: bool) -> None:
    story = Story()
    for more in (0.0, 1.0):
        story.asks().granted(0).rdb().after(70)
        if phase == "loading":
            story.rdb_done().loaded = False
        story.ends(by, phase, **{name: value + more for name, value in silences.items()}).after(1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause == "repl_timeout") is is_timeout
    if is_timeout:
        assert (verdict.server, verdict.setting, verdict.value) == (by.value, "repl-timeout", "123")
        assert (verdict.at_least, verdict.alternatives) == (True, ())


@pytest.mark.parametrize(("by", "others"), [(Side.MASTER, ("output_buffer",)), (Side.REPLICA, ())])
def test_a_master_that_writes_steadily_overruns_its_buffer_after_equal_silences(
    by: Side, others: tuple[str, ...]
) -> None:
    story = Story()
    for number in range(2):
        story.asks().granted(number * 70 * MB).rdb().after(70).ends(by, "rdb", master_silence=60.4)
    verdict = story.asks().granted(2 * 70 * MB).verdict
    assert (verdict.cause, verdict.alternatives) == ("repl_timeout", others)
    assert ("overcoming of output buffer limits" in verdict.decide) is (by is Side.MASTER)


def test_silences_of_different_length_may_be_a_timeout_of_a_busy_replica_and_no_full_disk() -> None:
    story = Story()
    for silence in (10.0, 20.0):
        story.asks().granted(0).rdb().after(30).ends(Side.REPLICA, "rdb", master_silence=silence).after(1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause, verdict.alternatives) == ("repl_timeout", ("replica_ends",))
    assert "for 10.0 to 20.0 s: its repl-timeout, late on a busy machine, or it ends by itself" in verdict.text


def test_silences_of_different_length_are_no_timeout_of_a_master() -> None:
    story = Story()
    for silence in (10.0, 20.0):
        story.asks().granted(0).rdb().after(30).ends(Side.MASTER, "rdb", master_silence=silence).after(1)
    assert story.asks().granted(0).verdict.cause != "repl_timeout"


def test_a_silence_once_is_no_timeout() -> None:
    story = Story()
    for silence in (10.0, 0.1):
        story.asks().granted(0).rdb().after(30).ends(Side.REPLICA, "rdb", master_silence=silence).after(1)
    assert story.asks().granted(0).verdict.cause == "disk_full"


def unloaded(version: int, announced: str = "", phase: str = "loading") -> events.Verdict:
    story = Story()
    for _ in range(2):
        story.asks(version=announced).granted(0).rdb(version=version, aux={"valkey-ver": "9.1.2"})
        if phase == "loading":
            story.rdb_done().loaded = False
        story.ends(Side.REPLICA, phase).after(0.1)
    return story.asks().granted(0).verdict


def test_an_rdb_that_the_replica_cannot_load() -> None:
    verdict = unloaded(80)
    assert (verdict.cause, verdict.server, verdict.setting) == ("rdb_not_loadable", "replica", "")
    assert "RDB 80 by Valkey 9.1.2, which loads into Valkey 9.0 or later" in verdict.text
    assert verdict.alternatives == ("replica_ends",)


def test_a_replica_that_announced_an_older_version_leaves_no_doubt() -> None:
    for phase in ("loading", "rdb"):
        verdict = unloaded(80, "8.1.1", phase)
        assert (verdict.cause, verdict.alternatives, verdict.decide) == ("rdb_not_loadable", (), "")
        assert "the replica is Valkey 8.1.1" in verdict.text
    assert "a value or a module in it may not" in unloaded(80, "9.1.2").text


def test_a_replica_that_ends_in_the_rdb_may_lack_disk() -> None:
    verdict = unloaded(12, phase="rdb")
    assert (verdict.cause, verdict.alternatives) == ("disk_full", ("rdb_not_loadable", "replica_ends"))
    assert "or cannot load it: RDB 12 is for Redis 7.4 or later, or ends" in verdict.text
    assert "No space left on device" in verdict.decide


def test_a_replica_that_knows_the_version_may_refuse_a_value_of_the_rdb() -> None:
    verdict = unloaded(80, "9.1.2", "rdb")
    assert (verdict.cause, verdict.alternatives) == ("disk_full", ("rdb_not_loadable", "replica_ends"))
    assert "or cannot load it, or ends by itself" in verdict.text


def test_a_master_that_lacks_the_replicas_version() -> None:
    story = Story()
    for _ in range(2):
        story.asks().granted(0).rdb(version=11, aux={"valkey-ver": "9.1.2"}).after(1).ends(Side.MASTER, "rdb").after(0.1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause, verdict.alternatives) == ("capability_missing", ("child_fails",))
    assert "announced no version (REPLCONF version)" in verdict.text


def test_an_rdb_of_an_older_version_leaves_room_for_an_overrun() -> None:
    """Every replica older than Valkey 9 gets an RDB 11. One that was complete on the disk has stored its hashes."""
    for size, found in ((None, "capability_missing"), (100 * MB, "output_buffer")):
        story = Story()
        for number in range(2):
            story.asks().granted(number * 10 * MB).rdb(size, 11, {"valkey-ver": "9.1.2"}).after(10).ends(
                Side.MASTER, "rdb"
            )
        verdict = story.asks().granted(2 * 10 * MB).verdict
        assert (verdict.cause, "output_buffer" in (verdict.cause, *verdict.alternatives)) == (found, True)
        assert "overcoming of output buffer limits" in verdict.decide


def test_what_a_mask_takes_out_is_named() -> None:
    story = Story()
    for _ in range(2):
        story.asks()
        said = ("REPLCONF", "version", "9.1.2")
        story.tell(events.Handshake(start=0, end=1, request=said, reply="+OK", sent=("REPLCONF", "versiox", "9.1.2")))
        story.granted(0).rdb(version=11, aux={"valkey-ver": "9.1.2"}).after(1).ends(Side.MASTER, "rdb").after(0.1)
    assert "--mask" in story.asks().granted(0).verdict.text


def test_what_the_tap_ends_is_its_own_fault() -> None:
    story = Story()
    for _ in range(2):
        story.asks().granted(0).rdb().after(1).ends(Side.TAP, "rdb").after(0.1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause, verdict.known_from) == ("fault", "tap")
    assert "this tap ends each round in phase rdb: a fault" in verdict.text


def test_a_round_that_the_tap_ends_does_not_hide_why_the_others_end() -> None:
    story = Story()
    for by in (Side.REPLICA, Side.TAP):
        story.asks().granted(0).rdb().after(1).ends(by, "rdb").after(0.1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause, verdict.by) == ("disk_full", Side.TAP)


def test_rounds_that_end_in_different_phases_are_not_called_equal() -> None:
    story = Story()
    for phase in ("rdb", "waiting"):
        story.asks().granted(0)
        (story if phase == "waiting" else story.rdb()).after(1).ends(Side.REPLICA, phase).after(0.1)
    verdict = story.asks().granted(0).verdict
    assert (verdict.cause, verdict.server) == ("unknown", "replica")
    assert "the replica ended the last round in phase waiting, before the RDB has begun" in verdict.text


def test_one_odd_round_does_not_hide_the_cause() -> None:
    """As when the operator stops a replica that does not load the RDB, while the master forks for the next one."""
    story = Story()
    story.loaded = False
    for _ in range(2):
        story.asks().granted(0).rdb(version=12).rdb_done().ends(Side.REPLICA, "loading").after(0.1)
    story.asks().granted(0).ends(Side.REPLICA, "waiting").after(0.1)
    story.asks().granted(0)
    assert story.verdict.cause == "rdb_not_loadable"
    story.rdb(version=12).after(1).ends(Side.TAP, "rdb").after(0.1)
    story.asks().granted(0).rdb(version=12).after(1)
    story.loaded = True
    story.rdb_done().after(60)
    assert [one.cause for one in story.over] == ["rdb_not_loadable"]


def lost(outage: float, by: Side, lag: int, causes: tuple[str, ...] = ()) -> events.Verdict:
    """A master that writes 1 MB/s; the link is lost after 20 s of stream."""
    story, held = Story(), None
    offset = 0
    for _ in range(3):
        code = "first_sync" if held is None else "offset_out_of_backlog"
        story.asks(held).granted(offset, code, causes=() if held is None else causes).rdb().rdb_done()
        story.after(20).ends(by, "stream", how="reset").after(outage)
        offset += int((20 + outage) * MB)
        held = offset - int(outage * MB) - lag
    return story.verdict


def test_a_backlog_has_to_hold_the_longest_outage() -> None:
    verdict = lost(10, Side.REPLICA, 0)
    assert (verdict.cause, verdict.setting, verdict.value) == ("backlog_too_small", "repl-backlog-size", "15mb")
    assert (verdict.figures["rate_bytes_per_second"], verdict.figures["outage_seconds"]) == (MB, 10)
    assert "1.0 MB/s x 10.0 s, the longest outage, x 1.5 margin = 15.0 MB" in verdict.text


def test_a_backlog_that_began_anew_is_not_too_small() -> None:
    """The reason of the full resync says what it allows."""
    both = lost(10, Side.REPLICA, 0, ("backlog_too_small", "backlog_reset"))
    assert (both.cause, both.alternatives, both.decide) == ("backlog_too_small", ("backlog_reset",), "its log")
    for causes in (("backlog_reset",), ("backlog_reset", "backlog_freed")):
        verdict = lost(0, Side.MASTER, 8 * MB, causes)
        assert ((verdict.cause, *verdict.alternatives), verdict.setting, verdict.value) == (causes, "", "")
    assert verdict.decide == "its log"


def test_a_replica_that_lags_overruns_its_buffer_in_the_stream() -> None:
    verdict = lost(0, Side.MASTER, 8 * MB)
    assert (verdict.cause, verdict.value) == ("output_buffer", "replica 16mb 16mb 60")
    assert (verdict.alternatives, verdict.at_least) == (("repl_timeout",), True)


def test_other_losses_of_the_stream_are_unknown() -> None:
    story = Story()
    for _ in range(3):
        story.asks().granted(0).rdb().rdb_done().after(5).ends(Side.REPLICA, "stream").after(1)
    assert story.verdict.cause == "unknown"
    assert "first_sync each time" in story.verdict.text


# ---- with what the master says ----

SAID = Inspected(
    0.0,
    0.1,
    role="master",
    limit=BufferLimit(8 * MB, 4 * MB, 60),
    repl_timeout=60,
    backlog_size=MB,
    is_saved=True,
    settings={
        "client-output-buffer-limit": "normal 0 0 0 slave 8388608 4194304 60 pubsub 33554432 8388608 60",
        "repl-timeout": "60",
        "repl-backlog-size": "1048576",
        "repl-diskless-sync": "no",
        "dir": "/data",
    },
)


def asked(said: Inspected, rate: int, phase: str, seconds: float = 5, **fields: Any) -> events.Verdict:
    """A master that writes at this rate and closes each round in that phase, after so many seconds."""
    story = Story(loops=Loops(said=lambda link: said if link == "main" else None))
    for number in range(2):
        story.asks().granted(int(number * rate * seconds))
        if phase != "waiting":
            story.rdb(200 * MB)
        story.after(seconds).ends(Side.MASTER, phase, bytes_from_master=100 + 100 * MB, **fields)
    return story.asks().granted(int(2 * rate * seconds)).verdict


def test_a_master_that_says_its_limit_and_that_its_child_succeeded_leaves_no_doubt() -> None:
    verdict = asked(SAID, MB, "waiting")
    assert (verdict.cause, verdict.known_from, verdict.alternatives, verdict.decide) == (
        "output_buffer",
        "master",
        (),
        "",
    )
    assert verdict.present == "replica 8388608 4194304 60"
    assert verdict.figures["limit_bytes"] == 4 * MB
    assert "more than its client-output-buffer-limit of 8.0 MB or 4.0 MB for 60 s allows" in verdict.text
    assert verdict.value == "replica 30mb 30mb 60"
    wire = asked(replace(SAID, is_saved=None), MB, "waiting")
    assert (wire.cause, wire.alternatives) == ("output_buffer", ("child_fails",))
    assert "failed child" in wire.decide


def test_nothing_of_a_limit_is_lowered() -> None:
    said = replace(SAID, limit=BufferLimit(1000 * MB, 8 * MB, 30))
    assert asked(said, MB, "waiting").value == "replica 1000mb 30mb 30"
    assert asked(replace(SAID, limit=BufferLimit(0, 8 * MB, 30)), MB, "waiting").value == "replica 0 30mb 30"
    # 3 MB/s x (10 s transfer + 10 s load, assumed) x 2
    assert asked(replace(SAID, limit=BufferLimit(30 * MB, 0, 0)), 3 * MB, "rdb").value == "replica 120mb 0 0"


def test_a_limit_that_was_reached_has_to_be_raised_whatever_the_arithmetic_says() -> None:
    """At an average rate the buffer would not have overrun: there was a burst."""
    story = Story(loops=Loops(said=lambda link: replace(SAID, limit=BufferLimit(100 * MB, 0, 0))))
    for number in range(2):
        story.asks().granted(number * 51 * MB).rdb(200 * MB).after(50).rdb_done().loaded = False
        story.after(1).ends(Side.MASTER, "loading")
    verdict = story.asks().granted(2 * 51 * MB).verdict
    assert (verdict.value, verdict.figures["needed_bytes"]) == ("replica 150mb 0 0", 150 * MB)
    assert "and at least 1.5 times the present limit: 150mb" in verdict.text


@pytest.mark.parametrize("limit", [BufferLimit(0, 0, 0), BufferLimit(256 * MB, 64 * MB, 60)])
def test_a_buffer_that_has_not_filled_has_not_overrun(limit: BufferLimit) -> None:
    verdict = asked(replace(SAID, limit=limit), MB, "waiting")
    assert (verdict.cause, verdict.alternatives) == ("unknown", ())
    assert "rdb_last_bgsave_status" in verdict.text
    failed = asked(replace(SAID, limit=limit, is_saved=None), MB, "waiting")
    assert (failed.cause, failed.alternatives) == ("child_fails", ())


def test_a_master_that_says_that_its_snapshot_failed_leaves_no_doubt() -> None:
    verdict = asked(replace(SAID, is_saved=False, is_aof_written=False), MB, "waiting")
    assert (verdict.cause, verdict.known_from, verdict.alternatives) == ("child_fails", "master", ())
    assert (verdict.setting, verdict.value, verdict.present) == ("repl-diskless-sync", "yes", "no")
    assert "rdb_last_bgsave_status:err" in verdict.text
    assert "aof_last_write_status:err" in verdict.text
    assert "to disk first, into /data; with" in verdict.text
    diskless = replace(SAID, is_saved=False, settings={"repl-diskless-sync": "yes"}, limit=None)
    verdict = asked(diskless, 0, "waiting")
    assert (verdict.cause, verdict.known_from, verdict.setting) == ("child_fails", "wire", "")


def test_a_silence_as_long_as_the_masters_timeout_is_one() -> None:
    verdict = asked(SAID, 0, "rdb", 70, master_silence=60.4)
    assert (verdict.cause, verdict.known_from, verdict.decide) == ("repl_timeout", "master", "")
    assert (verdict.value, verdict.present) == ("121", "60")
    assert "its repl-timeout of 60 s, as its CONFIG says" in verdict.text
    also = asked(SAID, MB, "rdb", 70, master_silence=60.4)
    assert (also.cause, also.alternatives) == ("repl_timeout", ("output_buffer",))
    assert asked(SAID, MB, "rdb", 40, master_silence=35).cause == "output_buffer"


def test_a_buffer_that_the_master_said_was_nearly_full_has_overrun() -> None:
    """Although two grants show that little was written: the master was asked once a second."""
    story = Story(loops=Loops())
    for number in range(2):
        story.asks().granted(number * 10).rdb().after(2)
        story.tell(
            events.Pressure(
                limit="hard",
                level=90,
                phase="rdb",
                buffer=19 * MB,
                limit_bytes=20 * MB,
                soft_seconds=0,
                write_rate=MB,
                seconds_to_close=1.0,
                rdb_seconds_left=9.0,
                needed=40 * MB,
            )
        )
        story.after(1).ends(Side.MASTER, "rdb")
    verdict = story.asks().granted(20).verdict
    assert (verdict.cause, verdict.known_from, verdict.figures["buffer_bytes"]) == ("output_buffer", "master", 19 * MB)
    assert "The master said in phase rdb: 19.0 MB of 20.0 MB." in verdict.text


def in_stream(said: Inspected, by: Side, outage: float, lag: int, **fields: Any) -> events.Verdict:
    """A master that writes 1 MB/s; the link is lost after 20 s of stream."""
    story, held, offset = Story(loops=Loops(lambda: range(99), lambda link: said)), None, 0
    for _ in range(3):
        story.asks(held).granted(offset, "first_sync" if held is None else "offset_out_of_backlog").rdb().rdb_done()
        story.after(20).ends(by, "stream", **fields).after(outage)
        offset += int((20 + outage) * MB)
        held = offset - int(outage * MB) - lag
    return story.verdict


def test_a_backlog_that_the_master_says_is_large_enough_was_smaller() -> None:
    verdict = in_stream(SAID, Side.REPLICA, 10, 0)
    assert (verdict.setting, verdict.value, verdict.present) == ("repl-backlog-size", "15mb", "1048576")
    assert "15mb. It is 1.0 MB now, as the master's INFO says. What ends the stream" in verdict.text
    large = in_stream(replace(SAID, backlog_size=20 * MB), Side.REPLICA, 10, 0)
    assert (large.cause, large.setting, large.value) == ("backlog_too_small", "", "")
    assert "it was smaller, or emptied, when the link was lost" in large.text


def test_a_replica_that_lags_by_less_than_the_limit_has_not_overrun_it() -> None:
    verdict = in_stream(SAID, Side.MASTER, 0, 8 * MB)
    assert (verdict.cause, verdict.known_from, verdict.alternatives) == ("output_buffer", "master", ())
    assert (verdict.value, verdict.present) == ("replica 16mb 16mb 60", "replica 8388608 4194304 60")
    assert in_stream(replace(SAID, repl_timeout=None), Side.MASTER, 0, 8 * MB).alternatives == ("repl_timeout",)
    small = in_stream(replace(SAID, limit=BufferLimit(64 * MB, 32 * MB, 60)), Side.MASTER, 0, 8 * MB)
    assert small.cause == "backlog_too_small"
