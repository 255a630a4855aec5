"""Moments as people write them: times, times of day, times before the end, offsets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import zstandard

from tap.capture.content import STDIN
from tap.errors import ConfigError
from tap.recording import moments
from tap.recording.filters import Filters
from tap.recording.moments import Length, Meant, Moment, nanoseconds, parse
from tap.replay import ReplayMaster
from tests.recording.wires import STREAM, file, streamed


@pytest.fixture(autouse=True)
def berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def between(first: str, last: str) -> Length:
    begin, end = (nanoseconds(datetime.fromisoformat(f"{text}+01:00")) for text in (first, last))
    return Length(begin, end)


DAY = between("2026-01-31T09:00:00", "2026-01-31T17:00:00")
NIGHT = between("2026-01-31T22:00:00", "2026-02-01T06:00:00")
WEEK = between("2026-01-31T22:00:00", "2026-02-07T06:00:00")


@pytest.mark.parametrize(
    ("text", "whole", "is_at"),
    [
        ("2026-01-31T12:00:00", DAY, "2026-01-31T11:00:00+00:00"),
        ("2026-07-31T12:00:00", DAY, "2026-07-31T10:00:00+00:00"),
        ("2026-01-31T12:00:00Z", DAY, "2026-01-31T12:00:00+00:00"),
        ("2026-01-31 12:00+05:00", DAY, "2026-01-31T07:00:00+00:00"),
        ("12:00", DAY, "2026-01-31T11:00:00+00:00"),
        ("12:00:30.5", DAY, "2026-01-31T11:00:30.500000+00:00"),
        ("12:00Z", DAY, "2026-01-31T12:00:00+00:00"),
        ("12:00+05:00", DAY, "2026-01-31T07:00:00+00:00"),
        ("08:00", DAY, "2026-01-31T07:00:00+00:00"),  # before it began, on its only day
        ("23:59", DAY, "2026-01-31T22:59:00+00:00"),
        ("23:00", NIGHT, "2026-01-31T22:00:00+00:00"),
        ("02:00", NIGHT, "2026-02-01T01:00:00+00:00"),
        ("22:00", NIGHT, "2026-01-31T21:00:00+00:00"),
        ("-10m", DAY, "2026-01-31T15:50:00+00:00"),
        ("-1.5h", NIGHT, "2026-02-01T03:30:00+00:00"),
        ("-30d", NIGHT, "2026-01-02T05:00:00+00:00"),
        ("-0", NIGHT, "2026-02-01T05:00:00+00:00"),
    ],
)
def test_a_moment_is_parsed(text: str, whole: Length, is_at: str) -> None:
    meant = parse(text, lambda: whole)
    assert meant is not None
    assert isinstance(meant.moment, datetime)
    assert meant.moment.astimezone(UTC).isoformat() == is_at
    assert meant.is_resolved == (not text.startswith("2026"))


def test_digits_are_an_offset() -> None:
    assert parse("123456", lambda: None) == Meant(123456, False)


@pytest.mark.parametrize(
    ("text", "whole", "said"),
    [
        ("noon", DAY, "write a time, as 2026-01-31T12:00:00 or 12:00"),
        ("25:00", DAY, "write a time"),
        ("", DAY, "write a time"),
        ("-10", DAY, "'10' needs its unit: write 10ms or 10s"),
        ("-noon", DAY, "'noon' is not a time"),
        ("-9999999999d", DAY, "'9999999999d' is longer than 100 years"),
        ("12:00", NIGHT, "the recording, 2026-01-31T22:00:00+01:00 to 2026-02-01T06:00:00+01:00, does not include 12:00; "
         "add the day: 2026-01-31T12:00"),
        ("12:00", WEEK, "the recording, 2026-01-31T22:00:00+01:00 to 2026-02-07T06:00:00+01:00, includes 12:00 more than "
         "once; add the day: 2026-02-01T12:00"),
    ],
)  # fmt: skip
def test_other_words_are_refused(text: str, whole: Length, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, lambda: whole)
    assert str(caught.value).startswith(said)


def test_an_empty_recording_has_no_time_of_day() -> None:
    assert parse("12:00", lambda: None) is None
    assert parse("-10m", lambda: None) is None


def test_a_recording_extends_from_its_first_packet_to_its_last(tmp_path: Path) -> None:
    wire = streamed(STREAM)
    times = [at for at, _ in wire.packets]
    one = file(tmp_path / "one.pcapng", wire.packets, "pcapng")
    assert moments.length([one]) == Length(times[0], times[-1])
    # several files, in any order; those of a directory in their own
    later = [(at + 10**12, data) for at, data in wire.packets]
    other = file(tmp_path / "other.pcap", later, "<ns")
    other.write_bytes(zstandard.compress(other.read_bytes()))
    assert moments.length([other, one]) == moments.length([tmp_path]) == Length(times[0], times[-1] + 10**12)
    empty = file(tmp_path / "z.pcapng", [], "pcapng")
    assert moments.length([empty]) is None
    assert moments.length([one, empty, tmp_path / "none"]) == Length(times[0], times[-1])
    assert moments.length([tmp_path / "none"]) is None
    with pytest.raises(ConfigError, match="-: a pipe can be read only once"):
        moments.length([STDIN])


NOW = datetime.now().astimezone()


@pytest.mark.parametrize("begin", [NOW, 5, None])
@pytest.mark.parametrize("end", [NOW, (NOW + timedelta(days=2)).replace(tzinfo=None), 5, 6, None])
def test_an_end_after_the_beginning_is_accepted(begin: Moment | None, end: Moment | None) -> None:
    Filters(begin=begin, end=end)
    ReplayMaster("some.pcapng", begin=begin, end=end)


@pytest.mark.parametrize(("begin", "end"), [(NOW, NOW - timedelta(microseconds=1)), (6, 5)])
def test_an_end_before_the_beginning_is_refused(begin: Moment, end: Moment) -> None:
    for make in (Filters, partial(ReplayMaster, "some.pcapng")):
        with pytest.raises(ConfigError, match=r"^from .* until .*: the end is before the beginning$"):
            make(begin=begin, end=end)


BEGIN, END = datetime.fromisoformat("2026-01-31T09:00:00+01:00"), datetime.fromisoformat("2026-01-31T17:00:00+01:00")
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        (BEGIN, END, []),
        (BEGIN - TICK, None, []),  # from before the recording on is all of it
        (END, None, []),
        (END + TICK, None, ["--from 2026-01-31T17:00:00.000001+01:00 lies after the end of the recording, "
         "2026-01-31T17:00:00+01:00"]),
        (None, END + TICK, ["--until 2026-01-31T17:00:00.000001+01:00 lies after the end of the recording, "
         "2026-01-31T17:00:00+01:00"]),
        (None, BEGIN, []),
        (None, BEGIN - TICK, ["--until 2026-01-31T08:59:59.999999+01:00 lies before the recording, which begins "
         "2026-01-31T09:00:00+01:00"]),
        (100, 200, []),
        (99, 101, []),
        (201, None, ["--from 201 is more than the highest offset in the recording, 200"]),
        (None, 201, ["--until 201 is more than the highest offset in the recording, 200"]),
        (None, 100, ["--until 100: the recording begins after offset 100"]),
        (100, 100, ["--until 100: the recording begins after offset 100"]),
        (END + TICK, 201, ["--from 2026-01-31T17:00:00.000001+01:00 lies after the end of the recording, "
         "2026-01-31T17:00:00+01:00", "--until 201 is more than the highest offset in the recording, 200"]),
        (None, None, []),
    ],
)  # fmt: skip
def test_moments_outside_the_recording_are_reported(begin: Moment | None, end: Moment | None, said: list[str]) -> None:
    assert moments.outside(begin, end, DAY, (100, 200)) == said


def test_without_times_or_offsets_there_is_nothing_to_compare_with() -> None:
    assert moments.outside(BEGIN - TICK, END + TICK, None, None) == []
    assert moments.outside(5, 6, DAY, None) == [
        "--from 5: no replication offset is known in the recording",
        "--until 6: no replication offset is known in the recording",
    ]


def test_a_moment_is_an_exact_number_of_nanoseconds() -> None:
    assert nanoseconds(datetime.fromisoformat("2026-01-31T09:00:00.000001+01:00")) == DAY.first + 1000
    assert str(DAY) == "2026-01-31T09:00:00+01:00 to 2026-01-31T17:00:00+01:00"
