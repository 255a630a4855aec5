"""The shares of rooms, and their table."""

from __future__ import annotations

from tests.coverage.shares import Share, by_room, table


def summary(lines: int, of: int, branches: int, all_branches: int) -> dict[str, int]:
    """As coverage.py's JSON has it, of which only these figures are read."""
    return {
        "covered_lines": lines,
        "num_statements": of,
        "covered_branches": branches,
        "num_branches": all_branches,
        "missing_lines": of - lines,
    }


def test_modules_are_summed_up_by_room_however_deep_they_stand() -> None:
    rooms = by_room(
        {
            "tap/faults/lane.py": summary(90, 100, 30, 40),
            "tap/faults/kinds/cut.py": summary(10, 10, 10, 10),
            "tap/tap.py": summary(1, 2, 0, 0),
            "tap/bus.py": summary(1, 2, 1, 4),
        }
    )
    assert rooms == {"faults": Share(100, 110, 40, 50), "beside": Share(2, 4, 1, 4)}
    assert str(rooms["faults"]) == "90.9 % of lines and 80.0 % of branches"


def test_the_table_has_a_row_for_each_room_by_name_and_one_for_all() -> None:
    rooms = {"relay": Share(1, 2, 1, 4), "faults": Share(3000, 3000, 2999, 3000)}
    assert table(rooms).splitlines() == [
        "| room | lines | branches | branches that never ran |",
        "| --- | --- | --- | --- |",
        "| faults | 100.0 % | 99.9 % | 1 of 3,000 |",
        "| relay | 50.0 % | 25.0 % | 3 of 4 |",
        "| all | 99.9 % | 99.8 % | 4 of 3,004 |",
    ]


def test_a_share_is_never_rounded_up_to_all() -> None:
    assert str(Share(9999, 10_000, 99_999, 100_000)) == "99.9 % of lines and 99.9 % of branches"


def test_of_nothing_all_ran() -> None:
    assert (Share().lines, Share().branches) == (100, 100)
    assert table({}).splitlines()[-1] == "| all | 100.0 % | 100.0 % | 0 of 0 |"
