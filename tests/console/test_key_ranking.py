"""Groups of keys in the live view: exact if all was looked at, else an estimate that says so."""

from __future__ import annotations

import random

from tap.console.key_ranking import MAX_NODES, ROWS, KeyRanking
from tap.replication.head_samples import HeadSamples
from tap.replication.heads import Head


def taken(heads: list[Head], *patterns: bytes) -> tuple[HeadSamples, KeyRanking]:
    samples = HeadSamples()
    ranking = KeyRanking(samples, patterns)
    assert samples.take is not None
    samples.take(heads)
    samples.passed = samples.looked_at = sum(head[1] for head in heads)
    return samples, ranking


HEADS: list[Head] = [
    *((100 * number, 100, 0, "SET", (f"user:{number}:{word}".encode(),), ()) for number in range(9) for word in "ab"),
    (1000, 200, 0, "PING", (), ()),
    (1000, 300, 0, "COPY", (b"x",), ((5, (b"\x1b[2J",)),)),
]


def test_groups_are_ranked_with_what_they_contain() -> None:
    samples, ranking = taken(HEADS)
    found = ranking.ranking()
    assert (found.title, found.total, found.is_estimate, found.at_least) == ("keys by bytes", 2300, False, False)
    assert found.first == (
        ("user:*", 1800),
        (" user:*:a", 900),
        (" user:*:b", 900),
        (r'"\x1b\\[2J"', 150),
        ("x", 150),
    )
    ranking.stop()
    assert samples.take is None


def test_of_a_part_the_whole_is_estimated() -> None:
    samples, ranking = taken(HEADS)
    samples.passed *= 10
    found = ranking.ranking()
    assert (found.title, found.total, found.is_estimate) == ("keys by bytes, 10% looked at", 23_000, True)
    assert found.first[0] == ("user:*", 18_000)
    samples.passed *= 100
    assert ranking.ranking().title == "keys by bytes, <1% looked at"


def test_given_groups_are_ranked() -> None:
    _, ranking = taken(HEADS, b"user:*:a", b"none")
    assert ranking.ranking().first == (("user:*:a", 900), ("none", 0), ("others", 1200))


def test_there_are_only_so_many_rows() -> None:
    _, ranking = taken([(9, 9, 0, "SET", (b"%c" % (97 + number),), ()) for number in range(20)])
    assert len(ranking.ranking().first) == ROWS


def test_before_the_first_command_there_are_none() -> None:
    ranking = KeyRanking(HeadSamples())
    assert (ranking.ranking().total, ranking.ranking().first) == (0, ())


def test_keys_without_any_pattern_cost_a_frame_little() -> None:
    """Hashes as keys fill the tree; the event loop waits while it is ranked, and while it is made coarser."""
    dice = random.Random(3)
    _, ranking = taken([(0, 100, 0, "SET", (dice.randbytes(dice.randrange(200)),), ()) for _ in range(50_000)])
    assert MAX_NODES / 4 < len(ranking._groups) < MAX_NODES * 1.1
    assert len(ranking.ranking().first) <= ROWS
