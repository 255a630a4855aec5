"""Replaces data and passwords at equal length, so that every offset in a recording stays true.

masks.py always removes passwords: from handshakes, and from the requests and replies of ordinary clients. With
`--redact`, redaction.py and redactor.py (compiled) remove keys or values from the stream, where grammars.py says what
each argument of a command is, and strict.py masks everything before the stream that is not part of replication.
"""
