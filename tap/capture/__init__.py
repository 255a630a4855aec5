"""Packet captures: reading the connections in a file of packets, and writing one. Knows TCP, but nothing of Redis.

Reading, from the outside in:

    files                    paths, directories, stdin
    content                  decompression
    concatenated_captures    several captures in one file
    pcapng, pcap             the two containers
    layers                   from a frame to a TCP segment
    tunnels                  on that way, link types, tags and tunnels: a function for each, and the tables that name them
    fragments                on that way, IP packets in pieces
    segments                 the vocabulary of segments
    assembly                 from segments to the bytes of a connection; pending_segments.py wait for earlier ones
    tcp_connection           how far each direction of one has come
    cut_packets, problems    what the capture lacks, and what cannot be read
    tls                      connections that cannot be read because they are encrypted

Writing:

    packets                  bytes of a connection as packets (compiled)
    output                   one file
    rotation                 names and ages of a series of files; recorder/ decides when the next one begins
"""
