"""One record per key: what it holds about the key, and what it leaves open."""

from __future__ import annotations

from tap.rdb.keys import ALPHABET, KeyReader, module_name
from tap.rdb.parser import Parser
from tests.rdb import make
from tests.rdb.reading import fixtures, keys


def test_attributes_wait_for_the_next_key() -> None:
    [fixture] = [fixture for fixture in fixtures("crafted") if fixture.truth["scenario"] == "v9-order-of-opcodes"]
    found = keys(fixture.data)
    assert [(key.db, key.key, key.freq, key.idle_s, key.expires_at_ms) for key in found] == [
        (2, b"k1", 200, 128, 4102444800000),
        (0, b"k2", None, None, None),
        (2, b"k3", None, None, None),
    ]


def test_a_missing_attribute_is_none_and_a_present_one_never() -> None:
    name = make.string(b"k")
    plain, given = keys(
        make.rdb(9, make.key(0, name, name), b"\xf9\x00\xf8\x00\xfc" + bytes(8) + make.key(0, name, name))
    )
    assert (plain.expires_at_ms, plain.freq, plain.idle_s, plain.module) == (None, None, None, None)
    assert (given.expires_at_ms, given.freq, given.idle_s, given.module) == (0, 0, 0, None)
    assert repr(plain) == "<Key b'k' db=0 type=string serialized_bytes=5>"


def test_a_module_value_has_the_name_of_its_type() -> None:
    vector_set = int.from_bytes(b"\0", "big")
    for place, letter in enumerate("vectorset"):
        vector_set |= ALPHABET.index(letter) << (10 + 6 * (8 - place))
    value = make.length(vector_set | 1) + make.module_parts()
    module, other = keys(make.rdb(9, make.key(7, make.string(b"m"), value), make.key(0, make.string(b"k"), b"\0")))
    assert (module.type, module.module, other.type) == ("vectorset", "vectorset", "string")
    assert module_name(vector_set | 1023) == module_name(vector_set - 2**64) == "vectorset"


def test_keys_are_passed_on_complete_and_once() -> None:
    data = make.rdb(9, *(make.key(0, make.string(b"%d" % number), make.string(b"v" * 9000)) for number in range(20)))
    handed: list[list[bytes]] = []
    parser = Parser(KeyReader(lambda found: handed.append([key.key for key in found])))
    for begin in range(0, len(data), 5000):
        parser.feed(data[begin : begin + 5000])
    assert parser.close() is None
    assert all(handed)
    assert [key for found in handed for key in found] == [b"%d" % number for number in range(20)]
