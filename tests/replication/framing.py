"""What tests of ordinary connections share: requests and replies with their number, and data in pieces."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from tests.relay.wire import command

PSYNC = command("PSYNC", "?", "-1")

# Each with its number of requests.
REQUESTS = [
    (command("SET", "key", "value"), 1),
    (command("GET", PSYNC), 1),
    (command("SET", "k", b"\r\n" + PSYNC * 3), 1),
    (command("INCR", "n"), 1),  # as long as SYNC
    (command("HSET", "h", "f", ""), 1),
    (command("LPUSH", "l", "1"), 1),  # as PSYNC
    (command("SISMEMBE", "s", "1"), 1),  # as REPLCONF
    (command("SYNX"), 1),
    (command("SYNC\0"), 1),
    (command("", "x"), 1),
    (command("SET", "big", "v" * 3000), 1),
    (command("MSET", *("x" * n for n in range(40))), 1),
    (b"PING\r\n", 1),
    (b"  get  k  \n", 1),
    (b"SYNCHRONIZE now\r\n", 1),
    (b"GET PSYNC\r\n", 1),
    (b"psynced\n", 1),
    (b"x\r\n", 1),
    (b"\r\n\n \n", 0),
    (b"*0\r\n", 0),
    (b"*-1\r\n", 0),
]
LOOKED_FOR = [
    PSYNC,
    command("psync", "a" * 40, "7"),
    command("Sync"),
    command("REPLCONF", "capa", "eof"),
    command("replconf", "listening-port", "0"),
    b"SYNC\r\n",
    b"sync\n",
    b"psync ? -1\r\n",
    b"  REPLCONF ACK 1\r\n",
]
# Each with its number of replies.
REPLIES = [
    (b"+OK\r\n", 1),
    (b"-ERR no\r\n", 1),
    (b":12\r\n", 1),
    (b"$5\r\nhello\r\n", 1),
    (b"$0\r\n\r\n", 1),
    (b"$-1\r\n", 1),
    (b"*-1\r\n", 1),
    (b"*0\r\n", 1),
    (b"$24\r\n+FULLRESYNC abc 1\r\n+OK\r\n\r\n", 1),
    (b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n$2\r\n\r\n\r\n$-1\r\n", 1),
    (b"*1\r\n*1\r\n*1\r\n*0\r\n", 1),
    (b"%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n_\r\n#t\r\n", 1),
    (b"~2\r\n,1.5\r\n(123456789012345678901234567890\r\n", 1),
    (b"=7\r\ntxt:abc\r\n", 1),
    (b"!5\r\nERR x\r\n", 1),
    (b"|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n", 1),
    (b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n", 0),
    (b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", 0),
    (b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", 1),
    (b">3\r\n$12\r\nsunsubscribe\r\n$1\r\nc\r\n:0\r\n", 1),
    (b">4\r\n$8\r\npmessage\r\n$1\r\nc\r\n$1\r\nc\r\n$1\r\nx\r\n", 0),
    (b"$3000\r\n" + b"v" * 3000 + b"\r\n", 1),
]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0), max_size=20)


# What a standing in a file may hold in place of its numbers.
NUMBERS = st.one_of(st.integers(-2, 40), st.sampled_from([-(2**70), 2**31, 2**40, 2**63 - 1, 2**70]))
