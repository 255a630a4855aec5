"""One connection while it is played: what a state of a tap adds, what shows that it replicates, and how it ends."""

from __future__ import annotations

import dataclasses

import pytest

from tap.bus import Told
from tap.capture.segments import ACK, FIN, RST
from tap.recording.batch import Batch
from tap.recording.comments import (
    LinkState,
    carried_db_json,
    not_understood_json,
    state_json,
    told_json,
)
from tap.recording.link import Link
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import RecordingGap, Role
from tap.replication.memory import Memory
from tests.recording.hand_made import (
    CHANNEL,
    FULL,
    MAIN,
    MASTER,
    PARTIAL,
    RDB,
    REPLICA,
    SET,
    SIZE,
    Story,
    ack,
    gap,
    partial,
    resumed,
    state,
)
from tests.relay.wire import BASE, REPLID, asks, command


class Watch:
    """Keeps what an observer of the master's bytes is given."""

    def __init__(self) -> None:
        self.came: list[tuple[int, str, int, bytes, int]] = []
        self.over: list[Conversation] = []

    def received(self, connection: int, link: str, conversation: Conversation, data: bytes, time: int) -> None:
        self.came.append((connection, link, conversation.from_master, data, time))

    def ended(self, conversation: Conversation) -> None:
        self.over.append(conversation)


# ---- states that a tap recorded ----


@pytest.mark.parametrize(
    ("second", "offset"),
    [
        (state(100 + SIZE, 5000 + SIZE), 5000 + 2 * SIZE),
        (state(100 + SIZE, 5000 + SIZE, held=1), None),
        (state(100 + 2 * SIZE, 5000 + 2 * SIZE, held=SIZE), None),
        (state(99 + SIZE, 5000 + SIZE), None),
        (dataclasses.replace(state(100 + SIZE, 5000), standing=None), None),
    ],
    ids=["news", "a byte to come", "a command to come", "another position", "no standing"],
)
def test_a_state_at_this_very_position_says_what_was_not_known(second: LinkState, offset: int | None) -> None:
    story = resumed(state(100, None))
    story.send(1, SET)
    story.send(0, said=[state_json(second)])
    story.send(1, SET)
    story.player.close()
    assert story.places == [(100, None, 3), (100 + SIZE, offset, 3)]
    assert (story.missing, story.of(RecordingGap), story.player.connections) == ([], [], 1)
    assert len(story.of(events.StreamStarted)) == (1 if offset is None else 2)


@pytest.mark.parametrize("cut", [0, 10, 30])
def test_an_acknowledgement_across_a_state_is_passed_over(cut: int) -> None:
    """Its first part came before the state: what follows is not the beginning of a request."""
    story = resumed(state(100, None))
    size = len(ack(5000))
    story.send(0, ack(4999))
    story.send(0, ack(5000)[:cut])
    story.send(0, said=[state_json(state(100, 5000, replica=50 + size + cut))])
    story.send(0, ack(5000)[cut:])
    story.send(0, ack(5001))
    story.send(1, SET)
    acks = [(50, 4999), *([] if cut else [(50 + size, 5000)]), (50 + 2 * size, 5001)]
    assert [(one.start, one.offset) for one in story.of(events.Ack)] == acks
    assert (story.of(events.ReplicaTalkedBack), story.of(events.Opaque), story.missing) == ([], [], [])


def test_a_state_says_the_db_where_only_that_was_not_known() -> None:
    story = resumed(state(100, 5000, db=None))
    story.send(1, SET)
    story.send(0, said=[state_json(state(100 + SIZE, 5000 + SIZE))])
    story.send(1, SET)
    story.send(0, said=[state_json(state(100 + 2 * SIZE, 5000 + 2 * SIZE, db=None))])
    story.send(1, SET)
    assert [db for _, _, db in story.places] == [None, 3, 3]
    assert len(story.of(events.StreamStarted)) == 2


@pytest.mark.parametrize(("phase", "is_read"), [("stream", True), ("opaque", False)])
def test_after_nonsense_reading_goes_on_at_a_state_in_a_stream(phase: str, is_read: bool) -> None:
    watch = Watch()
    story = resumed(state(100, 5000), watch=watch)
    story.send(1, b"nonsense\r\n")
    story.send(0, said=[state_json(state(110, 5010, phase=phase))])
    story.send(1, SET)
    story.player.close()
    assert story.places == ([(110, 5010 + SIZE, 3)] if is_read else [])
    (unread,) = story.missing
    assert unread[:-1] == ("unread", MASTER, 100, 110 if is_read else 110 + SIZE, 0, 5000, 5010 if is_read else None)
    assert len(watch.over) == 1 + is_read


def test_a_state_in_which_nothing_is_understood_follows_a_gap() -> None:
    story = resumed(state(100, 5000))
    story.send(1, SET)
    story.lose(1, 70)
    story.send(0, said=[state_json(state(170 + SIZE, 5070 + SIZE, phase="opaque"))])
    story.send(1, SET)
    story.player.close()
    assert [(one.start, one.end) for one in story.of(RecordingGap)] == [(100 + SIZE, 170 + SIZE)]
    assert story.places[0] == (100, 5000 + SIZE, 3)
    assert {offset for _, offset, _ in story.places[1:]} <= {None}
    assert [one.bytes_from_master for one in story.ends] == [100 + SIZE, 170 + 2 * SIZE]


def test_after_a_gap_reading_goes_on_at_the_state() -> None:
    """The one command after it would be no proof."""
    story = resumed(state(100, 5000))
    story.send(1, SET)
    story.lose(1, 70)
    said = [gap(100 + SIZE, 170 + SIZE, 5000 + SIZE, 5070 + SIZE), state_json(state(170 + SIZE, 5070 + SIZE))]
    story.send(0, said=said)
    assert story.missing == [("gap", MASTER, 100 + SIZE, 170 + SIZE, 70, 5000 + SIZE, 5070 + SIZE, "")]
    story.send(1, SET)
    assert story.places[-1] == (170 + SIZE, 5070 + 2 * SIZE, 3)
    story.send(0, ack(5070))
    assert [(one.start, one.offset) for one in story.of(events.Ack)] == [(50, 5070)]
    story.player.close()
    assert len(story.of(RecordingGap)) == 1
    assert len(story.missing) == 1
    assert story.ends == [
        Link(
            name="main", connection=1, replica="127.0.0.1:50000", peer="a:1", master="b:2", opened=None, closed=None,
            role=Role.REPLICA, replid=REPLID, first_offset=5000, last_offset=5070 + 2 * SIZE,
            bytes_from_master=170 + 2 * SIZE, bytes_from_replica=50 + len(ack(5070)), full_resyncs=0, partial_resyncs=0,
        )
    ]  # fmt: skip


def test_a_gap_that_ends_within_a_command_takes_the_rest_of_it() -> None:
    """Files between the two states were not read."""
    story = resumed(state(100, 5000))
    story.send(1, SET)
    story.lose(1, 75)
    story.send(0, said=[state_json(state(170 + SIZE, 5070 + SIZE, before=SET[:5]))])
    story.send(1, SET[5:] + SET)
    story.player.close()
    assert story.missing == [("gap", MASTER, 100 + SIZE, 170 + 2 * SIZE, 75, 5000 + SIZE, 5070 + 2 * SIZE, "")]
    assert story.places[1:] == [(170 + 2 * SIZE, 5070 + 3 * SIZE, 3)]
    assert [(one.bytes, one.from_offset, one.to_offset) for one in story.of(RecordingGap)] == [
        (75, 5000 + SIZE, 5075 + SIZE)
    ]


def test_a_stream_that_is_not_understood_from_its_state_on_is_unread_and_no_gap() -> None:
    story = resumed(state(100, 5000))
    story.send(1, SET)
    story.lose(1, 70)
    story.send(0, said=[state_json(state(170 + SIZE, 5070 + SIZE))])
    story.send(1, b"nonsense\r\n")
    story.player.close()
    lost, unread = story.missing
    assert lost == ("gap", MASTER, 100 + SIZE, 170 + SIZE, 70, 5000 + SIZE, 5070 + SIZE, "")
    assert unread[:-1] == ("unread", MASTER, 170 + SIZE, 180 + SIZE, 0, 5070 + SIZE, None)
    assert unread[-1] == story.of(events.Opaque)[0].reason


def test_a_state_after_a_gap_in_the_handshake_settles_that_only_the_gap_is_missing() -> None:
    story = Story(is_ours=True)
    story.send(0, asks(BASE))
    story.lose(1, len(PARTIAL))
    story.send(0, said=[gap(0, len(PARTIAL)), state_json(state(len(PARTIAL), BASE, replica=len(asks(BASE))))])
    assert story.missing == [("gap", MASTER, 0, len(PARTIAL), len(PARTIAL), None, None, "")]
    story.send(1, SET)
    story.player.close()
    assert len(story.missing) == 1
    assert story.places == [(len(PARTIAL), BASE + SIZE, 3)]


def test_an_impossible_state_is_named_and_everything_after_it_unread() -> None:
    story = resumed(state(100, 5000, phase="impossible"))
    story.send(1, SET)
    story.player.close()
    (unread,) = story.missing
    assert unread[:-1] == ("unread", MASTER, 0, SIZE, 0, None, None)
    assert unread[-1].startswith("the recording states an impossible state of it: ")


@pytest.mark.parametrize(("role", "phase", "count"), [(Role.REPLICA, "stream", 1), (Role.ORDINARY, "ordinary", 0)])
def test_only_a_state_of_a_replica_counts_as_one(role: Role, phase: str, count: int) -> None:
    story = resumed(state(100, None, role=role, phase=phase))
    assert (story.player.replicating, story.player.recorded, story.player.connections) == (count, 1, 1)
    assert [link.is_reported for link in story.player.links] == [True]


@pytest.mark.parametrize(("number", "is_ours"), [(1, True), (2, True), (1, False)])
def test_a_state_with_other_bytes_before_it_ends_the_connection_that_had_its_addresses(
    number: int, is_ours: bool
) -> None:
    """It is the same connection, with bytes in files that were not read, only if a tap gave it the same number."""
    story = partial(is_ours=is_ours)
    at = len(PARTIAL) + SIZE
    story.lose(1, 100)
    story.send(0, said=[state_json(state(at + 100, BASE + SIZE + 100, number=number))])
    story.send(1, SET)
    story.player.close()
    gaps = [(one.start, one.end, one.from_offset, one.to_offset) for one in story.of(RecordingGap)]
    assert gaps == ([(at, at + 100, BASE + SIZE, BASE + SIZE + 100)] if (number, is_ours) == (1, True) else [])
    assert len(story.missing) == len(gaps)
    assert [(one.connection, one.last_offset) for one in story.ends] == [
        (1, BASE + SIZE),
        (number, BASE + 100 + 2 * SIZE),
    ]


@pytest.mark.parametrize("db", [0, 7])
def test_the_db_in_force_at_a_partial_resync_is_the_one_that_the_tap_says(db: int) -> None:
    story = Story(is_ours=True)
    story.send(0, asks(BASE))
    story.send(1, PARTIAL + SET, said=[carried_db_json(db)])
    assert story.places == [(len(PARTIAL), BASE + SIZE, db)]


@pytest.mark.parametrize("said", [(), (not_understood_json(),)], ids=["understood", "passed on"])
def test_what_a_tap_reports_itself_is_not_made_from_the_bytes(said: tuple[str, ...]) -> None:
    """If it only passed the connection on, it reports nothing of the kind."""
    story = Story(is_ours=True)
    story.send(0, asks(BASE), said=said)
    story.send(1, PARTIAL + SET)
    story.send(0, ack(BASE + 1000))
    assert len(story.of(events.AckAheadOfMaster)) == len(said)
    story.player.rest(5)
    assert len(story.of(events.CaughtUp)) == len(said)


def test_an_acknowledgement_ahead_of_the_master_makes_offsets_doubtful_where_the_tap_says_so() -> None:
    story = partial(is_ours=True)
    ahead = events.AckAheadOfMaster(start=72, end=109, offset=BASE + 1000, sent=BASE + SIZE)
    story.send(1, SET, said=[told_json(Told(1.0, "main", 1, "", ahead))])
    assert [offset for _, offset, _ in story.places] == [BASE + SIZE, None]


# ---- what shows that it replicates ----


def test_acknowledgements_prove_it_once_and_what_follows_without_a_command_is_unread() -> None:
    story = Story()
    for count in range(4):
        assert story.player.replicating == (count > 1)
        story.send(0, ack(100))
    story.send(1, b"half of a command")
    story.player.close()
    assert story.player.replicating == 1
    assert story.missing == [("unread", MASTER, 0, 17, 0, None, None, "no whole command is among them")]


@pytest.mark.parametrize(("data", "count"), [(b"", 1), (SET, 1), (b"nonsense\r\n", 0)])
def test_acknowledgements_prove_it_only_if_a_stream_is_understood(data: bytes, count: int) -> None:
    """What was taken for an RDB may have been a value."""
    story = Story()
    story.send(0, b"SYNC\r\n")
    story.send(1, b"$%d\r\n" % len(RDB) + RDB)
    if data:
        story.send(1, data)
    for _ in range(3):
        story.send(0, ack(BASE))
    assert story.player.replicating == count
    assert bool(story.heard) == bool(count)


def test_after_missing_requests_any_connection_may_turn_out_to_replicate() -> None:
    for side in (0, 1):
        story = Story()
        story.open()
        story.send(0, command("GET", "a"))
        story.send(1, b"$-1\r\n")
        assert story.player.links == []
        story.lose(side, 20)
        story.send(side, b"\n")
        story.send(0, asks(BASE))
        story.send(1, PARTIAL + SET)
        story.player.close()
        assert story.places == [(5 + 21 * side + len(PARTIAL), BASE + SIZE, None)]


def test_after_an_answer_that_no_master_gives_the_search_begins_again() -> None:
    story = Story()
    story.send(0, asks(BASE))
    story.send(1, b"garbage\r\n")
    assert story.player.links == []
    story.send(0, asks(BASE))
    story.send(1, PARTIAL + SET)
    story.player.close()
    assert story.places == [(9 + len(PARTIAL), BASE + SIZE, None)]
    assert (story.player.replicating, story.missing) == (1, [])


def test_a_replica_that_has_been_granted_a_stream_may_say_anything() -> None:
    story = Story()
    story.send(0, asks(BASE))
    story.send(1, PARTIAL)
    story.send(1, SET)
    story.send(0, command("GET", "a"))
    story.send(1, SET)
    story.send(0, ack(BASE))
    story.player.close()
    assert [offset for _, offset, _ in story.places] == [BASE + SIZE, BASE + 2 * SIZE]
    (talked,) = story.of(events.ReplicaTalkedBack)
    assert (talked.start, talked.text) == (len(asks(BASE)), "GET a")
    assert [one.start for one in story.of(events.Ack)] == [len(asks(BASE)) + len(command("GET", "a"))]
    assert (story.player.replicating, story.missing) == (1, [])


def test_bytes_of_a_replica_that_are_not_understood_are_unread_and_have_no_offsets() -> None:
    story = partial()
    story.send(0, b"*1\r\n$x\r\n")
    story.send(1, SET)
    story.send(0, b"more")
    story.player.close()
    begin = len(asks(BASE))
    assert story.missing == [("unread", REPLICA, begin, begin + 12, 0, None, None, "a length that is not a number")]
    assert story.places[-1] == (len(PARTIAL) + SIZE, BASE + 2 * SIZE, None)


# ---- its end ----


@pytest.mark.parametrize(
    ("by", "flags", "how"), [(0, FIN | ACK, "fin"), (1, FIN | ACK, "fin"), (0, RST, "reset"), (1, RST, "reset")]
)
def test_who_ended_it_and_how_long_each_had_been_silent(by: int, flags: int, how: str) -> None:
    story = Story()
    story.open()
    story.send(0, asks(BASE))
    story.send(1, PARTIAL)
    story.send(1, SET, after=2)
    story.send(0, ack(BASE + SIZE), after=1)
    story.send(by, flags=flags, after=3)
    if how == "fin":
        story.send(1 - by, flags=flags, after=5)
        story.send(by, flags=ACK)
    (closed,) = story.of(events.LinkClosed)
    assert (closed.by, closed.how, closed.text, closed.role, closed.phase) == (
        (REPLICA, MASTER)[by], how, "", Role.REPLICA, "stream"
    )  # fmt: skip
    assert (closed.offset, closed.bytes_from_master) == (BASE + SIZE, len(PARTIAL) + SIZE)
    assert closed.bytes_from_replica == len(asks(BASE) + ack(BASE + SIZE))
    assert (closed.master_silence, closed.replica_silence) == (pytest.approx(4), pytest.approx(3))
    (link,) = story.ends
    assert link.opened == pytest.approx(10**9 + 0.001)
    assert link.closed == pytest.approx(10**9 + 6.005 + 5 * (how == "fin"))
    assert (link.role, link.peer, link.master) == (Role.REPLICA, "127.0.0.1:50000", "127.0.0.1:6379")
    assert story.player.links == []
    story.player.close()
    assert (len(story.ends), len(story.of(events.LinkClosed))) == (1, 1)


@pytest.mark.parametrize(("size", "phase"), [(100, "rdb"), (len(RDB), "done")])
def test_the_phase_at_the_end_is_the_one_in_which_it_ended(size: int, phase: str) -> None:
    story = Story()
    story.open()
    for side, data in CHANNEL[:-1]:
        story.send(side, data)
    story.send(1, FULL + b"$%d\r\n" % len(RDB) + RDB[:size])
    story.send(0, flags=RST)
    (closed,) = story.of(events.LinkClosed)
    assert (closed.phase, closed.role) == (phase, Role.RDB_CHANNEL)


def test_a_replica_that_was_met_as_the_second_end_is_named_as_such() -> None:
    story = Story()
    story.open(is_seen=False)
    story.send(1, SET)
    for _ in range(2):
        story.send(0, ack(100))
    story.player.close()
    (link,) = story.ends
    assert (link.name, link.peer, link.master) == ("127.0.0.1:6379", "127.0.0.1:50000", "127.0.0.1:6379")
    assert (link.opened, link.closed, link.bytes_from_master) == (None, None, SIZE)


def test_a_recorded_connection_ends_where_the_tap_says_so() -> None:
    story = partial(is_ours=True)
    story.send(0, flags=FIN | ACK)
    story.send(1, flags=FIN | ACK)
    assert [len(story.player.links), len(story.ends)] == [1, 0]
    closed = events.LinkClosed(
        by=REPLICA, how="fin", text="", role=Role.REPLICA, phase="stream", offset=BASE + SIZE, bytes_from_master=1,
        bytes_from_replica=1,
    )  # fmt: skip
    story.send(0, flags=ACK, said=[told_json(Told(7.5, "main", 1, "", closed))])
    assert story.of(events.LinkClosed) == [closed]
    assert [(one.name, one.closed) for one in story.ends] == [("main", 7.5)]
    assert story.player.links == []


def test_packets_that_do_not_belong_to_a_connection_are_remarked_on() -> None:
    story = partial()
    other = Story()
    other.open(is_seen=False)
    other.lose(1, 10**9)
    other.wire.send(1, flags=RST)
    story.wire.packets += other.wire.packets
    story.play()
    story.send(1, SET)
    story.player.close()
    assert story.player.remarks == ["127.0.0.1:6379/1: ignored 1 RST with sequence numbers that are not the connection's"]


# ---- what others are given ----


def test_commands_are_counted_with_the_time_and_the_offset_before_their_stream() -> None:
    batches: list[Batch] = []
    story = Story(is_ours=True, count=batches.append, every_command=False)
    story.send(0, asks(BASE, "b" * 40))
    story.send(1, PARTIAL + SET)
    story.send(0, ack(BASE + SIZE))
    story.player.close()
    (batch,) = batches
    assert (batch.link, batch.connection, batch.replid, batch.base, batch.previous) == ("main", 1, REPLID, BASE, "b" * 40)
    assert batch.time == pytest.approx(10**9 + 0.005)
    assert [head[:4] for head in batch.heads] == [(SIZE, SIZE, None, "SET")]


@pytest.mark.parametrize("at_once", [False, True])
def test_commands_beside_an_rdb_wait_for_its_end_unless_wanted_at_once(at_once: bool) -> None:
    main = Story(at_once=at_once)
    channel = Story(beside=main, port=50001)
    for story, said in ((main, MAIN), (channel, CHANNEL)):
        story.open()
        for side, data in said:
            story.send(side, data)
    main.send(1, SET)
    assert len(main.places) == at_once
    channel.send(1, RDB[100:])
    main.send(0, ack(BASE))
    assert [offset for _, offset, _ in main.places] == [BASE + SIZE]
    assert main.player.replicating == 2


def test_two_connections_of_a_sync_find_each_other_by_their_states() -> None:
    memory = Memory()
    stories = []
    for number, said in ((1, MAIN), (2, CHANNEL)):
        conversation = Conversation(lambda event: None, memory=memory, connection=number)
        for side, data in said:
            (conversation.receive_from_master if side else conversation.receive_from_replica)(data)
        stands = dataclasses.replace(state(0, 0), connection=number, standing=conversation.standing())
        stories.append((number, state_json(stands)))
    main = Story()
    channel = Story(beside=main, port=50001)
    for story, (_, stands_json) in zip((main, channel), stories, strict=True):
        story.open(is_seen=False)
        story.send(0, said=[stands_json])
    found = [main.player.find(number) for number in (1, 2, 3, None)]
    assert found[2:] == [None, None]
    assert found[0] is not None
    assert found[0].rdb_channel is found[1] is not None
    assert (main.player.replicating, main.player.connections) == (2, 2)


def test_an_observer_of_the_masters_bytes_gets_those_that_are_read_with_their_time() -> None:
    watch = Watch()
    story = partial(watch=watch)
    story.lose(1, 50)
    story.send(1, SET * 3)
    first = story.player.links[0].conversation
    story.send(0, ack(BASE))
    story.player.close()
    begin = len(PARTIAL) + SIZE
    now = 10**18 + 10**6
    assert [one[:4] for one in watch.came] == [
        (1, "127.0.0.1:6379", begin, PARTIAL + SET),
        (1, "127.0.0.1:6379", begin + 50 + 3 * SIZE, SET * 3),
    ]
    assert watch.came[0][4] == now + 4 * 10**6
    assert len(watch.over) == 2
    assert watch.over[0] is first
