"""What a replica lacked at a partial resync: bounds from a pause, or from another connection to the master."""

from __future__ import annotations

import pytest

from tap.replication.catching_up import ELSEWHERE_SECONDS, CatchingUp, Lacked
from tap.replication.events import CaughtUp, Event, PartialResync
from tap.replication.memory import Memory
from tests.replication.talk import ID, PING, Talk


def measured(
    one: CatchingUp, *received: int, passed_at: float | None = 0.01, held_back: bool = False
) -> tuple[int, Lacked] | None:
    """The number of the tick that measures, and what; received: at each, the last one again and again."""
    for number in range(30):
        came = received[min(number, len(received) - 1)]
        found = one.measured(came, passed_at, (number + 1) / 10, held_back=held_back, written=None)
        if found is not None:
            return number + 1, found
    return None


@pytest.mark.parametrize(("least", "exactly"), [(0, None), (300, None), (700, 700)])
def test_what_comes_before_a_pause_is_an_upper_bound(least: int, exactly: int | None) -> None:
    """Even if it comes at once: a write may have followed the grant by a millisecond."""
    said = measured(CatchingUp(0.0, least), 100, 700)
    assert said == (2 + CatchingUp.PAUSE_TICKS, Lacked(exactly, least, 700, 0.01, "wire"))


def test_what_the_master_says_after_the_grant_is_an_upper_bound() -> None:
    one = CatchingUp(10.0, 40)
    one.told(90, 9.9)  # asked before the grant: it may have written more until then
    one.told(70, 10.1)
    one.told(500, 11.1)
    assert one.measured(60, 10.2, 11.2, held_back=True, written=None) is None
    found = one.measured(70, 11.3, 11.5, held_back=True, written=None)
    assert found is not None
    assert (found.bytes, found.at_least, found.at_most, found.known_from) == (None, 40, 70, "master")


def test_a_replica_that_lacked_nothing() -> None:
    assert measured(CatchingUp(0.0, 0), 0, passed_at=None) == (1 + CatchingUp.PAUSE_TICKS, Lacked(0, 0, 0, 0.0, "wire"))


def test_a_pause_before_all_has_come_that_is_known_to_be_lacked_is_none() -> None:
    assert measured(CatchingUp(0.0, 701), 700) is None


def test_without_a_pause_nothing_is_said() -> None:
    assert measured(CatchingUp(0.0, 0), *range(100, 40_000, 100)) is None


def test_while_the_master_is_not_read_nothing_is_said() -> None:
    assert measured(CatchingUp(0.0, 0), 100, held_back=True) is None


def test_another_connection_tells_without_a_pause() -> None:
    """But not before it has brought something after all that was written before the grant."""
    one = CatchingUp(0.0, 150)

    def at(moment: float, received: int, written: int) -> Lacked | None:
        return one.measured(received, moment, moment, held_back=False, written=written)

    assert at(ELSEWHERE_SECONDS * 0.9, 50, 190) is None
    assert at(ELSEWHERE_SECONDS, 100, 200) is None
    assert at(0.2, 150, 200) is None
    assert at(0.3, 200, 240) is None
    assert at(0.4, 250, 270) == Lacked(None, 150, 240, 0.4, "link")


# ---- in a conversation ----


def asks(offset: int) -> bytes:
    return f"PSYNC {ID} {offset + 1}\r\n".encode()


GRANT = f"+CONTINUE {ID}\r\n".encode()


def of(told: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in told if isinstance(event, kind)]


def test_a_partial_resync_is_told_with_its_line_and_what_was_lacked_later() -> None:
    talk = Talk().R(asks(100)).M(GRANT)
    assert talk.kinds()[-2:] == ["partial_resync", "stream_started"]
    (resync,) = of(talk.told, PartialResync)
    assert isinstance(resync, PartialResync)
    assert (resync.bytes_behind, resync.bytes_behind_at_least) == (None, 0)
    talk.M(PING * 3).quiet()
    (caught_up,) = of(talk.told, CaughtUp)
    start = len(GRANT)
    assert caught_up == CaughtUp(
        start=start,
        end=start + 42,
        offset=142,
        bytes=None,
        at_least=0,
        at_most=42,
        seconds=0.0,
        known_from="wire",
    )


def pair(master: str = "m:1", other: str = "m:1") -> tuple[Talk, Talk]:
    """A replica that has been passed 280 bytes after offset 100, and one of another link, which asks."""
    memory = Memory("a", master=master)
    first = Talk(memory).R(asks(100)).M(GRANT + PING * 20)
    second = Talk(Memory("b", memory, master=other)).R(asks(100))
    return first, second


def test_another_link_to_the_same_master_bounds_what_a_replica_lacked() -> None:
    first, second = pair()
    first.M(PING)
    second.M(GRANT)
    (resync,) = of(second.told, PartialResync)
    assert isinstance(resync, PartialResync)
    assert resync.bytes_behind_at_least == 280, "what was known when it asked"
    for tick in range(10):
        first.M(PING)
        second.M(PING * 9)
        for one in (first, second):
            one.conversation.tick(tick / 10)
    (caught_up,) = of(second.told, CaughtUp)
    assert isinstance(caught_up, CaughtUp)
    assert (caught_up.bytes, caught_up.at_least, caught_up.at_most) == (None, 280, 280 + 4 * 14)
    assert caught_up.known_from == "link"


def test_a_link_to_another_master_says_nothing_of_this_one() -> None:
    first, second = pair(other="m:2")
    first.M(PING)
    second.M(GRANT)
    (resync,) = of(second.told, PartialResync)
    assert isinstance(resync, PartialResync)
    assert resync.bytes_behind_at_least == 0


def test_a_link_that_is_held_back_does_not_show_what_its_master_has_written() -> None:
    first, second = pair()
    second.M(GRANT)
    for tick in range(10):
        second.M(PING * 9)
        first.conversation.tick(tick / 10, held_back=True)
        second.conversation.tick(tick / 10)
    assert not of(second.told, CaughtUp)


def test_a_history_that_another_id_took_over_bounds_nothing() -> None:
    """The former master may have written on beyond the place at which this one took over."""
    _, second = pair()
    second.M(f"+CONTINUE {'f' * 40}\r\n".encode())
    (resync,) = of(second.told, PartialResync)
    assert isinstance(resync, PartialResync)
    assert resync.bytes_behind_at_least == 0


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_the_story_is_the_same_at_every_split(size: int) -> None:
    def story(pieces: list[bytes]) -> list[Event]:
        talk = Talk().R(asks(100))
        for piece in pieces:
            talk.M(piece)
        return talk.quiet().told

    whole = GRANT + PING * 9 + PING[:5]
    assert story([whole[at : at + size] for at in range(0, len(whole), size)]) == story([whole])
