"""A summary: what it counts, and where it stops remembering."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tap.rdb.keys import Key
from tap.rdb.parser import Parser
from tap.rdb.summary import MAX_AUX, MAX_AUX_BYTES, MAX_DATABASES, Summary
from tests.rdb import make
from tests.rdb.reading import Fixture, enough, fed, fixtures, for_each, json_lines, keys


@for_each(enough(fixtures("server") + fixtures("crafted")))
def test_a_summary_counts_the_content(fixture: Fixture) -> None:
    for values in (False, True):
        summary = Summary(largest=3)
        assert fed(Parser(summary, values=values), fixture.data, 1000) is None
        counts: dict[str, tuple[int, int, int]] = {}
        for record in json_lines(fixture.data):
            before = counts.get(record["type"], (0, 0, 0))
            figures = (1, record["serialized_bytes"], record["elements"])
            counts[record["type"]] = (before[0] + figures[0], before[1] + figures[1], before[2] + figures[2])
        assert summary.by_type() == counts
        sizes = sorted((key.serialized_bytes for key in keys(fixture.data)), reverse=True)
        assert [key.serialized_bytes for key in summary.biggest()] == sizes[:3]


@for_each(enough(fixtures("server")))
def test_module_data_beside_the_keys_is_found(fixture: Fixture) -> None:
    summary = Summary()
    assert fed(Parser(summary), fixture.data) is None
    aux = fixture.truth.get("module_aux", {})
    assert summary.module_names == ({"rdbt-item"} if any(aux.values()) else set())


def summary_of(*records: bytes, largest: int = 10, only: Callable[[Key], bool] | None = None, step: int = 0) -> Summary:
    summary = Summary(largest, only)
    assert fed(Parser(summary, values=True), make.rdb(12, *records), step) is None
    return summary


def a_string(name: bytes, size: int) -> bytes:
    return make.key(0, make.string(name), make.string(b"v" * size))


def select(db: int) -> bytes:
    return b"\xfe" + make.length(db)


def expiry(ms: int) -> bytes:
    return b"\xfc" + ms.to_bytes(8, "little", signed=True)


@pytest.mark.parametrize("step", [0, 1, 100])
def test_each_db_has_its_own_figures(step: int) -> None:
    numbers = make.key(11, make.string(b"s"), make.string(make.intset(range(40), 2)))
    summary = summary_of(
        select(3), expiry(5000), a_string(b"a", 50), expiry(-1), a_string(b"b", 1), numbers, select(0), numbers, step=step
    )
    three, zero = summary.databases[3], summary.databases[0]
    assert (three.keys, three.elements, three.expiring) == (3, 42, 2)
    assert (three.first_expiry_ms, three.last_expiry_ms) == (-1, 5000)
    assert (zero.keys, zero.expiring, zero.first_expiry_ms, zero.last_expiry_ms) == (1, 0, None, None)
    assert three.by_encoding() == [
        ("set", "intset", 1, len(numbers), 40),
        ("string", "raw", 1, 54 + 9, 1),
        ("string", "embstr", 1, 5 + 9, 1),
    ]
    assert (summary.keys, summary.expiring) == (4, 2)
    assert [key.key for key in summary.most_elements()[:2]] == [b"s", b"s"]


@pytest.mark.parametrize("step", [0, 7])
def test_the_largest_keys_are_remembered_and_no_others(step: int) -> None:
    sizes = [5, 900, 3, 70, 900, 71, 1]
    summary = summary_of(*(a_string(b"%d" % n, size) for n, size in enumerate(sizes)), largest=3, step=step)
    assert [key.key for key in summary.biggest()] == [b"1", b"4", b"5"], "of equals the first comes first"
    assert len(summary.databases[0].by_size) == 3


def test_only_the_wanted_keys_are_counted() -> None:
    summary = summary_of(a_string(b"a", 5), select(9), a_string(b"b", 5), only=lambda key: key.key == b"a")
    assert (summary.keys, list(summary.databases)) == (1, [0])


def test_fields_of_the_writer_are_text_and_bounded() -> None:
    fields = [make.aux(make.string(b"redis-ver"), make.string(b"7.0\xff")), make.aux(make.string(b"n"), make.decimal(-3))]
    more = [make.aux(make.string(b"f%d" % n), make.string(b"x" * 5000)) for n in range(MAX_AUX + 5)]
    summary = summary_of(*fields, select(0), a_string(b"k", 1), *more)
    assert summary.heading == {"redis-ver": "7.0\\xff", "n": "-3"}
    assert len(summary.aux) == MAX_AUX
    assert {len(value) for value in summary.aux.values()} == {7, 2, MAX_AUX_BYTES}


@pytest.mark.parametrize("size", [1, 7, 2**20])
@pytest.mark.parametrize("value", [make.string(b"b"), b"\xc0\x05"])
def test_of_endless_fields_the_first_are_kept_and_the_rest_is_read(value: bytes, size: int) -> None:
    fields = [make.aux(make.string(b"f%d" % number), value) for number in range(MAX_AUX + 5)]
    data = make.rdb(10, *fields, make.key(0, make.string(b"k"), make.string(b"v")))
    summary = Summary()
    parser = Parser(summary)
    for begin in range(0, len(data), size):
        parser.feed(data[begin : begin + size])
    assert parser.close() is None
    assert list(summary.aux) == [f"f{number}" for number in range(MAX_AUX)]
    assert summary.keys == 1


def test_beyond_many_databases_they_are_counted_together() -> None:
    summary = summary_of(*(select(db) + a_string(b"k", 1) for db in range(MAX_DATABASES + 3)))
    assert len(summary.databases) == MAX_DATABASES + 1
    assert summary.databases[-1].keys == 3
