"""A tap whose recording is switched on and off by the lines "1" and "0" on stdin: `python -m tests.bench.switched_tap
MASTER_PORT FILE`. Says its port, and each line again once that is done.

What it records has holes that nobody told it of.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tap import Tap
from tap.relay.sink import ConnectionSink


async def main(master_port: str, path: Path) -> None:
    async with Tap(f"127.0.0.1:{master_port}", record_to=path) as tap:
        print(tap.port, flush=True)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        sinks: dict[int, ConnectionSink | None] = {}
        while line := await lines.readline():
            for link in tap.links:
                sink = sinks.setdefault(link.number, link.sink)
                link.sink = sink if line == b"1\n" else None
            print(line.decode(), end="", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
