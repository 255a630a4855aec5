"""Alerts on a virtual clock: when they begin, what they say, when they end."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from tap.bus import Told
from tap.replication import events
from tap.replication.events import Alert, AlertOver, Event, Side
from tap.replication.lag import Lag
from tap.status import AlertFigures
from tap.thresholds import Threshold
from tap.verdict.alerts import CALM_SECONDS, LOOK_SECONDS, MAX_REPLICAS, Alerts

FULL = events.FullResync(
    start=0,
    end=1,
    replid="a" * 40,
    offset=0,
    channel=events.Channel.MAIN,
    reason=events.Reason(code="first_sync", text=""),
)


def replica(
    number: int = 1,
    link: str = "main",
    *,
    lag_bytes: int | None = 0,
    lag_seconds: float | None = 0.0,
    lag_at_least: bool = False,
    lag_known_from: str = "wire",
    **figures: Any,
) -> AlertFigures:
    lag = Lag(lag_bytes, lag_seconds, lag_at_least, lag_known_from)
    return AlertFigures(link, number, "10.0.0.7:6379", lag, **figures)


class Story:
    """One link with some thresholds, looked at once for each now()."""

    def __init__(self, *rules: str, link: str = "main") -> None:
        self.said: list[tuple[str, int, str, Event]] = []
        self.alerts = Alerts({link: [Threshold.parse(one) for one in rules]}, lambda *said: self.said.append(said))
        self.link = link

    def now(self, at: float, *connections: AlertFigures) -> list[Event]:
        """The events of a look at this time."""
        before = len(self.said)
        self.alerts.look({self.link: connections}, at)
        return [event for *_, event in self.said[before:]]

    def full_resync(self, at: float, number: int = 1, link: str = "main", name: str = "10.0.0.7:6379") -> None:
        self.alerts.event(Told(at, link, number, name, FULL), at)


def test_an_alert_begins_when_the_limit_is_passed_and_ends_once_the_figure_has_been_back() -> None:
    story = Story("lag > 10s")
    assert story.now(0.0, replica(lag_seconds=10.0)) == []
    assert story.now(1.0, replica(lag_seconds=10.5)) == [
        Alert(
            rule="lag > 10s",
            figure="lag",
            unit="seconds",
            limit=10.0,
            value=10.5,
            at_least=False,
            known_from="wire",
            side=None,
            seconds=0.0,
        )
    ]
    assert story.said[0][:3] == ("main", 1, "10.0.0.7:6379")
    assert story.now(2.0, replica(lag_seconds=34.0)) == []
    assert story.now(5.0, replica(lag_seconds=0.5)) == []
    assert story.now(5.0 + CALM_SECONDS, replica(lag_seconds=0.25)) == [
        AlertOver(
            rule="lag > 10s",
            figure="lag",
            unit="seconds",
            limit=10.0,
            value=0.25,
            peak=34.0,
            at_least=False,
            seconds=4.0,
            how="back",
        )
    ]
    assert story.now(10.0, replica()) == []
    assert len(story.now(11.0, replica(lag_seconds=12.0))) == 1


def test_a_figure_that_swings_about_its_limit_is_one_alert() -> None:
    story = Story("lag > 1kb")
    for step in range(20):
        story.now(step * 0.5, replica(lag_bytes=2000 if step % 2 == 0 else 100))
    assert [type(one[-1]) for one in story.said] == [Alert]


def test_a_rule_with_a_time_waits_until_the_figure_has_been_there_all_along() -> None:
    story = Story("lag > 1kb for 10s")
    for at in range(10):
        assert story.now(at, replica(lag_bytes=2000)) == []
    story.now(9.5, replica(lag_bytes=1000))
    for at in range(10, 20):
        assert story.now(at, replica(lag_bytes=2000)) == []
    (alert,) = story.now(20.0, replica(lag_bytes=3000))
    assert isinstance(alert, Alert)
    assert (alert.value, alert.seconds) == (3000, 10.0)
    (over,) = [*story.now(21.0, replica()), *story.now(22.0, replica())]
    assert isinstance(over, AlertOver)
    assert (over.seconds, over.peak) == (11.0, 3000)


def test_a_lower_bound_begins_an_alert_and_never_ends_one() -> None:
    story = Story("lag > 1kb")
    assert story.now(0.0, replica(lag_bytes=1000, lag_at_least=True)) == []
    (alert,) = story.now(1.0, replica(lag_bytes=2000, lag_at_least=True, lag_known_from="link"))
    assert isinstance(alert, Alert)
    assert (alert.at_least, alert.known_from) == (True, "link")
    for at in range(2, 10):
        assert story.now(at, replica(lag_bytes=0, lag_at_least=True)) == []
    assert story.now(10.0, replica(lag_bytes=0)) == []
    (over,) = story.now(11.0, replica(lag_bytes=0))
    assert isinstance(over, AlertOver)
    assert (over.at_least, over.peak, over.seconds) == (True, 2000, 9.0)


def test_an_unknown_figure_decides_nothing() -> None:
    story = Story("lag > 1kb for 2s")
    story.now(0.0, replica(lag_bytes=2000))
    story.now(1.0, replica(lag_bytes=None))
    assert story.now(2.0, replica(lag_bytes=2000)) == []
    assert len(story.now(4.0, replica(lag_bytes=2000))) == 1
    assert story.now(9.0, replica(lag_bytes=None)) == []


def test_an_alert_ends_with_its_connection_or_with_the_tap() -> None:
    story = Story("lag > 1kb", "lag > 1kb for 1h")
    story.now(0.0, replica(1, lag_bytes=2000), replica(2, lag_bytes=3000))
    (over,) = story.now(3.0, replica(2, lag_bytes=3000))
    assert isinstance(over, AlertOver)
    assert (over.how, over.value, over.peak, over.seconds) == ("closed", None, 2000, 3.0)
    story.alerts.end(5.0)
    *_, (link, number, _, last) = story.said
    assert isinstance(last, AlertOver)
    assert (link, number, last.seconds) == ("main", 2, 5.0)
    assert len(story.said) == 4


def test_the_silence_is_that_of_the_side_that_is_silent_for_longer() -> None:
    story = Story("silence > 5s")
    assert story.now(0.0, replica(master_silence=None, replica_silence=None)) == []
    assert story.now(1.0, replica(master_silence=4.0, replica_silence=5.0)) == []
    (alert,) = story.now(2.0, replica(master_silence=1.0, replica_silence=6.0))
    assert isinstance(alert, Alert)
    assert (alert.side, alert.value) == (Side.REPLICA, 6.0)


def test_resyncs_count_for_a_replica_whatever_its_connections() -> None:
    story = Story("resyncs > 2 in 1m")
    for number, at in enumerate((0.0, 20.0), 1):
        story.full_resync(at, number)
        assert story.now(at + 0.5) == []
    story.full_resync(30.0, 8, name="10.0.0.8:6379")
    assert story.now(30.5) == []
    story.full_resync(40.0, 3)
    (alert,) = story.now(40.5)
    assert isinstance(alert, Alert)
    assert (alert.value, alert.unit) == (3, "resyncs")
    assert story.said[0][:3] == ("main", 3, "10.0.0.7:6379")
    assert story.now(59.5) == []
    assert story.now(60.5) == []
    (over,) = story.now(61.5)
    assert isinstance(over, AlertOver)
    assert (over.how, over.value, over.peak) == ("back", 2, 3)


def test_resyncs_through_a_transparent_link_are_counted_by_their_masters_name() -> None:
    story = Story("resyncs >= 1 in 1m", link="transparent")
    story.full_resync(0.0, link="10.0.0.5:6379")
    assert len(story.now(0.5)) == 1


def test_the_resyncs_of_a_limited_number_of_replicas_are_kept() -> None:
    story = Story("resyncs >= 2 in 1h")
    story.full_resync(0.0, name="first")
    for number in range(MAX_REPLICAS):
        story.full_resync(1.0, name=f"replica {number}")
    story.full_resync(2.0, name="first")
    assert story.now(3.0) == []
    story.full_resync(3.0, name="first")
    assert len(story.now(3.5)) == 1
    assert story.now(3600.0) == []
    assert len(story.now(3700.0)) == 0
    assert len(story.now(3702.0)) == 1


def test_figures_are_looked_at_twice_a_second_and_only_those_that_a_rule_compares() -> None:
    asked: list[Mapping[str, Container[str]]] = []

    def figures(wanted: Mapping[str, Container[str]]) -> dict[str, list[AlertFigures]]:
        asked.append(wanted)
        return {}

    rules = {"main": ["lag > 1s", "lag > 1mb", "buffer > 1mb", "resyncs > 1 in 1m"], "other": ["resyncs > 1 in 1m"]}
    alerts = Alerts({link: [Threshold.parse(one) for one in several] for link, several in rules.items()}, print)
    for step in range(10):
        alerts.tick(figures, step * LOOK_SECONDS / 5)
    assert asked == 2 * [{"main": {"lag", "buffer"}}]
    Alerts({"main": []}, print).tick(figures, 9.0)
    Alerts({"main": [Threshold.parse("resyncs > 1 in 1m")]}, print).tick(figures, 9.0)
    assert len(asked) == 2


def test_rules_of_one_link_do_not_concern_another() -> None:
    story = Story("lag > 1kb", link="orders")
    story.alerts.look({"main": [replica(lag_bytes=9999)]}, 0.0)
    assert story.said == []
    assert len(story.now(1.0, replica(link="orders", lag_bytes=9999))) == 1
