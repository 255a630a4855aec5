"""What a player gives to its conversations, how it counts connections, and what it takes from comments and times."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tap.bus import Told
from tap.capture.pcapng import Packet
from tap.capture.segments import FIN, SYN
from tap.recording import player as module
from tap.recording.comments import state_json, told_json
from tap.recording.missing import Missing
from tap.recording.player import Player
from tap.replication import events
from tap.replication.events import Role, Side
from tap.replication.head_samples import HeadSamples
from tests.recording.hand_made import OPENED, Story
from tests.recording.test_player import ACK, ID, SET_A, SIZE, stands
from tests.relay.wire import BASE, GRANT, REPLID, asks, command


def test_a_packet_with_an_earlier_time_than_the_one_before_counts_as_of_that_time() -> None:
    story = Story()
    story.open()
    story.send(0, asks(BASE))
    story.send(1, GRANT + SET_A)
    story.send(1, SET_A, after=-0.002)
    story.send(1, SET_A, after=0.005)
    times = [round((one.time - 10**9) * 1000) for one in story.heard if isinstance(one.event, events.Command)]
    assert times == [5, 5, 8]


def test_after_a_rest_the_clock_of_the_packets_counts_again() -> None:
    story = Story()
    story.open()
    story.send(0, asks(BASE))
    story.send(1, GRANT + SET_A)
    story.player.rest(0.3)
    story.send(1, SET_A, after=0.1)
    assert round((story.heard[-1].time - 10**9) * 1000) == 105
    assert story.of(events.Command)[-1].start == len(GRANT) + SIZE


def test_connections_without_a_number_of_a_tap_get_the_next_ones() -> None:
    first = Story()
    for port, number in ((50001, 7), (50002, None), (50003, 3), (50004, None)):
        story = Story(beside=first, port=port)
        opened = Told(1.0, "main", number or 0, "", events.LinkOpened(peer="a:1", master="b:2"))
        story.send(0, flags=SYN, said=[] if number is None else [told_json(opened)])
        story.send(1, flags=SYN)
        story.send(0, asks(BASE))
        story.send(1, GRANT)
    assert [link.number for link in first.player.links] == [7, 8, 3, 10]
    player = first.player
    assert (player.connections, player.recorded, player.replicating) == (4, 2, 4)
    assert [player.find(number) is None for number in (7, 8, 3, 10, 9, 1)] == [False, False, False, False, True, True]


def test_comments_on_a_first_packet_are_told_after_the_link_that_it_opens() -> None:
    secured = events.Secured(side=Side.REPLICA, version="TLSv1.3", cipher="c", certificate=None, verified=False)
    others = [Told(1.0, "main", 1, "", secured), Told(1.0, "", 0, "", events.RecordingStopped(text="full"))]
    story = Story()
    story.send(0, flags=SYN, said=[OPENED, *map(told_json, others)])
    assert [one.event.kind for one in story.heard] == ["recording_stopped", "link_opened", "secured"]


def test_the_end_of_an_unknown_connection_is_told_and_ends_nothing() -> None:
    closed = events.LinkClosed(
        by=Side.REPLICA, how="fin", text="", role=Role.REPLICA, phase="stream", offset=None, bytes_from_master=0,
        bytes_from_replica=0,
    )  # fmt: skip
    story = Story()
    story.open(is_seen=False)
    story.send(0, said=[told_json(Told(1.5, "other", 9, "", closed))])
    assert story.of(events.LinkClosed) == [closed]
    assert (story.ends, story.player.account.missing) == ([], [])


def test_copies_of_a_few_packets_of_one_time_are_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COMMENTED", 2)
    story = Story()
    story.open()
    story.wire.send(0, flags=0)
    ((at, data),) = story.wire.packets
    for text in ("a", "b", "c", "a", "b", "c"):
        stopped = told_json(Told(1.0, "", 0, "", events.RecordingStopped(text=text)))
        story.player.packet(Packet(at, 101, data, len(data), (stopped,)))
    assert [one.text for one in story.of(events.RecordingStopped)] == ["a", "b", "c", "c"]


def test_before_the_first_packet_no_time_passes() -> None:
    player = Player(lambda told: None)
    player.rest(5.0)
    assert (player.now, player.at_once) == (0, False)


def test_cut_packets_of_other_traffic_are_not_remarked_on() -> None:
    story = Story()
    story.open()
    story.wire.send(0, b"GET / HTTP/1.1\r\n\r\n")
    story.play(size=45)
    story.player.close()
    assert (story.player.remarks, story.heard) == ([], [])


def test_a_connection_that_ends_with_the_capture_ends_once() -> None:
    """Its last packets wait for bytes before them."""
    story = Story()
    story.open()
    story.send(0, asks(BASE))
    story.send(1, GRANT + SET_A)
    story.lose(1, 50)
    story.send(1, flags=FIN)
    story.send(0, flags=FIN)
    assert (story.ends, story.of(events.Commands)) == ([], [])
    story.player.close()
    assert [one.bytes_from_master for one in story.ends] == [len(GRANT) + SIZE + 50]
    assert len(story.of(events.LinkClosed)) == 1
    assert [one.count for one in story.of(events.Commands)] == [1]


def test_what_is_pending_at_the_end_of_the_capture_is_reported() -> None:
    story = Story(every_command=False)
    story.open()
    story.send(0, asks(BASE))
    story.send(1, GRANT + SET_A)
    story.player.close()
    assert [(one.count, one.offset) for one in story.of(events.Commands)] == [(1, BASE + SIZE)]
    assert story.of(events.Command) == []
    assert story.player.links == []


def test_an_ordinary_connection_that_a_tap_recorded_is_one_without_replicating() -> None:
    story = Story(is_ours=True)
    story.send(0, command("GET", "a"))
    story.send(1, b"$-1\r\n")
    story.player.close()
    assert (story.player.connections, story.player.recorded, story.player.replicating) == (1, 1, 0)
    assert [(one.name, one.role) for one in story.ends] == [("main", Role.ORDINARY)]


def test_a_gap_of_a_connection_of_which_nothing_else_is_there_is_missing() -> None:
    lost = events.RecordingGap(start=10, end=60, side=Side.REPLICA, bytes=50, from_offset=3, to_offset=53)
    story = Story()
    story.open(is_seen=False)
    story.send(1, flags=0, said=[told_json(Told(1.5, "other", 9, "", lost))])
    story.player.close()
    assert story.of(events.RecordingGap) == [lost]
    assert story.player.account.missing == [
        Missing(
            cause="gap", link="other", connection=9, side=Side.REPLICA, start=10, end=60, lost_bytes=50, is_rdb=False,
            replid=None, from_offset=3, to_offset=53, since=1.5, until=1.5, reason="",
        )
    ]  # fmt: skip


def test_tls_is_reported_with_the_first_state_that_says_it_and_not_again() -> None:
    secured = events.Secured(side=Side.MASTER, version="TLSv1.3", cipher="c", certificate=None, verified=False)
    stopped = events.RecordingStopped(text="full")
    said = tuple(Told(1.0, "main", 4, "r", event).as_dict() for event in (secured, stopped))
    first, second = (dataclasses.replace(one, said=said) for one in (stands(4, 100, 5000), stands(4, 100, 5000)))
    story = Story()
    story.open(is_seen=False)
    for one in (first, second):
        story.send(0, said=[state_json(one)])
    assert story.of(events.Secured) == [secured]
    assert story.of(events.RecordingStopped) == []


def test_events_are_made_as_they_are_wanted() -> None:
    data = b"REDIS0011\xfe\x00\x00\x03key\x05value\xff" + bytes(8)
    samples = HeadSamples()
    heard = {}
    wanted: dict[str, dict[str, Any]] = {
        "all": {},
        "keys": {"every_key": True, "samples": samples},
        "short": {"max_command": SIZE},
        "few": {"wants": lambda kind: kind is not events.Command},
    }
    for name, options in wanted.items():
        story = Story(**options)
        story.open()
        story.send(0, command("PSYNC", "?", "-1"))
        story.send(1, b"+FULLRESYNC %s %d\r\n$%d\r\n" % (ID.encode(), BASE, len(data)) + data)
        story.send(0, ACK)
        story.send(1, SET_A + command("SET", "b", "22"))
        (link,) = story.player.links
        assert link.conversation.samples is (samples if name == "keys" else None)
        omitted = [one.omitted_bytes > 0 for one in story.of(events.Command)]
        heard[name] = len(story.of(events.RdbKey)), omitted
    assert heard == {
        "all": (0, [False, False]),
        "keys": (1, [False, False]),
        "short": (0, [False, True]),
        "few": (0, []),
    }


def test_a_history_that_goes_on_at_another_link_keeps_its_db_and_where_it_comes_from() -> None:
    first = Story(is_ours=True)
    first.send(0, asks(BASE))
    first.send(1, GRANT + command("SELECT", "3") + SET_A)
    offset = BASE + len(command("SELECT", "3")) + SIZE
    second = Story(beside=first, port=50001)
    second.open()
    second.send(0, asks(offset))
    grant = b"+CONTINUE %s\r\n" % ID.encode()
    second.send(1, grant + SET_A)
    resync = first.of(events.PartialResync)[-1]
    assert (resync.replid, resync.previous_replid, resync.previous_link) == (ID, REPLID, "main")
    assert first.places[-1] == (len(grant), offset + SIZE, 3)
