"""Reads the files of a recording: plays their packets in order of time, and keeps account of what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tap.capture.content import GoesOn
from tap.capture.files import packets
from tap.capture.pcapng import Packet
from tap.recording.comments import check_format
from tap.recording.player import Player

MAX_KINDS = 12  # kinds of packets named in one line


def play(path: Path, player: Player, goes_on: GoesOn | None = None) -> list[str]:
    """Play the files of a path, see files.packets(). Returns what could not be read in them, a line each."""
    problems = player.account.problems
    before = len(problems)
    for packet in packets(path, problems, goes_on, check_format):
        player.packet(packet)
    return problems[before:]


def read(paths: Sequence[Path], player: Player, goes_on: GoesOn | None = None) -> Iterator[Packet]:
    """Play the files of all paths in order of time, and close the player, which completes its account.

    Yields each packet once it has been played. goes_on: see files.packets().
    """
    for packet in packets(paths, player.account.problems, goes_on, check_format):
        player.packet(packet)
        yield packet
    player.close()
    missing = nothing(player)
    if missing is not None:
        player.account.problems.append(f"{', '.join(map(str, paths))}: {missing}")


def nothing(player: Player) -> str | None:
    """Why nothing that was played can be reported; None if something can."""
    if player.replicating or player.recorded or not player.packets:
        return None
    count = player.connections
    unseen = [str(one) for one in (player.tls, player.cuts) if one]
    said = "no replication can be seen in it" if unseen else "no replication in it"
    said += f": {count} TCP {'connection' if count == 1 else 'connections'}"
    kinds = [f"{count} {kind}" for kind, count in player.unread.items()]
    if len(kinds) > MAX_KINDS:
        kinds[MAX_KINDS:] = [f"and {len(kinds) - MAX_KINDS} more kinds"]
    if kinds:
        said += f"; packets that hold no readable TCP: {', '.join(kinds)}"
    return "; ".join([said, *unseen])
