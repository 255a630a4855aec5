"""What is asked for, what is granted, and what earlier connections add."""

from __future__ import annotations

from tap.replication import events
from tap.replication.events import Role
from tap.replication.memory import Memory
from tap.replication.phase import Phase
from tests.replication.talk import (
    ID,
    PING,
    PSYNC,
    Talk,
)


def test_bytes_that_our_own_replica_holds_back_are_still_missed() -> None:
    talk = Talk().R(f"PSYNC {ID} 1\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + PING)
    talk.quiet(held_back=True).M(PING).quiet()
    assert next(event.at_most for event in talk.told if isinstance(event, events.CaughtUp)) == 28


def test_a_refused_psync_is_followed_by_sync() -> None:
    talk = Talk().R(PSYNC).M(b"-ERR unknown command 'PSYNC'\r\n").R(b"SYNC\r\n").M(b"\n$3\r\nabc" + PING)
    assert talk.kinds() == [
        "identified", "psync_requested", "resync_refused", "sync_requested", "keepalive", "full_resync",
        "rdb_started", "rdb_problem", "rdb_finished", "stream_started",
    ]  # fmt: skip
    reason = next(event.reason for event in talk.told if isinstance(event, events.FullResync))
    assert reason.code == "master_refused_psync"
    assert "unknown command" in reason.text
    assert talk.conversation.offset is None
    assert talk.conversation.role is Role.REPLICA


def test_a_loading_master_refuses() -> None:
    talk = Talk().R(PSYNC).M(b"-LOADING Redis is loading the dataset in memory\r\n")
    assert talk.last() == events.ResyncRefused(start=0, end=49, reply="-LOADING Redis is loading the dataset in memory")
    assert talk.conversation.phase is Phase.HANDSHAKE


def test_the_db_is_carried_over_and_unknown_without_an_earlier_connection() -> None:
    def continued(memory: Memory, offset: int) -> int | None:
        talk = Talk(memory)
        talk.R(b"*3\r\n$5\r\nPSYNC\r\n$40\r\n%s\r\n$%d\r\n%d\r\n" % (ID.encode(), len(str(offset)), offset))
        talk.M(f"+CONTINUE {ID}\r\n".encode())
        talk.quiet()
        return next(event.db for event in talk.told if isinstance(event, events.StreamStarted))

    memory = Memory()
    assert continued(memory, 1) is None
    first = Talk(memory).R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$3\r\nabc".encode())
    first.M(b"*2\r\n$6\r\nSELECT\r\n$1\r\n4\r\n").M(PING).M(b"*2\r\n$6\r\nSELECT\r\n$1\r\n9\r\n")
    first.conversation.close()
    assert continued(memory, 61) == 9
    assert continued(memory, 60) == 4  # the replica had not got the last SELECT
    assert continued(memory, 23) is None
    assert continued(memory, 1000) is None


def test_a_history_that_continues_on_another_link_names_the_new_master_and_keeps_its_db() -> None:
    def continued(memory: Memory, asked: str, granted: str) -> tuple[events.PartialResync, int | None]:
        talk = Talk(memory).R(f"PSYNC {asked} 24\r\n".encode()).M(f"+CONTINUE {granted}\r\n".encode()).quiet()
        partial = next(event for event in talk.told if isinstance(event, events.PartialResync))
        return partial, next(event.db for event in talk.told if isinstance(event, events.StreamStarted))

    old = Memory("old")
    new, chained = Memory("new", beside=old), Memory("chained", beside=old)
    Talk(old).R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$3\r\nabc".encode()).M(b"*2\r\n$6\r\nSELECT\r\n$1\r\n4\r\n")
    for _ in range(2):
        partial, db = continued(new, ID, "b" * 40)
        assert (partial.previous_replid, partial.previous_link, db) == (ID, "old", 4)
    # what a replica of the new master passes on is not its own doing
    assert continued(chained, ID, "b" * 40)[0].previous_link is None
    assert continued(new, "b" * 40, "b" * 40)[0].previous_link is None
    assert continued(new, "b" * 40, "c" * 40)[0].previous_link is None  # its restart
