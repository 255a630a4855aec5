"""Connections that wait under names for another one."""

from __future__ import annotations

from tap.replication.rendezvous import MAX_WAITING, Rendezvous


def test_a_connection_waits_for_another_one() -> None:
    meeting: Rendezvous[object] = Rendezvous()
    first, second = object(), object()
    meeting.wait("id:1", first)
    meeting.wait("r:1", first)
    meeting.wait("id:2", second)
    assert meeting.named("id:1") is meeting.named("r:1") is first
    assert meeting.named("id:3") is None
    assert meeting.keys_of(first) == ("id:1", "r:1")
    assert meeting.all() == [first, second]
    meeting.leave(first)
    assert meeting.all() == [second]
    assert meeting.keys_of(first) == ()


def test_the_oldest_name_is_forgotten_first() -> None:
    meeting: Rendezvous[object] = Rendezvous()
    all_of_them = [object() for _ in range(MAX_WAITING + 1)]
    for number, one in enumerate(all_of_them):
        meeting.wait(f"id:{number}", one)
    assert meeting.named("id:0") is None
    assert meeting.all() == all_of_them[1:]
