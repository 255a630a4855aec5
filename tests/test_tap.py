"""What a tap keeps of what it has told."""

from __future__ import annotations

import asyncio
import tracemalloc

from tap import Tap
from tap.replication import events


def test_events_that_are_kept_to_be_waited_for_take_bounded_memory() -> None:
    """Each may be as long as a line of the protocol."""

    async def story() -> int:
        async with Tap("127.0.0.1:1") as tap:
            tracemalloc.start()
            try:
                for number in range(2000):
                    reply = f"-{number} " + "x" * 60_000
                    tap.bus.publish("main", 1, "", events.ResyncRefused(start=number, end=number, reply=reply))
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            refused = await tap.wait_for("resync_refused", where=lambda event: event.start > 1900)
            assert refused.start == 1901
            for number in range(20_000):
                tap.bus.publish("main", 1, "", events.SyncRequested(start=number, end=number, inline=True))
            assert (await tap.wait_for("sync_requested")).start > 9000
            return kept

    assert asyncio.run(story()) < 20 * 2**20
