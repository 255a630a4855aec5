"""The digest of a value: the same in every form that a server may keep it in, another one after any change."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.operate.comparison.digest import LIBRARY, Digest, add_records
from tap.rdb.parser import Parser
from tap.rdb.tokens import HASH, LIST, NONE, SET, STRING, TYPES, ZSET
from tests.operate.comparison.digesting import KEY, digest_of, entry_of
from tests.rdb import make
from tests.rdb.reading import enough, fixtures, for_each
from tests.support import ROOT

S = make.string

texts = st.binary(max_size=12) | st.integers(-(2**63), 2**63 - 1).map(lambda number: b"%d" % number)
scores = st.floats(allow_nan=False)


def value(kind: int, data: bytes, version: int = 12) -> bytes:
    return make.rdb(version, make.key(kind, S(b"k"), data))


def packed(text: bytes) -> bytes | int:
    """As a server packs it: an integer if that is the same text."""
    try:
        number = int(text)
    except ValueError:
        return text
    return number if b"%d" % number == text and -(2**63) <= number < 2**63 else text


def table(members: list[bytes], *more: bytes) -> bytes:
    return make.length(len(members)) + b"".join(more or map(S, members))


def sets(members: list[bytes], dice: random.Random) -> list[bytes]:
    """RDBs of one set, in every form."""
    shuffled = dice.sample(members, len(members))
    found = [value(2, table(shuffled)), value(20, S(make.listpack(map(packed, members))))]
    numbers = [packed(one) for one in members]
    if all(isinstance(one, int) for one in numbers):
        found.append(value(11, S(make.intset([int(one) for one in numbers], 8))))
    return found


def lists(elements: list[bytes]) -> list[bytes]:
    half = len(elements) // 2
    nodes = [part for part in (elements[:half], elements[half:]) if part]
    return [
        value(1, table(elements)),
        value(10, S(make.ziplist(map(packed, elements)))),
        value(14, make.length(len(nodes)) + b"".join(S(make.ziplist(map(packed, part))) for part in nodes)),
        value(18, make.length(len(elements)) + b"".join(make.length(1) + S(one) for one in elements)),
    ]


def hashes(fields: dict[bytes, bytes], dice: random.Random) -> list[bytes]:
    pairs = dice.sample(sorted(fields.items()), len(fields))
    flat = [packed(part) for pair in pairs for part in pair]
    tripled = [part for name, text in pairs for part in (packed(name), packed(text), 0)]
    return [
        value(4, make.length(len(pairs)) + b"".join(S(name) + S(text) for name, text in pairs)),
        value(13, S(make.ziplist(flat))),
        value(16, S(make.listpack(flat))),
        value(24, bytes(8) + make.length(len(pairs)) + b"".join(b"\0" + S(name) + S(text) for name, text in pairs)),
        value(25, bytes(8) + S(make.listpack(tripled))),
        value(
            22,
            make.length(len(pairs)) + b"".join(S(name) + S(text) + b"\xff" * 8 for name, text in pairs),
            80,
        ),
    ]


def zsets(members: dict[bytes, float], dice: random.Random) -> list[bytes]:
    pairs = dice.sample(sorted(members.items()), len(members))
    said = [(name, repr(score).encode()) for name, score in pairs]
    return [
        value(5, make.length(len(pairs)) + b"".join(S(name) + struct.pack("<d", score) for name, score in pairs)),
        value(3, make.length(len(said)) + b"".join(S(name) + _text_score(text) for name, text in said)),
        value(17, S(make.listpack([part for name, text in said for part in (packed(name), packed(text))]))),
        value(12, S(make.ziplist([part for name, text in said for part in (packed(name), packed(text))]))),
    ]


def _text_score(text: bytes) -> bytes:
    infinite = {b"inf": b"\xfe", b"-inf": b"\xff"}
    return infinite.get(text) or bytes([len(text)]) + text


def all_equal(rdbs: list[bytes]) -> None:
    found = {entry_of(data, step) for data in rdbs for step in (0, 7)}
    assert len(found) == 1, found


@given(st.sets(texts, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_a_set_is_the_same_in_every_form_and_order(members: set[bytes], dice: random.Random) -> None:
    all_equal(sets(sorted(members), dice))


@given(st.lists(texts, min_size=1, max_size=8))
def test_a_list_is_the_same_in_every_form(elements: list[bytes]) -> None:
    all_equal(lists(elements))


@given(st.dictionaries(texts, texts, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_hash_is_the_same_in_every_form_and_order(fields: dict[bytes, bytes], dice: random.Random) -> None:
    all_equal(hashes(fields, dice))


@given(st.dictionaries(texts, scores, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_sorted_set_is_the_same_in_every_form_and_order(members: dict[bytes, float], dice: random.Random) -> None:
    all_equal(zsets(members, dice))


@pytest.mark.parametrize("text", [b"", b"12", b"-9223372036854775808", b"x" * 200_000, os.urandom(70_000)])
def test_a_string_is_the_same_in_every_form(text: bytes) -> None:
    forms = [S(text)] + ([make.compressed(text)] if text else []) + ([make.decimal(12)] if text == b"12" else [])
    found = {entry_of(value(0, form), step) for form in forms for step in (0, 10_007)}
    assert len(found) == 1


def test_zero_has_no_sign() -> None:
    plus, minus = (value(5, make.length(1) + S(b"m") + struct.pack("<d", score)) for score in (0.0, -0.0))
    assert entry_of(plus) == entry_of(minus)


# ---- any change ----


@given(st.dictionaries(texts, texts, min_size=1, max_size=5), texts, texts, st.data())
def test_any_change_of_a_hash_is_seen(fields: dict[bytes, bytes], name: bytes, text: bytes, data: st.DataObject) -> None:
    changed = dict(fields)
    victim = data.draw(st.sampled_from(sorted(fields)))
    if data.draw(st.booleans()):
        changed[name] = text
    else:
        changed[data.draw(st.sampled_from([victim, name]))] = changed.pop(victim)
    if changed != fields:
        dice = random.Random(0)
        assert entry_of(hashes(fields, dice)[0]) != entry_of(hashes(changed, dice)[2])


@given(st.lists(texts, min_size=1, max_size=5), st.lists(texts, min_size=1, max_size=5))
def test_two_lists_are_equal_only_if_their_elements_are(one: list[bytes], other: list[bytes]) -> None:
    assert (entry_of(lists(one)[0]) == entry_of(lists(other)[3])) == (one == other)


@given(st.dictionaries(texts, scores, min_size=1, max_size=4), st.dictionaries(texts, scores, min_size=1, max_size=4))
def test_two_sorted_sets_are_equal_only_if_their_scores_are(one: dict[bytes, float], other: dict[bytes, float]) -> None:
    dice = random.Random(0)
    assert (entry_of(zsets(one, dice)[0]) == entry_of(zsets(other, dice)[1])) == (one == other)


def test_bytes_that_move_from_one_string_to_the_next_are_a_change() -> None:
    pairs = [{b"ab": b"c"}, {b"a": b"bc"}, {b"": b"abc"}, {b"abc": b""}]
    dice = random.Random(0)
    assert len({entry_of(hashes(one, dice)[0]) for one in pairs}) == len(pairs)
    assert len({entry_of(lists(one)[0]) for one in ([b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"abc", b""])}) == 4


def test_values_of_two_types_with_the_same_bytes_differ_in_type() -> None:
    found = [
        entry_of(value(0, S(b"a"))),
        entry_of(value(1, table([b"a"]))),
        entry_of(value(2, table([b"a"]))),
        entry_of(value(4, make.length(1) + S(b"a") + S(b"a"))),
        entry_of(value(5, make.length(1) + S(b"a") + bytes(8))),
    ]
    assert [one.kind for one in found] == [STRING, LIST, SET, HASH, ZSET]


def test_the_expiry_of_a_field_counts_unless_expiries_are_ignored() -> None:
    def rdb(expiry: int) -> bytes:
        field = (b"\0" if expiry == 0 else make.length(expiry)) + S(b"f") + S(b"v")
        return value(24, (1000).to_bytes(8, "little") + make.length(1) + field)

    assert len({entry_of(rdb(expiry)) for expiry in (0, 1, 2)}) == 3
    ignored = [digest_of(rdb(expiry), expiries=False)[1][0, b"k"].digest for expiry in (0, 1, 2)]
    assert len(set(ignored)) == 1


def test_the_expiry_of_a_key_is_in_its_record_and_in_the_sum_unless_ignored() -> None:
    plain, expiring = (
        make.rdb(12, *more, make.key(0, S(b"k"), S(b"v"))) for more in ([], [b"\xfc" + (10**13).to_bytes(8, "little")])
    )
    assert entry_of(plain).expiry == NONE
    assert entry_of(expiring).expiry == 10**13
    assert digest_of(plain)[0].sums != digest_of(expiring)[0].sums
    assert digest_of(plain, expiries=False)[0].sums == digest_of(expiring, expiries=False)[0].sums


def stream(version: int, *, pending: int = 2, consumer: bytes = b"c", node: bytes = b"1", read: int = 1) -> bytes:
    group = make.group(version, S(b"g"), pending, [(S(consumer), 1)], read)
    kind = {1: 15, 2: 19, 3: 21}[version]
    return value(kind, make.stream(version, [S(make.node([b"f"], [[node], [b"2"]]))], [group]))


def test_a_stream_is_the_same_in_each_version_but_for_what_the_first_lacks() -> None:
    found = [entry_of(stream(version)) for version in (1, 2, 3)]
    assert len({one.digest for one in found}) == 1
    assert found[0].more == 0
    assert found[1].more == found[2].more != 0
    assert entry_of(stream(3, read=2)).more not in (0, found[2].more)
    assert entry_of(stream(3, read=-1)).more == 0


def test_entries_pending_entries_and_consumers_of_a_stream_count() -> None:
    changed = [stream(3), stream(3, pending=3), stream(3, consumer=b"d"), stream(3, node=b"3")]
    assert all(entry_of(a).digest != entry_of(b).digest for a, b in combinations(changed, 2))


def test_when_and_how_often_an_entry_was_delivered_does_not_count() -> None:
    """A replica does not learn that a consumer has read again what is pending."""
    once = make.group(3, S(b"g"), 1, [(S(b"c"), 1)])
    delivery = (10**12).to_bytes(8, "little") + make.length(0)
    assert once.count(delivery) == 1
    again = once.replace(delivery, (10**12 + 5).to_bytes(8, "little") + make.length(2))
    one, other = (
        entry_of(value(21, make.stream(3, [S(make.node([b"f"], [[b"1"], [b"2"]]))], [group]))) for group in (once, again)
    )
    assert one == other


def test_a_module_is_its_type_and_what_it_saved() -> None:
    def rdb(type_id: int, number: int) -> bytes:
        return value(7, make.length(type_id) + make.module_parts(make.length(2) + make.length(number)))

    one, same, other, newer = (entry_of(rdb(*said)) for said in ((2**40, 7), (2**40, 7), (2**40, 8), (2**40 + 1, 7)))
    assert one == same
    assert one.digest != other.digest
    assert (one.more, newer.more) == (2**40, 2**40 + 1)


def test_an_array_has_no_order_and_counts_its_indexes() -> None:
    first = [(1, 0, S(b"a")), (5, 1, struct.pack("<q", 7))]

    def rdb(elements: list[tuple[int, int, bytes]], insert: int | None = None) -> bytes:
        return value(28, make.array(elements, insert), 14)

    assert entry_of(rdb(first)) == entry_of(rdb(first[::-1]))
    assert entry_of(rdb(first)) != entry_of(rdb([(2, *first[0][1:]), first[1]]))
    assert entry_of(rdb(first)) != entry_of(rdb(first, 5))


# Of each type one value, and the same with one byte of data changed.
CHANGED = {
    "string": (value(0, S(b"a")), value(0, S(b"b"))),
    "list": (value(1, table([b"a"])), value(1, table([b"b"]))),
    "set": (value(2, table([b"a"])), value(2, table([b"b"]))),
    "zset": (value(3, b"\x01" + S(b"a") + b"\x011"), value(3, b"\x01" + S(b"a") + b"\x012")),
    "hash": (value(4, b"\x01" + S(b"f") + S(b"a")), value(4, b"\x01" + S(b"f") + S(b"b"))),
    "stream": (stream(3), stream(3, node=b"3")),
    "module": tuple(
        value(7, make.length(2**40) + make.module_parts(make.length(2) + make.length(number))) for number in (7, 8)
    ),
    "array": tuple(value(28, make.array([(1, 0, S(text))]), 14) for text in (b"a", b"b")),
    "gcra": (value(33, b"\x2a", 15), value(33, b"\x2b", 15)),
}


def test_the_data_of_every_type_count() -> None:
    """A type that is new in tokens.py needs an example here, and digest.py to say whether its elements have an order."""
    assert CHANGED.keys() == set(TYPES)
    for name, (one, other) in CHANGED.items():
        assert entry_of(one).kind == entry_of(other).kind == TYPES.index(name)
        assert entry_of(one).digest != entry_of(other).digest, name


# ---- the whole RDB ----


def test_a_library_of_functions_has_a_record_under_its_name() -> None:
    code = b"#!lua name=mine\nredis.register_function('f', function() end)"
    digest, found = digest_of(make.rdb(12, b"\xf5" + S(code), make.key(0, S(b"k"), S(b"v"))))
    assert found[-1, b"mine"].kind == LIBRARY
    assert digest.keys == 1
    changed = digest_of(make.rdb(12, b"\xf5" + S(code + b" ")))[1]
    assert changed[-1, b"mine"].digest != found[-1, b"mine"].digest


def test_the_time_of_writing_is_that_of_the_writer() -> None:
    assert digest_of(make.rdb(12, make.aux(S(b"ctime"), make.decimal(1700000000))))[0].created == 1700000000
    assert digest_of(make.rdb(12, make.aux(S(b"ctime"), S(b"today"))))[0].created is None


def test_only_the_keys_that_are_wanted_have_records() -> None:
    keys = [make.key(0, S(b"k%d" % number), S(b"v")) for number in range(9)]
    data = make.rdb(12, b"\xfe\x00", *keys[:5], b"\xfe\x03", *keys[5:])
    digest, found = digest_of(data, only=lambda db, name: db == 3 and name != b"k6")
    assert sorted(found) == [(3, b"k5"), (3, b"k7"), (3, b"k8")]
    assert digest.keys == 3


@pytest.mark.parametrize("size", [0, 1, 16_000, 16_328, 16_329, 100_000])
def test_names_of_any_size_are_in_their_records(size: int) -> None:
    names = [b"x" * size + b"%d" % number for number in range(300 if size < 2 else 3)]
    data = make.rdb(12, *(make.key(0, S(name), S(b"v")) for name in names))
    digest, found = digest_of(data)
    assert sorted(name for _, name in found) == sorted(names)
    assert sum(count for count, _, _ in digest.sums) == len(names)


@for_each(enough(fixtures("server")))
def test_the_records_do_not_depend_on_how_the_bytes_came(fixture: object) -> None:
    data = fixture.data  # type: ignore[attr-defined]
    whole = digest_of(data)
    for step in (1, 1009):
        pieces = digest_of(data, step)
        assert pieces[1] == whole[1]
        assert pieces[0].sums == whole[0].sums


def test_records_that_are_cut_are_left_for_the_next_piece() -> None:
    put: list[bytes] = []
    digest = Digest(KEY, lambda _, records: put.append(bytes(records)))
    Parser(digest, values=True).feed(make.rdb(12, *(make.key(0, S(b"k%d" % n), S(b"v")) for n in range(50))))
    digest.close()
    data = b"".join(put)
    whole: set[bytes] = set()
    assert add_records(data, whole, 1, 0) == len(data)
    assert len(whole) == 50
    for cut in range(0, len(data), 11):
        found: set[bytes] = set()
        used = add_records(data[:cut], found, 1, 0)
        assert used <= cut
        add_records(data[used:], found, 1, 0)
        assert found == whole
    shares: list[set[bytes]] = [set(), set(), set()]
    for number, share in enumerate(shares):
        add_records(data, share, 3, number)
    assert set().union(*shares) == whole
    assert sum(map(len, shares)) == 50


def test_uncompiled_the_records_are_the_same() -> None:
    names = ["redis-8.0.6-mixed", "redis-8.0.6-streams", "valkey-9.1.2-zsets"]
    code = (
        "import sys; from pathlib import Path; from tests.operate.comparison.digesting import digest_of\n"
        "from tap.operate.comparison import digest; assert digest.__file__.endswith('.py')\n"
        "for path in sys.argv[1:]: print(sorted(digest_of(Path(path).read_bytes())[1].items()))"
    )
    paths = [str(ROOT / "fixtures" / "rdb" / f"{name}.rdb") for name in names]
    said = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env={**os.environ, "REDIS_TAP_PURE_PYTHON": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    by_name = {fixture.name: fixture for fixture in fixtures("server")}
    assert said == [str(sorted(digest_of(by_name[name].data)[1].items())) for name in names]
