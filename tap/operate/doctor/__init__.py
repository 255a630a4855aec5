"""Examine a master and its replicas as they are, without a tap in between: gather facts first, judge them afterwards.

gather.py asks the servers and writes what they said into the records of pair_facts.py. The checks are pure functions from
these records to findings: one file for each part of a pair, one registry, in check.py. examination.py does both.

    link_checks       what keeps a replica from following; permissions.py: may a user run what the handshake needs
    state_checks      roles, chains, histories, resyncs, lag
    size_checks       backlog, output buffer and timeouts
    data_checks       what may be lost, refused or served stale
    rdb_loading       which server can load the RDB of which other
    reading_checks    what could not be seen
"""
