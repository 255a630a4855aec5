"""The times that connections count themselves, as a pair causes them."""

from __future__ import annotations

from tap.replication.conversation import Conversation
from tap.replication.memory import Memory
from tap.replication.tallied_times import ACK_BOUNDS, SYNC_BOUNDS, TalliedTimes

REPLID = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb"
EMPTY_RDB = bytes.fromhex("524544495330303131ff") + bytes(8)  # without a checksum
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"


def ack(offset: int) -> bytes:
    text = str(offset).encode()
    return b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%d\r\n%s\r\n" % (len(text), text)


def test_a_time_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() -> None:
    times = TalliedTimes((1.0, 2.0))
    for seconds in (0.0, 1.0, 1.5, 9.0):
        times.add(seconds)
    assert (times.counts, times.seconds) == ([2, 1, 1], 11.5)


def test_bounds_ascend() -> None:
    for bounds in (ACK_BOUNDS, SYNC_BOUNDS):
        assert list(bounds) == sorted(set(bounds))


def test_a_replica_has_loaded_when_it_acknowledges_and_is_then_timed_for_each_new_byte() -> None:
    memory = Memory("main")
    one = Conversation(lambda event: None, memory=memory)
    one.receive_from_replica(b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n", 1.0)
    one.receive_from_master(b"+FULLRESYNC %s 100\r\n$%d\r\n%s" % (REPLID.encode(), len(EMPTY_RDB), EMPTY_RDB), 2.0)
    one.receive_from_master(SET, 2.5)
    assert sum(memory.load_times.counts) == 0
    one.receive_from_replica(ack(100), 5.0)
    assert (sum(memory.load_times.counts), memory.load_times.seconds) == (1, 3.0)
    assert sum(memory.ack_times.counts) == 0  # nothing new
    one.receive_from_replica(ack(100 + len(SET)), 5.5)
    one.receive_from_replica(ack(100 + len(SET)), 6.5)
    assert (sum(memory.ack_times.counts), memory.ack_times.seconds) == (1, 3.0)
    one.receive_from_master(SET, 7.0)
    one.receive_from_replica(ack(100 + 2 * len(SET)), 7.25)
    assert (sum(memory.ack_times.counts), memory.ack_times.seconds) == (2, 3.25)
    assert sum(memory.load_times.counts) == 1


def test_a_partial_resync_loads_nothing() -> None:
    memory = Memory("main")
    one = Conversation(lambda event: None, memory=memory)
    one.receive_from_replica(b"*3\r\n$5\r\nPSYNC\r\n$40\r\n%s\r\n$3\r\n101\r\n" % REPLID.encode(), 1.0)
    one.receive_from_master(b"+CONTINUE %s\r\n%s" % (REPLID.encode(), SET), 2.0)
    one.receive_from_replica(ack(100 + len(SET)), 2.5)
    assert sum(memory.load_times.counts) == 0
    assert (sum(memory.ack_times.counts), memory.ack_times.seconds) == (1, 0.5)
