"""The commands that the measurements write."""

import hiredis

VALUE_SIZE = 64
VALUE = "x" * VALUE_SIZE


def packed(*words: str | bytes) -> bytes:
    """As clients and masters send it."""
    command: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub knows only commands of one word
    return command


def set_command(number: int, value_size: int = VALUE_SIZE) -> bytes:
    """SET of a 16-byte key and a value, 64 bytes as redis-benchmark makes them."""
    return packed("SET", f"key:{number:012}", b"x" * value_size)
