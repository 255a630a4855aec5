"""The RDB of a connection: where it ends, and what is reported of it."""

from __future__ import annotations

from tap.replication import events
from tap.replication.phase import Phase
from tests.replication.talk import (
    ACK_0,
    ID,
    MARK,
    PING,
    PSYNC,
    RDB,
    TRICKY_RDB,
    TRICKY_VALUE,
    UNREADABLE,
    Talk,
    begun_diskless,
    diskless,
)


def test_the_rdb_ends_by_itself_and_not_with_the_mark() -> None:
    for cut in range(len(TRICKY_RDB) + len(MARK)):
        data = TRICKY_RDB + MARK.encode()
        talk = begun_diskless().M(data[:cut]).M(data[cut:])
        assert talk.kinds()[-3:] == ["rdb_started", "rdb_finished", "stream_started"]
        finished = next(event for event in talk.told if isinstance(event, events.RdbFinished))
        assert (finished.bytes, finished.keys, finished.checksum) == (len(TRICKY_RDB), 1, "disabled")


def test_an_unreadable_rdb_ends_with_the_acknowledgement() -> None:
    talk = begun_diskless().M(UNREADABLE + MARK.encode())
    assert talk.kinds()[-2:] == ["rdb_started", "rdb_problem"]
    talk.M(b"a value that held the mark goes on" + b"\xff" + bytes(8) + MARK.encode()).R(ACK_0)
    assert talk.kinds()[-3:] == ["rdb_finished", "stream_started", "ack"]
    finished = next(event for event in talk.told if isinstance(event, events.RdbFinished))
    assert finished.bytes == len(UNREADABLE) + len(MARK) + len("a value that held the mark goes on") + 9
    assert finished.checksum == "unread"


def test_a_mark_that_does_not_follow_its_rdb_is_searched_for_after_it() -> None:
    talk = begun_diskless().M(RDB + b"something else, and at last" + b"\xff" + bytes(8) + MARK.encode()).R(ACK_0).M(PING)
    assert talk.conversation.offset == len(PING)


def test_a_value_type_of_the_future_ends_only_the_reading_of_the_rdb() -> None:
    rdb = b"REDIS0012\xfe\x03\x00\x03one\x01x\x8c\x03keyand what nobody knows"
    talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n${len(rdb)}\r\n".encode() + rdb + PING)
    problem = next(event for event in talk.told if isinstance(event, events.RdbProblem))
    assert (problem.problem, problem.db, problem.key, problem.keys) == ("unknown", 3, b"key", 1)
    assert problem.text == "value type 140, which this redis-tap does not know"
    assert rdb[problem.position] == 140
    assert talk.conversation.offset == len(PING)


def test_the_keys_of_an_rdb_are_reported_if_wanted() -> None:
    talk = Talk(every_key=True).R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n${len(TRICKY_RDB)}\r\n".encode() + TRICKY_RDB)
    assert talk.kinds()[-4:] == ["rdb_started", "rdb_key", "rdb_finished", "stream_started"]
    key = next(event for event in talk.told if isinstance(event, events.RdbKey))
    assert (key.key, key.type, key.serialized_bytes, key.db) == (b"k", "string", len(TRICKY_VALUE) + 5, 0)


def test_the_rdb_of_a_replica_that_leaves_before_its_acknowledgement_is_whole() -> None:
    talk = diskless(Talk())
    talk.conversation.close()
    assert talk.kinds()[-2:] == ["rdb_finished", "stream_started"]


def test_newlines_of_a_loading_replica_do_not_count() -> None:
    talk = diskless(Talk()).R(b"\n\n").R(b"\n").R(ACK_0).M(PING)
    assert talk.kinds().count("keepalive") == 1
    assert talk.conversation.offset == 14


def test_the_stream_after_a_diskless_rdb_is_found_if_acknowledgements_came_too_early() -> None:
    end = UNREADABLE + MARK.encode() + PING
    for cut in range(1, len(end)):
        talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$EOF:{MARK}\r\n".encode())
        talk.M(b"a value with " + MARK.encode()).R(ACK_0).M(end[:cut]).M(end[cut:]).R(ACK_0)
        finished = next(event for event in talk.told if isinstance(event, events.RdbFinished))
        assert finished.bytes == len("a value with ") + len(MARK) + len(UNREADABLE)
        assert talk.conversation.offset == len(PING)


def test_the_stream_is_found_if_acknowledgements_came_before_the_rdb() -> None:
    talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n".encode()).R(ACK_0)
    talk.M(f"$EOF:{MARK}\r\n".encode() + UNREADABLE + MARK.encode() + PING)
    assert talk.conversation.offset == len(PING)


def test_nonsense_from_a_replica_that_should_end_a_diskless_rdb_ends_the_understanding() -> None:
    talk = begun_diskless().M(UNREADABLE).R(b"\x00")
    assert talk.conversation.phase is Phase.OPAQUE
    talk = begun_diskless().M(RDB[:9]).R(b"\x00").M(RDB[9:] + MARK.encode() + PING)
    assert talk.conversation.offset == len(PING)
