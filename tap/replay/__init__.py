"""What was recorded, once more: as the master of it, to replicas that connect, or its commands, to any server.

tape.py takes what is to be played out of a recording, pace.py says when which byte is due, session.py what a master
answers: these open no socket and read no clock. master.py does, and replica.py for each connection.

commands.py chooses what of a stream a server is sent, sending.py sends it.
"""

from tap.replay.master import ReplayMaster

__all__ = ["ReplayMaster"]
