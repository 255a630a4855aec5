"""The number in a line of RESP, as in *3, $5 and :7, while it is read digit by digit: its limits, and its states.

Source: Redis 7.0 networking.c, processMultibulkBuffer, for counts; lengths may be longer than any server's limit.
"""

MAX_COUNT = 2**31 - 1
MAX_LENGTH = 2**40
MAX_DIGITS = 18
ENDED = 19  # in place of the number of digits, once the \r after them has come
MAX_POSITION = 2**62  # of a connection


def can_be_number(number: int, digits: int) -> bool:
    """Whether this is a possible state of an unfinished number."""
    return -1 <= digits <= ENDED and 0 <= number < 10 ** min(max(digits, 0), MAX_DIGITS)
