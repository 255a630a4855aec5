"""Each cause by its picture on the wire, with its figures."""

from __future__ import annotations

from typing import Any

import pytest

from tap.replication import events
from tap.replication.events import Side
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


def test_silences_of_different_length_are_none() -> None:
    story = Story()
    for silence in (10.0, 20.0):
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
