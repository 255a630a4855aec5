"""The typed keywords of Tap() equal the declarations."""

from __future__ import annotations

import dataclasses

from tap.config import Config, LinkConfig
from tap.config.keywords import Keywords
from tests import declared


def test_the_keywords_are_written_from_the_declarations() -> None:
    assert declared.KEYWORDS.read_text() == declared.keywords(), "run: python -m tests.declared"


def test_each_field_of_a_configuration_is_a_keyword() -> None:
    fields = {one.name for cls in (LinkConfig, Config) for one in dataclasses.fields(cls)}
    assert Keywords.__annotations__.keys() == fields
