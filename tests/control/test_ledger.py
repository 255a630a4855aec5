"""What has happened on each link, from events made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tap.bus import Told
from tap.control import ledger as ledger_module
from tap.control.ledger import MAX_RESYNCS, WINDOW, Ledger
from tap.replication import events
from tap.replication.heads import OTHER

REASON = events.Reason(code="first_sync", text="it is new")
FULL = events.FullResync(start=0, end=1, replid="a" * 40, offset=7, reason=REASON)
PARTIAL = events.PartialResync(start=0, end=1, replid="a" * 40, previous_replid=None, offset=7, bytes_behind=None)


def batch(**by_name: tuple[int, int]) -> events.Commands:
    return events.Commands(
        start=0,
        end=1,
        offset=1,
        count=sum(count for count, _ in by_name.values()),
        bytes=sum(size for _, size in by_name.values()),
        by_name={name: events.Share(count=count, bytes=size) for name, (count, size) in by_name.items()},
        db=0,
        in_transaction=False,
    )


def closed(role: events.Role | None = events.Role.REPLICA) -> events.LinkClosed:
    return events.LinkClosed(
        by=events.Side.REPLICA,
        how="fin",
        text="",
        role=role,
        phase="stream",
        offset=5,
        bytes_from_master=1,
        bytes_from_replica=1,
    )


def told(event: events.Event, time: float = 0.0, link: str = "main", connection: int = 1, replica: str = "r:1") -> Told:
    return Told(time, link, connection, replica, event)


def test_commands_are_counted_by_name_and_rates_over_windows() -> None:
    ledger = Ledger()
    ledger(told(batch(SET=(1, 1_000_000)), 0.0))  # how long that took is not known
    link = ledger.links["main"]
    assert (link.peak_rate, link.mean_rate) == (None, None)
    for second in range(1, int(WINDOW) + 1):
        ledger(told(batch(SET=(10, 900), DEL=(1, 100)), float(second)))
    assert link.peak_rate == pytest.approx(1000)
    for second in range(int(WINDOW) + 1, 2 * int(WINDOW) + 1):
        ledger(told(batch(SET=(1, 500)), float(second)))
    assert link.peak_rate == pytest.approx(1000)
    assert link.mean_rate == pytest.approx(750)
    assert (link.counts["SET"], link.counts["DEL"], link.sizes["DEL"]) == (111, 10, 1000)


def test_two_replicas_of_one_link_make_no_higher_rate() -> None:
    ledger = Ledger()
    for second in range(int(WINDOW) + 1):
        for connection in (1, 2):
            ledger(told(batch(SET=(1, 100)), float(second), connection=connection))
    assert ledger.links["main"].peak_rate == pytest.approx(100)
    assert ledger.links["main"].counts["SET"] == 2 * (int(WINDOW) + 1)


def test_resyncs_are_kept_with_what_caught_up_and_how_long_the_outage_was() -> None:
    ledger = Ledger()
    ledger(told(FULL))
    ledger(told(closed(), 10.0))
    ledger(told(PARTIAL, 14.0, connection=2))
    caught = events.CaughtUp(start=0, end=1, offset=9, bytes=2, at_least=2, at_most=2, seconds=0.1, known_from="wire")
    ledger(told(caught, 14.5, connection=2))
    ledger(told(events.ResyncRefused(start=0, end=1, reply="-LOADING"), 15.0, connection=3))
    assert [one["event"] for one in ledger.resyncs] == ["full_resync", "partial_resync", "resync_refused"]
    first, second, _ = ledger.resyncs
    assert (first["reason"]["code"], first["caught_up"]) == ("first_sync", None)
    assert second["caught_up"]["bytes"] == 2
    link = ledger.links["main"]
    assert dict(link.resyncs) == {"full_resync": 1, "partial_resync": 1, "resync_refused": 1}
    assert link.longest_outage == pytest.approx(4.0)


def test_an_ordinary_client_has_no_outage() -> None:
    ledger = Ledger()
    ledger(told(closed(events.Role.ORDINARY), 10.0))
    ledger(told(FULL, 14.0))
    assert ledger.links["main"].longest_outage is None


@pytest.mark.parametrize(
    ("limit", "story", "size"),
    [
        ("MAX_LINKS", lambda n: told(FULL, link=f"10.0.0.{n}:1"), lambda one: len(one.links) - (OTHER in one.links)),
        ("MAX_NAMES", lambda n: told(batch(**{f"C{n}": (1, 1)})), lambda one: len(one.links["main"].counts) - 1),
        (
            "MAX_REPLICAS",
            lambda n: told(closed(), replica=f"r:{n}"),
            lambda one: len(one.links["main"]._gone),
        ),
    ],
)
def test_its_tables_are_bounded(limit: str, story: Any, size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, limit, 5)
    ledger = Ledger()
    for number in range(20):
        ledger(story(number))
    assert size(ledger) == 5


def test_only_the_last_resyncs_are_kept() -> None:
    ledger = Ledger()
    for number in range(MAX_RESYNCS + 5):
        ledger(told(FULL, float(number)))
    assert (len(ledger.resyncs), ledger.resyncs[0]["time"]) == (MAX_RESYNCS, 5.0)
    assert ledger.links["main"].resyncs["full_resync"] == MAX_RESYNCS + 5
