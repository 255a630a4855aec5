"""What is wrong with a pair, how that is known, and which setting to which value ends it.

Everything here is a function of events and figures, with the times that they carry: no sockets, files or clocks. What
watches a live tap, what reads a recording and what examines a pair without a tap thus come to the same verdict.

    sizing    how large a buffer or a timeout has to be
"""
