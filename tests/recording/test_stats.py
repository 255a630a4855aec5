"""Statistics of streams: exact where possible, otherwise within the stated bounds, and always in little memory."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.recording import stats as module
from tap.recording.batch import Batch
from tap.recording.missing import Missing
from tap.recording.player import Player
from tap.recording.reader import play
from tap.recording.stats import KEY_SIZE, MAX_HAPPENED, LinkStats, Stats
from tap.recording.traffic import SLOT_SECONDS
from tap.replication import events
from tap.replication.events import Role
from tap.replication.heads import OTHER, Head
from tests.recording.support import config
from tests.recording.wires import Wire
from tests.relay.wire import BASE, GRANT, REPLID, asks, command
from tests.support import Servers, TapThread, client, follow, is_up, level, master_offset, wait_until

# ---- a link ----

HEADS = st.lists(
    st.tuples(
        st.sampled_from(["SET", "DEL", "PING", "SELECT", "EXEC", "COPY"]),
        st.integers(20, 5000),
        st.integers(0, 1),
        st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=3).map(tuple),
    ),
    max_size=40,
)


def batch(heads: list[Head], time: float = 0.0, base: int | None = 1000) -> Batch:
    return Batch(time, "main", 1, REPLID, base, heads)


def in_a_row(parts: list[tuple[str, int, int, tuple[bytes, ...]]]) -> list[Head]:
    heads: list[Head] = []
    end = 0
    for name, size, db, keys in parts:
        end += size
        here = keys if name in ("SET", "DEL", "COPY") else ()
        heads.append((end, size, db, name, here, ((7, keys),) if name == "COPY" else ()))
    return heads


@given(HEADS, st.data())
def test_a_link_is_counted_as_by_hand(parts: list[tuple[str, int, int, tuple[bytes, ...]]], draw: st.DataObject) -> None:
    heads = in_a_row(parts)
    cut = draw.draw(st.integers(0, len(heads)))
    again = draw.draw(st.integers(0, cut))
    stats = Stats(5)
    stats.take(batch(heads[:cut], 1.0))
    base = heads[again][0] - heads[again][1] if again < len(heads) else 0
    rest = [(end - base, *others) for end, *others in heads[again:]]
    stats.take(batch(rest, 2.0, 1000 + base))  # type: ignore[arg-type]
    link = stats.links["main"]
    assert (link.commands, link.bytes) == (len(heads), sum(head[1] for head in heads))
    assert (link.repeated, link.repeated_bytes) == (cut - again, sum(head[1] for head in heads[again:cut]))
    assert dict(Counter(head[3] for head in heads)) == {name: count for name, count, _ in link.names()}
    assert link.writes == sum(head[3] in ("SET", "DEL", "COPY") for head in heads)
    keys = Counter((head[2], key) for head in heads for key in head[4])
    keys += Counter((7, key) for head in heads for place in head[5] for key in place[1])
    assert dict(keys) == {key: weight for key, weight, _ in link.writes_of.top(100)}
    expected = sorted(heads, key=lambda head: (-head[1], head[0]))[:5]
    assert [(one.size, one.offset) for one in link.largest()] == [(head[1], 1000 + head[0]) for head in expected]


def test_commands_without_an_offset_are_counted_whenever_they_come() -> None:
    stats = Stats(5)
    for _ in range(2):
        stats.take(batch([(10, 10, None, "SET", (b"k",), ())], base=None))
    link = stats.links["main"]
    assert (link.commands, link.repeated) == (2, 0)
    assert link.largest()[0].offset is None


@pytest.mark.parametrize("once", [False, True])
def test_commands_that_two_links_bring_count_for_both_or_for_the_first(once: bool) -> None:
    stats = Stats(once=once)
    for link in ("main", "other", "main"):
        stats.take(dataclasses.replace(batch([(10, 10, 0, "SET", (b"k",), ())]), link=link))
    counts = {name: (link.commands, link.repeated) for name, link in stats.links.items()}
    assert counts == {"main": (1, 1), "other": (0, 1) if once else (1, 0)}
    assert stats.remarks == []
    stats.take(batch([(10, 10, 0, "SET", (b"k",), ())], base=None))
    assert bool(stats.remarks) == once


def test_commands_of_a_history_that_goes_on_under_another_id_came_before() -> None:
    stats = Stats()
    heads: list[Head] = [(10, 10, 0, "SET", (b"k",), ())]
    stats.take(batch(heads))
    renamed = Batch(1.0, "main", 2, "f" * 40, 1000, heads)
    stats.take(dataclasses.replace(renamed, base=1010, previous=REPLID))
    stats.take(renamed)
    assert (stats.links["main"].commands, stats.links["main"].repeated) == (2, 1)


def test_of_the_part_that_was_asked_for_new_and_repeated_commands_are_counted() -> None:
    stats = Stats()
    asked: list[tuple[int, bool]] = []

    def choose(one: Batch, is_new: bool) -> Batch | None:
        asked.append((len(one.heads), is_new))
        return None if one.heads[0][0] > 30 else one

    heads: list[Head] = [(10 * (number + 1), 10, 0, "SET", (b"k",), ()) for number in range(5)]
    stats.take(batch(heads[:2]), choose)
    stats.take(batch(heads[:3]), choose)
    stats.take(batch(heads[1:2]), choose)
    stats.take(batch(heads[3:]), choose)
    assert asked == [(2, True), (2, False), (1, True), (1, False), (2, True)]
    assert (stats.links["main"].commands, stats.links["main"].repeated) == (3, 3)


def test_of_frequent_events_the_newest_are_kept() -> None:
    stats = Stats()
    gap = events.RecordingGap(start=0, end=9, side=events.Side.MASTER, bytes=9, from_offset=None, to_offset=None)
    for number in range(1000):
        stats.told(Told(100.0 + number, "main", 1, "", gap))
    link = stats.links["main"]
    assert [told.time for told in link.kept()] == [1100.0 - MAX_HAPPENED + number for number in range(MAX_HAPPENED)]
    assert link.happened[events.RecordingGap] == 1000
    assert link.missing_bytes == 9000


GAP = events.RecordingGap(start=0, end=9, side=events.Side.MASTER, bytes=9, from_offset=None, to_offset=None)
RDB = events.RdbFinished(
    start=0, end=7, transfer=events.Transfer.DISK, bytes=7, seconds=1.0, keys=0, expiring=0, functions=0, by_type={},
    largest=(), checksum="ok",
)  # fmt: skip


def test_a_link_as_json_has_every_number_under_its_name() -> None:
    stats = Stats(2)
    heads: list[Head] = [
        (40, 40, 0, "SET", (b"a",), ()),
        (60, 20, None, "PING", (), ()),
        (160, 100, 3, "COPY", (b"a",), ((5, (b"b",)),)),
        (190, 30, 3, "EXEC", (), ()),
    ]
    stats.take(batch(heads[:2], 10.0))
    stats.take(batch(heads, 12.0))
    stats.told(Told(12.5, "main", 1, "", RDB))
    stats.told(Told(14.0, "main", 1, "", GAP))
    (said,) = stats.as_dict()["links"]
    course = said.pop("course")
    assert said == {
        "link": "main",
        "from": 10.0,
        "until": 14.0,
        "seconds": 4.0,
        "commands": 4,
        "bytes": 190,
        "writes": 2,
        "transactions": 1,
        "commands_per_second": 1.0,
        "bytes_per_second": 47.5,
        "busiest_second": {"commands": {"count": 2, "time": 10.0}, "bytes": {"count": 130, "time": 12.0}},
        "repeated": {"commands": 2, "bytes": 60},
        "full_resyncs": 0,
        "partial_resyncs": 0,
        "rdb_bytes": 7,
        "missing_bytes": 9,
        "unread_bytes": 0,
        "by_name": {
            "COPY": {"count": 1, "bytes": 100},
            "SET": {"count": 1, "bytes": 40},
            "EXEC": {"count": 1, "bytes": 30},
            "PING": {"count": 1, "bytes": 20},
        },
        "groups": [
            {"pattern": "a", "within": None, "writes": 2, "bytes": 90, "at_least": False},
            {"pattern": "b", "within": None, "writes": 1, "bytes": 50, "at_least": False},
        ],
        "keys_by_writes": [
            {"db": 0, "key": "a", "writes": 1, "writes_missed": 0},
            {"db": 3, "key": "a", "writes": 1, "writes_missed": 0},
        ],
        "keys_by_bytes": [
            {"db": 3, "key": "a", "bytes": 50, "bytes_missed": 0},
            {"db": 5, "key": "b", "bytes": 50, "bytes_missed": 0},
        ],
        "largest": [
            {"time": 12.0, "offset": 1160, "db": 3, "name": "COPY", "key": "a", "bytes": 100},
            {"time": 10.0, "offset": 1040, "db": 0, "name": "SET", "key": "a", "bytes": 40},
        ],
        "events": [Told(14.0, "main", 1, "", GAP).as_dict()],
    }
    assert (course["from"], sum(course["bytes"]), sum(course["commands"])) == (10.0, 190, 4)
    assert course["slot_seconds"] * len(course["bytes"]) == pytest.approx(4.0, abs=0.01)


def test_a_link_of_which_nothing_was_heard_has_no_time() -> None:
    link = LinkStats(3)
    assert (link.begin, link.end, link.seconds) == (0.0, 0.0, 0.0)
    link.now(0.5)
    assert (link.begin, link.end) == (0.5, 0.5)
    link.now(0.25)
    assert (link.begin, link.end) == (0.25, 0.5)


def test_a_single_moment_has_no_rate() -> None:
    stats = Stats()
    stats.take(batch([(10, 10, 0, "SET", (b"a",), ())], 5.0))
    (said,) = stats.as_dict()["links"]
    assert (said["seconds"], said["commands_per_second"], said["bytes_per_second"]) == (0.0, None, None)
    assert stats.as_dict()["links"][0]["largest"][0]["offset"] == 1010


def test_events_of_one_side_or_of_an_unknown_link_count_nothing() -> None:
    stats = Stats()
    stats.told(Told(1.0, "main", 1, "", RDB))
    closed = events.LinkClosed(
        by=events.Side.MASTER, how="fin", text="", role=Role.REPLICA, phase="stream", offset=None,
        bytes_from_master=0, bytes_from_replica=0,
    )  # fmt: skip
    stats.told(Told(1.0, "main", 1, "", dataclasses.replace(closed, role=None)))
    assert not stats.links
    stats.told(Told(2.0, "main", 1, "", closed))
    stats.told(Told(3.0, "main", 1, "", dataclasses.replace(GAP, side=events.Side.REPLICA)))
    link = stats.links["main"]
    assert (link.happened, link.missing_bytes) == ({events.LinkClosed: 1, events.RecordingGap: 1}, 0)
    assert (link.begin, link.end) == (2.0, 3.0)


UNREAD = Missing(
    cause="unread", link="main", connection=1, side=events.Side.MASTER, start=10, end=110, lost_bytes=30, is_rdb=False,
    replid=None, from_offset=None, to_offset=None, since=0.0, until=1.0, reason="",
)  # fmt: skip


def test_unread_bytes_are_those_missing_that_were_not_lost() -> None:
    stats = Stats()
    for size, lost in ((100, 30), (5, 0)):
        stats.lacks(dataclasses.replace(UNREAD, end=10 + size, lost_bytes=lost))
    assert stats.links["main"].unread_bytes == 75


def test_a_link_of_which_only_missing_bytes_are_known_has_an_empty_course() -> None:
    stats = Stats()
    stats.lacks(UNREAD)
    (said,) = stats.as_dict()["links"]
    assert said["course"] == {"from": 0.0, "slot_seconds": SLOT_SECONDS, "bytes": [], "commands": []}
    nothing = {"count": 0, "time": 0.0}
    assert said["busiest_second"] == {"commands": nothing, "bytes": nothing}


def test_each_kind_of_event_has_a_mark_of_its_own_in_the_course() -> None:
    stats = Stats()
    ahead = events.AckAheadOfMaster(start=0, end=9, offset=7, sent=5)
    for event in (GAP, ahead, GAP):
        stats.told(Told(5.0, "main", 1, "", event))
    (slot,) = stats.links["main"].course.slots
    assert slot.marks == sum(1 << module.MARKED.index(type(event)) for event in (GAP, ahead))


def test_of_equal_sizes_the_first_commands_are_the_largest() -> None:
    stats = Stats(2)
    for number in range(4):
        stats.take(batch([(10 * (number + 1), 10, 0, f"N{number}", (), ())], float(number + 1)))
    assert [one.name for one in stats.links["main"].largest()] == ["N0", "N1"]


def test_names_beyond_the_limit_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 2)
    stats = Stats()
    stats.take(batch([(10 * (number + 1), 10, 0, f"N{number}", (), ()) for number in range(4)]))
    assert stats.links["main"].names() == [(OTHER, 2, 20), ("N0", 1, 10), ("N1", 1, 10)]


def test_keys_that_begin_alike_are_one_from_a_size_on() -> None:
    stats = Stats(5)
    keys = (b"k" * KEY_SIZE + b"1", b"k" * KEY_SIZE + b"2", b"k" * (KEY_SIZE - 1))
    stats.take(batch([(600, 600, 0, "DEL", keys, ())]))
    link = stats.links["main"]
    assert [(len(key), weight) for (_, key), weight, _ in link.writes_of.top(5)] == [(KEY_SIZE, 2), (KEY_SIZE - 1, 1)]
    assert [weight for _, weight, _ in link.bytes_of.top(5)] == [400, 200]
    assert [one.key for one in link.largest()] == [b"k" * KEY_SIZE]


def test_keys_are_counted_by_groups_over_all_dbs() -> None:
    stats = Stats()
    heads: list[Head] = [
        (100 * (number + 1), 100, number % 2, "SET", (b"s:%d" % number, b"user:%d" % number), ()) for number in range(9)
    ]
    stats.take(batch([*heads, (920, 20, 0, "PING", (), ()), (1000, 80, 0, "DEL", (b"\x1b[2J\n:\xff",), ())]))
    (said,) = stats.as_dict()["links"]
    assert [(row["pattern"], row["within"], row["writes"], row["bytes"]) for row in said["groups"]] == [
        ("s:*", None, 9, 450),
        ("user:*", None, 9, 450),
        ("base64:G1xbMkoKOv8=", None, 1, 80),
    ]


def test_a_given_group_is_matched_with_the_whole_key() -> None:
    stats = Stats(groups=(b"*:end",))
    stats.take(batch([(600, 600, 0, "DEL", (b"k" * KEY_SIZE + b":end", b"other"), ())]))
    (said,) = stats.as_dict()["links"]
    assert said["groups"] == [
        {"pattern": "*:end", "within": None, "writes": 1, "bytes": 300, "at_least": False},
        {"pattern": None, "within": None, "writes": 1, "bytes": 300, "at_least": False},
    ]


# ---- real recordings ----


def counted(wire: list[tuple[int, bytes]]) -> Stats:
    stats = Stats()
    player = Player(stats.told, count=stats.take)
    for at, data in wire:
        player.packet(Packet(at, 101, data, len(data)))
    player.close()
    return stats


def test_a_large_command_is_listed_with_its_key_and_place() -> None:
    wire = Wire()
    wire.open()
    wire.send(0, asks(BASE))
    wire.send(1, GRANT)
    large = command("SET", "large", "x" * 3_000_000)
    for begin in range(0, len(large), 60_000):
        wire.send(1, large[begin : begin + 60_000])
    (link,) = counted(wire.packets).links.values()
    (one,) = link.largest()
    assert (one.size, one.offset, one.name, one.key) == (len(large), BASE + len(large), "SET", b"large")


def test_two_replicas_of_one_link_do_not_write_twice() -> None:
    packets = []
    for port in (50000, 50001):
        wire = Wire(port)
        wire.open()
        wire.send(0, asks(BASE))
        wire.send(1, GRANT + command("SET", "k", "v") * 5)
        packets += wire.packets
    (link,) = counted(sorted(packets)).links.values()
    assert (link.commands, link.repeated) == (5, 5)


def test_for_a_keydb_the_inner_commands_are_counted() -> None:
    uuid = "0b1d1e5c-2f55-4b0a-9d7e-6c8f3a2b1c0d"
    both = command("SET", "a", "1") + command("PEXPIREAT", "a", "9")
    one = command("RREPLAY", uuid, both, "4", "1") + command("RREPLAY", uuid, command("PING"), "5")
    packets = []
    for port in (50000, 50001):
        wire = Wire(port)
        wire.open()
        wire.send(0, asks(BASE))
        wire.send(1, GRANT + one)
        packets += wire.packets
    (link,) = counted(sorted(packets)).links.values()
    assert (link.commands, link.repeated, link.bytes) == (3, 3, len(one))
    assert {name: count for name, (count, _) in link.by_name.items()} == {"SET": 1, "PEXPIREAT": 1, "PING": 1}


@pytest.mark.parametrize("late", [False, True])
def test_commands_that_one_replica_lacks_and_another_brought_count_once(late: bool) -> None:
    """late: the replica without a gap gets them after the other one."""
    pieces = [command("SET", f"k:{number}", "v") for number in range(9)]
    packets = []
    for port, lost in ((50000, 4), (50001, None)):
        wire = Wire(port)
        wire.now += 10**9 * late * (lost is None)
        wire.open()
        wire.send(0, asks(BASE))
        wire.send(1, b"+CONTINUE %b\r\n" % REPLID.encode())
        for number, piece in enumerate(pieces):
            if number == lost:
                wire.flow.skip(1, len(piece))
            else:
                wire.send(1, piece)
            wire.send(0, command("REPLCONF", "ACK", str(BASE)))
        packets += wire.packets
    (link,) = counted(sorted(packets)).links.values()
    assert (link.commands, link.repeated) == (9, 8)
    assert link.bytes == sum(map(len, pieces))


def test_a_real_pair_is_counted_to_the_byte(tmp_path: Path, servers: Servers, any_server: str) -> None:
    path = tmp_path / "one.pcapng"
    master, replica = servers.start(any_server), servers.start(any_server)
    with TapThread(config(master.port, path)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        begin = tap.wait_for(events.StreamStarted).offset
        with client(master) as writer:
            for number in range(200):
                writer.set(f"key:{number % 20}", "v" * number)
            with writer.pipeline(transaction=True) as transaction:
                transaction.incr("count").delete("key:1", "key:2").execute()
            writer.set("large", "x" * 2_000_000)
        level(master, replica)
        tap.cut()
        tap.wait_for(events.PartialResync)
        client(master).set("after", "y")
        level(master, replica)
        end = master_offset(master)
    stats = Stats()
    player = Player(stats.told, count=stats.take)
    assert play(path, player) == []
    player.close()
    (link,) = stats.links.values()
    assert begin is not None
    assert begin + link.bytes == max(one.offset or 0 for one in tap.events(events.Commands)) >= end
    by_name = {name: count for name, count, _ in link.names()}
    assert (by_name["SET"], by_name["DEL"], link.transactions) == (202, 1, 1)
    keys = {key: weight for (_, key), weight, _ in link.writes_of.top(100)}
    assert (keys[b"key:1"], keys[b"key:3"], keys[b"count"], keys[b"after"]) == (11, 10, 1, 1)
    assert (link.largest()[0].key, link.largest()[0].db) == (b"large", 0)
    assert link.happened[events.FullResync] == link.happened[events.PartialResync] == 1
