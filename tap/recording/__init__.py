"""Reads a recording, or any capture of replication links: its links, events and commands.

    with tap.recording.open("link.pcapng") as recording:
        for command in recording.commands(key="user:*"):
            print(command.time, command.offset, command.name, command.args)

The way of a packet, from the bytes of a file to a line of `redis-tap show`:

    capture/files.py       which files there are, and in which order; their packets, by time
    recording/reader.py    gives each packet to a player, and keeps account of what cannot be read
    recording/player.py    the player: passes the time until the packet
    recording/comments.py  what a tap says in the comments of the packet
    capture/layers.py      the TCP segment in the packet
    capture/assembly.py    what that segment brings: bytes in order, gaps, beginnings and ends of connections
    recording/played.py    one connection: which end is the replica (sides.py), what may be reported (held_events.py),
                           where to read on after a gap (rejoining.py), what cannot be reported (gap_tracker.py)
    replication/           the conversation: bytes become events
    console/lines.py       an event becomes a line, if filters.py wants it

recording.py is the door for programs. missing.py keeps account of what could not be reported. history.py finds in a
recording what a master had, and choice.py which part of it is meant. filters.py and moments.py are the questions,
stats.py is an answer in bounded memory.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap.recording.link import Link
    from tap.recording.missing import Missing
    from tap.recording.recording import Command, Recording, open  # noqa: A004

__all__ = ["Command", "Link", "Missing", "Recording", "open"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: a tap that only relays reads no recording."""
    if name in __all__:
        from tap.recording import recording

        return getattr(recording, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
