"""Sentences about things that a recording does not have."""

from __future__ import annotations

import pytest

from tap.recording.inventory import MAX_NOTED, SHOWN, Inventory, lacks_dbs


def there() -> Inventory:
    one = Inventory()
    one.link("eu", 1)
    one.link("eu", 2)
    one.link("us", 3)
    return one


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["eu"], None),
        (["eu/2", "us"], None),
        ([], None),
        (["asia"], "--link asia: not in it; its links: eu, us"),
        (["eu/3"], "--link eu/3: not in it; of that link it has eu/1, eu/2"),
        (["asia/1"], "--link asia/1: not in it; its links: eu, us"),
        (["us/1", "eu/3"], "--link eu/3, us/1: not in it; its links: eu, us"),
    ],
)
def test_absent_links_are_reported(asked: list[str], said: str | None) -> None:
    assert there().lacks_links(asked) == said


def test_an_empty_recording_has_no_sentences() -> None:
    one = Inventory()
    assert one.lacks_links(["eu"]) is None
    assert one.lacks_dbs([3]) is None
    assert one.lacks_names(["SET"]) is None
    assert one.lacks_places([3]) is None


def test_long_lists_are_cut() -> None:
    for count in (SHOWN, SHOWN + 1, SHOWN + 5):
        one = Inventory()
        for number in range(count):
            one.link(f"l{number}", 1)
        said = one.lacks_links(["x"])
        assert said is not None
        assert said.count(",") == SHOWN - 1
        assert said.endswith(f"l{SHOWN - 1}" if count == SHOWN else f" and {count - SHOWN} more")


def test_absent_dbs_and_names_are_reported() -> None:
    one = Inventory()
    one.command(0, "SET")
    one.command(3, "HSET")
    one.command(None, "DEL")
    assert one.lacks_dbs([0, 3]) is None
    assert one.lacks_dbs([5, 4, 0]) == "--db 4,5: no command was executed in it; its dbs: 0, 3"
    assert lacks_dbs([1], []) == "--db 1: no command was executed in it"
    assert one.lacks_names(["SET"]) is None
    assert one.lacks_names(["GTE", "HSTE"]) == "its commands: DEL, HSET, SET. Did you mean 'HSET'?"


def test_endless_names_are_not_kept() -> None:
    one = Inventory()
    for number in range(MAX_NOTED + 5):
        one.command(number, f"N{number}")
    assert len(one._names) == len(one._dbs) == MAX_NOTED
    assert one.lacks_names([f"N{MAX_NOTED - 1}"]) is None
    assert one.lacks_names([f"N{MAX_NOTED}"]) is not None


def test_commands_without_a_db_are_counted() -> None:
    one = Inventory()
    one.has_no_place("PING")
    assert one.lacks_places([3]) is None
    one.has_no_place("SET")
    assert one.lacks_places([4, 3]) == (
        "--db 3,4: the db of 1 command is not known, as the recording has no SELECT before it; it is left out"
    )
    one.has_no_place("DEL")
    assert one.lacks_places([3]) == (
        "--db 3: the db of 2 commands is not known, as the recording has no SELECT before them; they are left out"
    )
