"""Which keys of a side are read."""

from __future__ import annotations

from tap.operate.comparison.job import Filter


def test_a_filter_takes_dbs_and_patterns() -> None:
    assert Filter().function() is None
    wanted = Filter((0, 3), (b"a*", b"b?")).function()
    assert wanted is not None
    assert [wanted(*one) for one in ((0, b"ab"), (3, b"bc"), (1, b"ab"), (0, b"bcd"))] == [True, True, False, False]
