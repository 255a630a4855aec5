"""Real traffic, reported: the same story for any split of the bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tap.replication import events
from tap.replication.events import Event, Side
from tests.support import Capture, Chunk, Play, captures, thinned

CAPTURES = {capture.name: capture for capture in captures()}

# The expected report of each, in words: see words() below.
FULL_AND_PARTIAL = [
    "1 psync own 1",
    "1 full 0 replication_id_unknown",
    "1 rdb",
    "1 stream 0 db None",
    "1 275 db 3: 10 commands",
    "2 psync same 276",
    "2 partial 275",
    "2 stream 275 db 3",
    "2 550 db 3: 10 commands",
    "2 lacked 0 to 0",
]
THIRD = [line.replace("2 ", "3 ", 1) if line.startswith("2 ") else line for line in FULL_AND_PARTIAL]
STORIES = {
    "redis-6.2-disk": FULL_AND_PARTIAL,
    "redis-7.0-diskless": FULL_AND_PARTIAL,
    "redis-7.0-password": FULL_AND_PARTIAL,
    "redis-8.0-single-channel": FULL_AND_PARTIAL,
    "redis-8.0-rdb-channel": THIRD,
    "valkey-8.1-announced": FULL_AND_PARTIAL,
    "valkey-9-dual-channel": THIRD,
    "redis-7.0-missed": [line.replace("lacked 0 to 0", "lacked 0 to 275") for line in FULL_AND_PARTIAL],
    "redis-7.0-promotion": [line.replace("partial 275", "partial as another history 275") for line in FULL_AND_PARTIAL],
    "redis-7.0-out-of-backlog": [
        *FULL_AND_PARTIAL[:5],
        "2 psync same 276",
        "2 full 200331 offset_out_of_backlog",
        "2 rdb",
        "2 stream 200331 db None",
    ],
    "redis-7.0-disk-keepalives": [
        "1 psync own 1",
        "1 full 0 replication_id_unknown",
        "1 keepalive",
        "1 rdb",
        "1 stream 0 db None",
    ],
    "redis-7.0-cli-rdb": ["1 sync", "1 full None legacy_sync", "1 rdb"],
    "redis-7.0-cli-replica": [
        "1 sync",
        "1 full None legacy_sync",
        "1 rdb",
        "1 stream None db None",
        "1 None db 3: 10 commands",
    ],
}


def words(told: list[tuple[int, Event]]) -> list[str]:
    """The story in short: who asked for what and got what."""
    said = []
    replid = None
    for connection, event in told:
        match event:
            case events.PsyncRequested():
                said.append(f"{connection} psync {'same' if event.replid == replid else 'own'} {event.offset}")
            case events.SyncRequested():
                said.append(f"{connection} sync")
            case events.FullResync():
                replid = event.replid
                said.append(f"{connection} full {event.offset} {event.reason.code}")
            case events.PartialResync():
                other = "" if event.replid == replid else " as another history"
                said.append(f"{connection} partial{other} {event.offset}")
            case events.CaughtUp():
                said.append(f"{connection} lacked {event.at_least} to {event.at_most}")
            case events.RdbFinished():
                said.append(f"{connection} rdb")
            case events.StreamStarted():
                said.append(f"{connection} stream {event.offset} db {event.db}")
            case events.Keepalive(side=Side.MASTER):
                said.append(f"{connection} keepalive")
    batches: dict[int, list[events.Commands]] = {}
    for connection, event in told:
        if isinstance(event, events.Commands):
            batches.setdefault(connection, []).append(event)
    for connection, batch in batches.items():
        last, count = batch[-1], sum(one.count for one in batch)
        at = max(i for i, line in enumerate(said) if line.startswith(f"{connection} stream")) + 1
        said.insert(at, f"{connection} {last.offset} db {last.db}: {count} commands")
    return said


def test_every_capture_has_its_story() -> None:
    assert CAPTURES.keys() == STORIES.keys()


@pytest.mark.parametrize("name", STORIES)
def test_the_story_of_a_capture(name: str) -> None:
    told = Play().all(CAPTURES[name].chunks)
    assert words(told) == STORIES[name]
    assert not [event for _, event in told if isinstance(event, events.Opaque)]


@pytest.mark.parametrize("name", STORIES)
def test_the_last_offset_is_the_masters(name: str) -> None:
    play = Play()
    play.all(CAPTURES[name].chunks)
    offsets = [one.offset for one in play.conversations.values() if one.offset is not None]
    if offsets:  # SYNC announces none
        assert offsets[-1] == CAPTURES[name].truth["master_repl_offset"]
        assert play.conversations[max(play.conversations)].replid == CAPTURES[name].truth["master_replid"]


@pytest.mark.parametrize("name", STORIES)
def test_the_story_is_the_same_byte_by_byte(name: str) -> None:
    whole = Play().all(CAPTURES[name].chunks)
    assert Play().all([piece for chunk in CAPTURES[name].chunks for piece in in_pieces(chunk, 1)]) == whole


@pytest.mark.parametrize("name", STORIES)
def test_the_story_is_the_same_in_one_piece_per_turn(name: str) -> None:
    """Consecutive chunks of one side without a pause, joined."""
    chunks = CAPTURES[name].chunks
    glued: list[Chunk] = []
    for chunk in chunks:
        last = glued[-1] if glued else None
        same = last and (last.connection, last.side) == (chunk.connection, chunk.side) and chunk.at - last.at < 0.1
        if last and same and chunk.data and last.data:
            glued[-1] = Chunk(chunk.at, chunk.connection, chunk.side, last.data + chunk.data)
        else:
            glued.append(chunk)
    assert without_ticks(Play().all(glued)) == without_ticks(Play().all(chunks))


@pytest.mark.parametrize("name", thinned([*STORIES], 3))
def test_the_story_is_the_same_at_any_split(name: str) -> None:
    whole = Play().all(CAPTURES[name].chunks)
    for pieces in splits(CAPTURES[name]):
        assert Play().all(pieces) == whole


@pytest.mark.parametrize("name", STORIES)
def test_every_command_of_a_capture_is_reported(name: str) -> None:
    told = Play(every_command=True).all(CAPTURES[name].chunks)
    assert without_commands(told) == Play().all(CAPTURES[name].chunks)
    one_by_one = [event for _, event in told if isinstance(event, events.Command)]
    batches = [event for _, event in told if isinstance(event, events.Commands)]
    assert len(one_by_one) == sum(batch.count for batch in batches)
    assert sum(one.end - one.start for one in one_by_one) == sum(batch.bytes for batch in batches)
    pieces = [piece for chunk in CAPTURES[name].chunks for piece in in_pieces(chunk, 1)]
    assert Play(every_command=True).all(pieces) == told


def test_commands_are_reported_with_db_transaction_and_arguments() -> None:
    told = Play(every_command=True).all(CAPTURES["redis-7.0-diskless"].chunks)
    said = [
        (one.offset, one.db, one.name, one.args, one.in_transaction) for _, one in told if isinstance(one, events.Command)
    ]
    assert said[:2] == [(23, 0, "SELECT", (b"0",), False), (53, 0, "SET", (b"key:0", b""), False)]
    assert [(name, inside) for _, _, name, _, inside in said[4:8]] == [
        ("MULTI", True), ("INCRBY", True), ("RPUSH", True), ("EXEC", True)
    ]  # fmt: skip
    assert said[9] == (275, 3, "SET", (b"in", b"three"), False)


def test_no_event_shows_the_password() -> None:
    told = Play().all(CAPTURES["redis-7.0-password"].chunks)
    assert any("AUTH" in event.request for _, event in told if isinstance(event, events.Handshake))
    assert "hunter2" not in "".join(str(events.as_dict(event)) for _, event in told)


def test_both_connections_of_a_sync_are_one_story() -> None:
    for name in ("redis-8.0-rdb-channel", "valkey-9-dual-channel"):
        play = Play()
        told = play.all(CAPTURES[name].chunks)
        roles = {connection: event.role for connection, event in told if isinstance(event, events.Identified)}
        assert roles == {1: events.Role.REPLICA, 2: events.Role.RDB_CHANNEL, 3: events.Role.REPLICA}
        mains = [event.main_connection for _, event in told if isinstance(event, events.Identified)]
        assert mains == [None, 1, None]
        assert {event.channel for _, event in told if isinstance(event, events.FullResync)} == {events.Channel.RDB}


def test_a_replica_that_announces_an_address_has_that_name() -> None:
    told = Play().all(CAPTURES["valkey-8.1-announced"].chunks)
    assert {event.replica for _, event in told if isinstance(event, events.Identified)} == {"10.1.2.3:7777"}


def in_pieces(chunk: Chunk, size: int) -> list[Chunk]:
    if not chunk.data:
        return [chunk]
    return [
        Chunk(chunk.at, chunk.connection, chunk.side, chunk.data[i : i + size]) for i in range(0, len(chunk.data), size)
    ]


def splits(capture: Capture) -> Iterator[list[Chunk]]:
    """The capture with every chunk in two pieces, for each place to split it: all chunks of that length at once.

    Beyond 300 bytes, where one chunk holds many alike, at every seventh place.
    """
    longest = max(len(chunk.data) for chunk in capture.chunks)
    for place in (*range(1, min(300, longest)), *range(300, longest, 7)):
        pieces: list[Chunk] = []
        for chunk in capture.chunks:
            cuts = [chunk.data[:place], chunk.data[place:]] if place < len(chunk.data) else [chunk.data]
            pieces += [Chunk(chunk.at, chunk.connection, chunk.side, data) for data in cuts]
        yield pieces


def without_ticks(told: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Without what depends on when chunks came, which joining changes."""
    return [(n, event) for n, event in told if not isinstance(event, events.Commands | events.Ack | events.CaughtUp)]


def without_commands(told: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
    return [(n, event) for n, event in told if not isinstance(event, events.Command)]
