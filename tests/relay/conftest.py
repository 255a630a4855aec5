"""Fixtures: what made-up masters listen on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.relay.wire import LOCALHOST
from tests.support import WITHIN


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((LOCALHOST, 0), backlog=1000) as one:
        one.settimeout(WITHIN)
        yield one
