"""Groups of keys: exact unless marked, the same however the keys came, in bounded memory, and what answers a user."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.errors import ConfigError
from tap.glob import matcher
from tap.key_groups import KeyGroup, KeyGroups, containers, patterns

MAX_COUNTERS = 21_000

Weighed = list[tuple[tuple[int | None, bytes], int]]


def weighed(keys: Iterable[str | bytes | tuple[str, int]]) -> Weighed:
    found: Weighed = []
    for key in keys:
        name, size = key if isinstance(key, tuple) else (key, 100)
        found.append(((0, name.encode() if isinstance(name, str) else name), size))
    return found


def counted(keys: Iterable[str | bytes | tuple[str, int]], most: int = 20) -> list[KeyGroup]:
    groups = KeyGroups()
    groups.add(weighed(keys))
    return groups.table(most)


def shown(rows: Iterable[KeyGroup]) -> list[str]:
    return [f"{'  ' * row.depth}{(row.pattern or b'?').decode()}" for row in rows]


# ---- what answers a user ----


def real_looking(count: int) -> Iterator[tuple[str, int]]:
    dice = random.Random(1)
    for _ in range(count):
        yield f"session:{uuid.UUID(int=dice.getrandbits(128))}", 300
        yield f"user:{dice.randrange(10**6)}:{dice.choice(['cart', 'profile'])}", 100
        yield f"{{tenant{dice.randrange(20)}}}.queue.{dice.randrange(100)}", 60
        yield f"cache-2026-11-{dice.randrange(30) + 1:02d}", 40


def test_a_stream_as_they_are_reads_like_its_author_would_describe_it() -> None:
    rows = counted(real_looking(5000))
    assert set(shown(rows)) == {
        "session:*",
        "user:*",
        "  user:*:cart",
        "  user:*:profile",
        "{tenant*}.queue.*",
        "cache-2026-11-*",
    }
    by_pattern = {row.pattern: row for row in rows}
    assert (by_pattern[b"session:*"].size, by_pattern[b"session:*"].writes) == (1_500_000, 5000)
    assert by_pattern[b"user:*"].size == by_pattern[b"user:*:cart"].size + by_pattern[b"user:*:profile"].size == 500_000
    assert [row.size for row in rows if not row.depth] == [1_500_000, 500_000, 300_000, 200_000]
    assert not any(row.at_least for row in rows)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["counter"], ["counter"]),
        (["a:b:c"] * 9, ["a:b:c"]),
        (["user:1:cart", "user:2:cart"], ["user:*", "  user:1:cart", "  user:2:cart"]),
        ([f"user:{n}:cart" for n in range(5)], ["user:*:cart"]),
        ([f"user:{n}:{word}" for n in range(9) for word in "xy"], ["user:*", "  user:*:x", "  user:*:y"]),
        ([f"user:{n * 7919}" for n in range(9)], ["user:*"]),
        ([f"user{n * 7919}" for n in range(300)], ["user*"]),
        ([f"ip:10.0.{n}.1" for n in range(9)], ["ip:10.0.*"]),
        ([f"log:2026-11-30T12:{n}:{n}" for n in range(9)], ["log:2026-11-30T12:*"]),
        ([f"job:{uuid.UUID(int=n * 7919 << 108)}:state" for n in range(1, 99)], ["job:*:state"]),
        ([f"app:{a * 2}:{n}" for a in "abc" for n in range(99)], ["app:*", "  app:aa:*", "  app:bb:*", "  app:cc:*"]),
        (["user:7:cart"] * 90 + [f"user:{n}:cart" for n in range(50, 60)], ["user:*", "  user:*:cart", "  user:7:cart"]),
        (["a", "a:", "a:b"], ["a:*", "  a:b", "a"]),
        (["a*b:1", "a*b:2", "a?[\\:1", "a?[\\:2"], [
            r"a\*b:*", r"  a\*b:1", r"  a\*b:2", r"a\?\[\\:*", r"  a\?\[\\:1", r"  a\?\[\\:2"]),
    ],
)  # fmt: skip
def test_groups_are_found_at_separators(keys: list[str], expected: list[str]) -> None:
    assert sorted(shown(counted(keys))) == sorted(expected)


def test_the_heaviest_rows_stay_with_what_contains_them() -> None:
    keys = [(f"a:{word}", 10 * number) for number, word in enumerate(("x", "y", "z"), 1)] + [("b", 5)]
    assert shown(counted(keys, 3)) == ["a:*", "  a:z", "  a:y"]
    assert containers(counted(keys)) == [None, b"a:*", b"a:*", b"a:*", None]


def test_a_part_that_becomes_large_after_its_level_exploded_is_noticed_and_marked() -> None:
    dice = random.Random(2)
    keys = [f"t:{dice.getrandbits(60):x}:k" for _ in range(20_000)]
    late = [key for _ in range(20_000) for key in (f"t:{dice.getrandbits(60):x}:k", "t:acme:k")]
    rows = {row.pattern: row for row in counted(keys + late)}
    acme = rows[b"t:acme:k"]
    assert acme.at_least
    assert 19_000 < acme.writes <= 20_000
    assert (rows[b"t:*:k"].writes, rows[b"t:*:k"].at_least) == (60_000, False)
    early = {row.pattern: row for row in counted(["t:acme:k", *keys, *late])}
    assert (early[b"t:acme:k"].writes, early[b"t:acme:k"].at_least) == (20_001, False)


# ---- laws ----

PARTS = st.sampled_from(["a", "b", "user", "x1", "x2", "x3", "x4", "x5", "x6", "17", "2026-11-30", "10.0.0.1"])
KEYS = st.lists(st.lists(PARTS, min_size=1, max_size=5), min_size=1, max_size=200)


@given(KEYS, st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_a_group_counts_what_its_prefix_does(parts: list[list[str]], cuts: list[int]) -> None:
    keys = [(":".join(words), 10 + number) for number, words in enumerate(parts)]
    whole = counted(keys)
    for row in whole:
        assert row.pattern is not None
        if re.search(rb"\*.|[^:]\*", row.pattern):
            continue  # not a prefix of whole parts
        matches = matcher(row.pattern)
        sizes = [size for key, size in keys if matches(key.encode())]
        assert row.at_least or (row.size, row.writes) == (sum(sizes), len(sizes)), row
        assert row.size <= sum(sizes)
    pieces = KeyGroups()
    at = 0
    for cut in cuts * (len(keys) // len(cuts) + 1):
        pieces.add(weighed(keys[at : at + cut]))
        at += cut
    pieces.add(weighed(keys[at:]))
    assert pieces.table(20) == whole


@given(st.lists(st.binary(max_size=300), max_size=50))
def test_no_key_is_too_odd(keys: list[bytes]) -> None:
    groups = KeyGroups()
    groups.add(weighed(keys))
    for row in groups.table(100):
        assert row.pattern is not None
        assert row.writes <= len(keys)


def odd(count: int) -> Iterator[str]:
    dice = random.Random(3)
    for _ in range(count):
        yield "".join(dice.choice("ab:.-{}12") for _ in range(dice.randrange(60)))


def broad(count: int) -> Iterator[str]:
    dice = random.Random(4)
    for _ in range(count):
        yield ":".join(dice.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL") for _ in range(8))


@pytest.mark.parametrize("keys", [odd, broad], ids=["odd", "broad"])
def test_the_counters_are_bounded_and_lose_no_bytes(keys: object) -> None:
    groups = KeyGroups()
    made = weighed(["first:key", *keys(60_000), "first:key"])  # type: ignore[operator]
    for begin in range(0, len(made), 1000):
        groups.add(made[begin : begin + 1000])
        assert len(groups) < MAX_COUNTERS
    rows = groups.table(10**6)
    assert sum(row.size for row in rows if row.depth == 0) <= 100 * len(made)
    one = [row for row in groups.table(20) if row.depth == 0]
    assert all(row.size * 100 >= 100 * len(made) for row in one)


# ---- given groups ----


def test_given_groups_count_each_key_that_matches() -> None:
    groups = KeyGroups(patterns(["user:*", "*:cart", "user:?:cart", "none"]))
    groups.add(weighed(["user:1:cart", ("user:12:cart", 7), ("x:cart", 5), ("y", 1), ("z" * 1000, 2)]))
    assert [(row.pattern, row.size, row.writes) for row in groups.table(2)] == [
        (b"*:cart", 112, 3),
        (b"user:*", 107, 2),
        (b"user:?:cart", 100, 1),
        (b"none", 0, 0),
        (None, 3, 2),
    ]
    assert len(groups) == 4


@pytest.mark.parametrize("globs", [[""], [f"k{number}" for number in range(101)]])
def test_patterns_that_make_no_sense_are_refused(globs: list[str]) -> None:
    with pytest.raises(ConfigError, match="group"):
        patterns(globs)


def test_a_pattern_given_twice_counts_once() -> None:
    assert patterns(["a*", "b", "a*", "\udcff"]) == (b"a*", b"b", b"\xff")
