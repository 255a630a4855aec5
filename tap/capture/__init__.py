"""Packet captures: reading the connections in a file of packets, and writing one. Knows TCP, but nothing of Redis.

Reading, from the outside in: files.py (paths, directories, stdin), content.py (decompression),
concatenated_captures.py (several in one file), pcapng.py and pcap.py (the two containers), layers.py (from a frame to a
TCP segment, with tunnels.py and fragments.py), assembly.py (from segments to the bytes of a connection, with their gaps),
tls.py (connections that cannot be read because they are encrypted).

Writing: packets.py (bytes of a connection as packets, compiled), output.py (one file), rotation.py (a series of files).
"""
