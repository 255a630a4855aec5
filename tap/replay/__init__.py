"""Plays a recording: either as a master, to replicas that connect, or by sending its commands to any server.

excerpt.py says which part of a recording to play, and how fast. To replicas: chapter_copy.py copies that part out of the
recording, pace.py says when each byte is due, and session.py says what a master answers; these open no socket and read
no clock. master.py listens and owns the clock; replica.py serves one connection and knows its master only as a protocol.

To a server: server_replay.py reads the recording, stream_parts.py chooses and copies the parts of its streams,
client_commands.py chooses the bytes that a client would send, and sender.py sends them.
"""

from tap.replay.master import ReplayMaster

__all__ = ["ReplayMaster"]
