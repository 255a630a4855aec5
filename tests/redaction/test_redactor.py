"""The output of --redact for a stream: the same commands at the same places, without their data."""

from __future__ import annotations

import itertools
import re
import string

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap.redaction.grammars import Redact, grammars
from tap.redaction.redactor import Redactor
from tests.relay.wire import command
from tests.support import thinned, uncompiled

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
    """Each replaced argument as a pattern: # for what stays a number, . for a letter or digit."""
    return re.sub(rb"[0-9]", b"#", text) if re.fullmatch(rb"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", text) else b"." * len(text)


# command, and its arguments: = kept, k key, v value, b bit, r bound of a range, * replaced whatever is asked for
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
    ("APPEND a text", "k v"),
    ("BITOP AND d a b", "= k k k"),
    ("BLMOVE a b LEFT RIGHT 0", "k k = = ="),
    ("BLMPOP 0 2 a b LEFT COUNT 3", "= = k k = = ="),
    ("BRPOPLPUSH a b 0", "k k ="),
    ("CLUSTER SETSLOT 7 NODE id", "= = = ="),
    ("COPY a b DB 3 REPLACE", "k k = = ="),
    ("DECR a", "k"),
    ("DECRBY a 12345678", "k v"),
    ("DELEX a IFEQ old", "k = v"),
    ("DELEX a ifdne 12345678", "k = v"),
    ("DELIFEQ a old", "k v"),
    ("DISCARD", ""),
    ("EVALSHA sha 1 a b", "v = k v"),
    ("EXEC", ""),
    ("EXPIRE a 100 NX", "k = ="),
    ("EXPIREAT a 1700000000 GT", "k = ="),
    ("FCALL name 1 a b", "v = k v"),
    ("FLUSHALL ASYNC", "="),
    ("FLUSHDB SYNC", "="),
    ("FUNCTION DELETE name", "= v"),
    ("FUNCTION FLUSH ASYNC", "= ="),
    ("FUNCTION RESTORE dump APPEND", "= * ="),
    ("GEOADD g NX CH 13.361389 38.115556 place", "k = = v v v"),
    ("GEOSEARCHSTORE d g FROMMEMBER place BYRADIUS 200 km ASC COUNT 5 ANY STOREDIST", "k k = v = = = = = = = ="),
    ("GEOSEARCHSTORE d g FROMLONLAT 15.1234 37.1234 BYBOX 400 300 km", "k k = v v = = = ="),
    ("GETDEL a", "k"),
    ("GETSET a text", "k v"),
    ("HDEL h f g", "k v v"),
    ("HEXPIREAT h 1700000000 GT FIELDS 1 f", "k = = = = v"),
    ("HGETDEL h FIELDS 1 f", "k = = v"),
    ("HGETEX h PX 10 FIELDS 1 f", "k = = = = v"),
    ("HINCRBY h f 12345678", "k v v"),
    ("HINCRBYFLOAT h f 1.5678", "k v v"),
    ("HMSET h f v g w", "k v v v v"),
    ("HPEXPIRE h 100 LT FIELDS 1 f", "k = = = = v"),
    ("HPEXPIREAT h 1700000000000 XX FIELDS 1 f", "k = = = = v"),
    ("HSETNX h f v", "k v v"),
    ("INCR a", "k"),
    ("INCRBY a 12345678", "k v"),
    ("INCRBYFLOAT a 1.5678", "k v"),
    ("LMPOP 2 a b RIGHT COUNT 3", "= k k = = ="),
    ("LPOP l 2", "k ="),
    ("LPUSH l a b", "k v v"),
    ("LPUSHX l a b", "k v v"),
    ("LSET l 3 a", "k = v"),
    ("LTRIM l 0 99", "k = ="),
    ("MOVE a 1", "k ="),
    ("MSETNX a 1 b two", "k v k v"),
    ("PERSIST a", "k"),
    ("PEXPIRE a 100 XX", "k = ="),
    ("PFADD p a b", "k v v"),
    ("PFMERGE d a b", "k k k"),
    ("PING", ""),
    ("PING text", "v"),
    ("PSETEX a 100 text", "k = v"),
    ("RENAME a b", "k k"),
    ("RENAMENX a b", "k k"),
    ("RESTORE a 0 dump IDLETIME 5 FREQ 6", "k = v = = = ="),
    ("RPOP l 2", "k ="),
    ("RPOPLPUSH l m", "k k"),
    ("RPUSH l a b", "k v v"),
    ("RPUSHX l a b", "k v v"),
    ("SCRIPT FLUSH ASYNC", "= ="),
    ("SDIFFSTORE d a b", "k k k"),
    ("SENTINEL SET name auth-pass password", "* * * *"),
    ("HELLO 3 AUTH user password", "* * * *"),
    ("SETBIT b 7 1", "k = b"),
    ("SETEX a 100 text", "k = v"),
    ("SETNX a text", "k v"),
    ("SETRANGE a 7 text", "k = v"),
    ("SINTERSTORE d a b", "k k k"),
    ("SPOP s 2", "k ="),
    ("SPUBLISH channel message", "v v"),
    ("SREM s a b", "k v v"),
    ("SUNIONSTORE d a b", "k k k"),
    ("TOUCH a b", "k k"),
    ("UNLINK a b", "k k"),
    ("XACK s group 1-1 2-2", "k v = ="),
    ("XACKDEL s group KEEPREF IDS 1 1-1", "k v = = = ="),
    ("XADD s KEEPREF MINID = 1-1 IDMP producer id 2-2 f v", "k = = = = = v v = v v"),
    ("XDEL s 1-1 2-2", "k = ="),
    ("XDELEX s KEEPREF IDS 1 1-1", "k = = = ="),
    ("XGROUP DELCONSUMER s group name", "= k v v"),
    ("XGROUP DESTROY s group", "= k v"),
    ("XGROUP SETID s group 1-1 ENTRIESREAD 5", "= k v = = ="),
    ("XSETID s 1-1 ENTRIESADDED 5", "k = = ="),
    ("XTRIM s MAXLEN ~ 100", "k = = ="),
    ("ZDIFFSTORE d 2 a b", "k = k k"),
    ("ZINCRBY z 1.5678 a", "k v v"),
    ("ZINTERSTORE d 2 a b WEIGHTS 2 3 AGGREGATE SUM", "k = k k = v v = ="),
    ("ZMPOP 2 a b MIN COUNT 3", "= k k = = ="),
    ("ZPOPMAX z 3", "k ="),
    ("ZPOPMIN z 3", "k ="),
    ("ZRANGESTORE d z (1.5678 +inf BYSCORE REV LIMIT 0 10", "k k r = = = = = ="),
    ("ZREM z a b", "k v v"),
    ("ZREMRANGEBYLEX z [text +", "k r ="),
    ("ZREMRANGEBYSCORE z -inf 1.5678", "k = v"),
    ("MIGRATE host 6379 key 0 100 AUTH password", "* * * * * * *"),
]


DRAWS = 10  # keys; an argument that is replaced differs for one of them, even if it is a single bit


def arguments(said: bytes, redact: frozenset[Redact], kind: type[Redactor], key: int) -> list[bytes]:
    one = kind(bytes([key]) * 16, redact)
    name, *before = said.split()
    [[same_name, *after]] = words(bytes(one.feed(command(name, *before))))
    assert same_name == name
    assert list(map(len, after)) == list(map(len, before))
    return after


@KINDS
@pytest.mark.parametrize(("said", "told"), thinned(GRAMMAR, 2), ids=[said for said, _ in GRAMMAR])
def test_words_that_a_command_needs_stay_and_all_others_are_replaced(said: str, told: str, kind: type[Redactor]) -> None:
    before, codes = said.encode().split()[1:], told.split()
    assert len(codes) == len(before)
    for redact in (VALUES, KEYS, BOTH):
        drawn = [arguments(said.encode(), redact, kind, key) for key in range(DRAWS)]
        for code, old, *new in zip(codes, before, *drawn, strict=True):
            if code == "=" or (code in "vbr" and "values" not in redact) or (code == "k" and "keys" not in redact):
                assert {*new} == {old}
                continue
            assert {*new} > {old} or old not in new
            for one in new:
                if code == "b":
                    assert one in (b"0", b"1")
                elif code == "r":
                    assert one[:1] == old[:1]
                    assert shape(one[1:]) == shape(old[1:]) or old[1:].isalpha()
                elif code == "v":
                    assert shape(one) == shape(old) or (b"." in shape(old) and one.isalnum())
                else:
                    assert one.isalnum()


def test_every_grammar_has_an_example() -> None:
    """Of subcommands, too. The grammar without a name is that of all other commands."""
    shown = {b"", *(said.split()[0].encode() for said, _ in GRAMMAR)}
    shown |= {b"|".join(said.encode().split()[:2]) for said, _ in GRAMMAR if "XGROUP" in said}
    shown |= {b"|".join(said.encode().split()[:2]) for said, _ in GRAMMAR if said.startswith(("FUNCTION", "SCRIPT"))}
    known = grammars(BOTH).keys()
    assert known <= {name.upper() for name in shown}
    assert {name for name in shown if b"|" not in name} - known == {b"JSON.SET", b"set"}


VALUE_FORMS = [b"Alice-and-Bob", b"12345678", b"-1234.5678", b"1e5x", b"1.5e", b"{tag}text", b"", b"x" * 300]


@KINDS
@pytest.mark.parametrize("form", VALUE_FORMS, ids=lambda form: form[:20].decode())
def test_a_value_of_any_form_is_replaced_at_every_place_of_data(form: bytes, kind: type[Redactor]) -> None:
    data = [
        (b"SET", b"k", None, b"IFEQ", None), (b"HSET", b"k", None, None, None, None), (b"GEOADD", b"k", b"NX", None),
        (b"ZADD", b"k", None, None, None, None), (b"EVAL", b"return 1", b"0", None, None), (b"WHAT.EVER", None, None),
        (b"ZREMRANGEBYLEX", b"k", None, None), (b"XADD", b"k", b"*", None, None), (b"PING", None), (b"MULTI", None),
        (b"ZUNIONSTORE", b"k", b"1", b"a", None), (b"SORT", b"k", b"ASC", None), (b"SELECT", b"1", None),
    ]  # fmt: skip
    for said in data:
        asked = command(*(form if word is None else word for word in said))
        [new] = words(redacted(asked, BOTH, kind))
        assert [len(word) for word in new] == [len(form if word is None else word) for word in said]
        if form:
            assert not [word for word, old in zip(new, said, strict=True) if old is None and word == form]


@KINDS
@pytest.mark.parametrize(
    ("before", "size"), [(("EXPIRE", "k"), 64), (("HSET", "k"), 40), ((), 48)], ids=["kept", "number", "name"]
)
def test_a_number_longer_than_its_kind_allows_becomes_letters(
    before: tuple[str, ...], size: int, kind: type[Redactor]
) -> None:
    fits, too_long = (b"1" + b"7" * (length - 1) for length in (size, size + 1))
    [[*_, last]] = words(redacted(command(*before, fits), BOTH, kind))
    assert last.isdigit()
    assert (last == fits) == (before != ("HSET", "k"))
    [[*_, last]] = words(redacted(command(*before, too_long), BOTH, kind))
    assert len(last) == size + 1
    assert last.isalnum()
    assert not last.isdigit()


@KINDS
@pytest.mark.parametrize("place", ["XGROUP {}", "EVAL code {} a b", "MSETEX {} a b"])
def test_a_long_word_in_place_of_a_subcommand_or_a_count_becomes_letters(place: str, kind: type[Redactor]) -> None:
    word = "-" * 65
    [new] = words(redacted(command(*place.format(word).split()), BOTH, kind))
    assert word.encode() not in new
    assert all(argument.isalnum() for argument in new)


@KINDS
@pytest.mark.parametrize(
    ("number", "keys"), [("2", 2), ("0", 0), ("999999999", 4), ("1000000000", 0), ("-1", 0), ("x", 0)]
)
def test_a_count_says_how_many_keys_follow(number: str, keys: int, kind: type[Redactor]) -> None:
    [[_, _, same, *new]] = words(redacted(command("FCALL", "f", number, "1", "22", "333", "4444"), KEYS, kind))
    assert same == number.encode()
    old = [b"1", b"22", b"333", b"4444"]
    assert new[keys:] == old[keys:]
    assert all(one.isalnum() for one in new)
    assert [*map(len, new)] == [1, 2, 3, 4]
    assert (new[:keys] != old[:keys]) == (keys > 0)


@KINDS
def test_the_next_command_is_read_by_its_own_grammar(kind: type[Redactor]) -> None:
    """Whatever the previous one announced, and whether it was complete."""
    before = [command("EVAL", "code", "5", "a"), command("MSETEX", "3", "a"), command("SET"), command("ZADD", "z", "NX")]
    for one in before:
        [_, new] = words(redacted(one + command("EXPIRE", "key", "100", "NX"), VALUES, kind))
        assert new == [b"EXPIRE", b"key", b"100", b"NX"]


@KINDS
def test_waiting_bytes_are_given_with_their_framing_if_nothing_follows(kind: type[Redactor]) -> None:
    ping = command("PING")
    for head in (b"*", b"*3", b"*3\r", b"*3\r\n$", b"*3\r\n$3", b"*3\r\n$3\r", b"*3\r\n$3\r\n"):
        for word in (b"", b"S", b"SE") if head.endswith(b"$3\r\n") else (b"",):
            one = kind(KEY, BOTH)
            assert bytes(one.feed(ping + head + word)) + one.flush() == ping + head + b"*" * len(word)
            assert bytes(one.feed(ping)) == ping  # a new command may begin


@KINDS
@pytest.mark.parametrize(
    "number",
    ["7", "-7", "+5", "10", "007", "1.25", "-0.5", "1e300", "2.5e+17", "9223372036854775807", "-1000000000000000000"],
)
def test_a_number_stays_a_number_of_the_same_shape(number: str, kind: type[Redactor]) -> None:
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
        assert (new[1:] != old[1:]) == (len(old) > 1 and old[:1] in b"([")
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
    assert first[3][3].isalnum()  # empty braces do not count


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
def test_a_truncated_command_leaves_no_data(kind: type[Redactor], said: list[bytes], cut: int, secret: str) -> None:
    last = command("SET", secret, secret)
    data = b"".join(said) + last[: cut % (len(last) + 1)]
    out = redacted(data, BOTH, kind)
    assert len(out) == len(data)
    assert not any(secret[at : at + 6].encode() in out[len(data) - len(last) :] for at in range(len(secret) - 5))


@KINDS
@settings(max_examples=40)
@given(pieces=st.lists(st.one_of(st.binary(max_size=40), COMMANDS.map(b"".join)), max_size=8))
def test_no_bytes_raise_an_exception_or_change_their_number(kind: type[Redactor], pieces: list[bytes]) -> None:
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
        "*\r\nsecret",
        "*1\r\n$\r\nsecret",
        "*2\r\n$3\r\nSET\r\n$3\r\nkeysecret",
        "*" + "1" * 40,
        "\rsecret",
    ],
)
def test_after_nonsense_everything_is_masked(nonsense: str, kind: type[Redactor]) -> None:
    one = kind(KEY, BOTH)
    data = command("PING") + nonsense.encode() + command("SET", "secret", "secret")
    out = bytes(one.feed(data))
    assert b"secret" not in out
    assert out.startswith(command("PING"))
    assert (len(out), one.flush()) == (len(data), b"")


@KINDS
@pytest.mark.parametrize("heading", ["*%s1\r\n$4\r\nPING\r\n", "*1\r\n$%s4\r\nPING\r\n"])
def test_a_length_has_thirteen_digits_at_most(heading: str, kind: type[Redactor]) -> None:
    most, more = ((heading % ("0" * zeros)).encode() for zeros in (12, 13))
    for cut in range(len(more)):
        one = kind(KEY, BOTH)
        assert bytes(one.feed(most[:cut])) + bytes(one.feed(most[cut:])) == most
        one = kind(KEY, BOTH)
        out = bytes(one.feed(more[:cut])) + bytes(one.feed(more[cut:]))
        assert len(out) == len(more)
        assert out.endswith(b"*" * 21)


@KINDS
@pytest.mark.parametrize(
    "said",
    [
        command("SET", "key", "value", "EX", "10") + b"\n\r\n" + command("EVAL", "code", "1", "key"),
        command("PING") + b"*1x",
        command("PING") + b"\rx",
        b"*3\r\n$3\r\nSET\r\n$1\r\nkx*2\r\n",
        b"*1\r\n$4x",
        b"*1\rx",
        b"*2\r\n$3\r\nDEL\r\n$5\r\nkeysx\rx",
    ],
)
def test_no_byte_waits_for_more_than_decides_on_it(said: bytes, kind: type[Redactor]) -> None:
    """Byte by byte as much is known as if all of them came at once."""
    one, passed = kind(KEY, BOTH), 0
    for end in range(1, len(said) + 1):
        passed += len(bytes(one.feed(said[end - 1 : end])))
        assert passed == len(bytes(kind(KEY, BOTH).feed(said[:end]))), end


@pytest.mark.parametrize("head", [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", b"*1\r\n$%d\r\n"])
def test_an_argument_that_waits_is_not_looked_at_for_each_of_its_bytes(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    redact = UNCOMPILED._redact

    def looked(self: Redactor, held: bytearray, view: bytearray) -> int:
        looks.append(len(held))
        done: int = redact(self, held, view)
        return done

    monkeypatch.setattr(UNCOMPILED, "_redact", looked)
    for size in (20, 40):
        looks.clear()
        one = UNCOMPILED(KEY, BOTH)
        one.feed(head % size)
        for _ in range(size):
            one.feed(b"x")
        assert len(looks) == 2


@KINDS
@pytest.mark.parametrize("word", ["10", "", "secret"])
def test_what_is_no_bit_becomes_letters(word: str, kind: type[Redactor]) -> None:
    [[*before, new]] = words(redacted(command("SETBIT", "k", "7", word), VALUES, kind))
    assert before == [b"SETBIT", b"k", b"7"]
    assert len(new) == len(word)
    assert new != word.encode() or not word
    assert new.isalnum() or not word


@KINDS
@pytest.mark.parametrize("newlines", [b"\n", b"\r\n", b"\n\r\n\n"])
def test_newlines_between_commands_stay_and_the_next_command_is_read(newlines: bytes, kind: type[Redactor]) -> None:
    data = newlines + command("PING") + newlines + command("SELECT", "3") + newlines
    assert redacted(data, BOTH, kind) == data


@KINDS
def test_all_letters_are_drawn(kind: type[Redactor]) -> None:
    assert {*words(redacted(command("SET", "k", "secret" * 1000), VALUES, kind))[0][2]} == {*MODULE.LETTERS}


@KINDS
def test_what_is_not_asked_for_stays_whatever_its_length(kind: type[Redactor]) -> None:
    long = "x" * 100
    for said in (("PING", long), ("SET", "k", long), ("MSETEX", "1", "k", long), ("MULTI", long)):
        assert words(redacted(command(*said), KEYS, kind))[0][-1] == long.encode()
    for said in (("SET", long, "v"), ("EVAL", "code", "1", long), ("MSETEX", "1", long, "v"), ("LMPOP", "1", long)):
        assert long.encode() in words(redacted(command(*said), VALUES, kind))[0]


@KINDS
def test_a_large_value_passes_through_small_memory(kind: type[Redactor]) -> None:
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


def test_the_bytes_of_a_digest_are_those_of_splitmix64() -> None:
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


@KINDS
@pytest.mark.parametrize("tag", ["a", "ab", "abcdefgh", "}", "{", "{a"])
def test_the_letters_around_a_hash_tag_depend_on_the_whole_key(tag: str, kind: type[Redactor]) -> None:
    """The braces stay in place, however short the tag is."""
    inner = tag.partition("}")[0]
    [[_, key, alone]] = words(redacted(command("DEL", f"before{{{tag}}}behind", inner or "x"), KEYS, kind))
    if not inner:
        assert key.isalnum()
        return
    assert key.index(b"{") == 6
    assert key.index(b"}") == 7 + len(inner)
    assert key[:6].isalnum()
    assert key[8 + len(inner) :].isalnum()
    assert key[:6] != b"before"
    assert key[8 + len(inner) :] != b"behind"
    assert key[7 : 7 + len(inner)] == alone


@KINDS
@pytest.mark.parametrize(
    ("word", "is_number"),
    [
        ("1e5", True), ("1E5", True), ("1e+5", True), ("1e-5", True), ("1.5e17", True), ("1.", True), ("-1e5", True),
        ("1e", False), ("1e+", False), ("1e-", False), ("1e5x", False), ("1f5", False), ("1e++5", False), (".5", False),
        ("1.5.5", False), ("+", False), ("-", False), ("--1", False), ("e5", False), ("1 ", False), ("1e5.5", False),
    ],
)  # fmt: skip
def test_numbers_are_recognized(word: str, is_number: bool, kind: type[Redactor]) -> None:
    """The sign, the point and the exponent stay; anything else becomes letters."""
    for key in range(5):
        [[_, _, new]] = words(bytes(kind(bytes([key]) * 16, VALUES).feed(command("SET", "k", word))))
        if is_number:
            assert re.sub(rb"\d", b"#", new.partition(b"e")[0]) == re.sub(rb"\d", b"#", word.encode().partition(b"e")[0])
            assert new.lower().partition(b"e")[2] == word.encode().lower().partition(b"e")[2]
        else:
            assert new.isalnum()


@KINDS
@pytest.mark.parametrize("stray", [b"7", b"$", b"*"])
def test_a_stray_byte_after_an_argument_is_hidden_if_nothing_follows(stray: bytes, kind: type[Redactor]) -> None:
    """The argument is longer than its stated length, so that byte is data, although a line could begin with it."""
    whole = command("SET", "k", "secret")
    assert redacted(whole[:-2] + b"\r", kind=kind).endswith(b"\r")
    assert redacted(whole[:-2] + stray, kind=kind).endswith(b"*")
