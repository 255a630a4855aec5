"""Names in columns that are too narrow for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tap.console.elision import apart


def test_a_name_that_fits_stays_whole() -> None:
    assert apart(["main", "other"], 5) == {"main": "main", "other": "other"}


def test_a_long_name_loses_its_middle() -> None:
    assert apart(["shard-orders-eu-central-1", "main"], 12) == {
        "shard-orders-eu-central-1": "shard-…ral-1",
        "main": "main",
    }
    names = [f"shardOrdersEuCentral{number}" for number in range(1, 4)]
    assert list(apart(names, 12).values()) == ["shardO…tral1", "shardO…tral2", "shardO…tral3"]


def test_words_that_all_names_have_are_left_out_from_the_middle_on() -> None:
    names = [f"shard-orders-{place}-central-{number}" for place in ("eu", "us") for number in (1, 2)]
    assert list(apart(names, 23).values()) == [
        "shard-orders-eu-…-1",
        "shard-orders-eu-…-2",
        "shard-orders-us-…-1",
        "shard-orders-us-…-2",
    ]
    assert next(iter(apart(names, 15).values())) == "shard-…-eu-…-1"
    assert apart(names, 10)[names[3]] == "…-us-…-2"


def test_names_that_differ_in_the_middle_are_shown_from_there() -> None:
    names = [f"shardOrders{place}OfTheProduction" for place in ("Paris", "Rome", "Oslo")]
    assert list(apart(names, 14).values()) == ["sha…ParisOfTh…", "sha…RomeOfThe…", "sha…OsloOfThe…"]


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
