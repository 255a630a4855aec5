"""Plays a recording: either as a master, to replicas that connect, or by sending its commands to any server.

    excerpt            which part of a recording to play, and how fast

To replicas:

    chapter_copy       copies that part out of the recording
    pace               when each byte is due
    session            what a master answers; opens no socket and reads no clock, as the two above
    master             listens, owns the clock, and says why it grants no partial resync
    replica            serves one connection; knows its master only as a protocol

To a server:

    server_replay      reads the recording
    stream_parts       chooses and copies the parts of its streams
    client_commands    chooses the bytes that a client would send
    sender             sends them
"""

from tap.replay.master import ReplayMaster

__all__ = ["ReplayMaster"]
