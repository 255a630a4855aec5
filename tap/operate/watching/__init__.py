"""What a tap reports of a pair, from packets alone: nothing stands in between, and no byte passes through this process.

    tcpdump ──┐                                                ┌─ live view, lines, JSON
    pipe    ──┼─> PacketFeed ──> Player ──> Onlooker's bus ────┤
    file    ──┘   (a thread)     (recording/)                  └─ StatsD, scripts

onlooker        the whole, with the interface of a tap: a bus, status(), observers
packet_feed     from a blocking source to the event loop, at the speed of the slower one
tcpdump         captures on an interface, as a child process
pipe            the size of a pipe
capture_file    reads a file or pipe that another program writes
silences        which side of a connection is silent for longer than it should be
"""
