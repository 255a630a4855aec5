"""Names in columns that are too narrow for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tap.console.elision import apart


def test_a_name_that_fits_stays_whole() -> None:
    assert apart(["main", "other"], 5) == {"main": "main", "other": "other"}


def test_a_long_name_loses_its_middle() -> None:
    names = [f"shard-orders-eu-central-{number}" for number in range(1, 4)]
    assert list(apart(names, 12).values()) == ["shard-…ral-1", "shard-…ral-2", "shard-…ral-3"]


def test_names_that_differ_in_the_middle_are_shown_from_there() -> None:
    names = [f"shard-orders-{place}-of-the-production" for place in ("paris", "rome", "oslo")]
    shown = apart(names, 14)
    assert list(shown.values()) == ["sha…paris-of-…", "sha…rome-of-t…", "sha…oslo-of-t…"]


def test_names_that_differ_at_several_places_are_told_apart() -> None:
    names = [f"begin-{one}-{'x' * 30}-{two}-{'y' * 30}" for one in "ab" for two in "cd"]
    shown = apart(names, 12)
    assert len(set(shown.values())) == 4


@given(
    st.lists(st.text(st.sampled_from("ab-é漢"), max_size=40), max_size=12),
    st.integers(8, 30),
)
def test_names_fit_and_differ(names: list[str], width: int) -> None:
    shown = apart(names, width)
    assert set(shown) == set(names)
    assert len(set(shown.values())) == len(set(names))
    assert all(cell_len(form) <= width for form in shown.values())
