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
                           where to read on after a gap (rejoining.py), the offset of a stream whose beginning is not
                           in the capture (quiet_offset.py), what cannot be reported (gap_tracker.py)
    replication/           the conversation: bytes become events
    console/lines.py       an event becomes a line, if filters.py wants it

Beside that way:

    recording, link           the door for programs: a recording, and a summary of one connection
    missing, offset_spans     what could not be reported; which offsets were seen
    role_evidence             which end is the replica, without the beginning of the connection
    announcements             what comments say of a connection, kept until its packet comes
    held_bytes                bytes that may be recorded, until the connection is known to replicate
    boundary                  where a command begins, in a stream whose start was not captured
    seen_commands             the same command on another connection
    ticking                   which connections need a tick of the clock
    playing, byte_observer    interfaces: of a played connection with its player; of what receives a master's bytes
    history, copying          the index of a recording: which RDBs and stretches of the stream it has; copies them out
    choice, inventory         which part of that is meant; which links, dbs and commands there are, when nothing fits
    question                  what is asked of a recording as a whole, and what the answer lacks
    filters, moments          which part of it: links, keys, offsets; times
    stats                     an answer in bounded memory, from batches of commands (batch.py)
    traffic, frequent_keys    its parts: bytes over time; the keys of most weight
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
