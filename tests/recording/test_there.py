"""Sentences for who asks for what a recording does not have, and packets that it has without their ends."""

from __future__ import annotations

import json

import pytest

from tap.recording.cuts import Cuts
from tap.recording.parts import CLOCK_SET, MIXED_UP, Steps
from tap.recording.pcapng import Packet
from tap.recording.state import LinkState, as_comment, from_comment
from tap.recording.there import MAX_NOTED, SHOWN, There, lacks_dbs


def there() -> There:
    one = There()
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
def test_links_that_are_not_there(asked: list[str], said: str | None) -> None:
    assert there().lacks_links(asked) == said


def test_of_nothing_nothing_is_said() -> None:
    one = There()
    assert one.lacks_links(["eu"]) is None
    assert one.lacks_dbs([3]) is None
    assert one.lacks_names(["SET"]) is None
    assert one.lacks_places([3]) is None


def test_only_so_many_are_listed() -> None:
    for count in (SHOWN, SHOWN + 1, SHOWN + 5):
        one = There()
        for number in range(count):
            one.link(f"l{number}", 1)
        said = one.lacks_links(["x"])
        assert said is not None
        assert said.count(",") == SHOWN - 1
        assert said.endswith(f"l{SHOWN - 1}" if count == SHOWN else f" and {count - SHOWN} more")


def test_dbs_and_names_that_are_not_there() -> None:
    one = There()
    one.command(0, "SET")
    one.command(3, "HSET")
    one.command(None, "DEL")
    assert one.lacks_dbs([0, 3]) is None
    assert one.lacks_dbs([5, 4, 0]) == "--db 4,5: no command was executed in it; its dbs: 0, 3"
    assert lacks_dbs([1], []) == "--db 1: no command was executed in it"
    assert one.lacks_names(["SET"]) is None
    assert one.lacks_names(["GTE", "HSTE"]) == "its commands: DEL, HSET, SET. Did you mean 'HSET'?"


def test_names_without_end_are_not_kept() -> None:
    one = There()
    for number in range(MAX_NOTED + 5):
        one.command(number, f"N{number}")
    assert len(one._names) == len(one._dbs) == MAX_NOTED
    assert one.lacks_names([f"N{MAX_NOTED - 1}"]) is None
    assert one.lacks_names([f"N{MAX_NOTED}"]) is not None


def test_commands_without_a_db() -> None:
    one = There()
    one.has_no_place("PING")
    assert one.lacks_places([3]) is None
    one.has_no_place("SET")
    assert one.lacks_places([4, 3]) == (
        "--db 3,4: the db of 1 command is not known, for the recording has no SELECT before it; it is left out"
    )
    one.has_no_place("DEL")
    assert one.lacks_places([3]) == (
        "--db 3: the db of 2 commands is not known, for the recording has no SELECT before them; they are left out"
    )


# ---- packets without their ends ----


def packet(size: int, kept: int) -> Packet:
    return Packet(time=0, data=bytes(kept), size=size, link_type=1)


def test_packets_that_were_cut() -> None:
    cuts = Cuts()
    assert not cuts
    assert str(cuts) == ""
    cuts.add(packet(100, 96))
    assert cuts
    assert str(cuts) == "1 packet was cut to 96 bytes: capture with -s 0 (tcpdump, dumpcap, tshark)"
    cuts.add(packet(200, 64))
    cuts.add(packet(50, 50))
    assert str(cuts) == (
        "2 packets were cut to 96 bytes: capture with -s 0 (tcpdump, dumpcap, tshark); 1 packet was cut by what mirrored "
        "them: let it send them whole"
    )


# ---- captures that were appended ----


@pytest.mark.parametrize(
    ("times", "parts"),
    [
        ([5, 6, 7], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 9], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 9 - 1], [0, 0, 0]),  # more, but little of what has passed
        ([0, MIXED_UP * 10, MIXED_UP * 5], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 5 - 1], [0, 0, 1]),  # more than half of it
        ([0, MIXED_UP, 0], [0, 0, 0]),
        ([0, MIXED_UP + 1, 0], [0, 0, 1]),
        ([0, CLOCK_SET * 10, CLOCK_SET * 9], [0, 0, 0]),
        ([0, CLOCK_SET * 10, CLOCK_SET * 9 - 1], [0, 0, 1]),  # too much for a clock that is set
        ([0, CLOCK_SET, 0, CLOCK_SET, 0], [0, 0, 1, 1, 2]),
        ([CLOCK_SET, 0], [0, 1]),
    ],
)
def test_where_a_capture_begins_anew(times: list[int], parts: list[int]) -> None:
    steps = Steps()
    assert [steps.part(time) for time in times] == parts


# ---- what a file says of a link ----


def test_a_state_is_read_as_it_was_written_and_other_comments_are_none() -> None:
    state = LinkState(
        time=1.5, link="eu", connection=3, replica="r:1", peer="p:2", master="m:3", standing=None, begins=False,
        said=({"event": "secured"},), held=7, lost=(10, 20),
    )  # fmt: skip
    said = json.loads(as_comment(state))
    assert from_comment(said) == state
    assert (state.from_replica, state.from_master) == (10, 20)
    assert from_comment({"event": "other"}) is None
    assert from_comment({}) is None
    for name in ("time", "link", "begins", "standing"):
        assert from_comment({key: value for key, value in said.items() if key != name}) is None
