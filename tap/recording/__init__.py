"""Reads a recording, or any capture of replication links: its links, events and commands.

    with tap.recording.open("link.pcapng") as recording:
        for command in recording.commands(key="user:*"):
            print(command.time, command.offset, command.name, command.args)

recording.py is the door for programs. reader.py and played.py turn packets into what a tap would have said of each
connection; missing.py keeps account of what they could not tell. history.py finds in a recording what a master had, and
choice.py which part of it is meant. comments.py is the vocabulary of what a tap writes beside the packets. wanted.py and
moments.py are the questions, stats.py an answer in bounded memory.
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
