"""Measures redis-tap beside its peers: how fast, at what cost. `python -m tests.bench [GROUP ...]` judges nothing.

A group is a module with a run(); see README.md here. Each lets its rows take turns in several rounds, so that whatever
else the machine does meets all of them. peers.py knows the relays, processes.py what they cost, pair.py the servers;
source.py and writer.py are programs of their own that make the traffic, sink.py takes it.
"""
