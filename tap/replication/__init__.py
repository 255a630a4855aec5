"""The replication protocol, understood from bytes alone.

Everything here is a function of the bytes passed in: no sockets, files, clocks, threads, randomness or logging. Times
are arguments. For this reason the live tap, a recording and a test can share one implementation.

Start with conversation.py, which routes bytes, and phase.py, which defines the order of the phases. events.py is the
vocabulary.

    conversation, state            one connection: the bytes of both directions; what its parts know, and report, together
    phase                          which phases there are, and which may follow which
    events, json_values            what is reported: one frozen object for each fact; these as JSON
    requests, replies              what a replica sends and a master answers before the data
    number_lines                   the number in a line of RESP, digit by digit
    unasked_errors                 what a master answers without a request
    grants                         the lines that grant a resync or announce an RDB
    handshake                      matches requests with replies until data arrive
    identity, strangers            what the peer says about itself (REPLCONF options); peers that do not replicate
    passing                        clients that do not replicate: request_follower.py and reply_counter.py follow them
    passwords                      which words are passwords: for recordings, events and logs; the only such table
    heard_secrets                  those of a connection's requests, which no error in an event repeats
    resync, reasons                what is requested and granted; why it was a full resync: codes, causes and sentences
    two_connections, rendezvous    the RDB on a second connection, and how the two find each other
    snapshot, payload              the RDB as it passes; where its bytes end
    stream, scanner                commands and offsets, and the event of a partial resync; the loop that splits commands
    command_arguments, heads       of each command all arguments; of each command the name, the keys and the size
    head_samples                   names, keys and sizes of some of the commands
    keyspecs, dbs                  which arguments are keys; which databases a command reaches
    decoder                        undoes a dialect's encoding
    acks, talkback                 REPLCONF ACK, and what else a replica sends during the stream
    catching_up, lag, lag_clock    how far a replica is behind, in bytes and in time
    tallied_times                  how long acknowledging and loading take, without an event for each time
    inspected                      what a master says of itself, if it is asked
    silence                        which side has stopped sending
    memory, succession             what one connection teaches the next; which replication ID continues which
    standing, resuming             where a conversation stands, and how another one continues from there
    watcher                        how faults see each frame before it is passed on
"""
