"""What is wrong with a pair, how that is known, and which setting to which value ends it.

Everything here is a function of events and figures, with the times that they carry: no sockets, files or clocks. What
watches a live tap, what reads a recording and what examines a pair without a tap thus come to the same verdict.

    rounds, loops    one full resync from its grant to its end; those that follow one another, reported as a loop
    causes           why the rounds of a loop end, and which setting would end it; why one resync was a full one is
                     said by replication/reasons.py
    alerts           thresholds of the operator's own, compared with the figures of each connection; which figures there
                     are, and how a threshold is written, is in tap/thresholds.py; their values are AlertFigures in
                     tap/status.py
    pressure         whether the master is about to close a link because its output buffer is full
    sizing           how large a buffer or a timeout has to be
    loadable         which servers load an RDB of which version
"""
