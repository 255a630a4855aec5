"""The keys of most weight: exact where possible, otherwise within the stated bounds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.recording.frequent_keys import DbKey, Frequent


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=300), st.integers(1, 8))
def test_a_key_weighs_what_is_stated_or_a_little_more(weighed: list[tuple[int, int]], limit: int) -> None:
    exact: Counter[DbKey] = Counter()
    frequent = Frequent(limit)
    for number, weight in weighed:
        key: DbKey = (0, b"%d" % number)
        exact[key] += weight
        frequent.add([(key, weight)])
        assert len(frequent) <= 2 * limit
    told = frequent.top(100)
    assert [weight for _, weight, _ in told] == sorted((weight for _, weight, _ in told), reverse=True)
    for one, weight, missed in told:
        assert weight <= exact[one] <= weight + missed
    kept = {key for key, _, _ in told}
    assert all(weight <= frequent.error for key, weight in exact.items() if key not in kept)
    assert frequent.error <= exact.total() / limit
    if len(exact) <= 2 * limit:
        assert dict(exact) == {key: weight for key, weight, missed in told if not missed}


@pytest.mark.parametrize(("limit", "kept", "error"), [(2, {2: 9, 4: 5}, 4), (3, {0: 1, 1: 2, 2: 9, 3: 4, 4: 5}, 0)])
def test_the_rarest_keys_are_dropped_at_twice_the_limit(limit: int, kept: dict[int, int], error: int) -> None:
    frequent = Frequent(limit)
    frequent.add([((0, b"%d" % number), weight) for number, weight in enumerate((1, 2, 9, 4, 5))])
    assert {int(key): weight for (_, key), weight, _ in frequent.top(9)} == kept
    assert frequent.error == error
    frequent.add([((0, b"0"), 1)])
    assert {int(key): missed for (_, key), _, missed in frequent.top(9)}[0] == error
    for number in range(100):
        frequent.add([((0, b"%d" % number), number)])
        assert frequent._missed.keys() <= frequent._counts.keys()  # nothing is kept of a key that was dropped
