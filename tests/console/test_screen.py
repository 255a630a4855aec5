"""The live view as it is drawn, at two sizes."""

from __future__ import annotations

import dataclasses

import pytest

from tap.console.screen import Line
from tests.console.telling import ID, a_frame, drawn


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 30), (200, 60), (60, 12), (40, 20), (80, 5)])
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_the_live_view_fits_its_terminal(width: int, height: int, count: int) -> None:
    replicas = [
        Line(f"10.0.0.{number}:6379", "main", "stream", ID, 10**12, 10**6, 0.25, rates=tuple(range(500)))
        for number in range(count)
    ]
    lines = drawn(a_frame(*replicas), width, height)
    text = "\n".join(lines)
    assert max(len(line) for line in lines) <= width
    if height >= 12:
        assert len(lines) <= height
    red = dataclasses.replace(a_frame(*replicas), recording="day_00001.pcapng", trouble="the disk is full; 5 bytes lost")
    lines = drawn(red, width, height)
    assert max(len(line) for line in lines) <= width
    assert "RECORDING" in lines[1]
    if height >= 12:
        assert len(lines) <= height
    waiting = [dataclasses.replace(one, phase="waiting", waited=4000.0) for one in replicas]
    assert max(len(line) for line in drawn(a_frame(*waiting), width, height)) <= width
    if height >= 24:
        assert "first_sync" in text
        if 0 < count < 40:
            assert "SET" in text
            assert "█" in text
            assert str(10**12) in text
            assert ID[:13] in text


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_silent_side_a_lower_bound_and_a_fault_that_holds_are_seen(width: int) -> None:
    line = Line("10.0.0.7:6379", "main", "stream", ID, 10**12, 8 * 2**20, 22.0, lag_at_least=True)
    assert "≥ 8.0 MB 22.0 s" in "\n".join(drawn(a_frame(line), width, 24))
    silent = dataclasses.replace(line, silent_side="master", silence=22.4)
    assert "master silent 22 s" in "\n".join(drawn(a_frame(silent), width, 24))
    ends = dataclasses.replace(line, silent_side="replica", silence=7.0, timeout_in=53.0)
    assert "no ACK 7 of 60 s" in "\n".join(drawn(a_frame(ends), width, 24))
    loading = dataclasses.replace(ends, phase="loading", timeout_in=None)
    assert "replica silent 7 s" in "\n".join(drawn(a_frame(loading), width, 24))
    assert "stream, held" in "\n".join(drawn(a_frame(dataclasses.replace(line, is_held=True)), width, 24))


def test_spare_room_goes_to_the_replication_id() -> None:
    line = Line("10.0.0.7:6379", "main", "stream", ID, 10**12, 10**6, 0.25)
    assert ID in "\n".join(drawn(a_frame(line), 110, 24))
    assert ID[:13] in "\n".join(drawn(a_frame(Line("[fd00:1234:5678:9abc::1]:6379", "main", replid=ID)), 71, 24))
