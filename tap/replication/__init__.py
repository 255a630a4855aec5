"""The replication protocol, understood from bytes alone.

Everything here is a function of the bytes passed in: no sockets, files, clocks, threads, randomness or logging. Times
are arguments. For this reason the live tap, a recording and a test can share one implementation.

Start with conversation.py, which routes bytes, and phase.py, which defines the order of the phases. events.py is the
vocabulary; json_values.py writes it as JSON.

    grammars          requests, replies and grants; identity and strangers: what the peer says about itself
    handshake         matches requests with replies until data arrive; passing: clients that do not replicate, by
                      request_follower and reply_counter
    resync            what is requested and granted, and why (reasons); two_connections: the RDB on a second connection
    snapshot          the RDB as it passes; payload: where its bytes end
    stream            commands and offsets; scanner: the loop that splits commands; decoder: undoes a dialect's encoding
    memory            what one connection teaches the next; succession: which replication ID continues which
    resuming          start reading in the middle, from a standing
"""
