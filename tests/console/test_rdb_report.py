"""The report of an RDB for people: columns that line up, times of any size, nothing cut off."""

from __future__ import annotations

import io

import pytest

from tap.console import rdb_report
from tap.console.terminal import Terminal
from tap.rdb import Parser, Summary
from tests.rdb import make
from tests.rdb.reading import keys


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "1970-01-01 00:00:00 UTC"),
        (1700000000999, "2023-11-14 22:13:20 UTC"),
        (2**62, f"{2**62} ms"),
        (-(2**62), f"{-(2**62)} ms"),
    ],
)
def test_a_time_is_a_date_as_far_as_the_calendar_reaches(ms: int, said: str) -> None:
    assert rdb_report.moment(ms) == said


def expiring(name: bytes, ms: int) -> bytes:
    return b"\xfc" + ms.to_bytes(8, "little", signed=True) + make.key(0, make.string(name), make.string(b"v"))


def test_each_key_is_a_line_under_the_heading() -> None:
    data = make.rdb(9, b"\xfe\x03", expiring(b"a key\n", 1700000000000), make.key(0, make.string(b"k"), make.decimal(5)))
    lines = rdb_report.key_lines(keys(data)).splitlines()
    assert [line.split(None, 6) for line in lines] == [
        ["3", "string", "embstr", "19", "1", "2023-11-14T22:13:20Z", '"a key\\n"'],
        ["3", "string", "int", "5", "1", "-", "k"],
    ]
    for line in lines:
        assert line[:3].strip() == "3"
        for title in ("bytes", "elements"):
            end = rdb_report.HEADING.index(title) + len(title)
            assert line[end - 1].isdigit(), "numbers end where their heading ends"
            assert line[end] == " "
        assert line[rdb_report.HEADING.index("expires")] != " "


def report(data: bytes, width: int = 120) -> str:
    out = io.StringIO()
    summary = Summary()
    parser = Parser(summary)
    parser.feed(data)
    parser.close()
    Terminal(file=out, width=width, color_system=None).print(rdb_report.report("dump.rdb", parser, summary, width))
    return out.getvalue()


HEAD = (
    make.aux(make.string(b"redis-ver"), make.string(b"7.0.15")),
    make.aux(make.string(b"ctime"), make.decimal(1700000000)),
    make.aux(make.string(b"used-mem"), make.decimal(1048576)),
)


def test_the_head_gives_writer_time_and_completeness() -> None:
    said = " ".join(report(make.rdb(10, *HEAD, expiring(b"a", 1000), expiring(b"b", 2000))).split())
    for words in (
        "RDB dump.rdb version 10, written by Redis 7.0.15",
        "written 2023-11-14 22:13:20 UTC",
        "memory in use there 1.0 MB",
        "keys 2 in 1 db, 2 expire, from 1970-01-01 00:00:01 UTC to 1970-01-01 00:00:02 UTC",
        "checksum ok",
    ):
        assert words in said
    assert "function libraries" not in said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (make.rdb(10, checksum=False), "none: the writer left it out"),
        (make.rdb(4), "none: RDBs had none before version 5"),
        (make.rdb(10)[:-8] + bytes(range(8)), "WRONG"),
        (make.rdb(10, *HEAD)[:-10], "not reached"),
    ],
)
def test_a_missing_checksum_is_reported(data: bytes, said: str) -> None:
    assert f"checksum {said}" in " ".join(report(data).split())


def test_several_dbs_have_a_table_in_their_order() -> None:
    one = make.key(2, make.string(b"s"), make.length(2) + make.string(b"a") + make.string(b"b"))
    data = make.rdb(10, b"\xfe\x0c", one, b"\xfe\x02", expiring(b"a", 1000), one)
    rows = [line.split() for line in report(data).splitlines()]
    place = rows.index(["db", "keys", "expire", "bytes", "elements"])
    assert [row[:3] for row in rows[place + 2 : place + 4]] == [["2", "2", "1"], ["12", "1", "0"]]
    assert rows.index(["keys", "with", "the", "most", "elements"]) > place
    assert "keys with the most elements" not in report(make.rdb(10, expiring(b"a", 1000)))


def test_an_empty_rdb_has_no_tables() -> None:
    said = report(make.rdb(10, *HEAD))
    assert "0 in 0 dbs" in said
    assert "largest keys" not in said
