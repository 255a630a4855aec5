"""Syncs on two connections: how they find each other, and how each affects the other."""

from __future__ import annotations

from tap.replication import events
from tap.replication.memory import Memory
from tap.replication.phase import Phase
from tests.replication.talk import (
    ID,
    PING,
    PSYNC,
    Talk,
)


def test_an_rdb_channel_without_its_main_connection_reports_alone() -> None:
    words = b"REPLCONF rdb-only 1 rdb-channel 1 main-ch-client-id 7 listening-port 1".split()
    talk = Talk().R(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    talk.M(b"+OK\r\n").R(PSYNC).M(f"+FULLRESYNC {ID} 5\r\n$3\r\nabc".encode())
    reason = next(event.reason for event in talk.told if isinstance(event, events.FullResync))
    assert reason.code == "unknown"
    assert talk.conversation.phase is Phase.DONE


def valkey_main(memory: Memory, host: bytes, *, every_command: bool = False) -> Talk:
    talk = (
        Talk(memory, every_command=every_command)
        .R(b"REPLCONF listening-port 5\r\nREPLCONF ip-address %s\r\n" % host)
        .M(b"+OK\r\n+OK\r\n")
    )
    return talk.R(PSYNC).M(b"+DUALCHANNELSYNC\r\n")


def valkey_rdb_channel(memory: Memory) -> Talk:
    talk = Talk(memory).R(b"REPLCONF capa eof rdb-only 1 rdb-channel 1 listening-port 5\r\n").M(b"+OK\r\n")
    return talk.R(b"SYNC\r\n").M(f"$ENDOFF:7 {ID} 0 33\r\n".encode())


def test_a_dual_channel_is_joined_although_only_the_main_connection_announces_an_address() -> None:
    memory = Memory()
    main, channel = valkey_main(memory, b"9.9.9.9"), valkey_rdb_channel(memory)
    assert "full_resync" in main.kinds()
    assert "full_resync" not in channel.kinds()
    assert channel.conversation.replica == main.conversation.replica == "9.9.9.9:5"
    # two that fit: only the ID that the main connection names later decides
    memory = Memory()
    first, second, channel = valkey_main(memory, b"9.9.9.9"), valkey_main(memory, b"8.8.8.8"), valkey_rdb_channel(memory)
    assert "full_resync" in channel.kinds()
    second.R(b"REPLCONF set-rdb-client-id 33\r\n").M(b"+OK\r\n")
    second.R(f"PSYNC {ID} 8\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + PING)
    assert second.conversation.offset == 7 + 14
    assert first.conversation.offset is None
    assert channel.conversation.replica == "8.8.8.8:5"


def test_a_main_connection_whose_rdb_has_passed_before_its_stream_begins_is_loading() -> None:
    memory = Memory()
    main, channel = valkey_main(memory, b"9.9.9.9"), valkey_rdb_channel(memory)
    main.R(b"REPLCONF set-rdb-client-id 33\r\n").M(b"+OK\r\n").R(f"PSYNC {ID} 8\r\n".encode())
    channel.M(b"$3\r\nabc")
    assert channel.conversation.phase is Phase.DONE
    main.M(f"+CONTINUE {ID}\r\n".encode() + PING)
    assert main.conversation.phase is Phase.LOADING
    (started,) = (event for event in main.told if isinstance(event, events.StreamStarted))
    assert (started.offset, started.buffered) == (7, 0)
    main.R(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n21\r\n")
    assert main.conversation.phase.value == "stream"


def test_an_announced_db_that_no_server_has_leaves_the_db_of_the_stream_unknown() -> None:
    memory = Memory()
    main, channel = valkey_main(memory, b"9.9.9.9"), Talk(memory)
    channel.R(b"REPLCONF capa eof rdb-only 1 rdb-channel 1 listening-port 5\r\n").M(b"+OK\r\n")
    channel.R(b"SYNC\r\n").M(f"$ENDOFF:7 {ID} 9999999999999999999 33\r\n$3\r\nabc".encode())
    main.R(b"REPLCONF set-rdb-client-id 33\r\n").M(b"+OK\r\n").R(f"PSYNC {ID} 8\r\n".encode())
    main.M(f"+CONTINUE {ID}\r\n".encode() + PING)
    (started,) = (event for event in main.told if isinstance(event, events.StreamStarted))
    assert (started.offset, started.db) == (7, None)


def test_commands_reported_beside_the_flowing_rdb_do_not_end_its_phase() -> None:
    memory = Memory()
    main, channel = valkey_main(memory, b"9.9.9.9", every_command=True), valkey_rdb_channel(memory)
    main.R(b"REPLCONF set-rdb-client-id 33\r\n").M(b"+OK\r\n").R(f"PSYNC {ID} 8\r\n".encode())
    main.M(f"+CONTINUE {ID}\r\n".encode())
    channel.M(b"$3\r\na")
    main.M(PING * 100_000)
    assert main.kinds().count("command") > 0
    assert main.conversation.phase is Phase.RDB


def test_a_closed_main_connection_receives_nothing_of_its_rdb_channel() -> None:
    memory = Memory()
    main, channel = valkey_main(memory, b"9.9.9.9"), valkey_rdb_channel(memory)
    main.conversation.close()
    told = len(main.told)
    channel.M(b"$3\r\nabc")
    assert len(main.told) == told
    assert channel.kinds()[-1] == "rdb_finished"


def test_a_main_connection_closed_before_the_grant_receives_nothing_of_its_rdb_channel_either() -> None:
    memory = Memory()
    main = valkey_main(memory, b"9.9.9.9")
    channel = Talk(memory).R(b"REPLCONF capa eof rdb-only 1 rdb-channel 1 listening-port 5\r\n").M(b"+OK\r\n")
    assert channel.conversation.replica == "9.9.9.9:5"
    main.conversation.close()
    told = len(main.told)
    channel.R(b"SYNC\r\n").M(f"$ENDOFF:7 {ID} 0 33\r\n$3\r\nabc".encode())
    assert len(main.told) == told
    assert [kind for kind in channel.kinds() if kind in ("full_resync", "rdb_finished")] == [
        "full_resync",
        "rdb_finished",
    ]
