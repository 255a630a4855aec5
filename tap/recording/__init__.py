"""What flowed, in a file that others can open: pcapng out, pcapng and pcap in.

The bytes of files and packets are understood without IO in pcapng.py, pcap.py, segments.py, layers.py, assembly.py and
masks.py; redaction.py, redactor.py and grammars.py keep data out of what is written. recorder.py writes a file beside the
relay, reader.py reads one. Whether a byte of a link is passed on never depends on anything in here.
"""
