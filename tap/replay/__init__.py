"""Plays a recording again: as a master, to replicas that connect; or its commands, to any server.

excerpt.py says which part of a recording is meant, and how fast. To replicas: tape.py takes that part out of the
recording, pace.py says when which byte is due, and session.py what a master answers; these open no socket and read no
clock. master.py listens and owns the clock, and replica.py serves one connection. It knows its master as a protocol.

To a server: commands.py chooses the bytes of a stream that a client would send, and sending.py sends them.
"""

from tap.replay.master import ReplayMaster

__all__ = ["ReplayMaster"]
