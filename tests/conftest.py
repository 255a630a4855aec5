"""Fixtures: real servers. A missing one skips its tests on a laptop; in CI the matrix is required."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import HealthCheck, settings

from tap.servers.embedded import LOOPBACK, Server
from tests.support import MATRIX, Servers, programs, required_servers, some_servers, versions

# The same examples each time, so that a green run here is green elsewhere. .ci/run tries those of "thorough"; "deep"
# draws new ones, and many.
settings.register_profile("thorough", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", settings.get_profile("thorough"), max_examples=40)
settings.register_profile("few", settings.get_profile("default"), max_examples=5)  # where each costs ten times as much
settings.register_profile("deep", deadline=None, max_examples=5000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    missing = [name for name in required_servers() if name not in programs()]
    if missing:
        raise pytest.UsageError(f"servers that are required are missing: {', '.join(missing)}")
    gc.disable()  # until the tests are collected: many thousand objects, all of which stay


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not {"servers", "any_server", "server_name", "demo_server"}.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("servers")
    _begin_with_the_long_ones(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def _begin_with_the_long_ones(items: list[pytest.Item], workers: int) -> None:
    """Every second worker begins with an equal share of the long tests, so that none is left for the end.

    Long tests mostly wait: were all workers to begin with some, none would compute for the first minute.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    others = iter([item for item in items if not item.get_closest_marker("long")])
    takers = len(range(0, workers, 2))
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        if worker % 2 == 0:
            ordered += long[worker // 2 :: takers]
        ordered += islice(others, max(0, (worker + 1) * len(items) // workers - len(ordered)))
    items[:] = [*ordered, *others]


@pytest.fixture
def servers() -> Iterator[Servers]:
    with some_servers() as started:
        yield started


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that refuses connections, and that no other test gets meanwhile."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        yield taken.getsockname()[1]


@pytest.fixture
def any_server() -> str:
    """The name of an available server, the oldest of the matrix first."""
    found = programs()
    if not found:
        pytest.skip("no server at hand")
    return next((name for name in MATRIX if name in found), next(iter(found)))


@pytest.fixture(params=versions())
def server_name(request: pytest.FixtureRequest) -> str:
    """Each server of the matrix, and in the quick tests the oldest and the newest."""
    return need(request.param)


@pytest.fixture
def target(servers: Servers) -> Server:
    """An empty server to send commands to."""
    return servers.start(need("redis-7.0"))


def need(name: str) -> str:
    if name not in programs():
        pytest.skip(f"{name} is missing; `make servers` fetches it")
    return name
