"""Resyncs as the servers count them, over all their processes."""

from __future__ import annotations

import asyncio
from typing import Any

from tap.scenario.tally import Tally
from tests.scenario.nodes import Node


def stats(full: int, partial: int) -> dict[str, Any]:
    return {"sync_full": str(full), "sync_partial_ok": str(partial), "sync_partial_err": "9"}


def test_resyncs_are_counted_from_the_beginning_and_over_restarts() -> None:
    async def story() -> None:
        one: Any = Node("master", stats(5, 3), stats(6, 3), stats(7, 4), stats(2, 1), stats(4, 1))
        other: Any = Node("replica", stats(0, 9))
        tally = Tally()
        await tally.begin([one, other])
        assert await tally.grown(one) == (1, 0)
        await tally.remember(one)  # at 7 and 4: it is about to end
        assert await tally.grown(one) == (2 + 2, 1 + 1)
        assert await tally.grown(one) == (2 + 4, 1 + 1)
        assert await tally.grown(other) == (0, 0)

    asyncio.run(story())


def test_a_process_that_ends_twice_is_remembered_twice() -> None:
    async def story() -> None:
        one: Any = Node("master", stats(1, 1), stats(3, 1), stats(4, 2), stats(1, 0))
        tally = Tally()
        await tally.begin([one])
        await tally.remember(one)
        await tally.remember(one)
        assert await tally.grown(one) == (2 + 4 + 1, 0 + 2 + 0)

    asyncio.run(story())
