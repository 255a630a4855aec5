"""Which replication ID continues which, and up to where both are one history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tap.replication.events import PartialResync
from tap.replication.succession import Succession

A, B, C = "a" * 40, "b" * 40, "c" * 40


def promoted_twice() -> Succession:
    one = Succession()
    one.continues(B, A, 100)
    one.continues(C, B, 70)
    return one


def test_the_highest_offset_that_a_connection_showed_is_the_branch() -> None:
    one = Succession()
    assert one.continues(B, A, 50) == -1
    assert one.continues(B, A, 40) is None
    assert one.continues(B, A, 60) == 50
    assert one.branches(B) == [60]
    assert one.parent(B) == A
    assert one.parent(A) is None


def test_a_partial_resync_with_both_ids_and_the_offset_shows_it() -> None:
    def resync(replid: str | None, previous: str | None, offset: int | None) -> PartialResync:
        return PartialResync(start=0, end=1, replid=replid, previous_replid=previous, offset=offset, bytes_behind=0)

    one = Succession()
    for lacking in (resync(None, A, 1), resync(B, None, 1), resync(B, A, None)):
        assert one.heard(lacking) is None
    assert one.heard(resync(B, A, 1)) == -1
    assert one.parent(B) == A


def test_an_id_continues_one_other_and_not_itself_or_in_a_circle() -> None:
    one = promoted_twice()
    assert one.continues(B, C, 90) == one.continues(B, B, 90) == one.continues(A, C, 60) is None
    assert [one.parent(replid) for replid in (A, B, C)] == [None, A, B]


def test_a_lineage_is_the_same_up_to_the_lowest_branch_on_the_way() -> None:
    one = promoted_twice()
    assert list(one.lineage(C)) == [(C, None), (B, 70), (A, 70)]
    assert list(one.lineage(B)) == [(B, None), (A, 100)]
    assert one.branches(C) == [70, 100]


def test_a_byte_belongs_to_the_oldest_id_that_has_it() -> None:
    one = promoted_twice()
    assert [one.home(C, end) for end in (70, 71, 100)] == [A, C, C]
    assert [one.home(B, end) for end in (100, 101)] == [A, B]


def test_ids_are_the_same_in_both_directions_and_side_by_side() -> None:
    one = promoted_twice()
    assert one.same_until(A, 70) == one.same_until(C, 70) == {A, B, C}
    assert one.same_until(A, 71) == {A, B}
    assert one.same_until(A, 101) == {A}
    one.continues(C, B, 90)  # even after it was asked before
    assert one.same_until(A, 90) == {A, B, C}


IDS = st.sampled_from("abcdef")


@given(st.lists(st.tuples(IDS, IDS, st.integers(0, 9)), max_size=30), IDS, st.integers(0, 9))
def test_whatever_is_heard_all_answers_end_and_agree(said: list[tuple[str, str, int]], replid: str, end: int) -> None:
    one = Succession()
    for child, parent, offset in said:
        one.continues(child, parent, offset)
    same = [known for known, limit in one.lineage(replid) if limit is None or end <= limit]
    assert one.home(replid, end) == same[-1]
    assert set(same) <= one.same_until(replid, end)
    assert len(one.branches(replid)) == len(list(one.lineage(replid))) - 1


def test_of_too_many_ids_the_first_is_forgotten() -> None:
    one = Succession(2)
    for number in range(4):
        one.continues(f"{number + 1}", f"{number}", 10)
    assert [one.parent(f"{number}") for number in range(1, 5)] == [None, None, "2", "3"]
