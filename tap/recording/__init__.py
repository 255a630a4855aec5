"""What flowed, in a file that others can open: pcapng out, pcapng and pcap in.

    with tap.recording.open("link.pcapng") as recording:
        for command in recording.commands(key="user:*"):
            print(command.time, command.offset, command.name, command.args)

The bytes of files and packets are understood without IO in pcapng.py, pcap.py, segments.py, layers.py, assembly.py and
masks.py; redaction.py, redactor.py and grammars.py keep data out of what is written. recorder.py writes a file beside the
relay, and its hot path is intake.py; files.py, reader.py and played.py read them, and missing.py keeps account of what
they could not tell. history.py finds in one what a master had; choice.py, aof.py, resp.py, rows.py and output.py take
that out. Whether a byte of a link is passed on never depends on anything in here.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap.recording.missing import Missing
    from tap.recording.played import Link
    from tap.recording.recording import Command, Recording, open  # noqa: A004

__all__ = ["Command", "Link", "Missing", "Recording", "open"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: a tap that only relays reads no recording."""
    if name in __all__:
        from tap.recording import recording

        return getattr(recording, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
