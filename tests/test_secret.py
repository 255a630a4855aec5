from __future__ import annotations

from pathlib import Path

import pytest

from tap.errors import ConfigError
from tap.secret import secret


def test_a_secret_is_a_variable_of_the_environment(tmp_path: Path) -> None:
    assert secret("WORD", {"WORD": "pass"}) == "pass"
    assert secret("WORD", {}) is None
    assert secret("WORD", {"CREDENTIALS_DIRECTORY": ""}) is None
    (tmp_path / "WORD").write_text("other")
    assert secret("WORD", {"WORD": "", "CREDENTIALS_DIRECTORY": str(tmp_path)}) == ""


@pytest.mark.parametrize(("content", "word"), [("pass", "pass"), ("pass\n", "pass"), (" pass \n\n", " pass \n")])
def test_a_secret_is_a_credential_of_the_service(tmp_path: Path, content: str, word: str) -> None:
    (tmp_path / "WORD").write_text(content)
    assert secret("WORD", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == word
    assert secret("OTHER", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None


def test_a_credential_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "WORD").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"WORD: WORD cannot be read from it: 'utf-8' codec"):
        secret("WORD", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
