"""What --redact makes of a stream: the same commands at the same places, and nothing of what they held."""

from __future__ import annotations

import itertools
import re
import string

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap.redaction.grammars import Redact
from tap.redaction.redactor import Redactor
from tests.relay.wire import command
from tests.support import uncompiled

KEY = bytes(range(16))
VALUES: frozenset[Redact] = frozenset({"values"})
KEYS: frozenset[Redact] = frozenset({"keys"})
BOTH: frozenset[Redact] = VALUES | KEYS


MODULE = uncompiled("tap/redaction/redactor.py")
UNCOMPILED: type[Redactor] = MODULE.Redactor
KINDS = pytest.mark.parametrize("kind", [Redactor, UNCOMPILED], ids=["as installed", "uncompiled"])


def redacted(data: bytes, redact: frozenset[Redact] = BOTH, kind: type[Redactor] = Redactor) -> bytes:
    one = kind(KEY, redact)
    return bytes(one.feed(data)) + one.flush()


def words(data: bytes) -> list[list[bytes]]:
    reader = hiredis.Reader()
    reader.feed(data)
    found = []
    while (one := reader.gets()) is not False:
        found.append(one)
    return found


def shape(text: bytes) -> bytes:
    """With each replaced argument as what it may become: # for what stays a number, . for a letter or digit."""
    return re.sub(rb"[0-9]", b"#", text) if re.fullmatch(rb"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", text) else b"." * len(text)


# command, and its arguments: =kept, k key, v value, * replaced whatever is asked for
GRAMMAR = [
    ("SET user:1 secret EX 100 KEEPTTL", "k v = = ="),
    ("set user:1 12345 px 100", "k v = ="),
    ("SET a b IFEQ old NX", "k v = v ="),
    ("MSET a 1 b two", "k v k v"),
    ("MSETEX 2 a 1 b two EX 10", "= k v k v = ="),
    ("DEL a b c", "k k k"),
    ("PEXPIREAT a 1700000000000", "k ="),
    ("GETEX a PXAT 1700000000000", "k = ="),
    ("HSET h f v g w", "k v v v v"),
    ("HEXPIRE h 100 NX FIELDS 2 f g", "k = = = = v v"),
    ("HSETEX h FNX EX 10 FIELDS 1 f v", "k = = = = = v v"),
    ("HPERSIST h FIELDS 1 f", "k = = v"),
    ("SADD s a b", "k v v"),
    ("SMOVE s t a", "k k v"),
    ("ZADD z NX CH 1.5 a -2 b", "k = = v v v v"),
    ("ZREMRANGEBYRANK z 0 -1", "k = ="),
    ("ZUNIONSTORE z 2 a b WEIGHTS 2 3 AGGREGATE MAX", "k = k k = v v = ="),
    ("XADD s NOMKSTREAM MAXLEN ~ 100 LIMIT 5 1-1 f v g w", "k = = = = = = = v v v v"),
    ("XADD s MAXLEN 100 1-1 f v", "k = = = v v"),
    ("XGROUP CREATE s group $ MKSTREAM", "= k v = ="),
    ("XGROUP CREATECONSUMER s group 77", "= k v v"),
    ("XCLAIM s g c 0 1-1 TIME 5 RETRYCOUNT 1 FORCE", "k v v = = = = = = ="),
    ("LINSERT l BEFORE a b", "k = v v"),
    ("LREM l -1 a", "k = v"),
    ("LMOVE l m LEFT RIGHT", "k k = ="),
    ("RESTORE a 0 dump REPLACE ABSTTL", "k = v = ="),
    ("SORT a BY w_* LIMIT 0 10 GET x_* ALPHA STORE d", "k = k = = = = k = = k"),
    ("BITFIELD b SET u8 #1 200 OVERFLOW SAT INCRBY i5 3 1", "k = = = v = = = = = v"),
    ("PUBLISH channel message", "v v"),
    ("SELECT 7", "="),
    ("SWAPDB 1 2", "= ="),
    ("REPLCONF GETACK *", "= ="),
    ("EVAL code 2 a b c", "* = k k v"),
    ("FUNCTION LOAD REPLACE code", "= = *"),
    ("SCRIPT LOAD code", "= *"),
    ("XGROUP EXPLODE s", "* *"),
    ("JSON.SET doc $ value", "* * *"),
    ("RREPLAY uuid commands 3 17 more", "= * = = *"),
    ("MULTI", ""),
    ("AUTH user password", "* *"),
    ("CONFIG SET requirepass password", "* * *"),
    ("ACL SETUSER bob on >password", "* * * *"),
    ("MIGRATE host 6379 key 0 100 AUTH password", "* * * * * * *"),
]


@KINDS
@pytest.mark.parametrize(("said", "told"), GRAMMAR, ids=[said for said, _ in GRAMMAR])
@pytest.mark.parametrize("redact", [VALUES, KEYS, BOTH], ids=["values", "keys", "both"])
def test_what_makes_a_command_work_stays(said: str, told: str, redact: frozenset[Redact], kind: type[Redactor]) -> None:
    name, *before = said.encode().split()
    [[same_name, *after]] = words(redacted(command(name, *before), redact, kind))
    assert same_name == name
    codes = told.split()
    assert len(codes) == len(before) == len(after)
    for code, old, new in zip(codes, before, after, strict=True):
        replaced = code == "*" or (code == "v" and "values" in redact) or (code == "k" and "keys" in redact)
        assert len(new) == len(old)
        if not replaced:
            assert new == old
        elif code == "v":
            assert shape(new) == shape(old) or (b"." in shape(old) and new.isalnum())
        else:
            assert new.isalnum()


@KINDS
@pytest.mark.parametrize(
    "number",
    ["7", "-7", "+5", "10", "007", "1.25", "-0.5", "1e300", "2.5e+17", "9223372036854775807", "-1000000000000000000"],
)
def test_a_number_stays_one_of_the_same_shape(number: str, kind: type[Redactor]) -> None:
    for key in range(50):
        one = kind(bytes([key]) * 16, VALUES)
        [[_, _, new]] = words(bytes(one.feed(command("INCRBY", "h", number))))
        assert shape(new) == shape(number.encode())
        if re.fullmatch(r"-?[1-9]\d*", number):
            assert str(int(new)) == new.decode() or len(number) == 1
            assert -(2**63) <= int(new) < 2**63


@KINDS
def test_bounds_of_ranges_stay_bounds(kind: type[Redactor]) -> None:
    for old in (b"(1.5", b"+inf", b"-inf", b"inf", b"+", b"-", b"[abc", b"(abc", b"[", b"("):
        [[_, _, new, _]] = words(redacted(command("ZREMRANGEBYLEX", "z", old, "+"), VALUES, kind))
        assert new[:1] == old[:1] if old[:1] in b"([" else new == old
        assert len(new) == len(old)


@KINDS
def test_equal_words_stay_equal_and_hash_tags_stay_together(kind: type[Redactor]) -> None:
    stream = [
        ("SET", "{user:1}:name", "Alice"),
        ("SELECT", "5"),
        ("LPUSH", "x{user:1}", "Alice"),
        ("DEL", "user:1", "{user:1}:name", "{}user:1"),
    ]
    first = words(redacted(b"".join(command(*one) for one in stream), BOTH, kind))
    assert first[0][1] == first[3][2]
    tag = first[3][1]
    assert first[0][1].startswith(b"{" + tag + b"}")
    assert first[2][1].endswith(b"{" + tag + b"}")
    assert first[0][2] == first[2][2]
    assert first[3][3].isalnum()  # empty braces are none


def test_another_key_gives_other_words() -> None:
    one, other = (bytes(Redactor(bytes([key]) * 16, BOTH).feed(command("SET", "key" * 5, "value" * 5))) for key in (1, 2))
    assert words(one)[0][1] != words(other)[0][1]
    assert words(one)[0][2] != words(other)[0][2]


WORD = st.one_of(
    st.sampled_from([b"EX", b"nx", b"1", b"-5", b"2.5", b"{a}b", b"+inf", b"", b"*1\r\n$4\r\nPING\r\n", b"~", b"="]),
    st.binary(max_size=60),
    st.sampled_from([b"long value " * 9000, b"x" * 65536, b"y" * 65537]),
)
NAMES = sorted({said.split()[0] for said, _ in GRAMMAR} | {"WHAT.EVER", "PING"})
COMMANDS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.lists(WORD, max_size=6)).map(lambda one: command(one[0], *one[1])), max_size=6
)


@KINDS
@given(said=COMMANDS, newlines=st.sampled_from([b"", b"\n", b"\r\n"]), cuts=st.lists(st.integers(0), max_size=20))
@pytest.mark.parametrize("redact", [VALUES, KEYS, BOTH], ids=["values", "keys", "both"])
def test_any_split_gives_the_same_bytes_in_the_same_frames(
    kind: type[Redactor], redact: frozenset[Redact], said: list[bytes], newlines: bytes, cuts: list[int]
) -> None:
    data = newlines.join(said)
    whole = redacted(data, redact, kind)
    parts = kind(KEY, redact)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = b"".join(bytes(parts.feed(data[begin:end])) for begin, end in itertools.pairwise(places)) + parts.flush()
    assert pieces == whole
    assert len(whole) == len(data)
    if not newlines:
        old, new = words(data), words(whole)
        assert [one[0] for one in old] == [one[0] for one in new]
        assert [[len(word) for word in one] for one in old] == [[len(word) for word in one] for one in new]


@KINDS
@given(said=COMMANDS, cut=st.integers(0), secret=st.text(string.ascii_letters, min_size=12, max_size=40))
def test_of_a_command_that_is_cut_off_nothing_is_left(
    kind: type[Redactor], said: list[bytes], cut: int, secret: str
) -> None:
    last = command("SET", secret, secret)
    data = b"".join(said) + last[: cut % (len(last) + 1)]
    out = redacted(data, BOTH, kind)
    assert len(out) == len(data)
    assert not any(secret[at : at + 6].encode() in out[len(data) - len(last) :] for at in range(len(secret) - 5))


@KINDS
@settings(max_examples=40)
@given(pieces=st.lists(st.one_of(st.binary(max_size=40), COMMANDS.map(b"".join)), max_size=8))
def test_no_bytes_make_it_raise_or_change_their_number(kind: type[Redactor], pieces: list[bytes]) -> None:
    one = kind(KEY, BOTH)
    assert sum(len(bytes(one.feed(piece))) for piece in pieces) + len(one.flush()) == sum(map(len, pieces))


@KINDS
@pytest.mark.parametrize(
    "nonsense",
    [
        "secret",
        "*secret\r\n",
        "*1\r\nsecret",
        "*1\r\n$secret\r\n",
        "*2\r\n$3\r\nSET\r\n$3\r\nkeysecret",
        "*" + "1" * 40,
        "\rsecret",
    ],
)
def test_behind_nonsense_all_is_masked(nonsense: str, kind: type[Redactor]) -> None:
    out = redacted(command("PING") + nonsense.encode() + command("SET", "secret", "secret"), BOTH, kind)
    assert b"secret" not in out
    assert out.startswith(command("PING"))


@KINDS
def test_a_large_value_passes_in_small_memory(kind: type[Redactor]) -> None:
    one = kind(KEY, VALUES)
    size, chunk = 8 * 2**20, b"secret!!" * 8192
    out = bytearray(one.feed(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n" % size))
    for fed in range(0, size, len(chunk)):
        out += one.feed(chunk)
        assert fed + len(chunk) + 100 - len(out) < 70_000
    out += one.feed(b"\r\n" + command("PING"))
    assert out.endswith(b"\r\n" + command("PING"))
    assert b"secret" not in out
    assert len(words(bytes(out))[0][2]) == size


def test_the_bytes_that_a_digest_draws_are_those_of_splitmix64() -> None:
    """The first three of its sequence from 0, as its author's program and Java's SplittableRandom give them."""
    drawn = [MODULE._mixed(0, number) for number in range(3)]
    assert drawn == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    one = MODULE.Redactor(KEY, BOTH)
    one._digest = 0
    assert bytes(one._byte(at) for at in range(12)) == drawn[0].to_bytes(8, "little") + drawn[1].to_bytes(8, "little")[:4]


@KINDS
@pytest.mark.parametrize("digits", range(1, 22))
def test_an_integer_keeps_its_sign_its_length_and_its_range(digits: int, kind: type[Redactor]) -> None:
    drawn = set()
    for number in range(10):
        whole = b"%d" % (10 ** (digits - 1) + number) if digits > 1 else b"%d" % (number % 10)
        for sign in (b"", b"-", b"+"):
            word = words(redacted(command("SET", "k", sign + whole), VALUES, kind))[0][2]
            assert re.fullmatch(re.escape(sign) + rb"\d{%d}" % digits, word)
            first = word[len(sign)]
            drawn.add(word[len(sign) :])
            if digits > 1:
                assert first == ord("1") if digits >= 19 else first != ord("0")
            if sign and whole != b"0":
                assert first != ord("0")
    assert len(drawn) > (3 if digits == 1 else 8)
