"""Places as people write them, and numbers drawn from a range."""

from __future__ import annotations

from random import Random

import pytest

from tap.errors import ConfigError
from tap.faults.at import At


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("rdb", At("rdb")),
        ("rdb:10b", At("rdb", "bytes", 10, 10)),
        ("rdb:-8b", At("rdb", "bytes", -8, -8)),
        ("rdb:-8b..-2b", At("rdb", "bytes", -8, -2)),
        ("rdb:50%", At("rdb", "percent", 50, 50)),
        ("rdb:0%..100%", At("rdb", "percent", 0, 100)),
        ("rdb:key:3", At("rdb", "key", 3, 3)),
        ("rdb:key:3..9", At("rdb", "key", 3, 9)),
        ("stream:1kb", At("stream", "bytes", 1024, 1024)),
        ("offset:123", At("offset", "absolute", 123, 123)),
        ("offset:1kb", At("offset", "absolute", 1024, 1024)),
        ("offset:+1kb", At("offset", "relative", 1024, 1024)),
        ("offset:+1b..9b", At("offset", "relative", 1, 9)),
        ("offset:+1b..+9b", At("offset", "relative", 1, 9)),
        ("offset:1..9", At("offset", "absolute", 1, 9)),
    ],
)
def test_places_are_parsed(text: str, at: At) -> None:
    assert At.parse(text) == at


@pytest.mark.parametrize(
    "text",
    [
        "", "rbd", "rdb:", "rdb:x", "rdb:100.1%", "rdb:1000%", "rdb:%", "rdb:9b..1b", "rdb:1b..50%", "rdb:key:0",
        "stream:key:1", "stream:-1b", "stream:50%", "offset", "offset:-1", "offset:" + "1" * 20, "ping:1b",
        "offset:1..+9b",
    ],
)  # fmt: skip
def test_other_words_are_not_places(text: str) -> None:
    with pytest.raises(ConfigError):
        At.parse(text)


def test_a_place_is_drawn_from_all_of_its_range_and_only_from_it() -> None:
    rng = Random(1)
    assert {At.parse("rdb:1b..4b").draw(rng) for _ in range(100)} == {1, 2, 3, 4}
    assert {At.parse("rdb:-3b..-1b").draw(rng) for _ in range(100)} == {-3, -2, -1}
    shares = [At.parse("rdb:10%..20%").draw(rng) for _ in range(200)]
    assert 10 <= min(shares) < 11
    assert 19 < max(shares) <= 20
    assert any(share % 1 for share in shares)
    assert At.parse("rdb:50%").draw(rng) == 50


def test_a_seed_draws_the_same_place_in_every_version() -> None:
    assert At.parse("rdb:10%..90%").draw(Random(7)) == 10 + 80 * Random(7).random()
    assert At.parse("stream:1kb..2kb").draw(Random(7)) == Random(7).randint(1024, 2048)
