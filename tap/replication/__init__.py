"""The replication protocol, understood from bytes alone.

Everything here is a function of the bytes it is given: no sockets, files, clocks, threads, randomness or logging.
Times come in as arguments. That is what lets the live tap, a recording and a test share one understanding.

Start at conversation.py, which routes bytes, and phase.py, which says what may follow what. The vocabulary is events.py.

    what is said      requests, replies, grants: the grammars. identity, strangers: who says it
    handshake         requests matched with replies, until data come; passing: clients that do not replicate
    resync            what is asked and granted, and why (reasons); two_connections: with the RDB on another one
    snapshot          the RDB as it passes; payload: how its bytes end
    stream            commands and offsets; scanner: the loop that cuts them; decoder: a dialect's encoding in front of it
    memory            what one connection teaches the next; succession: which replication ID goes on from which
    resuming          to read on in the middle, from a standing
"""
