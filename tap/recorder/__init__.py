"""Writes what the links of a tap receive, as pcapng, beside the relay and never in its way.

recorder.py begins and ends the recording of a tap. recorded_connection.py decides which bytes of one connection are kept,
and intake.py (compiled) is its path for ordinary reads. filling.py gathers the packets of all connections for the file
being filled, and writer.py is the thread that waits for the disk. Whether a byte is relayed never depends on this room.
"""
