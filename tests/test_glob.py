"""Patterns match as in the servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.glob import matcher, prefix
from tests.support import Servers, client


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        (b"user:*", b"user:1", True),
        (b"user:*", b"a user:1", False),
        (b"a?c", b"a\nc", True),
        (b"[a-c]", b"b", True),
        (b"[c-a]", b"b", True),
        (b"[^a]x", b"ax", False),
        (rb"\*", b"*", True),
        (rb"\*", b"a", False),
        (b"[]", b"x", False),
        (b"", b"", True),
    ],
)
def test_a_pattern_matches_its_keys(pattern: bytes, key: bytes, matches: bool) -> None:
    assert matcher(pattern)(key) is matches


def matches_slowly(pattern: bytes, key: bytes) -> bool:
    """For stars and other bytes only."""
    if not pattern:
        return not key
    if pattern[:1] == b"*":
        return matches_slowly(pattern[1:], key) or (bool(key) and matches_slowly(pattern, key[1:]))
    return key[:1] == pattern[:1] and matches_slowly(pattern[1:], key[1:])


@given(st.text("*ab", max_size=9).map(str.encode), st.text("ab", max_size=12).map(str.encode))
def test_stars_match_as_much_as_possible(pattern: bytes, key: bytes) -> None:
    assert matcher(pattern)(key) is matches_slowly(pattern, key)


def test_many_stars_do_not_take_for_ever() -> None:
    assert not matcher(b"*a" * 30 + b"c")(b"a" * 1000)
    assert matcher(b"*a" * 30)(b"a" * 1000)


BYTES = st.text("ab-^[]*?\\", max_size=6).map(str.encode)


def test_patterns_match_as_in_a_real_server(servers: Servers, any_server: str) -> None:
    with client(servers.start(any_server)) as master:

        @given(BYTES, BYTES.filter(bool))
        def same(pattern: bytes, key: bytes) -> None:
            master.flushall()
            master.set(key, b"")
            assert matcher(pattern)(key) is (master.keys(pattern) == [key])

        same()


def test_the_common_prefix_of_matching_keys_is_known() -> None:
    assert prefix([]) == prefix([b"*"]) == prefix([b"user:*", b"order:*"]) == b""
    assert prefix([b"user:*"]) == prefix([b"user:?", b"user:[ab]"]) == b"user:"
    assert prefix([b"user:1", b"user:12"]) == b"user:1"
    assert prefix([rb"us\er"]) == b"us"
