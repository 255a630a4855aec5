"""Fixtures: a listening socket for made-up masters, and certificates."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.relay.certificates import Certificates
from tests.relay.wire import LOCALHOST
from tests.support import WITHIN


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((LOCALHOST, 0), backlog=1000) as one:
        one.settimeout(WITHIN)
        yield one


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))
