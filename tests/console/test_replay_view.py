"""The view of a recording that is played to replicas."""

from __future__ import annotations

import math
import re
from pathlib import Path

from tap.console.replay_view import ReplayView, announcement
from tap.console.terminal import Terminal
from tests.replay.support import Playing, captured, peer
from tests.support import wait_until


def test_the_bar_shows_the_played_part_and_the_progress_of_each_replica(tmp_path: Path) -> None:
    console = Terminal(width=80, record=True)

    def drawn() -> str:
        console.print(view.draw())
        return console.export_text()

    with Playing(captured("redis-7.0-diskless", tmp_path / "one.pcapng"), speed=math.inf) as playing:
        master = playing.master
        view = ReplayView(master, console)
        part = master.part
        assert f"as the master of an RDB ({part.rdb_size} B, REDIS0010) and {part.end} B of the stream, " in announcement(
            master
        )
        assert "begins once a replica has the RDB" in drawn()
        with peer(master.port) as replica:
            replica.ask("REPLCONF", "listening-port", "6399")
            replica.ask("PSYNC", "?", "-1")
            replica.rdb()
            wait_until(lambda: "127.0.0.1:6399" in (said := drawn()) and "loads the RDB" in said)
            replica.acknowledge(part.end - 10)
            wait_until(lambda: f"acknowledged {part.end - 10}, 10 B behind" in drawn())
            assert f"offset {part.end}" in drawn()
            assert re.search(
                r"played +[━╸]+ .*, at the end *\n127\.0\.0\.1:6399 [━╸]+ acknowledged .* behind *\n$", drawn()
            )
            assert max(len(line) for line in drawn().splitlines()) == 78
