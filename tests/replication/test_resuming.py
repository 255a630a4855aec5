"""Resuming: where another conversation stood, in the middle of a stream, and after missing bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Role
from tap.replication.memory import Memory
from tap.replication.payload import Payload
from tap.replication.phase import Phase
from tap.replication.standing import RdbStanding, Standing
from tests.relay.wire import command

ID = "8371a4ee67df5dfc0e22c0d4ab19dcd9e6a2b0c1"
MARK = b"0123456789abcdef0123456789abcdef01234567"
RDB = b"REDIS0009\xfe\x00\x00\x03key\x05value\x00\x01k\x01v\xff" + bytes(8)
FULL = b"+FULLRESYNC %s 100\r\n" % ID.encode()
PSYNC = command("PSYNC", "?", "-1")
GOES_ON = command("PSYNC", ID, "101")
SELECT = command("SELECT", "3")
MULTI, EXEC = command("MULTI"), command("EXEC")
SET = command("SET", "key", "v" * 20)
STREAM = SELECT + SET + MULTI + SET + SET + EXEC + command("PING") + SET
DISK = FULL + b"$%d\r\n" % len(RDB) + RDB
DISKLESS = FULL + b"$EOF:" + MARK + b"\r\n" + RDB + MARK
CONTINUED = b"+CONTINUE %s\r\n" % ID.encode()


class Talk:
    def __init__(self, memory: Memory | None = None, connection: int = 1) -> None:
        self.told: list[Event] = []
        self.one = Conversation(self.told.append, memory=memory, connection=connection, every_command=True)

    def replica(self, *data: bytes) -> Talk:
        for piece in data:
            self.one.receive_from_replica(piece, 1.0)
        return self

    def master(self, *data: bytes) -> Talk:
        for piece in data:
            self.one.receive_from_master(piece, 1.0)
        return self

    def quiet(self) -> Talk:
        """Time passes in which nothing comes: the size of a partial resync is known then."""
        for tick in range(5):
            self.one.tick(tick / 10)
        return self

    def of(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.told if isinstance(event, kinds)]


def ack(offset: int) -> bytes:
    return command("REPLCONF", "ACK", str(offset))


def stands(of: Conversation, main: Conversation | None = None, *, at_boundary: bool = False) -> Talk:
    """Another conversation that knows only the standing."""
    other = Talk()
    other.one.stand(of.standing(at_boundary=at_boundary), main)
    return other


# ---- from a standing ----


@pytest.mark.parametrize(
    ("asked", "said", "is_diskless"), [(PSYNC, DISK, False), (PSYNC, DISKLESS, True), (GOES_ON, CONTINUED, False)]
)
def test_resuming_at_any_byte_reports_the_same_as_reading_everything(
    asked: bytes, said: bytes, is_diskless: bool
) -> None:
    whole = Talk().replica(asked).master(said).quiet().replica(ack(100)).master(STREAM)
    whole.replica(ack(100 + len(STREAM)))
    commands, acks = whole.of(events.Command), [event.offset for event in whole.told if isinstance(event, events.Ack)]
    assert len(commands) == 8
    data, counted = said + STREAM, 0
    for cut in range(len(data) + 1):
        before = Talk().replica(asked).master(data[: min(cut, len(said))])
        acknowledges = cut >= len(said)
        if acknowledges:
            before.quiet().replica(ack(100)).master(data[len(said) : cut])
        if before.one.is_beginning:
            continue
        counted += 1
        after = stands(before.one)
        assert (after.one.from_master, after.one.from_replica) == (cut, before.one.from_replica)
        assert after.one.phase is before.one.phase or not acknowledges
        assert after.one.offset == before.one.offset
        after.master(data[cut : max(cut, len(said))])
        if not acknowledges:
            after.replica(ack(100))
        after.master(data[max(cut, len(said)) :]).replica(ack(100 + len(STREAM)))
        later = [event for event in commands if isinstance(event, events.Command) and event.start >= cut]
        assert after.of(events.Command) == later, cut
        assert [event.offset for event in after.told if isinstance(event, events.Ack)] == acks[acknowledges:]
        assert after.one.offset == 100 + len(STREAM)
        assert after.one.phase is Phase.STREAM
        assert not after.of(events.Opaque, events.AckAheadOfMaster)
        assert after.one.stream is not None
        assert after.one.stream.db == 3
        if cut < len(said):
            assert not after.of(events.RdbStarted, events.RdbFinished, events.RdbProblem)  # those that it saw end
            assert after.one.rdb_end == len(said)
            assert after.one.rdb_start == len(said) - len(RDB) - (len(MARK) if is_diskless else 0)
    assert counted > len(STREAM)


def test_at_a_boundary_it_stands_after_the_last_whole_command() -> None:
    head = len(CONTINUED)
    for cut in range(len(STREAM) + 1):
        talk = Talk().replica(GOES_ON).master(CONTINUED).quiet().master(STREAM[:cut])
        inside = talk.one.standing()
        border = talk.one.standing(at_boundary=True)
        ends = [event.end - head for event in talk.told if isinstance(event, events.Command)]
        last = max(ends, default=0)
        assert (inside.from_master, inside.offset) == (head + cut, 100 + cut)
        assert bool(inside.unfinished) == (cut > last)
        assert (border.from_master, border.offset, border.unfinished) == (head + last, 100 + last, "")
        began, over = len(SELECT + SET + MULTI), len(SELECT + SET + MULTI + SET + SET + EXEC)
        assert border.in_transaction == (began <= last < over)
        assert border.db == (3 if last else None)
        assert border.has_begun


def test_the_standing_describes_an_rdb() -> None:
    talk = Talk().replica(PSYNC).master(DISK[: len(DISK) - 12])
    one = talk.one.standing()
    start = len(DISK) - len(RDB)
    assert one.phase == "rdb"
    assert (one.replid, one.offset, one.db, one.acknowledges, one.has_begun) == (ID, 100, None, False, False)
    assert one.rdb == RdbStanding(
        header=str(len(RDB)), start=start, end=len(DISK), received=len(RDB) - 12, ended=False, mark_received=0
    )
    start = len(DISKLESS) - len(MARK) - len(RDB)
    for left in range(len(MARK) + 12):
        rdb = Talk().replica(PSYNC).master(DISKLESS[: len(DISKLESS) - left]).one.standing().rdb
        if not left:
            assert rdb is None
            continue
        assert rdb is not None
        assert (rdb.header, rdb.start, rdb.end) == ("EOF:" + MARK.decode(), start, None)
        assert (rdb.ended, rdb.mark_received) == (left <= len(MARK), max(0, len(MARK) - left))
        assert rdb.received == len(RDB) + len(MARK) - left


def test_before_the_resync_is_granted_reading_cannot_resume() -> None:
    talk = Talk()
    assert talk.one.is_beginning
    talk.replica(PSYNC)
    assert talk.one.is_beginning
    talk.master(FULL)
    assert talk.one.is_beginning
    talk.master(DISK[len(FULL) : -len(RDB)])
    assert not talk.one.is_beginning


def standing(**more: object) -> Standing:
    one = Standing(
        phase="stream", role=Role.REPLICA, from_master=10, from_replica=5, options={}, replid=ID, offset=100, db=2,
        in_transaction=False, unfinished="", has_begun=True, acknowledges=False, rdb=None, main=None, awaited=(),
    )  # fmt: skip
    return dataclasses.replace(one, **more)  # type: ignore[arg-type]


RDB_STANDING = RdbStanding(header="1000", start=0, end=1000, received=10, ended=False, mark_received=0)


@pytest.mark.parametrize(
    "wrong",
    [
        standing(phase="connect"),
        standing(phase="handshake"),
        standing(phase="psync"),
        standing(phase="waiting"),
        standing(phase="rdb"),
        standing(rdb=RDB_STANDING),
        standing(passing=object()),
    ],
    ids=lambda one: one.phase,
)
def test_an_impossible_standing_is_refused(wrong: Standing) -> None:
    with pytest.raises(ValueError, match="not a state that a connection can have"):
        Talk().one.stand(wrong, None)


@pytest.mark.parametrize("number", [-1, 2**62 + 1, 2**70])
@pytest.mark.parametrize("name", ["from_master", "from_replica", "db", "main"])
def test_a_number_that_no_conversation_has_is_refused_by_name(name: str, number: int) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {number}$"):
        Talk().one.stand(standing(**{name: number}), None)


@pytest.mark.parametrize("name", ["start", "end"])
def test_a_place_that_no_rdb_has_is_refused_by_name(name: str) -> None:
    rdb = dataclasses.replace(RDB_STANDING, **{name: 2**70})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^rdb.{name} is {2**70}$"):
        Talk().one.stand(standing(phase="rdb", rdb=rdb), None)


@pytest.mark.parametrize("offset", [2**64 + 1, -(2**64) - 1])
def test_an_offset_that_no_master_announces_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match=f"^offset is {offset}$"):
        Talk().one.stand(standing(offset=offset), None)


def test_any_offset_that_a_master_can_announce_is_accepted() -> None:
    for offset in (10**19 - 1, -(10**19)):
        talk = Talk()
        talk.one.stand(standing(offset=offset), None)
        assert talk.one.offset == offset


@pytest.mark.parametrize(
    "changes",
    [
        {"received": 1001},
        {"received": -1},
        {"mark_received": 1, "received": 0},
        {"mark_received": 41},
        {"mark_received": -1},
        {"header": "EOF:" + MARK.decode(), "end": None, "received": 2**50 + 1},
    ],
)
def test_more_of_an_rdb_than_it_has_is_refused(changes: dict[str, object]) -> None:
    """Reading on from such a place would never end."""
    rdb = dataclasses.replace(RDB_STANDING, received=100)
    with pytest.raises(ValueError, match="bytes of its RDB have come"):
        Talk().one.stand(standing(phase="rdb", rdb=dataclasses.replace(rdb, **changes)), None)  # type: ignore[arg-type]


def test_the_stream_begins_where_it_had_or_where_its_beginning_is_known() -> None:
    for has_begun, offset, told in ((True, 100, 1), (False, 100, 1), (True, None, 1), (False, None, 0)):
        talk = Talk()
        talk.one.stand(standing(has_begun=has_begun, offset=offset), None)
        assert len(talk.of(events.StreamStarted)) == told
    assert talk.one.is_beginning


def test_a_transaction_and_half_a_command_are_taken_over() -> None:
    talk = Talk()
    talk.one.stand(standing(in_transaction=True, unfinished=SET[:10].decode("latin-1"), offset=110), None)
    talk.master(SET[10:], SET, EXEC, SET)
    commands = [event for event in talk.told if isinstance(event, events.Command)]
    assert [(one.name, one.in_transaction, one.db) for one in commands] == [
        ("SET", True, 2),
        ("EXEC", True, 2),
        ("SET", False, 2),
    ]
    assert commands[0].offset == 110 + len(SET[10:]) + len(SET)


@pytest.mark.parametrize("phase", ["opaque", "ordinary"])
def test_unread_bytes_are_only_counted(phase: str) -> None:
    talk = Talk()
    talk.one.stand(standing(phase=phase, role=None, replid=None, offset=None), None)
    assert talk.one.only_counts
    talk.master(SET).replica(PSYNC)
    assert talk.told == []
    assert (talk.one.from_master, talk.one.from_replica) == (10 + len(SET), 5 + len(PSYNC))


def test_an_ordinary_connection_that_may_still_ask_to_replicate_is_followed() -> None:
    before = Talk().replica(command("GET", "a"))
    assert before.one.is_followed
    after = stands(before.one)
    assert after.one.is_followed
    after.master(b"$-1\r\n").replica(PSYNC).master(FULL)
    assert [event.offset for event in after.told if isinstance(event, events.FullResync)] == [100]


def test_an_rdb_channel_and_its_main_connection_find_each_other_again() -> None:
    memory = Memory()
    main, channel = Talk(memory, 1), Talk(memory, 2)
    main.replica(command("REPLCONF", "capa", "rdb-channel-repl")).master(b"+OK\r\n").replica(PSYNC)
    main.master(b"+RDBCHANNELSYNC 7\r\n")
    assert main.one.standing().awaited
    channel.replica(command("REPLCONF", "rdb-channel", "1", "main-ch-client-id", "7")).master(b"+OK\r\n")
    channel.replica(PSYNC).master(DISK[:-12])
    assert channel.one.standing().main == 1
    again = Talk(Memory(), 1)
    again.one.stand(main.one.standing(), None)
    other = Talk(connection=2)
    other.one.stand(channel.one.standing(), again.one)
    assert again.one.rdb_channel is other.one
    other.master(DISK[-12:])
    again.master(SET).replica(ack(100))
    assert again.one.offset == 100 + len(SET)


# ---- in the middle of a stream ----


def test_after_joining_everything_counts_from_there() -> None:
    talk = Talk()
    talk.one.join(1000, 50, ID, 5000)
    (begun,) = talk.of(events.StreamStarted)
    assert isinstance(begun, events.StreamStarted)
    assert (begun.start, begun.replid, begun.offset, begun.db) == (1000, ID, 5000, None)
    talk.master(SET, SELECT, SET).replica(ack(5000 + len(SET)))
    commands = [event for event in talk.told if isinstance(event, events.Command)]
    assert [(one.start, one.offset, one.db) for one in commands] == [
        (1000, 5000 + len(SET), None),
        (1000 + len(SET), 5000 + len(SET + SELECT), 3),
        (1000 + len(SET + SELECT), 5000 + len(SET + SELECT + SET), 3),
    ]
    (acked,) = [event for event in talk.told if isinstance(event, events.Ack)]
    assert (acked.start, acked.offset, acked.lag_bytes) == (50, 5000 + len(SET), len(SELECT + SET))
    talk = Talk()
    talk.one.join(0, 0, None, None)
    assert talk.master(SET).one.offset is None


# ---- after missing bytes ----


def test_the_rest_of_an_rdb_may_be_missing() -> None:
    head = len(DISK) - len(RDB)
    for asked, said in ((PSYNC, DISK), (PSYNC, DISKLESS)):
        talk = Talk().replica(asked)
        assert not talk.one.skip_rdb(10)
        assert talk.one.from_master == 0
        talk.master(said[: head + 60])
        talk = Talk().replica(asked).master(said[: -len(RDB) - len(MARK)] if said is DISKLESS else said[:head])
        left = len(said) - talk.one.from_master
        assert talk.one.skip_rdb(left)
        assert (talk.one.from_master, talk.one.rdb_end) == (len(said), len(said))
        assert len(talk.of(events.RdbStarted)) == 1
        talk.master(STREAM).replica(ack(100))
        assert talk.one.offset == 100 + len(STREAM)


@pytest.mark.parametrize("size", [1, 5, 20])
def test_bytes_in_the_middle_of_an_rdb_may_be_missing(size: int) -> None:
    head = len(DISK) - len(RDB)
    for at in range(head, len(DISK)):
        talk = Talk().replica(PSYNC).master(DISK[:at])
        taken = talk.one.skip_in_rdb(size)
        assert taken == min(size, len(DISK) - at)
        assert talk.one.from_master == at + taken
        talk.master(DISK[at + taken :])
        assert talk.one.rdb_end == len(DISK)
        talk.master(STREAM).replica(ack(100))
        assert talk.one.offset == 100 + len(STREAM)
        assert len(talk.of(events.RdbStarted)) == len(talk.of(events.RdbFinished)) == 1
        (problem,) = talk.of(events.RdbProblem)
        assert isinstance(problem, events.RdbProblem)
        assert problem.problem == "missing"
        assert f"{taken} bytes are missing" in problem.text
    assert Talk().one.skip_in_rdb(5) == 0
    assert Talk().replica(GOES_ON).master(CONTINUED).one.skip_in_rdb(5) == 0


def test_a_diskless_rdb_that_lacks_bytes_ends_with_its_mark() -> None:
    head = len(DISKLESS) - len(RDB) - len(MARK)
    for at in range(head, len(DISKLESS) - len(MARK)):
        size = min(4, len(DISKLESS) - len(MARK) - at)
        talk = Talk().replica(PSYNC).master(DISKLESS[:at])
        assert talk.one.skip_in_rdb(size) == size
        assert not talk.one.has_missed_rdb_end
        talk.master(DISKLESS[at + size :]).replica(ack(100)).master(STREAM)
        assert talk.one.rdb_end == len(DISKLESS), at
        assert talk.one.offset == 100 + len(STREAM)


def test_if_the_mark_is_among_the_missing_bytes_acknowledgements_decide() -> None:
    head = len(DISKLESS) - len(RDB) - len(MARK)
    talk = Talk().replica(PSYNC).master(DISKLESS[: head + 10])
    assert talk.one.skip_in_rdb(len(RDB) + len(MARK) + len(SET) - 10) == len(RDB) + len(MARK) + len(SET) - 10
    assert not talk.one.has_missed_rdb_end
    talk.replica(ack(100))
    assert talk.one.has_missed_rdb_end
    assert talk.one.skip_in_rdb(5) == 0


def test_a_part_of_the_mark_may_be_missing() -> None:
    for at in range(len(DISKLESS) - len(MARK), len(DISKLESS)):
        talk = Talk().replica(PSYNC).master(DISKLESS[:at])
        size = len(DISKLESS) - at
        assert talk.one.skip_in_rdb(size + 7) == size
        assert talk.one.rdb_end == len(DISKLESS)
        talk = Talk().replica(PSYNC).master(DISKLESS[:at])
        assert talk.one.skip_in_rdb(1) == 1
        talk.master(DISKLESS[at + 1 :] + STREAM).replica(ack(100))
        assert talk.one.rdb_end == len(DISKLESS)
        assert talk.one.offset == 100 + len(STREAM)


def test_replies_after_missing_bytes_are_reported_without_their_requests() -> None:
    talk = Talk().replica(command("PING"), command("REPLCONF", "capa", "eof"), PSYNC)
    assert talk.one.skip_replies(7)
    assert talk.one.is_unmatched
    assert talk.one.from_master == 7
    handshakes = [event for event in talk.told if isinstance(event, events.Handshake)]
    assert [event.request[0] for event in handshakes] == ["PING", "REPLCONF"]
    assert [event.reply for event in handshakes] == [None, None]
    talk.master(b"+OK\r\n", FULL)
    assert [event.offset for event in talk.told if isinstance(event, events.FullResync)] == [100]
    assert not talk.one.skip_replies(7) or talk.one.phase is Phase.WAITING
    assert not Talk().replica(GOES_ON).master(CONTINUED).one.skip_replies(7)


def test_after_missing_requests_only_the_reply_to_psync_is_matched() -> None:
    talk = Talk().replica(command("PING"))
    talk.one.skip_from_replica(20)
    assert talk.one.is_unmatched
    talk.replica(PSYNC)
    assert talk.one.from_replica == len(command("PING")) + 20 + len(PSYNC)
    talk = Talk().replica(PSYNC)
    talk.one.skip_from_replica(20)
    assert not talk.one.is_unmatched
    assert talk.master(FULL).of(events.FullResync)
    talk = Talk()
    talk.one.skip_from_replica(0)
    assert not talk.one.is_unmatched


def test_after_missing_bytes_of_an_ordinary_connection_the_rest_is_counted() -> None:
    talk = Talk().replica(command("GET", "a"))
    talk.one.pass_over(events.Side.MASTER, 30)
    assert (talk.one.from_master, talk.one.is_followed, talk.one.only_counts) == (30, False, True)
    talk.one.pass_over(events.Side.REPLICA, 30)
    assert talk.one.from_replica == len(command("GET", "a")) + 30


def test_after_an_internal_error_one_side_may_still_be_read() -> None:
    def fed(*, before: Callable[[Talk], object], side: events.Side) -> Talk:
        talk = Talk()
        before(talk)
        talk.one.lost(side, "oops")
        (opaque,) = talk.of(events.Opaque)
        assert isinstance(opaque, events.Opaque)
        assert (opaque.side, opaque.reason) == (side, "oops")
        assert opaque.start == (talk.one.from_master if side is events.Side.MASTER else talk.one.from_replica)
        return talk

    talk = fed(before=lambda one: one.replica(GOES_ON).master(CONTINUED + SET), side=events.Side.REPLICA)
    talk.master(SET).replica(b"nonsense\x00\xff")
    assert talk.one.offset == 100 + 2 * len(SET)
    talk = fed(before=lambda one: one.replica(PSYNC).master(DISK[:-10]), side=events.Side.REPLICA)
    assert talk.master(DISK[-10:]).one.rdb_end == len(DISK)
    talk = fed(before=lambda one: one.replica(GOES_ON).master(CONTINUED + SET), side=events.Side.MASTER)
    assert talk.one.phase is Phase.OPAQUE
    talk = fed(before=lambda one: one.replica(command("PING")), side=events.Side.REPLICA)
    assert talk.one.phase is Phase.OPAQUE


# ---- the payload alone ----


def test_a_joined_payload_ends_where_the_whole_one_does() -> None:
    data = RDB + MARK
    for cut in range(1, len(data)):
        whole = Payload(b"EOF:" + MARK)
        whole.feed(data[:cut])
        joined = Payload(b"EOF:" + MARK)
        joined.join(cut, ended=whole.ended, mark_received=whole.mark_received)
        assert joined.joined
        assert joined.lacks
        assert joined.received == cut
        assert not joined.is_complete
        joined.feed(data[cut:])
        assert joined.looks_complete
        assert joined.received == len(data)
        assert joined.rdb_bytes == len(RDB)
        assert joined.is_complete == whole.ended
        problem = joined.problem
        assert problem is not None
        assert (problem.kind, problem.position) == ("joined", cut)


def test_a_standing_survives_the_round_trip() -> None:
    one = standing()
    talk = Talk()
    talk.one.stand(one, None)
    assert talk.one.standing() == dataclasses.replace(one, has_begun=True)
