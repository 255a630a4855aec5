"""What was recorded, once more: as the master of it, to replicas that connect.

tape.py takes what is to be played out of a recording, pace.py says when which byte is due, session.py what a master
answers: these open no socket and read no clock. master.py does, and replica.py for each connection.
"""

from tap.replay.master import ReplayMaster

__all__ = ["ReplayMaster"]
