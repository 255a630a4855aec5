"""How RDBs and stretches of a stream join to chapters, and that copies equal what flowed."""

from __future__ import annotations

import dataclasses
import io
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.bus import Told
from tap.errors import RecordingError
from tap.recording import copying
from tap.recording.comments import state_json
from tap.recording.copying import MARK_EVERY, Marks, copy_stream
from tap.recording.history import Chapter, Index, Rdb, Stretch, index
from tap.replication import events
from tests.conftest import need
from tests.recording.hand_made import FULL, RDB, SET, Story, ack
from tests.recording.support import config
from tests.recording.test_player import stands
from tests.recording.wires import Wire, as_packets, copied, reading, reading_file
from tests.relay.wire import BASE, REPLID, command
from tests.support import Capture, Servers, TapThread, captures, client, follow, is_up, level, wait_until

A, B, C = "a" * 40, "b" * 40, "c" * 40


def stretch(
    connection: int, offset: int, end: int, replid: str = A, *, start: int = 100, ended: int | None = None
) -> Stretch:
    last = end if ended is None else ended
    return Stretch("main", connection, start, start + end - offset, replid, offset, 0, last - 1, last)


def rdb(connection: int, offset: int, replid: str | None = A) -> Rdb:
    return Rdb("main", connection, 10, 100, replid, offset, offset, offset)


def made(*parts: Rdb | Stretch, parents: dict[str, tuple[str, int]] | None = None) -> Index:
    found = Index([one for one in parts if isinstance(one, Rdb)], [one for one in parts if isinstance(one, Stretch)])
    for replid, (parent, offset) in (parents or {}).items():
        event = events.PartialResync(start=0, end=0, replid=replid, previous_replid=parent, offset=offset, bytes_behind=0)
        found.hear(Told(0.0, "main", 1, "", event))
    return found


def spans(chapter: Chapter) -> list[tuple[int, int, int]]:
    return [(one.connection, one.offset, one.end_offset) for one in chapter.stretches]


def test_connections_are_joined_and_repeated_bytes_count_once() -> None:
    (chapter,) = made(rdb(1, 10), stretch(1, 10, 50), stretch(2, 40, 70), stretch(3, 70, 90)).chapters()
    assert spans(chapter) == [(1, 10, 50), (2, 50, 70), (3, 70, 90)]
    assert (chapter.end, chapter.ended) == (90, 90)
    assert chapter.stretches[1].start == 110


def test_a_stream_beside_the_rdb_may_end_before_it() -> None:
    late = dataclasses.replace(rdb(2, 10), ended=95)
    (chapter,) = made(late, stretch(1, 10, 50)).chapters()
    assert spans(chapter) == [(1, 10, 50)]
    assert (chapter.end, chapter.ended) == (50, 95)


def test_a_hole_ends_a_chapter_and_a_later_rdb_begins_another() -> None:
    first, second = made(rdb(1, 10), stretch(1, 10, 50), rdb(2, 60), stretch(2, 60, 90)).chapters()
    assert (first.offset, first.end, second.offset, second.end) == (10, 50, 60, 90)


def test_of_two_rdbs_with_the_same_end_the_later_comes_last() -> None:
    chapters = made(rdb(1, 10), stretch(1, 10, 90), rdb(2, 60), stretch(2, 60, 80)).chapters()
    assert [(one.offset, one.end) for one in chapters] == [(10, 90), (60, 90)]


def test_another_replication_id_continues_where_it_was_granted() -> None:
    found = made(rdb(1, 10), stretch(1, 10, 80), stretch(2, 60, 100, B), parents={B: (A, 60)})
    (chapter,) = found.chapters()
    # The old master's writes after the promotion are not the new one's.
    assert spans(chapter) == [(1, 10, 60), (2, 60, 100)]
    assert chapter.replid == B


def test_a_replication_id_that_two_others_continue_has_two_ends() -> None:
    found = made(
        rdb(1, 10), stretch(1, 10, 50), stretch(2, 50, 70, B), stretch(3, 30, 60, C), parents={B: (A, 50), C: (A, 30)}
    )
    assert sorted((one.replid, one.end) for one in found.chapters()) == [(B, 70), (C, 60)]


def test_of_replication_ids_that_name_each_other_the_first_statement_counts() -> None:
    found = made(rdb(1, 10), stretch(1, 10, 50), stretch(2, 50, 70, B), parents={B: (A, 50), A: (B, 70)})
    assert [spans(chapter) for chapter in found.chapters()] == [[(1, 10, 50), (2, 50, 70)]]
    assert len(found.streams()) == 1


def test_without_an_rdb_there_are_streams_but_no_chapters() -> None:
    found = made(stretch(1, 10, 50), stretch(2, 40, 70), stretch(3, 80, 90))
    assert found.chapters() == []
    assert [(one[0].offset, one[-1].end_offset) for one in found.streams()] == [(10, 70), (80, 90)]


def test_a_chapter_can_be_cut_at_an_offset() -> None:
    (chapter,) = made(rdb(1, 10), stretch(1, 10, 50), stretch(2, 40, 70)).chapters()
    assert spans(chapter.until(60)) == [(1, 10, 50), (2, 50, 60)]
    assert spans(chapter.until(50)) == [(1, 10, 50)]
    assert chapter.until(10).end == 10


def test_the_db_of_a_chapter_is_that_of_its_own_stream() -> None:
    # Another replica was in the middle of the same stream, and was further on.
    (chapter,) = made(rdb(1, 30), stretch(2, 10, 90), stretch(1, 30, 50)).chapters()
    assert (spans(chapter), chapter.db, chapter.stretches[0].db) == ([(2, 30, 90)], 0, None)
    (without,) = made(rdb(1, 30), stretch(2, 10, 90)).chapters()
    assert without.db is None


def test_one_of_several_links_can_be_selected() -> None:
    other = dataclasses.replace(stretch(2, 50, 70), link="other")
    found = made(rdb(1, 10), stretch(1, 10, 50), other)
    assert [one.end for one in found.chapters()] == [70]
    assert [one.end for one in found.of("main").chapters()] == [50]
    assert found.of("other").rdbs == []


@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 9)), min_size=1, max_size=60))
def test_marks_are_few_and_give_the_time_of_each_byte(steps: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap.recording.copying.MAX_MARKS", 8)
        marks = Marks()
        time = offset = 0
        came: dict[int, int] = {}
        for later, size in steps:
            time, offset = time + later, offset + size
            came[offset] = time
            marks.add(time, offset)
        assert len(marks.times) <= 8
        for at, when in came.items():
            told = marks.time_at(at)
            assert told is not None
            assert abs(told - when) <= 2 * marks._every + 3_000_000
        assert marks.time_at(offset + 1) is None


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 40)), min_size=1, max_size=8))
def test_a_chapter_reaches_as_far_as_offsets_without_a_hole(cuts: list[tuple[int, int]]) -> None:
    parts = [stretch(number, offset, offset + size) for number, (offset, size) in enumerate(cuts, 1)]
    first = min(offset for offset, _ in cuts)
    (chapter,) = made(rdb(1, first), *parts).chapters()
    there = {byte for offset, size in cuts for byte in range(offset, offset + size)}
    end = first
    while end in there:
        end += 1
    assert chapter.end == end
    for before, after in zip(chapter.stretches, chapter.stretches[1:], strict=False):
        assert before.end_offset == after.offset


def test_a_long_recording_keeps_fewer_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MAX_MARKS", 8)
    marks = Marks()
    for number in range(1000):
        marks.add(number * MARK_EVERY, number)
    assert 4 <= len(marks.times) <= 8
    assert marks.offsets[-1] == 999
    # None says that a byte came earlier than it did, and none is later by more than the distance between marks.
    apart = max(later - sooner for sooner, later in pairwise(marks.times))
    assert apart <= 1000 * MARK_EVERY / 4
    assert all(
        time <= offset * MARK_EVERY <= time + apart for time, offset in zip(marks.times, marks.offsets, strict=True)
    )


@pytest.mark.parametrize(
    ("offset", "data", "count"), [(None, b"nonsense\r\n", 0), (None, SET, 1), (5000, b"nonsense\r\n", 1)]
)
def test_a_stream_of_which_nothing_was_understood_counts_only_if_it_has_a_place(
    offset: int | None, data: bytes, count: int
) -> None:
    found = Index()
    story = Story(watch=found)
    story.open(is_seen=False)
    story.send(0, said=[state_json(stands(4, 100, offset))])
    story.send(1, data)
    story.player.close()
    parts = found.unplaced if offset is None else found.stretches
    assert [(one.link, one.number, one.start, one.offset) for one in parts] == [("main", 4, 100, offset or 0)] * count
    assert len(found.unplaced) + len(found.stretches) == count


@pytest.mark.parametrize("lost", [0, 50])
def test_an_index_has_the_places_and_the_times_of_a_whole_rdb_and_of_its_stream(lost: int) -> None:
    found = Index()
    story = Story(watch=found)
    story.open()
    story.send(0, command("PSYNC", "?", "-1"))
    head = FULL + b"$%d\r\n" % len(RDB)
    story.send(1, head + RDB[:100])
    story.lose(1, lost)
    story.send(1, RDB[100 + lost :] + SET)
    story.send(0, ack(BASE), after=2)
    story.send(1, SET, after=1)
    story.send(0, ack(BASE + 2 * len(SET)))
    assert (found.rdbs, found.stretches) == ([], [])
    story.player.close()
    name, end, millisecond = "127.0.0.1:6379", len(head + RDB), 10**6
    begins, last = 10**18 + 5 * millisecond, 10**18 + 3006 * millisecond
    rdb_ended = begins + millisecond
    whole = Rdb(name, 1, len(head), end, REPLID, BASE, begins, rdb_ended, 1)
    assert found.rdbs == ([] if lost else [whole])
    (one,) = found.stretches
    stream = Stretch(name, 1, end, end + 2 * len(SET), REPLID, BASE, one.db, one.began, last, 1)
    assert one == stream
    assert lost or one.began == rdb_ended
    assert (found.unplaced, found.links) == ([], [name])
    assert [(chapter.link, chapter.end) for chapter in found.chapters()] == [(name, BASE + 2 * len(SET))] * (not lost)


def test_a_link_or_a_connection_of_a_stream_without_a_place_can_be_selected() -> None:
    lone = dataclasses.replace(stretch(1, 0, 50, ""), is_placed=False, number=7)
    found = Index(unplaced=[lone])
    assert found.links == ["main"]
    for name, count in (("main", 1), ("main/7", 1), ("main/1", 0), ("other", 0)):
        assert len(found.of(name).unplaced) == count
    placed = Index(stretches=[dataclasses.replace(stretch(1, 0, 50), link="other", number=7)], unplaced=[lone])
    assert placed.links == ["other"]
    assert [len(placed.of(name).stretches) for name in ("other", "other/7", "other/1", "main")] == [1, 1, 0, 0]


def test_a_chapter_without_a_stream_is_of_its_rdbs_link_and_ends_with_it() -> None:
    (chapter,) = made(rdb(1, 10)).chapters()
    assert (chapter.link, chapter.end, chapter.ended, chapter.replids) == ("main", 10, 10, {A})
    assert made(rdb(1, 10)).of("main/0").chapters() == [chapter]


# ---- real recordings ----


@pytest.mark.parametrize("size", [100, 60_000])
@pytest.mark.parametrize("capture", captures(), ids=lambda capture: str(capture.name))
def test_every_capture_gives_its_rdbs_and_streams_to_the_byte(capture: Capture, size: int) -> None:
    read = reading(as_packets(capture, size, random.Random(3)))
    found = index(read)
    sent: dict[int, bytes] = {}
    for chunk in capture.chunks:
        if chunk.side == "master":
            sent[chunk.connection] = sent.get(chunk.connection, b"") + chunk.data
    order = list(dict.fromkeys(chunk.connection for chunk in capture.chunks))
    # redis-cli --replica wants no data, and gets an empty RDB: REPLCONF rdb-filter-only "".
    assert bool(found.rdbs) == (capture.name != "redis-7.0-cli-replica")
    for chapter in found.chapters():
        snapshot, stream, marks = copied(read, chapter)
        assert snapshot[:5] in (b"REDIS", b"VALKE")
        assert snapshot == sent[order[chapter.rdb.connection - 1]][chapter.rdb.start : chapter.rdb.end]
        for one in chapter.stretches:
            part = stream[one.offset - chapter.offset : one.end_offset - chapter.offset]
            assert part == sent[order[one.connection - 1]][one.start : one.end]
        assert len(stream) == chapter.end - chapter.offset
        alone = io.BytesIO()
        assert copy_stream(read, chapter.stretches, alone).times == marks.times
        assert alone.getvalue() == stream
        assert not marks.offsets or marks.offsets[-1] == chapter.end
        assert list(marks.times) == sorted(marks.times)
        assert list(marks.offsets) == sorted(marks.offsets)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_rdb_and_a_stream_begin_and_end_when_their_bytes_came(size: int) -> None:
    payload = b"REDIS0011\xff" + bytes(8)
    head = b"+FULLRESYNC %s 100\r\n$%d\r\n" % (A.encode(), len(payload))
    wire, at = Wire(), {}
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    wire.send(1, head)
    begun = wire.now
    for what, data in (("rdb", payload), ("stream", command("SET", "k", "v") * 2)):
        begin = len(wire.packets)
        for place in range(0, len(data), size):
            wire.send(1, data[place : place + size])
        at[what] = wire.packets[begin][0], wire.packets[-1][0]
    found = index(reading(wire.packets))
    (one,), (stretch,) = found.rdbs, found.stretches
    assert (one.began, one.ended, one.size) == (begun, at["rdb"][1], len(payload))
    assert (stretch.began, stretch.ended) == (at["rdb"][1], at["stream"][1])  # it begins where the RDB ends
    assert (stretch.offset, stretch.end_offset) == (100, 154)


@pytest.mark.parametrize("lost", [0, 50])
@pytest.mark.parametrize("is_disk", [True, False])
def test_an_rdb_with_missing_bytes_is_not_one_of_the_recording(is_disk: bool, lost: int) -> None:
    data = b"REDIS0011\xfe\x00" + b"\x00\x03key\x05value" * 30 + b"\xff" + bytes(8)
    mark = b"" if is_disk else b"f" * 40
    wire = Wire()
    wire.open()
    wire.send(0, command("PSYNC", "?", "-1"))
    header = b"$%d\r\n" % len(data) if is_disk else b"$EOF:%b\r\n" % mark
    wire.send(1, b"+FULLRESYNC %b 7\r\n" % (b"a" * 40) + header + data[:100])
    if lost:
        wire.flow.skip(1, lost)
    wire.send(1, data[100 + lost :] + mark)
    wire.send(0, command("REPLCONF", "ACK", "7"))
    wire.send(1, command("SET", "a", "1"))
    found = index(reading(wire.packets))
    assert [(one.size, one.offset) for one in found.rdbs] == ([] if lost else [(len(data), 7)])


def test_a_recording_that_changed_before_the_second_reading_is_refused() -> None:
    packets = as_packets(captures()[0], 1000, random.Random(3))
    chapter = index(reading(packets)).chapters()[-1]
    with pytest.raises(RecordingError, match="was changed while it was read"):
        copied(reading(packets[: len(packets) // 2]), chapter)


def test_several_resyncs_of_a_real_pair_are_one_chapter_until_the_full_one(tmp_path: Path, servers: Servers) -> None:
    path = tmp_path / "one.pcapng"
    name = need("redis-7.0")
    master, replica = servers.start(name, "repl-backlog-size", "16kb"), servers.start(name)
    with TapThread(config(master.port, path)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        for round_ in range(3):
            writer = client(master)
            for number in range(100):
                writer.set(f"key:{round_}:{number}", "v" * number)
            level(master, replica)
            tap.cut()
            tap.wait_for(events.PartialResync, round_ + 1)
        client(master).set("before", "the full one")
        level(master, replica)
        first_end = tap.offset()
        client(replica).replicaof("no", "one")
        tap.wait_for(events.LinkClosed, 4)  # otherwise later commands come on it, and the second chapter continues there
        client(master).set("large", "x" * 100_000)
        follow(replica, tap.port)
        tap.wait_for(events.FullResync, 2)
        wait_until(lambda: is_up(replica))
        client(master).set("behind", "it")
        end = level(master, replica)
    read = reading_file(path)
    first, second = index(read).chapters()
    assert first_end is not None
    assert first.end >= first_end
    assert (len(first.stretches), len(second.stretches), second.end) == (4, 1, end)
    _, stream, _ = copied(read, first)
    assert stream.count(b"\r\nkey:") == 300
