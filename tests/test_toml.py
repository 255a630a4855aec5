"""A wrong TOML file is explained: file, line, key, what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from tap.errors import ConfigError
from tap.toml import line_of, load


class Wheel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


class Car(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    wheels: tuple[Wheel, ...] = ()
    drivers: dict[str, Wheel] = {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "car.toml: 'name' is missing"),
        (
            "name = 'a'\nweels = []",
            "car.toml, line 2: unknown key 'weels'; known: name, wheels, drivers. Did you mean 'wheels'?",
        ),
        ("name = 'a'\nwheels = [\n  {size = 1},\n  {sise = 1},\n]", "line 4: unknown key 'wheel 2, sise'; known: size."),
        (
            "name = 'a'\nwheels = [\n  {size = 1}, # [{\n  {size = 'x'},\n]",
            "line 4: wheel 2, size: a whole number is expected",
        ),
        ("name = 'a'\n[[wheels]]\nsize = 1\n[[wheels]]\nsize = []", "line 5: wheel 2, size: "),
        ("name = 'a'\n[drivers.ann]\nsize = 'x'", "line 3: drivers.ann.size: "),
        ("name = 'a'\ndrivers = 3", "line 2: drivers: a table is expected, as [drivers.ann]"),
        ("name = 'a'\n\"redis://:sesame@h\" = 1", "line 2: unknown key '***'; known: name"),
        ("name = 'a'\n[drivers.'redis://:sesame@h']\nsize = 'x'", "line 3: drivers.***.size: "),
        ("name = ", "car.toml: Invalid value"),
        ("name = " + "[" * 60_000, "car.toml: keys, tables or arrays are nested too deep"),
        ("name = " + "{a = " * 60_000, "car.toml: keys, tables or arrays are nested too deep"),
        ("a" + ".a" * 60_000 + " = 1", "car.toml: keys, tables or arrays are nested too deep"),
        ("['a'" + ".'a'" * 60_000 + "]", "car.toml: keys, tables or arrays are nested too deep"),
        ("name = " + "9" * 5000, "car.toml: Exceeds the limit (4300 digits)"),
    ],
)
def test_a_mistake_is_explained(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, Car, table="[drivers.ann] with size = 1")
    assert words in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_line_is_found_in_inline_tables_and_after_quoted_keys() -> None:
    text = 'a = { b = 1, "c d" = 2 }\n[e."f >= 1"]\ng = 3\n'
    assert line_of(["a", "c d"], text) == 1
    assert line_of(["e", "f >= 1"], text) == 2
    assert line_of(["e", "f >= 1", "g"], text) == 3
    assert line_of(["nowhere"], text) is None


def test_thousands_of_blanks_are_scanned_once() -> None:
    blanks = " " * 200_000
    assert line_of(["a"], f"{blanks}\nb = {{{blanks}}}\n{blanks}a = 1\n") == 3
