"""Both directions of an ordinary connection, and how another tap goes on from where one stood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tap.replication.passing import Passing
from tap.replication.reply_counter import ReplyCounter
from tests.replication.framing import CUTS, PSYNC, REPLIES, REQUESTS, pieces


@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4), st.lists(st.sampled_from(REPLIES), max_size=4), CUTS)
def test_another_follower_can_continue_from_a_standing(
    asked: list[tuple[bytes, int]], said: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    requests, replies = (b"".join(data for data, _ in some) for some in (asked, said))
    whole = Passing(0, 0, ReplyCounter())
    other = Passing(0, 0, ReplyCounter())
    for one, two in zip(pieces(requests + PSYNC[:7], cuts), pieces(replies, cuts), strict=False):
        for passing_by in (whole, other):
            assert passing_by.from_replica(one) is None
            assert passing_by.from_master(two) == len(two)
        standing, other = other.standing(), Passing(0, 0, ReplyCounter())
        other.stand(standing)
        assert other.standing() == whole.standing() == standing


def test_a_master_may_be_skipped_anywhere_and_the_count_is_lost() -> None:
    passing = Passing(0, 2, ReplyCounter())
    assert (passing.skippable(True), passing.skippable(False)) == (float("inf"), 0)
    passing.skip(True, 1)
    assert passing.unanswered == 0
    assert passing.is_between_replies
