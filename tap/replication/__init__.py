"""The replication protocol, understood from bytes alone.

Everything here is a function of the bytes it is given: no sockets, files, clocks, threads, randomness or logging.
Times come in as arguments. That is what lets the live tap, a recording and a test share one understanding.

Start at conversation.py. The vocabulary is events.py; what one connection teaches the next is memory.py.
"""
