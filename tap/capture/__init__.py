"""Packet captures: what is in a file of packets, and how to write one. Knows TCP, and nothing of Redis.

Reading, from the outside in: files.py (paths, directories, stdin), content.py (decompression), parts.py (captures that
were appended to one another), pcapng.py and pcap.py (the two containers), layers.py (from a frame to a TCP segment, with
tunnels.py and fragments.py), assembly.py (from segments to the bytes of a connection, with their gaps), tls.py
(connections that cannot be read).

Writing: packets.py (bytes of a connection as packets, compiled), output.py (one file), rotation.py (a row of them).
"""
