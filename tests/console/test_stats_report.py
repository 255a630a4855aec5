"""Statistics of a recording, rendered: of a moment and of a week, in any width."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tap.bus import Told
from tap.console.stats_report import groups, report
from tap.console.terminal import Terminal
from tap.key_groups import KeyGroup
from tap.recording import stats
from tap.recording.batch import Batch
from tap.recording.frequent_keys import Frequent
from tap.recording.stats import Stats
from tap.replication import events
from tap.replication.heads import Head
from tests.relay.wire import REPLID

BEGIN = 1769860800.0  # 2026-01-31 12:00 UTC
DAY = 86400


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def shown(what: Stats, width: int = 80) -> list[str]:
    console = Terminal(width=width, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(report(what, console.width))
    return [line.rstrip() for line in captured.get().splitlines()]


def over(seconds: float, link: str = "main", key: bytes = b"user:%d") -> Stats:
    """A hundred batches, the last one of twenty commands, the others of one; a full resync in the middle."""
    found = Stats()
    end = 0
    for number in range(100):
        heads: list[Head] = []
        for _ in range(20 if number == 99 else 1):
            end += 1000
            heads.append((end, 1000, 0, "SET", (key % number,), ()))
        at = BEGIN + seconds * number / 99
        found.take(Batch(at, link, 1, REPLID, 0, heads))
        if number == 50:
            reason = events.Reason(code="first_sync", text="it has nothing")
            resync = events.FullResync(start=0, end=1, replid=REPLID, offset=0, reason=reason)
            found.told(Told(at, link, 1, "10.0.0.1:6379", resync))
    return found


@pytest.mark.parametrize("width", [80, 120, 40])
@pytest.mark.parametrize("seconds", [0.0, 0.02, 1.0, 59.0, 3000.0, 30_000.0, 7.0 * DAY])
def test_the_report_fits_for_any_length_of_time(seconds: float, width: int) -> None:
    lines = shown(over(seconds), width)
    assert max(map(len, lines)) <= width
    assert any("█" in line for line in lines) or seconds < 0.05


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (1.0, ["13:00:00.000", "13:00:00.200", "13:00:00.400", "13:00:00.600", "13:00:00.800"]),
        (60.0, ["13:00:00", "13:00:10", "13:00:20", "13:00:30", "13:00:40", "13:00:50"]),
        (3 * 3600.0, ["13:00", "13:30", "14:00", "14:30", "15:00", "15:30"]),
        (7.0 * DAY, ["02-02 00:00", "02-04 00:00", "02-06 00:00"]),
    ],
)
def test_the_axis_shows_round_local_times(seconds: float, labels: list[str]) -> None:
    lines = shown(over(seconds))
    axis = next(line for line in lines if line.startswith(" local time"))
    assert re.findall(r"\d\d-\d\d \d\d:\d\d|[\d:.]+", axis) == labels
    ticks = next(line for line in lines if line.lstrip().startswith("0 └"))
    assert [found.start() for found in re.finditer("┴", ticks)] == [axis.index(label) for label in labels]


def test_the_chart_is_highest_where_most_came_and_marks_are_below() -> None:
    lines = shown(over(100.0))
    top = next(line for line in lines if "┤" in line)
    assert re.search(r"^ +\d+\.\d KB ┤ +█$", top)
    assert len(top) == 79
    marks = next(line for line in lines if line.startswith("     events"))
    assert 44 <= marks.index("F") <= 48
    assert any("FULL RESYNC" in line for line in lines)
    assert "commands  119: 1.2/s on average, busiest second 20 (13:01:40)" in lines


def test_keys_that_cannot_all_be_counted_are_marked() -> None:
    found = Stats()
    link = stats.LinkStats(10)
    link.writes_of = Frequent(10)
    found.links["main"] = link
    heads = [(number, 30, 0, "SET", (b"key:%d" % number,), ()) for number in range(1, 100)]
    link.take(Batch(BEGIN, "main", 1, None, None, heads))  # type: ignore[arg-type]
    said = " ".join(shown(found))
    assert "none stands out: there are more keys than are counted at a time, and none has more than" in said
    link.take(Batch(BEGIN, "main", 1, None, None, [(9, 30, 0, "SET", (b"hot",), ())] * 50))
    said = " ".join(shown(found))
    assert re.search(r"~50 +33.6% +0 +hot", said)
    assert re.search(r"none of the others has more than +(\d+); ~: at least this much, and at most +\1 more", said)


def test_every_link_has_its_own_part() -> None:
    found = over(10.0)
    found.links |= over(10.0, "other").links
    lines = shown(found)
    assert [line for line in lines if line.startswith("link ")] == ["link      main", "link      other"]


def test_a_long_key_is_not_cut_where_others_begin_alike() -> None:
    lines = shown(over(10.0, key=b"a long key that many others begin with and that is told whole on two lines:%d"))
    assert any("lines:99" in line for line in lines)


def test_groups_of_keys_stand_below_what_contains_them() -> None:
    found = Stats()
    heads: list[Head] = []
    for number, key in enumerate([b"user:%d:%s" % (n, word) for n in range(50) for word in (b"cart", b"name")], 1):
        heads.append((100 * number, 100, 0, "SET", (key,), ()))
    found.take(Batch(BEGIN, "main", 1, REPLID, 0, heads))
    lines = shown(found)
    begin = lines.index("groups of keys by bytes")
    assert lines[begin + 1 : begin + 6] == [
        " bytes   share  writes  keys",
        "9.8 KB  100.0%     100  user:*",
        "4.9 KB   50.0%      50    user:*:cart",
        "4.9 KB   50.0%      50    user:*:name",
        "",
    ]


def test_a_lower_bound_says_so() -> None:
    console = Terminal(width=80, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(groups([KeyGroup(b"t:*", 0, 900, 9), KeyGroup(b"t:a:*", 1, 500, 5, at_least=True)], 1000))
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines[2:] == [
        " 900 B   90.0%       9  t:*",
        "≥500 B  ≥50.0%      ≥5    t:a:*",
        "≥: at least this much; the group was noticed late",
    ]


def test_no_pattern_acts_on_the_terminal() -> None:
    found = Stats()
    nasty = [b"\x1b[2J:%d", b"[bold]x[/bold]:%d", b"a\nb:%d", b"\xff\x00:%d", "\u202ex:%d".encode()]
    heads: list[Head] = [(100 * (number + 1), 100, 0, "SET", (nasty[number % 5] % number,), ()) for number in range(50)]
    found.take(Batch(BEGIN, "main", 1, REPLID, 0, heads))
    text = "\n".join(shown(found))
    table = text[text.index("groups of keys") : text.index("keys by writes")]
    assert re.search(r'"\\x1b\\\\\[2J:\*"', table)
    assert r"\[bold]x\[/bold]:*" in table
    assert r'"a\nb:*"' in table
    assert "\x1b" not in text
    assert "\u202e" not in text
