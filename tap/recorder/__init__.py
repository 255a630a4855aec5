"""Writes what the links of a tap receive, as pcapng, beside the relay and never in its way.

recorder.py owns the recording of a tap, recorded.py what is kept of one link, intake.py is the hot path of both
(compiled), writer.py the thread that waits for the disk. Whether a byte of a link is passed on never depends on anything
in here.
"""
