"""Why a resync was full: a code, and a sentence with the numbers that show it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tap.replication.events import Reason
from tap.replication.inspected import Inspected
from tap.replication.memory import Memory, Past, Track
from tap.replication.reasons import CODES, why_full, why_sync
from tap.replication.scanner import StreamScanner
from tests.support import ROOT

A, B = "a" * 40, "b" * 40
REPLICA = "10.0.0.7:6380"


def past(replid: str = A, offset: int | None = 90, unloaded: str = "") -> Past:
    return Past(replid, offset, unloaded=unloaded)


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (None, "the replica has no history yet (it asked ? -1)"),
        (past(), "although it had followed aaaaaaaa… up to offset 90 through this tap: it gave that up"),
        (past(offset=None), "although it had followed aaaaaaaa… through this tap"),
        (replace(past(), is_unanswered=True), "its last connection ended before it had acknowledged an answer to PSYNC"),
        (past(unloaded="loading"), "its last full resync through this tap ended in phase loading, before"),
    ],
)
def test_a_replica_without_a_history_has_a_reason(before: Past | None, says: str) -> None:
    memory = Memory()
    if before is not None:
        memory.left(REPLICA, before)
    reason = why_full(memory, REPLICA, None, 0, A, 100)
    assert reason.code == "first_sync"
    assert says in reason.text


@pytest.mark.parametrize(
    ("wanted", "offset", "code", "says"),
    [
        (102, 100, "offset_ahead_of_master", "up to offset 101, the master only up to 100 (1 bytes less)"),
        (101, 100, "offset_out_of_backlog", "the replica has all that the master has (aaaaaaaa… up to offset 100)"),
        (100, 100, "offset_out_of_backlog", "the replica was at most 1 bytes behind when it asked (it has "),
        (1, 2**19 - 1, "offset_out_of_backlog", "repl-backlog-size 524287 bytes would have"),
        (1, 2**19, "offset_out_of_backlog", "repl-backlog-size 524288 bytes (1mb) would have"),
        (1, 2**20 + 1, "offset_out_of_backlog", "repl-backlog-size 1048577 bytes (2mb) would have"),
    ],
)
def test_the_masters_own_history_without_a_usable_offset_has_a_reason(
    wanted: int, offset: int, code: str, says: str
) -> None:
    reason = why_full(Memory(), REPLICA, A, wanted, A, offset)
    assert reason.code == code
    assert says in f"{reason.text}. {reason.inference}"
    assert reason.known_from == "wire"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (None, "was at most 900 bytes behind"),
        (50, "was at most 900 bytes behind"),
        (400, "was 300 to 900 bytes behind"),
        (1000, "was 900 bytes behind"),
        (1100, "was 900 bytes behind"),
    ],
)
def test_the_position_of_the_master_at_the_request_bounds_the_missed_bytes(written: int | None, says: str) -> None:
    """The answer may come much later, when a diskless master has waited for more replicas."""
    assert says in why_full(Memory(), REPLICA, A, 101, A, 1000, written=written).text


def test_a_history_that_the_master_does_not_continue_has_a_reason() -> None:
    def why(memory: Memory, offset: int = 100) -> Reason:
        reason = why_full(memory, REPLICA, A, 51, B, offset)
        assert reason.code == "replication_id_unknown"
        assert "aaaaaaaa… up to offset 50" in reason.text
        return reason

    unknown = why(Memory())
    assert "a history that the master does not know" in unknown.text
    assert unknown.causes == ("own_history", "other_master", "backlog_freed", "master_restarted")
    memory = Memory()
    memory.left(REPLICA, past(B, unloaded="rdb"))
    assert "ended in phase rdb, before it had acknowledged the snapshot" in why(memory).text
    memory.history(A)
    assert "a history that this master wrote earlier" in why(memory).text
    memory.left(REPLICA, past(A))
    given = why(memory)
    assert "which this master gave it earlier" in given.text
    assert given.causes == ("backlog_freed", "master_restarted", "master_replaced"), "a fact is told from its causes"
    assert "repl-backlog-ttl" in given.inference
    assert "restarted" not in given.text
    other = Memory("orders")
    other.history(A)
    assert "which the master of link orders wrote" in why(Memory("sessions", other)).text


def test_a_master_that_is_back_at_a_lower_offset_has_lost_what_its_replica_holds() -> None:
    memory = Memory()
    memory.history(A)
    memory.left(REPLICA, past(A))
    reason = why_full(memory, REPLICA, A, 13041, B, 50)
    assert "is at offset 50, 12990 bytes lower" in reason.text
    assert reason.causes[0] == "older_snapshot"
    assert "backlog_freed" not in reason.causes, "that would not lower an offset"
    assert "at least 12990 bytes of writes that the replica holds are lost" in reason.inference


def test_a_master_that_says_where_its_backlog_begins_leaves_one_cause() -> None:
    memory = Memory()
    said = Inspected(1.0, 1.1, role="master", replid=A, offset=800, backlog_first=52, backlog_size=16384)
    memory.inspected = said
    reason = why_full(memory, REPLICA, A, 51, A, 900)
    assert (reason.code, reason.causes, reason.known_from) == ("offset_out_of_backlog", ("backlog_too_small",), "master")
    assert "the master's backlog of 16384 bytes began at 52, as its INFO said before" in reason.text
    memory.inspected = replace(said, backlog_first=51)  # a moment before
    reason = why_full(memory, REPLICA, A, 51, A, 900)
    assert (reason.causes, reason.known_from) == (("backlog_too_small",), "master")
    assert "of 16384 bytes no longer reached back to there when it answered, at offset 900" in reason.text
    for other in (
        replace(said, backlog_first=None),
        replace(said, role="slave", offset=52 + 16384),
        replace(said, role="slave", backlog_size=None),
        replace(said, replid=B),
    ):
        memory.inspected = other
        assert why_full(memory, REPLICA, A, 51, A, 900).causes == ("backlog_too_small", "backlog_reset")


def test_a_master_that_says_that_it_is_a_replica_leaves_one_cause() -> None:
    memory = Memory()
    said = Inspected(1.0, 1.1, role="slave", replid=A, offset=800, backlog_first=52, backlog_size=16384)
    memory.inspected = said
    reset = why_full(memory, REPLICA, A, 51, A, 900)
    assert (reset.code, reset.causes, reset.known_from) == ("offset_out_of_backlog", ("backlog_reset",), "master")
    assert "itself a replica, began a new backlog at 52, as its INFO said" in reset.text
    memory.inspected = replace(said, backlog_first=None)
    equal = why_full(memory, REPLICA, A, 901, A, 900)
    assert (equal.causes, equal.known_from) == (("backlog_reset",), "master")
    ahead = why_full(memory, REPLICA, A, 951, A, 900)
    assert (ahead.code, ahead.causes, ahead.known_from) == ("offset_ahead_of_master", ("master_lags",), "master")
    memory.inspected = replace(said, role="master", backlog_first=None)
    assert why_full(memory, REPLICA, A, 901, A, 900).causes == ("backlog_reset", "backlog_freed")
    assert why_full(memory, REPLICA, A, 951, A, 900).causes == ("master_lags", "older_snapshot")


@pytest.mark.parametrize(("first_seen", "causes"), [("here", ("older_snapshot", "promoted_before")), ("there", None)])
def test_a_master_that_says_where_its_former_history_ends_says_how_much_is_lost(
    first_seen: str, causes: tuple[str, ...] | None
) -> None:
    there = Memory("a", master="10.0.0.1:6379")
    memory = Memory("b", there, master="10.0.0.2:6379")
    (memory if first_seen == "here" else there).history(A)
    memory.learn(Inspected(1.0, 1.1, role="master", replid=B, replid2=A, second_offset=101, run_id="2"))
    reason = why_full(memory, REPLICA, A, 129, B, 160)
    assert (reason.code, reason.known_from) == ("offset_ahead_of_master", "master")
    assert reason.causes == (causes or ("promoted_before",))
    assert "knows that history up to offset 100 (second_repl_offset in its INFO)" in reason.text
    assert "28 bytes more, 2 PINGs or writes" in reason.text
    memory.lives[A] = "2"  # the same process: it was promoted
    assert why_full(memory, REPLICA, A, 129, B, 160).causes == ("promoted_before",)
    within = why_full(memory, REPLICA, A, 51, B, 160)
    assert (within.code, within.causes) == ("offset_out_of_backlog", ("backlog_too_small", "backlog_reset"))
    assert "(it has offset 50 of aaaaaaaa…, which the master knows and goes on with as bbbbbbbb…, the" in within.text


def test_a_master_that_says_what_it_followed_has_not_followed_the_replicas_history() -> None:
    there = Memory("a")
    there.history(A)
    memory = Memory("b", there)
    memory.learn(Inspected(1.0, 1.1, role="master", replid=B, replid2="0" * 40, second_offset=-1))
    reason = why_full(memory, REPLICA, A, 129, B, 160)
    assert (reason.code, reason.causes, reason.known_from) == ("replication_id_unknown", ("other_master",), "master")
    assert "(no master_replid2)" in reason.text
    memory.learn(Inspected(1.0, 1.1, role="master", replid=B, replid2="c" * 40, second_offset=7))
    assert "(master_replid2 is cccccccc…)" in why_full(memory, REPLICA, A, 129, B, 160).text
    memory.learn(Inspected(1.0, 1.1, role="master", replid="d" * 40, replid2="0" * 40))
    assert why_full(memory, REPLICA, A, 129, B, 160).causes == ("promoted_before", "other_master")


def test_a_master_that_is_the_same_process_has_freed_its_backlog() -> None:
    memory = Memory()
    memory.left(REPLICA, past(A))
    memory.history(A)

    def why(run_id: str | None, **fields: object) -> Reason:
        memory.learn(Inspected(1.0, 1.1, role="master", replid=A, run_id="1"))
        said = Inspected(2.0, 2.1, role="master", replid="d" * 40, replid2="0" * 40, run_id=run_id)
        memory.learn(replace(said, **fields))  # type: ignore[arg-type]
        return why_full(memory, REPLICA, A, 91, B, 100)

    assert (why("1").causes, why("1").known_from) == (("backlog_freed",), "master")
    assert (why("2").causes, why("2").known_from) == (("master_restarted", "master_replaced"), "master")
    for unsure in (why(None), why("1", replid2="c" * 40), why("1", role="slave"), why("1", replid=A)):
        assert unsure.causes == ("backlog_freed", "master_restarted", "master_replaced")
        assert unsure.known_from == "wire"


def test_a_master_that_has_itself_resynced_in_full_began_a_new_backlog() -> None:
    """The tap has links in front of both: the middle one is a replica of the first link."""
    top = Memory("top", master="10.0.0.1:6379")
    middle = Memory("middle", top, master="10.0.0.2:6379")
    assert why_full(middle, REPLICA, A, 51, A, 900).causes == ("backlog_too_small", "backlog_reset")
    top.granted_full("10.0.0.2:6379", 900)
    reason = why_full(middle, REPLICA, A, 51, A, 900)
    assert reason.code == "offset_out_of_backlog"
    assert reason.causes == ("backlog_reset",)
    assert "itself resynced in full, at offset 900 through link top" in reason.text
    assert reason.inference == ""
    assert why_full(middle, REPLICA, A, 951, A, 1900).causes == ("backlog_too_small", "backlog_reset"), (
        "it was there then"
    )


@pytest.mark.parametrize(
    ("held", "data_end", "says"),
    [
        (128, (90, 100), "28 bytes more, PINGs and no writes, as other connections show: nothing is lost"),
        (128, (114, 128), "28 bytes more, with writes that this resync discards"),
        (128, (100, 128), "28 bytes more, 2 PINGs or writes, which this resync discards"),
        (128, None, "28 bytes more, 2 PINGs or writes, which this resync discards"),
        (129, None, "29 bytes more, not PINGs alone; this resync discards them"),
    ],
)
def test_a_master_that_was_promoted_before_the_last_bytes_were_written(
    held: int, data_end: tuple[int, int] | None, says: str
) -> None:
    """It had followed that history through the link to its former master, as far as offset 100."""
    former = Memory("a", master="10.0.0.1:6379")
    promoted = Memory("b", former, master="10.0.0.2:6379")
    history = former.history(A)
    former.left("10.0.0.2:6379", past(A, 100))
    if data_end is not None:
        scanner = StreamScanner(0)
        scanner.feed(b"*1\r\n$4\r\nPING\r\n" * 20)
        history.add(Track(0, scanner, data_end=data_end))
    reason = why_full(promoted, REPLICA, A, held + 1, B, 160)
    assert reason.code == "offset_ahead_of_master"
    assert reason.causes == ("promoted_before",)
    assert (
        "its master followed that history through link a up to offset 100, and writes bbbbbbbb…: " + says in reason.text
    )


def test_the_place_where_a_history_went_on_bounds_what_a_replica_has_more() -> None:
    memory = Memory()
    memory.succeed(A, B, 100)
    reason = why_full(memory, REPLICA, A, 129, B, 400)
    assert reason.code == "offset_ahead_of_master"
    assert "went on as bbbbbbbb…: at most 28 bytes more" in reason.text


def test_a_replica_whose_bytes_the_master_has_under_another_id_is_out_of_the_backlog() -> None:
    memory = Memory()
    memory.succeed(A, B, 100)
    reason = why_full(memory, REPLICA, A, 51, B, 400)
    assert (reason.code, reason.causes) == ("offset_out_of_backlog", ("backlog_too_small", "backlog_reset"))
    assert "at most 350 bytes behind" in reason.text


def test_a_replica_beyond_the_branch_of_a_promoted_one_has_a_reason() -> None:
    memory = Memory()
    memory.history(A)
    memory.succeed(A, B, 100)
    reason = why_full(memory, REPLICA, A, 51, B, 40)
    assert reason.code == "offset_ahead_of_master"
    assert "up to offset 50, beyond the point where the master's history went on as bbbbbbbb…" in reason.text


@pytest.mark.parametrize(
    ("refusal", "code", "says"),
    [
        (None, "legacy_sync", "the peer asked with SYNC, the request from before PSYNC"),
        ("-ERR x", "master_refused_psync", "the master answered PSYNC with '-ERR x', so the replica fell back"),
    ],
)
def test_a_sync_without_psync_has_a_reason(refusal: str | None, code: str, says: str) -> None:
    reason = why_sync(refusal)
    assert reason.code == code
    assert says in reason.text


def test_every_code_is_in_the_list() -> None:
    """A scenario may expect these, and no others."""
    rooms = [*(ROOT / "tap" / "replication").glob("*.py"), *(ROOT / "tap" / "replay").glob("*.py")]
    assert {code for path in rooms for code in re.findall(r'\bcode="(\w+)"', path.read_text())} == set(CODES)
