"""The table of phases, read aloud."""

from __future__ import annotations

import pytest

from tap.replication.phase import AS_MAIN, NEXT, REPLIES, Phase

VIEWS = {Phase.LOADING}  # no byte of a connection begins it


def test_every_phase_but_a_view_can_be_reached_and_has_its_successors() -> None:
    assert set(NEXT) == set(Phase) - VIEWS
    assert set().union(*NEXT.values()) == set(Phase) - VIEWS - {Phase.CONNECT}
    assert set(AS_MAIN) | set(AS_MAIN.values()) <= set(Phase)


@pytest.mark.parametrize("phase", [phase for phase in NEXT if phase is not Phase.ORDINARY])
def test_understanding_can_end_everywhere_and_never_comes_back(phase: Phase) -> None:
    assert phase is Phase.OPAQUE or Phase.OPAQUE in NEXT[phase]
    assert not NEXT[Phase.OPAQUE]


def test_after_the_data_have_begun_no_reply_is_waited_for() -> None:
    for phase in (Phase.RDB, Phase.STREAM, Phase.DONE):
        assert not NEXT[phase] & set(REPLIES)
