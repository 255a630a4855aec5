"""What is remembered across connections, and what is forgotten first."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from tap.replication.conversation import Conversation
from tap.replication.memory import MAX_HISTORIES, MAX_REPLICAS, MAX_TRACKS, History, Memory, Past, Track
from tap.replication.scanner import StreamScanner

SELECT_3 = b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
PING = b"*1\r\n$4\r\nPING\r\n"


def track(base: int, data: bytes = b"", db: int | None = 0) -> Track:
    scanner: Any = StreamScanner(db)
    scanner.feed(data)
    return Track(base, scanner)


def replid(number: int) -> str:
    return f"{number:040x}"


# ---- histories ----


def test_the_db_in_force_is_known_at_each_offset_that_a_connection_saw() -> None:
    history = History("eu")
    assert history.end is None
    assert history.db_at(0) is None
    history.add(track(100, SELECT_3 + PING))
    last = 100 + len(SELECT_3 + PING)
    assert history.end == last
    found = {offset: history.db_at(offset) for offset in (99, 100, 100 + len(SELECT_3), last, last + 1)}
    assert found == {99: None, 100: 0, 100 + len(SELECT_3): 3, last: 3, last + 1: None}


@pytest.mark.parametrize("db", [0, None])
def test_the_memory_of_an_ended_connection_knows_the_same(db: int | None) -> None:
    """Also with so many SELECTs that the first ones are forgotten."""
    data = b"".join(b"*2\r\n$6\r\nSELECT\r\n$1\r\n%d\r\n" % (number % 7) + PING for number in range(400))
    for stream in (b"", PING, SELECT_3 + PING, data, SELECT_3 + b"nonsense\r\n" + PING):
        alive, ended = track(100, stream, db), track(100, stream, db)
        ended.settle()
        ended.settle()
        assert ended.end == alive.end
        for position in range(0, len(stream) + 2, 1 + len(stream) // 500):
            assert ended.scanner.db_at(position) == alive.scanner.db_at(position)


def test_ended_connections_are_remembered_in_little_memory() -> None:
    data = b"".join(b"*2\r\n$6\r\nSELECT\r\n$1\r\n%d\r\n" % (number % 7) + PING for number in range(400))
    memory = Memory()

    def sync() -> None:
        one = Conversation(lambda event: None, memory=memory, peer_host="10.0.0.7")
        one.receive_from_replica(b"PSYNC %s 101\r\n" % replid(1).encode())
        one.receive_from_master(b"+CONTINUE\r\n" + data)
        for tick in range(5):
            one.tick(tick / 10)
        one.close()

    sync()
    tracemalloc.start()
    try:
        for _ in range(MAX_TRACKS):
            sync()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / MAX_TRACKS < 8 * 1024
    assert memory.history(replid(1)).db_at(100 + len(data)) == 399 % 7


def test_the_latest_connection_that_knows_decides() -> None:
    history = History("eu")
    history.add(track(100, PING, db=4))
    history.add(track(100, PING, db=None))
    assert history.db_at(110) == 4
    history.add(track(105, PING, db=7))
    assert history.db_at(110) == 7
    assert history.db_at(104) == 4


def test_doubted_offsets_are_not_believed() -> None:
    history = History("eu")
    history.add(track(100, PING))
    history.add(track(500, PING, db=9))
    assert history.end == 500 + len(PING)
    history._tracks[-1].is_doubted = True
    assert history.end == 100 + len(PING)
    assert history.db_at(505) is None


def test_a_stream_that_could_not_be_read_has_not_advanced() -> None:
    assert track(100, b"nonsense").end == 100
    assert track(100, PING + b"nonsense").end > 100


def test_of_the_connections_of_a_history_the_oldest_are_forgotten() -> None:
    history = History("eu")
    for number in range(MAX_TRACKS + 1):
        history.add(track(100 * number, PING, db=number))
    assert history.db_at(5) is None
    assert [history.db_at(100 * number + 5) for number in range(1, MAX_TRACKS + 1)] == list(range(1, MAX_TRACKS + 1))


def test_the_least_recently_used_history_is_forgotten() -> None:
    memory = Memory("eu")
    for number in range(MAX_HISTORIES):
        memory.history(replid(number))
    first = memory.history(replid(0))
    assert memory.knows(replid(0))
    memory.history(replid(MAX_HISTORIES))
    assert [memory.knows(replid(number)) for number in (0, 1, 2, MAX_HISTORIES)] == [True, False, True, True]
    assert memory.history(replid(0)) is first
    assert len(memory.histories) == MAX_HISTORIES


def test_a_history_continues_under_its_next_id_with_what_was_known() -> None:
    memory = Memory("eu")
    memory.history("a").add(track(100, PING, db=5))
    memory.succeed("a", "b", 100)
    assert memory.succession.parent("b") == "a"
    assert memory.succession.parent("a") is None
    assert memory.history("b").db_at(105) == 5
    memory.history("b").add(track(200, PING, db=6))
    assert memory.history("a").db_at(205) is None
    memory.succeed("x", "b", 100)  # it is known already
    assert memory.history("b").db_at(205) == 6
    assert memory.succession.parent("b") == "a"


def test_links_share_histories_and_say_where_one_was_first_seen() -> None:
    memory = Memory("eu")
    beside = Memory("us", beside=memory)
    memory.history("a").add(track(100, PING, db=5))
    assert beside.history("a").db_at(105) == 5
    assert beside.elsewhere("a") == "eu"
    assert memory.elsewhere("a") is None
    assert memory.elsewhere("unknown") is None
    beside.succeed("a", "b", 100)
    assert memory.succession.parent("b") == "a"
    assert memory.elsewhere("b") == "us"
    memory.left("r:1", Past("a", 1))
    assert beside.past("r:1") is None


# ---- replicas ----


def test_the_replica_that_left_first_is_forgotten_first() -> None:
    memory = Memory()
    for number in range(MAX_REPLICAS):
        memory.left(f"r:{number}", Past("a", number))
    memory.left("r:0", Past("a", 77))
    memory.left("new", Past("a", 1))
    past = memory.past("r:0")
    assert past is not None
    assert past.offset == 77
    assert memory.past("r:1") is None
    assert memory.past("r:2") is not None
    assert memory.past("new") is not None


# ---- bytes written by a master ----


def test_only_other_open_connections_show_what_a_master_has_written_by_now() -> None:
    memory = Memory()
    assert memory.shown(replid(1), None) is None
    assert not memory.knows(replid(1))  # asking remembers nothing
    one, other = track(100, PING), track(100, PING * 2)
    for each in (one, other):
        memory.history(replid(1)).add(each)
    assert memory.shown(replid(1), one) is None
    other.is_current = True
    assert memory.shown(replid(1), one) == 100 + 2 * len(PING)
    assert memory.shown(replid(1), other) is None


def test_the_bytes_of_a_master_are_those_of_its_furthest_connection() -> None:
    history = History("eu")
    far, near, other = track(100, PING * 3), track(0, PING), track(500, PING)
    far.master = near.master = "m:1"
    other.master = "m:2"
    for one in (far, near, other):
        history.add(one)
    assert history.written("m:1") == 142
    assert history.written("m:1", beside=far) == 14
    assert history.written("m:3") is None
    near.sent = near.end + 1000
    assert history.written("m:1") == 1014, "with what the system holds"
    assert history.written("m:1", is_current=True) is None
    far.is_current = True
    assert history.written("m:1", is_current=True) == 142
    far.settle()
    assert history.written("m:1", is_current=True) is None
    far.is_doubted = near.is_doubted = True
    assert history.written("m:1") is None


@pytest.mark.parametrize(
    ("data_end", "has_data"), [((-1, -1), False), ((100, 110), False), ((100, 111), None), ((111, 111), True)]
)
def test_whether_more_than_pings_stand_between_two_offsets(data_end: tuple[int, int], has_data: bool | None) -> None:
    history = History("eu")
    assert history.has_data(110, 120) is None
    one = track(100, PING * 2)
    one.data_end = data_end
    history.add(one)
    assert history.has_data(110, 120) is has_data
    assert history.has_data(110, 129) is None, "not all of that was seen"
    assert history.has_data(99, 120) is None
    one.is_doubted = True
    assert history.has_data(110, 120) is None


# ---- a master that is itself a replica of another link ----


def test_what_another_link_knows_of_this_links_master_as_a_replica() -> None:
    top = Memory("top", master="m:1")
    middle = Memory("middle", top, master="m:2")
    assert (middle.followed(), middle.resynced()) == (None, None)
    top.left("m:2", Past("a", 100))
    top.granted_full("m:2", 70)
    assert middle.followed() == ("top", Past("a", 100))
    assert middle.resynced() == ("top", 70)
    assert (top.followed(), top.resynced()) == (None, None)
    assert Memory("unknown", top).followed() is None, "where each connection has its own master"


def test_a_link_that_has_gone_is_not_kept_for_its_replicas() -> None:
    memory = Memory("a", master="m:1")
    for number in range(10):
        Memory(f"route {number}", memory, master=f"m:{number}").left("m:1", Past("a", number))
    gc.collect()
    assert memory.followed() is None
