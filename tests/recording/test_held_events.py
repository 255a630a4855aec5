"""Withheld events are reported in order once the connection replicates, up to a limit."""

from __future__ import annotations

import dataclasses

from tap.bus import Told
from tap.recording.held_events import MAX_HELD, HeldEvents
from tap.recording.missing import Missing
from tap.replication import events
from tap.replication.events import Side

GAP = Missing(
    cause="gap", link="", connection=0, side=Side.MASTER, start=0, end=1, lost_bytes=1, is_rdb=False, replid=None,
    from_offset=None, to_offset=None, since=0.0, until=0.0, reason="",
)  # fmt: skip
UNREAD = dataclasses.replace(GAP, cause="unread", reason="of no use")


def told(event: events.Event) -> Told:
    return Told(1.0, "main", 1, "r", event)


OPENED = told(events.LinkOpened(peer="a:1", master="b:2"))
ASKED = told(events.SyncRequested(start=0, end=1, inline=False))


def test_events_come_once_released_and_in_order() -> None:
    heard: list[object] = []
    withheld = HeldEvents(heard.append, heard.append, is_released=False)
    withheld.lacks(GAP)
    withheld.tell(OPENED)
    withheld.tell(ASKED)
    assert not heard
    withheld.release()
    assert heard == [OPENED, ASKED, GAP]
    withheld.tell(ASKED)
    withheld.lacks(UNREAD)
    assert heard[3:] == [ASKED, UNREAD]


def test_events_from_a_wrong_reading_are_dropped() -> None:
    heard: list[object] = []
    withheld = HeldEvents(heard.append, heard.append, is_released=False)
    for one in (OPENED, ASKED):
        withheld.tell(one)
    for missing in (GAP, UNREAD):
        withheld.lacks(missing)
    withheld.forget()
    withheld.release()
    assert heard == [OPENED, GAP]


def test_no_more_is_held_than_fits() -> None:
    heard: list[object] = []
    withheld = HeldEvents(heard.append, heard.append, is_released=False)
    for _ in range(MAX_HELD + 1):
        withheld.tell(ASKED)
        withheld.lacks(GAP)
    withheld.release()
    assert len(heard) == 2 * MAX_HELD
