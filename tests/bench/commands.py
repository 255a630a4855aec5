"""The commands that the measurements write."""

import hiredis

VALUE = "x" * 64


def packed(*words: str) -> bytes:
    """As clients and masters send it."""
    command: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub knows only commands of one word
    return command


def set_command(number: int) -> bytes:
    """SET of a 16-byte key and a 64-byte value, as redis-benchmark makes them."""
    return packed("SET", f"key:{number:012}", VALUE)
