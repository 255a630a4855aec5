"""An examination as a whole, and the three answers."""

from __future__ import annotations

import asyncio

import pytest

from tap.errors import ConfigError, EnvironmentFailure
from tap.operate.doctor import examination
from tests.operate.doctor.pairs import DOWN, pair


def test_one_broken_finding_is_enough() -> None:
    assert examination.judge(pair(of_master={"save": ""})).healthy is True
    assert examination.judge(pair(of_master={"save": ""}, replica=DOWN)).healthy is False
    assert examination.judge(pair(master={"redis_version": "9.9.9"})).healthy is None


def test_nothing_is_dialled_for_a_wrong_request(nobody: int) -> None:
    with pytest.raises(ConfigError, match="'port' is not a port"):
        asyncio.run(examination.examine(f"127.0.0.1:{nobody}", ["127.0.0.1:port"]))
    with pytest.raises(ConfigError, match="more than 0"):
        asyncio.run(examination.examine(f"127.0.0.1:{nobody}", seconds=0))
    with pytest.raises(EnvironmentFailure, match="Connection refused"):
        asyncio.run(examination.examine(f"127.0.0.1:{nobody}", seconds=1))
