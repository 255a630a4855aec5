"""Replaces data and passwords at equal length, so that every offset in a recording stays true.

masks.py removes passwords from handshakes and from what ordinary clients send, always. redaction.py and redactor.py
(compiled) remove keys or values where `--redact` asks for it; grammars.py says what each argument of a command is.
"""
