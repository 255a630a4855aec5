"""Options as they are declared: what a field accepts and keeps, and what is known about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tap.config import Config, LinkConfig
from tap.config.option import TOPICS, Declared, FromText, FromWords, Option, declared, in_order
from tap.units import parse_duration

OF_TAP = {one.name: one for one in declared(Config)}
OF_LINK = {one.name: one for one in declared(LinkConfig)}


def test_text_is_parsed_and_anything_else_is_taken_unchanged() -> None:
    read = FromText(parse_duration)
    assert (read("10m"), read(5.0), read(None)) == (600, 5.0, None)
    assert FromText(parse_duration, later=True)("10m") == "10m"


def test_one_word_may_stand_for_a_list_and_each_is_parsed() -> None:
    assert (FromWords()("a"), FromWords()(["a", "b"]), FromWords()(()), FromWords()(None)) == (
        ("a",),
        ("a", "b"),
        (),
        None,
    )
    assert FromWords(str.upper)("a") == ("A",)


@pytest.mark.parametrize(
    ("one", "flags", "key", "kept", "default"),
    [
        (OF_TAP["record_to"], ("--write", "-w"), "record_to", Path, None),
        (OF_TAP["every_command"], ("--commands",), "commands", bool, False),
        (OF_TAP["connect_timeout"], ("--connect-timeout",), "connect_timeout", float, 10.0),
        (OF_TAP["faults"], ("--fault",), "faults", tuple[str, ...], ()),
        (OF_TAP["seed"], ("--seed",), "seed", int, None),
        (OF_LINK["sni"], ("--sni",), "sni", str, None),
    ],
)
def test_a_declaration_holds_all_of_an_option(
    one: Declared, flags: tuple[str, ...], key: str, kept: object, default: object
) -> None:
    assert (one.flags, one.key, one.kept, one.default) == (flags, key, kept, default)


def test_the_words_of_an_option_are_those_of_its_type() -> None:
    assert OF_TAP["announce"].words == OF_LINK["announce"].words == ("keep", "tap")
    assert OF_TAP["record_to"].words == ()


def test_options_of_a_topic_stand_together() -> None:
    topics = [one.option.topic for one in in_order(LinkConfig, Config)]
    assert topics == sorted(topics, key=TOPICS.index)
    assert "connect_timeout" not in [one.name for one in in_order(Config)]


def test_every_option_explains_itself_in_a_sentence() -> None:
    for one in (*declared(LinkConfig), *declared(Config)):
        assert isinstance(one.option, Option)
        assert one.option.help.endswith("."), one.name
