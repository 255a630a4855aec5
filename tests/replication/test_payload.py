"""One RDB on the wire: where it ends, in either form, parsed or not."""

from __future__ import annotations

import re

import pytest

from tap.rdb.keys import Key
from tap.replication.events import Transfer
from tap.replication.payload import MARK_SIZE, MAX_SIZE, PROGRESS_STEP, Payload
from tests.rdb import make

MARK = bytes(range(97, 97 + 20)) * 2
RDB = make.rdb(10, *(make.key(0, make.string(b"k%d" % number), make.string(b"v" * 100)) for number in range(30)))
BEHIND = b"*1\r\n$4\r\nPING\r\n"
SIZES = [1, 7, 39, 41, 10_000]


def disk(rdb: bytes = RDB) -> Payload:
    return Payload(b"%d" % len(rdb))


def diskless() -> Payload:
    return Payload(b"EOF:" + MARK)


def fed(payload: Payload, data: bytes, size: int) -> int:
    """The bytes that it took for its own."""
    taken = 0
    while taken < len(data) and not payload.is_complete:
        count = payload.feed(data[taken : taken + size])
        assert count <= size
        assert count or payload.is_complete
        taken += count
    return taken


@pytest.mark.parametrize(
    "header", [b"", b"EOF:", b"EOF:" + MARK[1:], b"EOF:" + MARK + b"x", b"-1", b"+5", b"5 ", b"1" * 20]
)
def test_other_lines_are_not_headers(header: bytes) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(str(header))}$"):
        Payload(header)


def test_the_largest_valid_size_is_accepted() -> None:
    assert Payload(b"%d" % MAX_SIZE).size == MAX_SIZE
    with pytest.raises(ValueError, match=str(MAX_SIZE + 1)):
        Payload(b"%d" % (MAX_SIZE + 1))


@pytest.mark.parametrize("size", SIZES)
def test_a_disk_based_rdb_ends_after_its_size(size: int) -> None:
    payload = disk()
    assert fed(payload, RDB + BEHIND, size) == len(RDB)
    assert (payload.transfer, payload.size, payload.received) == (Transfer.DISK, len(RDB), len(RDB))
    assert payload.rdb_bytes == len(RDB)
    assert (payload.checksum, payload.problem, payload.version) == ("ok", None, 10)
    assert payload.summary.keys == 30
    assert not payload.looks_complete


@pytest.mark.parametrize("size", SIZES)
def test_a_diskless_rdb_ends_after_the_mark_that_follows_its_own_end(size: int) -> None:
    inside = make.rdb(10, make.key(0, make.string(b"k"), make.string(b"\xff" * 9 + MARK)))
    for rdb in (RDB, inside):
        payload = diskless()
        assert fed(payload, rdb + MARK + BEHIND, size) == len(rdb) + MARK_SIZE
        assert (payload.transfer, payload.size, payload.rdb_bytes) == (Transfer.DISKLESS, None, len(rdb))
        assert payload.ended
        assert payload.looks_complete
        assert payload.checksum == "ok"


@pytest.mark.parametrize("size", SIZES)
def test_an_unreadable_rdb_ends_where_an_acknowledgement_finds_the_mark(size: int) -> None:
    unread = b"REDIS9999" + bytes(300) + b"\xff" + bytes(8)
    payload = diskless()
    assert fed(payload, unread + MARK, size) == len(unread) + MARK_SIZE
    assert not payload.is_complete
    assert payload.looks_complete
    assert payload.problem is not None
    assert payload.mark_received == MARK_SIZE
    fed(payload, b"x", 1)
    assert not payload.looks_complete


@pytest.mark.parametrize("size", SIZES)
def test_after_constant_acknowledgements_the_stream_may_follow_at_once(size: int) -> None:
    unread = b"REDIS9999" + bytes(300) + b"\xff" + bytes(8)
    payload = diskless()
    payload.watch()
    fake = b"x" * 9 + MARK  # not after an end
    assert fed(payload, fake + unread + MARK + BEHIND, size) == len(fake + unread) + MARK_SIZE
    assert payload.is_complete


def test_milestones_come_in_steps_and_are_reported_once() -> None:
    payload = diskless()
    step = memoryview(bytes(PROGRESS_STEP))
    assert payload.feed(step[:-1]) == PROGRESS_STEP - 1
    assert not payload.reached_milestone
    assert payload.feed(step) == 1
    assert payload.reached_milestone
    assert not payload.reached_milestone
    assert payload.feed(step) == PROGRESS_STEP


def test_keys_are_passed_on_if_wanted() -> None:
    found: list[Key] = []
    payload = Payload(b"%d" % len(RDB), found.extend)
    fed(payload, RDB, 100)
    assert [key.key for key in found] == [b"k%d" % number for number in range(30)]
    assert payload.summary.keys == 30


def test_the_heading_is_known_before_the_first_key_or_at_the_end() -> None:
    head = make.aux(make.string(b"redis-ver"), make.string(b"7.0"))
    rdb = make.rdb(10, head, b"\xfe\x00", make.key(0, make.string(b"k"), make.string(b"v")))
    payload = disk(rdb)
    payload.feed(rdb[:12])
    assert payload.heading is None
    payload.feed(rdb[12:30])
    assert payload.heading == {"redis-ver": "7.0"}
    empty = disk(make.rdb(10, head))
    fed(empty, make.rdb(10, head), 1000)
    assert empty.heading == {"redis-ver": "7.0"}


def test_a_truncated_rdb_says_so_at_its_end() -> None:
    payload = disk()
    payload.feed(RDB[:200])
    assert payload.problem is None
    payload.close()
    assert payload.problem is not None
    assert payload.problem.kind == "truncated"
    assert not payload.is_complete
    payload.close()


def test_missing_bytes_leave_the_end_known() -> None:
    payload = disk()
    payload.feed(RDB[:100])
    assert payload.skip(50) == 50
    assert payload.lacks
    assert payload.problem is not None
    assert (payload.problem.kind, payload.problem.position) == ("missing", 100)
    assert payload.feed(RDB[150:] + BEHIND) == len(RDB) - 150
    assert payload.is_complete
    beyond = disk()
    assert beyond.skip(10**6) == len(RDB)
    assert beyond.is_complete


def test_joining_late_finds_the_end_by_size_or_by_mark() -> None:
    by_size = disk()
    by_size.join(len(RDB) - 10, ended=False, mark_received=0)
    assert by_size.joined
    assert by_size.feed(RDB[-10:] + BEHIND) == 10
    assert by_size.is_complete
    by_mark = diskless()
    by_mark.join(len(RDB) + 5, ended=True, mark_received=5)
    assert by_mark.feed(MARK[5:] + BEHIND) == MARK_SIZE - 5
    assert by_mark.is_complete
    assert by_mark.rdb_bytes == len(RDB)
