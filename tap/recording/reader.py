"""Reads the files of a recording: their packets go to a player, by time, and what cannot be read is kept account of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tap.capture.content import GoesOn
from tap.capture.files import packets
from tap.capture.pcapng import Packet
from tap.recording.comments import check_format
from tap.recording.player import Player

MAX_KINDS = 12  # of packets, that a line names


def play(path: Path, player: Player, goes_on: GoesOn | None = None) -> list[str]:
    """Play what a path stands for, see files.packets(). Returns what of it could not be read, a line each."""
    problems = player.account.problems
    before = len(problems)
    for packet in packets(path, problems, goes_on, check_format):
        player.packet(packet)
    return problems[before:]


def read(paths: Sequence[Path], player: Player, goes_on: GoesOn | None = None) -> Iterator[Packet]:
    """Play all that the paths stand for, by time, and close the player: its account is then complete.

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
    """Why there is nothing to tell of all that was played, if it is so."""
    if player.replicating or player.recorded or not player.packets:
        return None
    count = player.connections
    unseen = [str(one) for one in (player.tls, player.cuts) if one]
    said = "no replication can be seen in it" if unseen else "no replication in it"
    said += f": {count} TCP {'connection' if count == 1 else 'connections'}"
    kinds = [f"{count} {kind}" for kind, count in player.unread.items()]
    if len(kinds) > MAX_KINDS:
        kinds[MAX_KINDS:] = [f"and {len(kinds) - MAX_KINDS} kinds more"]
    if kinds:
        said += f"; packets that hold no readable TCP: {', '.join(kinds)}"
    return "; ".join([said, *unseen])
