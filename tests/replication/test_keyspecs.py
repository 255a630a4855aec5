"""The keys of a command: as every available server names them, for any split of the bytes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from tap.replication.keyspecs import KeyFinder, keys
from tests.relay.wire import command
from tests.support import Servers

# By hand: what a keyword names, what only resembles one, and what no available server knows.
NAMED = [
    ("SET user:1 x EX 10", "user:1"),
    ("sort list BY weight_* LIMIT 0 10 GET # GET object_* DESC ALPHA STORE dst", "list dst"),
    ("SORT list STORE dst", "list dst"),
    ("SORT list BY STORE GET STORE", "list"),
    ("SORT list store dst limit 1 store", "list dst"),
    ("SORT_RO list BY STORE", "list"),
    ("GEORADIUS places 15 37 200 km COUNT 3 ANY ASC STORE near", "places near"),
    ("GEORADIUS places 15 37 200 km storedist far", "places far"),
    ("GEORADIUSBYMEMBER places STORE 200 km STOREDIST far", "places far"),
    ("GEORADIUSBYMEMBER_RO places STORE 200 km", "places"),
    ("GEOSEARCHSTORE dst src FROMMEMBER STOREDIST BYRADIUS 1 km STOREDIST", "dst src"),
    ("ZUNIONSTORE dst 2 a b WEIGHTS 1 2 AGGREGATE MAX", "dst a b"),
    ("ZDIFFSTORE dst 1 a", "dst a"),
    ("ZINTERSTORE dst 9 a b", "dst a b"),
    ("ZUNION 2 a b WITHSCORES", "a b"),
    ("SINTERCARD 2 a b LIMIT 1", "a b"),
    ("LMPOP 2 a b LEFT COUNT 3", "a b"),
    ("BLMPOP 5 2 a b LEFT", "a b"),
    ("ZMPOP 1 a MIN", "a"),
    ("EVAL script 2 a b c", "a b"),
    ("EVAL script 0 a b", ""),
    ("EVALSHA hash -1 a", ""),
    ("FCALL function 1 a b", "a"),
    ("XREAD COUNT 2 BLOCK 0 STREAMS a b 0 0", "a b"),
    ("XREADGROUP GROUP STREAMS STREAMS COUNT 1 NOACK STREAMS a b c > > >", "a b c"),
    ("XGROUP CREATE stream group $ MKSTREAM", "stream"),
    ("XINFO STREAM stream FULL", "stream"),
    ("OBJECT FREQ key", "key"),
    ("OBJECT HELP", ""),
    ("MEMORY USAGE key SAMPLES 5", "key"),
    ("MEMORY DOCTOR", ""),
    ("BITOP AND dst a b", "dst a b"),
    ("BLPOP a b 5", "a b"),
    ("MSET a 1 b 2", "a b"),
    ("MSETEX 2 a 1 b 2 NX EX 10", "a b"),
    ("MIGRATE host 6379 a 0 100 COPY", "a"),
    ("MIGRATE host 6379 KEYS 0 100 AUTH KEYS", "KEYS"),
    ("COPY a b DB 3 REPLACE", "a b"),
    ("MOVE a 3", "a"),
    ("LCS a b LEN", "a b"),
    ("PFMERGE dst a b", "dst a b"),
    ("CLUSTER SETSLOT 1 NODE id", ""),
    ("SPUBLISH channel message", ""),
    ("PUBLISH channel message", ""),
    ("FLUSHALL ASYNC", ""),
    ("SWAPDB 0 1", ""),
    ("SCRIPT LOAD source", ""),
    ("JSON.SET doc $ 1", "doc"),
    ("JSON.MSET doc:1 $ 1 doc:2 $ 2", "doc:1 doc:2"),
    ("TS.MADD a 1 2 b 3 4", "a b"),
    ("TS.CREATERULE a b AGGREGATION avg 60000", "a b"),
    ("CMS.MERGE dst 2 a b WEIGHTS 1 2", "dst a b"),
    ("TDIGEST.MERGE dst 1 a OVERRIDE", "dst a"),
    ("BF.ADD filter item", "filter"),
    ("FT.CREATE index PREFIX 1 user: SCHEMA name TEXT", ""),
    ("FT.SUGADD suggestions word 1", "suggestions"),
    ("SOMETHING.NEW key value", "key"),
]


def of(text: str) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in text.split())


@pytest.mark.parametrize(("text", "names"), NAMED)
def test_keys_are_found_wherever_the_command_names_them(text: str, names: str) -> None:
    name, *arguments = of(text)
    assert keys(name.upper(), arguments) == list(of(names))


def test_migrate_names_many_keys_after_an_empty_one() -> None:
    words = [b"host", b"6379", b"", b"0", b"100", b"REPLACE", b"AUTH2", b"KEYS", b"KEYS", b"KEYS", b"a", b"b"]
    assert keys(b"MIGRATE", words) == [b"a", b"b"]


WORDS = st.sampled_from([b"a", b"", b"2", b"1", b"STORE", b"by", b"GET", b"STREAMS", b"KEYS", b"x" * 300, b"$1\r\nb\r\n"])
NAMES = st.sampled_from(sorted({text.split()[0] for text, _ in NAMED}))


@given(NAMES, st.lists(WORDS, max_size=9), st.data())
def test_keys_are_the_same_for_any_split(name: str, arguments: list[bytes], data: st.DataObject) -> None:
    whole = memoryview(command(name, *arguments))
    finder, found = KeyFinder(), list[bytes]()
    for end in [*sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6))), len(whole)]:
        more = finder.keys(whole[:end])
        found += more[0]
    assert found == keys(name.upper().encode(), arguments)
    assert not more[1]


def test_bytes_after_the_last_key_are_not_waited_for() -> None:
    for text in ("SET a", "EVAL script 1 a", "ZUNIONSTORE dst 1 a", "XGROUP CREATE a", "MIGRATE host 6379 a"):
        words = of(text)
        begun = command(*words, b"x" * 1000)[:-1000]
        assert KeyFinder().keys(memoryview(begun)) == (keys(words[0], words[1:]), False), text


# ---- the servers' own answers ----


class Examples:
    """Commands made from their documentation (COMMAND DOCS), at random."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._numbers = itertools.count()

    def of(self, docs: dict[str, Any]) -> list[str]:
        return self._all(docs.get("arguments", []))

    def _all(self, arguments: list[dict[str, Any]]) -> list[str]:
        """A number of keys is filled in once they are known."""
        made: list[str] = []
        counts: list[int] = []
        for argument in arguments:
            if argument["name"] == "numkeys":
                counts.append(len(made))
            before = len(made)
            made += self._some(argument)
            if counts and argument["type"] in ("key", "block") and len(made) > before:
                step = len(argument.get("arguments", [1]))
                made[counts.pop()] = str((len(made) - before) // step)
        for place in counts:
            made[place] = "0"
        return made

    def _some(self, argument: dict[str, Any]) -> list[str]:
        flags = argument.get("flags", [])
        if "optional" in flags and self._dice.random() < 0.4:
            return []
        token = [argument["token"]] if "token" in argument and argument["type"] != "pure-token" else []
        many = self._dice.randint(1, 3) if "multiple" in flags else 1
        made: list[str] = []
        for number in range(many):
            if number == 0 or "multiple_token" in flags:
                made += token
            made += self._one(argument)
        return made

    def _one(self, argument: dict[str, Any]) -> list[str]:
        kind = argument["type"]
        if kind == "pure-token":
            return [argument["token"]]
        if kind == "oneof":
            return self._some(self._dice.choice(argument["arguments"]))
        if kind == "block":
            return self._all(argument["arguments"])
        if kind in ("integer", "double", "unix-time"):
            return [str(self._dice.randint(1, 3))]
        return [f"{argument['name']}-{next(self._numbers)}"]


def documented(server: redis.Redis) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every command and subcommand, as its words."""
    for name, docs in as_text(server.execute_command("COMMAND DOCS")).items():
        if "subcommands" not in docs:
            yield name.upper(), docs
        for inner, more in docs.get("subcommands", {}).items():
            yield inner.upper().replace("|", " "), more


def as_text(said: Any) -> Any:
    if isinstance(said, bytes):
        return said.decode()
    if isinstance(said, dict):
        return {as_text(key): as_text(value) for key, value in said.items()}
    return [as_text(one) for one in said] if isinstance(said, list) else said


# What servers also name, and is not a key: a channel, or the hash tag by which CLUSTERSCAN is routed.
NO_KEYS = {"SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", "CLUSTERSCAN"}


def test_keys_are_those_that_the_server_names(servers: Servers, server_name: str) -> None:
    if server_name == "redis-6.2":
        pytest.skip("Redis 6.2 has no COMMAND DOCS")
    with redis.Redis(port=servers.start(server_name).port, protocol=3) as server:
        server.response_callbacks.clear()
        differing, compared = [], 0
        for words, docs in documented(server):
            if words.split()[0] in NO_KEYS:
                continue
            examples = Examples(seed=len(words))
            for _ in range(10):
                whole = [*words.split(), *examples.of(docs)]
                try:
                    named = [key for key in as_text(server.execute_command("COMMAND GETKEYS", *whole)) if key]
                except redis.ResponseError as error:
                    if "no key arguments" not in str(error):
                        continue
                    named = []
                compared += 1
                ours = [key.decode() for key in keys(whole[0].encode(), [word.encode() for word in whole[1:]])]
                if ours != named:
                    differing.append((" ".join(whole), named, ours))
        assert differing == []
        assert compared > 1500
