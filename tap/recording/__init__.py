"""What flowed, in a file that others can open: pcapng out, pcapng and pcap in.

The bytes of files and packets are understood without IO in pcapng.py, pcap.py, segments.py, layers.py, assembly.py and
masks.py; recorder.py writes a file beside the relay, reader.py reads one. Whether a byte of a link is passed on never
depends on anything in here.
"""
