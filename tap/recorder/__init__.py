"""Writes what the links of a tap receive, as pcapng, beside the relay and never in its way.

    recorder               begins and ends the recording of a tap and, by time, its next file
    filling                the packets of all connections for the current file; begins the next one when it is full
    recorded_connection    which bytes of one connection are kept
    watched_connection     the same for a connection that is read from a capture
    master_secrets         the passwords among them that the master sends
    intake                 the path of ordinary reads (compiled)
    writer                 the thread that waits for the disk
    handing_over           the thread that hands finished files to a command of the user

Whether a byte is relayed never depends on this room. capture/rotation.py names the files and says which are too old. The
limits of a file are read by Limits in units.py; recorder.py keeps that of time, filling.py and writer.py that of size.
Most packets are made in intake.py and never pass filling.py one by one.
"""
