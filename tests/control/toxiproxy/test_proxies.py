"""Many clients at once: names are taken once, and no link feels it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tap.control.toxiproxy import proxies, proxy
from tests.control.asking import NOWHERE, Asked, Client, asked
from tests.control.toxiproxy.proxied import Stopwatch, passes, proxied, read
from tests.support import WITHIN

CLIENTS = 50
NEW = {"name": "new", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}


def at_once(tap: Asked, ask: Callable[[Client, int], int], clients: int = CLIENTS) -> Counter[int]:
    """The statuses of as many requests, made at the same time."""
    begin = threading.Barrier(clients)

    def one(number: int) -> int:
        client = tap.another()
        client.get("/version")
        begin.wait(WITHIN)
        try:
            return ask(client, number)
        finally:
            client.close()

    with ThreadPoolExecutor(clients) as pool:
        return Counter(pool.map(one, range(clients)))


def test_of_many_creates_and_deletes_with_one_name_one_succeeds() -> None:
    with proxied() as (tap, _):
        assert at_once(tap, lambda client, _: client.post("/proxies", NEW).status) == {201: 1, 409: CLIENTS - 1}
        assert at_once(tap, lambda client, _: client.delete("/proxies/new").status) == {204: 1, 404: CLIENTS - 1}


def test_of_many_toxics_with_one_name_one_is_added() -> None:
    with proxied() as (tap, _):
        path = "/proxies/it/toxics"
        added = at_once(tap, lambda client, _: client.post(path, {"type": "latency"}).status)
        assert added == {200: 1, 409: CLIENTS - 1}
        removed = at_once(tap, lambda client, _: client.delete(f"{path}/latency_downstream").status)
        assert removed == {204: 1, 404: CLIENTS - 1}


def test_many_populates_leave_one_proxy_of_each_name() -> None:
    with proxied() as (tap, _):
        entries = [
            {"name": f"p{number}", "listen": "127.0.0.1:0", "upstream": "u:1", "enabled": number % 2 == 0}
            for number in range(4)
        ]
        assert at_once(tap, lambda client, _: client.post("/populate", entries).status, 12) == {201: 12}
        assert [name for name in tap.client.get("/proxies").json if name != "it"] == [f"p{number}" for number in range(4)]


def test_updates_deletes_and_resets_of_one_proxy_meet_without_harm() -> None:
    with proxied() as (tap, proxy):

        def ask(client: Client, number: int) -> int:
            if number == 30:
                return client.delete("/proxies/it").status
            if number % 7 == 0:
                return client.post("/reset").status
            body = [
                {"enabled": False},
                {"enabled": True},
                {"listen": "127.0.0.1:0"},
                {"upstream": f"127.0.0.1:{number + 1}"},
            ]
            return client.ask("PATCH", "/proxies/it", body[number % 4]).status

        assert set(at_once(tap, ask)) <= {200, 204, 404}
        assert proxy.api.get("/proxies").json == {}
        assert proxy.api.post("/proxies", {**NEW, "name": "it"}).status == 201


@pytest.mark.parametrize("clients", [20])
def test_a_link_feels_nothing_of_clients_that_come_and_go(clients: int) -> None:
    with proxied() as (tap, proxy):
        client, server = proxy.connect()
        done = threading.Event()
        slowest = [0.0]

        def carry() -> None:
            while not done.is_set():
                watch = Stopwatch()
                client.sendall(b"x" * 1000)
                read(server, 1000)
                slowest[0] = max(slowest[0], watch.seconds)

        carrier = threading.Thread(target=carry)
        carrier.start()

        def ask(one: Client, number: int) -> int:
            path = f"/proxies/p{number}"
            for _ in range(3):
                assert one.post("/proxies", {**NEW, "name": f"p{number}"}).status == 201
                assert one.post(f"{path}/toxics", {"type": "latency", "attributes": {"latency": 5}}).status == 200
                assert one.ask("PATCH", path, {"enabled": False}).status == 200
                assert one.ask("PATCH", path, {"enabled": True}).status == 200
                assert one.delete(path).status == 204
            return 0

        try:
            assert at_once(tap, ask, clients) == {0: clients}
        finally:
            done.set()
            carrier.join(WITHIN)
        assert slowest[0] < 2  # of seconds; bench measures it
        assert passes(client, server)
        assert list(tap.client.get("/proxies").json) == ["it"]


def test_proxies_and_toxics_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each proxy takes a file, of which the links need some, and each toxic is asked for every piece of its link."""
    monkeypatch.setattr(proxies, "MOST_LINKS", 2)
    monkeypatch.setattr(proxy, "MOST", 2)
    with asked() as tap:
        for number, status in enumerate((201, 201, 400)):
            new = {"name": f"p{number}", "listen": "127.0.0.1:0", "upstream": NOWHERE}
            assert tap.client.post("/proxies", new).status == status
        assert sorted(tap.client.get("/proxies").json) == ["main", "p0", "p1"]
        for number, status in enumerate((200, 200, 400)):
            new = {"name": f"t{number}", "type": ("latency", "noop", "noop")[number]}
            assert tap.client.post("/proxies/p0/toxics", new).status == status
        tap.client.delete("/proxies/p1")
        new = {"name": "p2", "listen": "127.0.0.1:0", "upstream": NOWHERE}
        assert tap.client.post("/proxies", new).status == 201
