"""Replaces data and passwords at equal length, so that every offset in a recording stays true.

    masks        always: passwords, in handshakes and in the requests and replies of ordinary clients
    redaction    with `--redact`: keys or values, in the bytes of a master and in the comments of a recording
    redactor     the loop that does so in the stream (compiled)
    grammars     what each argument of a command is: a key, data, or to be kept
    strict       with `--redact`, before the stream: everything that is not part of replication

Which words of a command are passwords stands in replication/passwords.py, for recordings, events and logs; nowhere else.
What is shown of a URL with a password is in tap/url.py.
"""
