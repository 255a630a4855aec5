"""redis-tap beside its peers: how fast, at what cost. `python -m tests.bench [GROUP ...]` measures, and judges nothing.

A group is a module: relay.py, latency.py, stream.py, fullsync.py and scanner.py. Each lets its peers take turns in
several rounds, so that whatever else the machine does meets all of them. peers.py knows the relays, processes.py what
they cost, pair.py the servers; source.py, sink.py and writer.py are programs of their own that make the traffic.
"""
