"""Conversations that no capture has: refusals, nonsense, and the laws on any bytes at all."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import events
from tap.replication.conversation import MAX_SET_UP, Conversation, Phase
from tap.replication.events import Event, Role, Side
from tap.replication.memory import Memory
from tap.replication.stream import MAX_COMMAND

ID = "8371a4ee67df5dfc0e22c0d4ab19dcd9e6a2b0c1"
MARK = "0123456789abcdef0123456789abcdef01234567"
RDB = b"REDIS0009" + b"\xff" + bytes(8)
UNREADABLE = b"REDIS0079" + b"\xff" + bytes(8)
PSYNC = b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"
ACK_0 = b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n"
PING = b"*1\r\n$4\r\nping\r\n"


def array(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Talk:
    """A conversation that is fed turn by turn: R(bytes), M(bytes)."""

    def __init__(self, memory: Memory | None = None, *, every_command: bool = False, every_key: bool = False) -> None:
        self.told: list[Event] = []
        self.conversation = Conversation(
            self.told.append, memory=memory, peer_host="10.0.0.7", every_command=every_command, every_key=every_key
        )

    def R(self, data: bytes) -> Talk:  # noqa: N802  (as in the transcripts of the reference)
        self.conversation.receive_from_replica(data)
        return self

    def M(self, data: bytes) -> Talk:  # noqa: N802
        self.conversation.receive_from_master(data)
        return self

    def quiet(self, *, held_back: bool = False) -> Talk:
        """Time passes in which nothing comes."""
        for tick in range(5):
            self.conversation.tick(tick / 10, held_back=held_back)
        return self

    def kinds(self) -> list[str]:
        return [event.kind for event in self.told]

    def last(self) -> Event:
        return self.told[-1]


def diskless(talk: Talk) -> Talk:
    talk.R(PSYNC).M(b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n" % (ID.encode(), MARK.encode())).M(RDB + MARK.encode())
    return talk


def test_the_phases_of_a_full_resync() -> None:
    talk = Talk()
    phases = [talk.conversation.phase]
    for side, data in [
        ("R", PING),
        ("M", b"+PONG\r\n"),
        ("R", PSYNC),
        ("M", f"+FULLRESYNC {ID} 0\r\n".encode()),
        ("M", f"$EOF:{MARK}\r\n".encode()),
        ("M", RDB),
        ("M", MARK.encode()),
        ("R", ACK_0),
        ("M", PING),
    ]:
        getattr(talk, side)(data)
        phases.append(talk.conversation.phase)
    assert [phase.value for phase in phases] == [
        "connect", "handshake", "handshake", "psync", "waiting", "rdb", "rdb", "loading", "stream", "stream",
    ]  # fmt: skip
    assert talk.conversation.offset == len(PING)


def begun_diskless() -> Talk:
    return Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$EOF:{MARK}\r\n".encode())


# One key, whose value is a whole diskless transfer with the same mark.
TRICKY_VALUE = RDB + MARK.encode() + PING
TRICKY_RDB = b"REDIS0009\x00\x01k\x40" + bytes([len(TRICKY_VALUE)]) + TRICKY_VALUE + b"\xff" + bytes(8)


def test_the_rdb_ends_where_it_says_itself_not_with_the_mark() -> None:
    for cut in range(len(TRICKY_RDB) + len(MARK)):
        data = TRICKY_RDB + MARK.encode()
        talk = begun_diskless().M(data[:cut]).M(data[cut:])
        assert talk.kinds()[-3:] == ["rdb_started", "rdb_finished", "stream_started"]
        finished = next(event for event in talk.told if isinstance(event, events.RdbFinished))
        assert (finished.bytes, finished.keys, finished.checksum) == (len(TRICKY_RDB), 1, "disabled")


def test_an_rdb_that_cannot_be_read_ends_with_the_acknowledgement() -> None:
    talk = begun_diskless().M(UNREADABLE + MARK.encode())
    assert talk.kinds()[-2:] == ["rdb_started", "rdb_problem"]
    talk.M(b"a value that held the mark goes on" + b"\xff" + bytes(8) + MARK.encode()).R(ACK_0)
    assert talk.kinds()[-3:] == ["rdb_finished", "stream_started", "ack"]
    finished = next(event for event in talk.told if isinstance(event, events.RdbFinished))
    assert finished.bytes == len(UNREADABLE) + len(MARK) + len("a value that held the mark goes on") + 9
    assert finished.checksum == "unread"


def test_a_mark_that_does_not_follow_its_rdb_is_looked_for_behind_it() -> None:
    talk = begun_diskless().M(RDB + b"something else, and at last" + b"\xff" + bytes(8) + MARK.encode()).R(ACK_0).M(PING)
    assert talk.conversation.offset == len(PING)


def test_a_value_type_of_the_future_stops_the_reading_of_the_rdb_alone() -> None:
    rdb = b"REDIS0012\xfe\x03\x00\x03one\x01x\x8c\x03keyand what nobody knows"
    talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n${len(rdb)}\r\n".encode() + rdb + PING)
    problem = next(event for event in talk.told if isinstance(event, events.RdbProblem))
    assert (problem.problem, problem.db, problem.key, problem.keys) == ("unknown", 3, b"key", 1)
    assert problem.text == "value type 140, which this redis-tap does not know"
    assert rdb[problem.position] == 140
    assert talk.conversation.offset == len(PING)


def test_the_keys_of_an_rdb_are_told_when_asked_for() -> None:
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


def test_the_stream_after_a_diskless_rdb_is_found_where_acknowledgements_came_too_early() -> None:
    end = UNREADABLE + MARK.encode() + PING
    for cut in range(1, len(end)):
        talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$EOF:{MARK}\r\n".encode())
        talk.M(b"a value with " + MARK.encode()).R(ACK_0).M(end[:cut]).M(end[cut:]).R(ACK_0)
        finished = next(event for event in talk.told if isinstance(event, events.RdbFinished))
        assert finished.bytes == len("a value with ") + len(MARK) + len(UNREADABLE)
        assert talk.conversation.offset == len(PING)


def test_the_stream_is_found_also_where_acknowledgements_came_before_the_rdb() -> None:
    talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n".encode()).R(ACK_0)
    talk.M(f"$EOF:{MARK}\r\n".encode() + UNREADABLE + MARK.encode() + PING)
    assert talk.conversation.offset == len(PING)


def test_nonsense_from_a_replica_that_was_to_end_a_diskless_rdb_ends_the_understanding() -> None:
    talk = begun_diskless().M(UNREADABLE).R(b"\x00")
    assert talk.conversation.phase is Phase.OPAQUE
    talk = begun_diskless().M(RDB[:9]).R(b"\x00").M(RDB[9:] + MARK.encode() + PING)
    assert talk.conversation.offset == len(PING)


def test_bytes_that_our_own_replica_holds_back_are_still_missed_ones() -> None:
    talk = Talk().R(f"PSYNC {ID} 1\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + PING)
    talk.quiet(held_back=True).M(PING).quiet()
    assert next(event.bytes_behind for event in talk.told if isinstance(event, events.PartialResync)) == 28


def test_no_command_is_told_before_the_stream_it_belongs_to() -> None:
    talk = Talk(every_command=True).R(f"PSYNC {ID} 1\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + PING).quiet()
    assert talk.kinds()[-4:] == ["partial_resync", "stream_started", "command", "commands"]
    busy = Talk(every_command=True).R(f"PSYNC {ID} 1\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode())
    busy.M(PING * 100_000)
    assert busy.kinds()[2:5] == ["partial_resync", "stream_started", "command"]
    assert busy.kinds().count("command") == 100_000


def test_whether_a_command_is_too_large_to_tell_depends_on_its_size_alone() -> None:
    for size in (MAX_COMMAND - 100, MAX_COMMAND + 1):
        large = b"*3\r\n$3\r\nset\r\n$3\r\nkey\r\n$%d\r\n%s\r\n" % (size, bytes(size))
        for piece in (len(large), 100_000, 1000):
            talk = Talk(every_command=True).R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$3\r\nabc".encode())
            for begin in range(0, len(large), piece):
                talk.M(large[begin : begin + piece])
            command = next(event for event in talk.told if isinstance(event, events.Command))
            assert command.omitted_bytes == (0 if size < MAX_COMMAND else len(large))
            assert (command.name, command.args[:1]) == ("SET", (b"key",))
            assert len(command.args) == (2 if size < MAX_COMMAND else 1)


def test_a_line_that_never_ends_is_located_also_inside_a_reply() -> None:
    for piece in (100_000, 1000):
        talk = Talk().R(b"HELLO 3\r\n")
        data = b"%1\r\n+a\r\n" + b"x" * 80_000
        for begin in range(0, len(data), piece):
            talk.M(data[begin : begin + piece])
        opaque = talk.last()
        assert isinstance(opaque, events.Opaque)
        assert opaque.start == len(b"%1\r\n+a\r\n")


def test_requests_without_end_after_psync_are_said_in_words() -> None:
    opaque = Talk().R(PSYNC + PING * MAX_SET_UP).last()
    assert isinstance(opaque, events.Opaque)
    assert opaque.reason == "more than 64 requests before the stream"


def test_a_refused_psync_and_the_sync_after_it() -> None:
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


def test_an_error_that_comes_unasked_is_told() -> None:
    talk = Talk().M(b"-ERR max number of clients reached\r\n").R(PING)
    assert talk.told[0] == events.Handshake(start=0, end=0, request=(), reply="-ERR max number of clients reached")


def test_replies_are_matched_by_count() -> None:
    talk = Talk().R(PING * 3).M(b"+1\r\n+2\r\n").M(b"%1\r\n+a\r\n+b\r\n")
    assert [event.reply for event in talk.told if isinstance(event, events.Handshake)] == ["+1", "+2", "%1"]


def test_an_ordinary_client_is_passed_on_and_said_to_be_one() -> None:
    talk = Talk().R(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n")
    assert [event.role for event in talk.told if isinstance(event, events.Identified)] == [Role.ORDINARY]
    talk.R(bytes(100_000)).M(b"+OK\r\n").R(PSYNC)
    assert talk.kinds() == ["identified"]
    assert talk.conversation.phase is Phase.ORDINARY


def test_a_health_check_is_ordinary_at_its_end_and_an_endless_one_before() -> None:
    talk = Talk().R(b"PING\r\n").M(b"+PONG\r\n")
    talk.conversation.close()
    told = talk.last()
    assert isinstance(told, events.Identified)
    assert told.text == "a connection that ended without PSYNC, as a health check"
    endless = Talk()
    for _ in range(MAX_SET_UP + 1):
        endless.R(b"PING\r\n").M(b"+PONG\r\n")
    assert endless.conversation.role is Role.ORDINARY


HALF_A_MEGABYTE = [
    array(b"REPLCONF", b"capa", b"x" * 16_000) * MAX_SET_UP,
    array(b"AUTH", b"u" * 8_000, b"p" * 8_000) * MAX_SET_UP,
    array(b"CLIENT", b"SETNAME", *[b"%02d" % number for number in range(62)]) * MAX_SET_UP,
    (b"REPLCONF capa " + b"x" * 16_000 + b"\n") * MAX_SET_UP,
    (b"REPLCONF" + b" ab" * 5_000 + b"\n") * MAX_SET_UP,
    array(b"REPLCONF", b"listening-port", b"9" * 16_000)[:-2],
]


@pytest.mark.parametrize("requests", HALF_A_MEGABYTE)
def test_requests_that_no_master_answers_take_little_memory(requests: bytes) -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        talks = [Talk().R(requests) for _ in range(50)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(talks) < 64 * 1024


def test_what_is_cut_short_is_told_so_and_hides_secrets_all_the_same() -> None:
    secret = b"hunter2" * 1000
    talk = Talk().R(array(b"AUTH", secret) * 3).R(array(b"AUTH", b"me", secret)).R(array(b"REPLCONF", *[b"a" * 90] * 4))
    talk.M(b"-ERR no '%s'\r\n-WRONGPASS %s\r\n-ERR '%s'\r\n-ERR\r\n+OK\r\n" % (secret, secret, secret[:99]))
    told = [(event.request, event.reply) for event in talk.told if isinstance(event, events.Handshake)]
    assert told == [
        (("AUTH", "***"), "-ERR no '***'"),
        (("AUTH", "***"), "-WRONGPASS ..."),
        (("AUTH", "***"), "-ERR ..."),
        (("AUTH", "***", "***"), "-ERR"),
        (("REPLCONF", "a" * 32 + "...", "a" * 32 + "...", "..."), "+OK"),
    ]


def test_a_replica_with_a_long_token_is_told_whole() -> None:
    token = b"t" * 5000
    talk = Talk().R(
        PING + array(b"AUTH", b"sync", token) + array(b"REPLCONF", b"listening-port", b"6380", b"capa", b"psync2")
    )
    talk.M(b"+PONG\r\n-WRONGPASS '%s' is wrong\r\n+OK\r\n" % token)
    told = [(event.request, event.reply) for event in talk.told if isinstance(event, events.Handshake)]
    assert told[1:] == [
        (("AUTH", "***", "***"), "-WRONGPASS '***' is wrong"),
        (("REPLCONF", "listening-port", "6380", "capa", "psync2"), "+OK"),
    ]


def test_a_line_of_too_many_words_is_no_request_of_a_replica() -> None:
    line = b"%s" + b" k" * 5000 + b"\r\n"
    opaque = Talk().R(line % b"REPLCONF").last()
    assert isinstance(opaque, events.Opaque)
    assert opaque.reason == "a line of more than 64 words"
    assert Talk().R(line % b"MGET").conversation.role is Role.ORDINARY
    talk, data = Talk(), line % b"MGET"
    for at in range(len(data)):
        talk.R(data[at : at + 1])
    assert talk.conversation.role is Role.ORDINARY


def test_nonsense_makes_it_opaque_and_is_counted() -> None:
    for talk, side in [
        (Talk().R(b"\x16\x03\x01\x00"), Side.REPLICA),
        (Talk().R(b"\x16\x03\x01\x00\x80\n\x10"), Side.REPLICA),
        (Talk().R(b"MGET \xff\n"), Side.REPLICA),
        (Talk().M(b"220 mail.example ESMTP\r\n"), Side.MASTER),
        (Talk().R(PSYNC).M(b"+SOMETHINGNEW\r\n"), Side.MASTER),
        (Talk().R(PSYNC).M(b"+CONTINUE\r\n"), Side.MASTER),
        (Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n+what\r\n".encode()), Side.MASTER),
        (Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$1000000000000000000\r\n".encode()), Side.MASTER),
        (Talk().R(PSYNC).M(b"x" * 100_000), Side.MASTER),
        (Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$0\r\n+x".encode()), Side.MASTER),
    ]:
        opaque = talk.last()
        assert isinstance(opaque, events.Opaque), talk.told
        assert opaque.side is side
        assert talk.conversation.phase is Phase.OPAQUE
        before = len(talk.told)
        talk.M(b"more").R(b"more")
        assert len(talk.told) == before


def test_an_opaque_stream_still_counts_offsets_and_acknowledgements() -> None:
    talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 100\r\n$3\r\nabc".encode()).M(PING + b"junk")
    opaque = talk.last()
    assert isinstance(opaque, events.Opaque)
    assert opaque.reason == "in the stream (offset 115): byte 0x6a where a command's * was expected"
    assert talk.conversation.offset == 118
    talk.M(b"12").R(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n114\r\n")
    ack = talk.last()
    assert isinstance(ack, events.Ack)
    assert (ack.offset, ack.lag_bytes) == (114, 6)


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


def test_a_history_that_goes_on_behind_another_link_says_who_took_over_and_keeps_its_db() -> None:
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


def test_a_connection_that_ends_inside_a_transaction_says_so() -> None:
    talk = Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$3\r\nabc".encode()).M(b"*1\r\n$5\r\nMULTI\r\n" + PING[:5])
    talk.conversation.close()
    batch = talk.last()
    assert isinstance(batch, events.Commands)
    assert batch.in_transaction
    assert batch.offset == 15


def test_an_rdb_channel_without_its_main_connection_tells_its_own_story() -> None:
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
    # two that could be meant: only the ID that the main connection names later decides
    memory = Memory()
    first, second, channel = valkey_main(memory, b"9.9.9.9"), valkey_main(memory, b"8.8.8.8"), valkey_rdb_channel(memory)
    assert "full_resync" in channel.kinds()
    second.R(b"REPLCONF set-rdb-client-id 33\r\n").M(b"+OK\r\n")
    second.R(f"PSYNC {ID} 8\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + PING)
    assert second.conversation.offset == 7 + 14
    assert first.conversation.offset is None
    assert channel.conversation.replica == "8.8.8.8:5"


def test_a_main_connection_whose_rdb_is_through_before_its_stream_begins_is_loading() -> None:
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


def test_commands_that_are_told_while_the_rdb_flows_beside_them_do_not_end_its_phase() -> None:
    memory = Memory()
    main, channel = valkey_main(memory, b"9.9.9.9", every_command=True), valkey_rdb_channel(memory)
    main.R(b"REPLCONF set-rdb-client-id 33\r\n").M(b"+OK\r\n").R(f"PSYNC {ID} 8\r\n".encode())
    main.M(f"+CONTINUE {ID}\r\n".encode())
    channel.M(b"$3\r\na")
    main.M(PING * 100_000)
    assert main.kinds().count("command") > 0
    assert main.conversation.phase is Phase.RDB


def test_a_main_connection_that_has_closed_hears_nothing_of_its_rdb_channel() -> None:
    memory = Memory()
    main, channel = valkey_main(memory, b"9.9.9.9"), valkey_rdb_channel(memory)
    main.conversation.close()
    told = len(main.told)
    channel.M(b"$3\r\nabc")
    assert len(main.told) == told
    assert channel.kinds()[-1] == "rdb_finished"


# Lines of the protocol as well as noise: noise alone never gets past the first line.
LINES = st.sampled_from(
    [
        PING, PSYNC, ACK_0, b"SYNC\r\n", b"\n", b"+OK\r\n", b"+PONG\r\n", b"-ERR x\r\n", RDB, MARK.encode(), b"\r\n",
        f"+FULLRESYNC {ID} 0\r\n".encode(), f"+CONTINUE {ID}\r\n".encode(), b"+CONTINUE\r\n", b"+RDBCHANNELSYNC 4\r\n",
        b"+DUALCHANNELSYNC\r\n", f"$EOF:{MARK}\r\n".encode(), b"$5\r\nhello", f"$ENDOFF:0 {ID} -1 4\r\n".encode(),
        f"*3\r\n$5\r\nPSYNC\r\n$40\r\n{ID}\r\n$1\r\n1\r\n".encode(), b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n",
        TRICKY_RDB, UNREADABLE,
        b"*5\r\n$8\r\nREPLCONF\r\n$8\r\nrdb-only\r\n$1\r\n1\r\n$11\r\nrdb-channel\r\n$1\r\n1\r\n", b"PSYNC x y\r\n",
        b"REPLCONF main-ch-client-id 4 rdb-channel 1\r\n", b"REPLCONF set-rdb-client-id 4\r\n", b"REPLCONF\r\n",
        b"REPLCONF ACK 99 FACK 98\r\n", b"REPLCONF ACK x\r\n", b"PSYNC\r\n", b"AUTH secret\r\n",
        b"REPLCONF ACK " + b"9" * 5000 + b"\r\n", b"PSYNC ? " + b"9" * 5000 + b"\r\n",
        b"+FULLRESYNC %s %s\r\n" % (ID.encode(), b"9" * 5000), b"$" + b"9" * 5000 + b"\r\n",
        b"$ENDOFF:%s %s -1 4\r\n" % (b"9" * 5000, ID.encode()), b"CLIENT SETNAME sentinel-1-cmd\r\n",
        b"*3\r\n$7\r\nCLUSTER\r\n$9\r\nSYNCSLOTS\r\n$6\r\nRANGES\r\n", b"*200\r\n$7\r\ncluster\r\n$9\r\nsyncslots\r\n",
        b"*200\r\n$4\r\nMSET\r\n", b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n",
        b"*3\r\n$4\r\nAUTH\r\n$19\r\ninternal connection\r\n$1\r\nx\r\n",
    ]
)  # fmt: skip
DATA = LINES | st.binary(min_size=1, max_size=30)
TURNS = st.lists(st.tuples(st.sampled_from([1, 2]), st.sampled_from("RM"), DATA), max_size=25)


def told_of(turns: list[tuple[int, str, bytes]], size: int = 0) -> list[tuple[int, Event]]:
    memory, told = Memory(), []
    talks = {}
    for number in (1, 2):
        talks[number] = Conversation(
            lambda event, number=number: told.append((number, event)),  # type: ignore[misc]
            memory=memory,
            connection=number,
            every_command=True,
            every_key=True,
        )
    for number, side, data in turns:
        for begin in range(0, len(data), size or len(data)):
            piece = data[begin : begin + (size or len(data))]
            if side == "M":
                talks[number].receive_from_master(piece)
            else:
                talks[number].receive_from_replica(piece)
    for talk in talks.values():
        for second in range(4):
            talk.tick(second)
        talk.close()
    return told


@given(TURNS, st.integers(1, 7))
def test_no_bytes_raise_and_any_cut_tells_the_same(turns: list[tuple[int, str, bytes]], size: int) -> None:
    assert told_of(turns, size) == told_of(turns)


@given(TURNS)
def test_no_event_shows_a_secret(turns: list[tuple[int, str, bytes]]) -> None:
    for _, event in told_of([(1, "R", b"AUTH hunter2\r\n"), *turns]):
        assert "hunter2" not in str(events.as_dict(event))


# ---- replicas that say what no replica should ----


def following(*, behind: int = 0) -> Talk:
    """A replica behind a partial resync at offset 100, and so many PINGs."""
    return Talk().R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + PING * behind).quiet()


def ack(offset: int) -> bytes:
    return b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%d\r\n%d\r\n" % (len(str(offset)), offset)


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"+OK\r\n", [("reply", "+OK", 1)]),
        (b"-ERR unknown command 'x'\r\n", [("error", "-ERR unknown command 'x'", 1)]),
        (b"$5\r\nhello\r\n:1\r\n", [("reply", "$5", 1), ("reply", ":1", 1)]),
        (b"$4\r\n\x00\xff\x80\x01\r\n", [("reply", "$4", 1)]),
        (b"+\xff\xfe\r\n", [("reply", "+\\xff\\xfe", 1)]),
        (PING, [("command", "ping", 1)]),
        (b"AUTH secret\r\n", [("command", "AUTH ***", 1)]),
        (b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", [("command", "GET k", 1)]),
        (b"*2\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n", [("command", "REPLCONF capa", 1)]),
        (b"\n\r\n*0\r\n", []),
        (b"+OK\r\n" * 25, [("reply", "+OK", 1), ("reply", "+OK", 9), ("reply", "+OK", 15)]),
        (b"-A\r\n+B\r\n" * 10, [("error", "-A", 1), ("reply", "+B", 1), ("error", "-A", 9), ("reply", "+B", 9)]),
    ],
)
def test_a_replica_that_talks_back_is_told_and_still_acknowledges(
    said: bytes, told: list[tuple[str, str, int]], size: int
) -> None:
    talk = following(behind=3)
    said += ack(114)
    for begin in range(0, len(said), size):
        talk.R(said[begin : begin + size])
    talk.conversation.close()
    found = [event for event in talk.told if isinstance(event, events.ReplicaTalkedBack)]
    assert sum(one.count for one in found) == sum(count for _, _, count in told)
    if len(found) == len(told):
        assert sorted((one.what, one.text, one.count) for one in found) == sorted(told)
    assert [event.offset for event in talk.told if isinstance(event, events.Ack)] == [114]
    assert "opaque" not in talk.kinds()


def test_a_flood_of_replies_is_told_a_few_times() -> None:
    talk = following().R(b"+OK\r\n" * 12345)
    talk.conversation.close()
    found = [event for event in talk.told if isinstance(event, events.ReplicaTalkedBack)]
    assert [one.count for one in found] == [1, 9, 90, 900, 9000, 2345]


def test_what_a_replica_says_comes_behind_the_beginning_of_its_stream() -> None:
    for said in (b"+OK\r\n", ack(900)):
        talk = Talk().R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode()).R(said)
        assert talk.kinds()[2:4] == ["partial_resync", "stream_started"]


@pytest.mark.parametrize("continued", [True, False])
def test_an_ack_that_cannot_be_leaves_no_offset(*, continued: bool) -> None:
    memory = Memory()
    talk = Talk(memory)
    if continued:
        talk.R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode()).quiet()
    else:
        talk.R(PSYNC).M(f"+FULLRESYNC {ID} 100\r\n$3\r\nabc".encode())
    talk.R(ack(100)).M(PING).R(ack(114))
    assert talk.conversation.offset == 114
    assert "ack_ahead_of_master" not in talk.kinds()
    talk.R(ack(115)).R(ack(116)).M(PING).R(ack(120))
    for tick in range(20):
        talk.conversation.tick(tick / 10)
    (ahead,) = (event for event in talk.told if isinstance(event, events.AckAheadOfMaster))
    assert (ahead.offset, ahead.sent) == (115, 114)
    assert talk.conversation.offset is None
    acks = [event for event in talk.told if isinstance(event, events.Ack)]
    assert [one.lag_bytes for one in acks] == [0, 0, None, None, None]
    commands = [event for event in talk.told if isinstance(event, events.Commands)]
    assert [one.offset for one in commands] == [114, None]
    talk.conversation.close()
    # What this connection counted says nothing of how far behind the next one is.
    again = Talk(memory).R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode()).quiet()
    partial = next(event for event in again.told if isinstance(event, events.PartialResync))
    assert partial.bytes_behind == 0
    assert again.conversation.offset == 100


def test_an_ack_may_be_ahead_where_a_fault_sent_more() -> None:
    talk = following(behind=1)
    assert talk.conversation.stream is not None
    talk.conversation.stream.is_padded = True
    talk.R(ack(128)).R(ack(129))
    assert talk.kinds().count("ack_ahead_of_master") == 1
    assert talk.conversation.offset == 114
    assert isinstance(talk.last(), events.Ack)
