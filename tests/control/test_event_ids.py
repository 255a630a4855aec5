"""Places among the events, as clients name them."""

from __future__ import annotations

import pytest

from tap.bus import Told
from tap.control.event_ids import EventPlace, event_id, place
from tap.errors import ConfigError
from tap.kept_events import KeptEvents
from tap.replication import events


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> KeptEvents:
    monkeypatch.setattr("tap.kept_events.MOST", 3)
    found = KeptEvents()
    for number in range(10):
        event = events.SyncRequested(start=number, end=number + 1, inline=True)
        found.add(Told(0.0, "main", 1, "", event))
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, EventPlace(10)),
        ("now", EventPlace(10)),
        ("start", EventPlace(7)),
        (event_id("ab12", 10), EventPlace(10)),
        (event_id("ab12", 8), EventPlace(8)),
        (event_id("ab12", 7), EventPlace(7)),
        (event_id("ab12", 2), EventPlace(7, lost=5)),
        (event_id("other", 8), EventPlace(7, lost=None)),
        (event_id("ab12", 11), EventPlace(7, lost=None)),
    ],
)
def test_a_place_is_where_a_client_goes_on(text: str | None, found: EventPlace, kept: KeptEvents) -> None:
    assert place(text, "ab12", kept) == found


@pytest.mark.parametrize("text", ["", "-", "ab12", "ab12-", "-5", "ab12--5", "ab12-5x", "ab12-" + "9" * 19, "AB-1"])
def test_anything_else_is_refused(text: str, kept: KeptEvents) -> None:
    with pytest.raises(ConfigError, match="is not the ID of an event: write one that this API gave"):
        place(text, "ab12", kept)
