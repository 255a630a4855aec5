"""What toxics do to real traffic, and what changes of a proxy do to its connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import pytest

from tap.replication.events import FaultArmed, FaultExpired, FaultFired
from tests.control.asking import asked
from tests.control.toxiproxy.proxied import Proxied, Stopwatch, is_refused, is_silent, passes, proxied, read, reset, rest

DATA = bytes(range(256)) * 400  # 102,400 bytes
CHANGING: list[tuple[str, dict[str, Any]]] = [
    ("latency", {"latency": 5, "jitter": 5}),
    ("slicer", {"average_size": 100, "delay": 1}),
    ("bandwidth", {"rate": 5000}),
]


# ---- each toxic ----


def test_latency_delays_its_stream_alone_and_delays_overlap() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("latency", latency=100)
        client, server = proxy.connect()
        watch = Stopwatch()
        client.sendall(b"request")
        assert read(server, 7) == b"request"
        assert watch.seconds < 0.1
        for _ in range(8):
            server.sendall(b"x" * 100)
            time.sleep(0.03)  # the pace of the sender
        read(client, 800)
        assert 0.1 <= watch.seconds < 0.8


def test_two_latencies_add_up() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("latency", "upstream", latency=80)
        proxy.api.post(f"{proxy.path}/toxics", {"name": "b", "type": "latency", "stream": "upstream",
                                                "attributes": {"latency": 70}})  # fmt: skip
        client, server = proxy.connect()
        watch = Stopwatch()
        client.sendall(b"x")
        read(server, 1)
        assert watch.seconds >= 0.15


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_bandwidth_is_exact_on_average(stream: str) -> None:
    with proxied() as (_, proxy):
        proxy.toxic("bandwidth", stream, rate=100)
        client, server = proxy.connect()
        sender, receiver = (client, server) if stream == "upstream" else (server, client)
        watch = Stopwatch()
        sender.sendall(DATA[:40_000])
        assert read(receiver, 40_000) == DATA[:40_000]
        assert 0.4 <= watch.seconds < 0.8


def test_nothing_passes_at_rate_zero_until_it_is_changed() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("bandwidth")
        client, server = proxy.connect()
        server.sendall(b"hello")
        assert is_silent(client)
        proxy.change_toxic("bandwidth", rate=1000)
        assert read(client, 5) == b"hello"


def test_slow_close_delays_the_end_alone() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("slow_close", delay=200)
        client, server = proxy.connect()
        watch = Stopwatch()
        server.sendall(b"hello")
        server.close()
        assert read(client, 5) == b"hello"
        assert watch.seconds < 0.2
        assert client.recv(1) == b""
        assert watch.seconds >= 0.2


def test_timeout_drops_and_closes_after_its_time() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("timeout", timeout=200)
        client, server = proxy.connect()
        watch = Stopwatch()
        client.sendall(b"request")
        assert read(server, 7) == b"request"
        server.sendall(b"response")
        assert rest(client) == b""
        assert rest(server) == b""
        assert 0.15 <= watch.seconds < 1


def test_timeout_zero_holds_the_connection_until_it_is_removed() -> None:
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        assert passes(client, server)
        proxy.toxic("timeout", "upstream")
        client.sendall(b"lost")
        server.sendall(b"answer")
        assert read(client, 6) == b"answer"
        assert is_silent(server)
        proxy.remove_toxic("timeout")
        assert rest(server) == b""
        assert rest(client) == b""
        assert passes(*proxy.connect())


def test_timeout_closes_when_the_sender_ends() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("timeout", "upstream")
        client, server = proxy.connect()
        client.shutdown(socket.SHUT_WR)
        assert rest(server) == b""
        assert rest(client) == b""


@pytest.mark.parametrize("timeout", [0, 150])
@pytest.mark.parametrize("is_there_before", [True, False])
def test_reset_peer_resets_both_sides(timeout: int, is_there_before: bool) -> None:
    with proxied() as (_, proxy):
        if not is_there_before:
            proxy.toxic("reset_peer", "upstream", timeout=timeout)
        client, server = proxy.connect()
        if is_there_before:
            assert passes(client, server)
            proxy.toxic("reset_peer", "upstream", timeout=timeout)
        assert is_silent(client, 0.3)
        watch = Stopwatch()
        client.sendall(b"request")
        for sock in (client, server):
            with pytest.raises(ConnectionResetError):
                rest(sock)
        assert watch.seconds >= timeout / 1000


def test_slicer_cuts_and_pauses() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("slicer", average_size=64, size_variation=32, delay=20_000)
        client, server = proxy.connect()
        server.sendall(DATA[:600])
        watch = Stopwatch()
        sizes: list[int] = []
        while sum(sizes) < 600:
            sizes.append(len(client.recv(1000)))
        assert min(sizes) <= 96  # a reader that comes late gets several at once
        assert watch.seconds >= 0.02 * (600 // 96 - 1)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_limit_data_lets_exactly_as_much_through(stream: str) -> None:
    with proxied() as (_, proxy):
        proxy.toxic("limit_data", stream, bytes=50_000)
        client, server = proxy.connect()
        sender, receiver = (client, server) if stream == "upstream" else (server, client)
        sender.sendall(DATA[:49_999])
        assert read(receiver, 49_999) == DATA[:49_999]
        assert is_silent(receiver)
        with contextlib.suppress(ConnectionError):
            sender.sendall(DATA[49_999:])
        assert rest(receiver) == DATA[49_999:50_000]


def test_limit_data_cuts_in_front_of_what_follows_it() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("limit_data", bytes=1000)
        proxy.toxic("latency", latency=100)
        client, server = proxy.connect()
        watch = Stopwatch()
        server.sendall(DATA[:5000])
        assert rest(client) == DATA[:1000]
        assert watch.seconds >= 0.1


def test_packet_loss_loses_what_it_drops() -> None:
    with proxied(destructive=True) as (_, proxy):
        proxy.toxic("packet_loss", loss_rate=1)
        client, server = proxy.connect()
        server.sendall(b"lost")
        assert is_silent(client)
        proxy.change_toxic("packet_loss", loss_rate=0)
        server.sendall(b"found")
        assert read(client, 5) == b"found"


def test_packet_loss_is_refused_where_it_might_end_a_server() -> None:
    with proxied() as (_, proxy):
        reply = proxy.api.post(f"{proxy.path}/toxics", {"type": "packet_loss", "attributes": {"loss_rate": 0.1}})
        assert reply.status == 400
        assert "--destructive" in reply.json["error"]
        assert proxy.api.get(f"{proxy.path}/toxics").json == []


def test_noop_does_nothing() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("noop")
        assert passes(*proxy.connect())


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("bandwidth", {"rate": -5}), ("slicer", {}), ("slicer", {"average_size": 5, "size_variation": 50}),
     ("latency", {"latency": -9})],
)  # fmt: skip
def test_settings_without_sense_harm_nobody(kind: str, attributes: dict[str, Any]) -> None:
    with proxied() as (_, proxy):
        proxy.toxic(kind, **attributes)
        client, server = proxy.connect()
        server.sendall(b"hello")
        proxy.remove_toxic(kind)
        assert read(client, 5) == b"hello"


# ---- toxicity, order, changes while data flows ----


def test_toxicity_is_drawn_for_each_connection_from_the_seed() -> None:
    def affected(seed: int) -> list[bool]:
        with proxied(seed=seed) as (_, proxy):
            proxy.toxic("latency", latency=10_000, toxicity=0.5)
            found = []
            for _ in range(24):
                client, server = proxy.connect()
                server.sendall(b"x")
                found.append(is_silent(client, 0.05))
                client.close()
            return found

    first = affected(7)
    assert 4 < sum(first) < 20
    assert affected(7) == first


@pytest.mark.parametrize("toxicity", [0, -1])
def test_a_toxicity_of_zero_never_acts(toxicity: int) -> None:
    with proxied() as (_, proxy):
        proxy.toxic("timeout", toxicity=toxicity)
        client, server = proxy.connect()
        assert passes(client, server)
        proxy.remove_toxic("timeout")
        assert passes(client, server)


def test_an_update_sends_on_what_is_held_and_applies_to_what_follows() -> None:
    with proxied() as (_, proxy):
        proxy.toxic("latency", latency=60_000)
        client, server = proxy.connect()
        server.sendall(b"held")
        assert is_silent(client)
        proxy.change_toxic("latency", latency=100)
        assert read(client, 4) == b"held"
        watch = Stopwatch()
        server.sendall(b"next")
        assert read(client, 4) == b"next"
        assert watch.seconds >= 0.1


def test_a_removal_sends_on_what_is_held() -> None:
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        proxy.toxic("latency", latency=60_000)
        server.sendall(b"held")
        assert is_silent(client)
        proxy.remove_toxic("latency")
        assert read(client, 4) == b"held"


def test_no_byte_is_lost_while_toxics_come_and_go() -> None:
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(rest(client)))
        reader.start()
        sent = b""
        for number in range(30):
            data = DATA[: 1000 + 700 * number]
            server.sendall(data)
            sent += data
            kind, attributes = CHANGING[number % 3]
            if number % 6 < 3:
                proxy.toxic(kind, **attributes)
            else:
                proxy.remove_toxic(kind)
        server.close()
        reader.join(30)
        assert got == [sent]


def test_changes_do_not_wait_for_a_client_that_does_not_read() -> None:
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        server.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                server.sendall(DATA)
        watch = Stopwatch()
        proxy.toxic("latency", latency=10)
        proxy.change_toxic("latency", latency=20)
        proxy.toxic("timeout", timeout=0)
        assert proxy.api.get("/proxies").status == 200
        assert passes(*proxy.another().connect())
        proxy.remove_toxic("timeout")
        assert proxy.change(enabled=False).status == 200
        assert watch.seconds < 3
        client.close()


# ---- connections ----


def test_a_server_may_speak_first_and_any_bytes_pass() -> None:
    with proxied() as (_, proxy):
        for banner in (
            b"220 mail.example ESMTP\r\n",
            b"\x4a\x00\x00\x00\x0a8.0.36\x00",
            b"$5\r\n",
            b"+PONG\r\n",
            b"\0" * 100,
        ):
            client, server = proxy.connect()
            server.sendall(banner)
            assert read(client, len(banner)) == banner
            client.sendall(DATA)
            assert read(server, len(DATA)) == DATA


def test_what_looks_like_a_replica_passes_unchanged() -> None:
    asks = b"*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n6380\r\n*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        client.sendall(asks)
        assert read(server, len(asks)) == asks


def test_an_upstream_that_refuses_ends_the_client_in_order_and_is_tried_again() -> None:
    with proxied() as (_, proxy):
        proxy.upstream.close()
        for _ in range(3):
            client = proxy.client()
            assert client.recv(1) == b""
        client = proxy.client()
        client.sendall(b"early")
        assert client.recv(1) == b""
        assert proxy.api.get(proxy.path).json["enabled"] is True
        proxy.listen_again()
        assert passes(*proxy.connect())


def test_an_upstream_that_ends_without_a_word_is_not_asked_anything() -> None:
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        client.sendall(b"hello")
        read(server, 5)
        server.close()
        assert rest(client) == b""
        proxy.upstream.settimeout(0.6)
        with pytest.raises(TimeoutError):
            proxy.upstream.accept()


def test_an_upstream_that_resets_ends_the_client() -> None:
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        assert passes(client, server)
        reset(server)
        with contextlib.suppress(ConnectionResetError):
            assert rest(client) == b""


def test_a_proxy_that_is_taken_down_ends_its_connections_and_comes_back_on_its_port() -> None:
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        assert passes(client, server)
        proxy.toxic("latency", latency=1)
        assert proxy.change(enabled=False).json["enabled"] is False
        assert is_refused(proxy.port)
        assert rest(client) == rest(server) == b""
        proxy.toxic("slow_close")
        reply = proxy.change(enabled=True).json
        assert reply["listen"] == f"127.0.0.1:{proxy.port}"
        assert [one["name"] for one in reply["toxics"]] == ["latency", "slow_close"]
        assert passes(*proxy.connect())


def test_what_changes_nothing_touches_no_connection() -> None:
    with proxied() as (_, proxy):
        client, server = proxy.connect()
        upstream = proxy.api.get(proxy.path).json["upstream"]
        for body in ({}, {"enabled": True}, {"listen": f"localhost:{proxy.port}", "upstream": upstream}, {"name": "x"}):
            assert proxy.change(**body).status == 200
        assert (
            proxy.api.post(
                "/populate", [{"name": "it", "listen": f"localhost:{proxy.port}", "upstream": upstream}]
            ).status
            == 201
        )
        assert proxy.api.post("/reset").status == 204
        assert passes(client, server)


def test_another_upstream_drops_the_connections() -> None:
    with proxied() as (_, proxy), socket.create_server(("127.0.0.1", 0)) as other:
        client, server = proxy.connect()
        assert proxy.change(upstream=f"127.0.0.1:{other.getsockname()[1]}").status == 200
        assert rest(client) == rest(server) == b""
        other.settimeout(5)
        proxy.upstream = other
        assert passes(*proxy.connect())


def test_a_listener_that_moves_leaves_its_port() -> None:
    with proxied() as (_, proxy):
        before = proxy.port
        proxy.port = int(proxy.change(listen="127.0.0.1:0").json["listen"].rpartition(":")[2])
        assert proxy.port != before
        assert is_refused(before)
        assert passes(*proxy.connect())


def test_a_proxy_that_is_deleted_leaves_its_name_and_port() -> None:
    with proxied() as (tap, proxy):
        proxy.toxic("latency", latency=5)
        client, _ = proxy.connect()
        assert proxy.api.delete(proxy.path).status == 204
        assert is_refused(proxy.port)
        assert rest(client) == b""
        assert proxy.api.get("/proxies").json == {}
        assert tap.thread.tap.faults.armed == []
        assert Proxied(proxy.api, proxy.upstream).api.get(f"{proxy.path}/toxics").json == []


def test_reset_sets_live_connections_free_but_for_those_that_lost_bytes() -> None:
    with proxied() as (_, proxy):
        other = proxy.another()
        proxy.toxic("latency", latency=60_000)
        other.toxic("timeout")
        client, server = proxy.connect()
        lost, _ = other.connect()
        server.sendall(b"held")
        assert is_silent(client)
        assert proxy.api.post("/reset").status == 204
        assert read(client, 4) == b"held"
        assert rest(lost) == b""
        assert [one["toxics"] for one in proxy.api.get("/proxies").json.values()] == [[], []]


# ---- a toxic is a fault, a proxy is a link ----


def test_a_toxic_is_reported_as_the_fault_that_it_is() -> None:
    with proxied(seed=7) as (tap, proxy):
        proxy.toxic("limit_data", bytes=3)
        client, server = proxy.connect()
        server.sendall(b"hello")
        assert rest(client) == b"hel"
        proxy.remove_toxic("limit_data")
        spec = "limit 3b from=master link=it name=it.limit_data"
        told = [one.event for one in tap.thread.told]
        fired = [one for one in told if isinstance(one, FaultFired)]
        assert [one for one in told if isinstance(one, FaultArmed)] == [
            FaultArmed(fault="it.limit_data", spec=spec, seed=7)
        ]
        assert [(one.text, one.position) for one in fired] == [("limited, from the master", 0), ("cut with FIN", 3)]
        assert told[-1] == FaultExpired(fault="it.limit_data", spec=spec, fired=1, bytes=0)


def test_a_fault_that_is_removed_by_other_means_is_no_toxic_any_more() -> None:
    with proxied() as (tap, proxy):
        proxy.toxic("latency", latency=5)
        tap.thread.call(lambda: tap.thread.tap.faults.remove("it.latency"))
        assert proxy.api.get(f"{proxy.path}/toxics").json == []
        assert proxy.api.delete(f"{proxy.path}/toxics/latency").status == 404
        proxy.toxic("latency", latency=6)


def test_links_of_the_tap_are_proxies() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, asked(links=f"127.0.0.1:{server.getsockname()[1]}") as tap:
        upstream = f"127.0.0.1:{server.getsockname()[1]}"
        port = tap.thread.port
        (found,) = tap.client.get("/proxies").json.values()
        assert found == {
            "name": "main",
            "listen": f"127.0.0.1:{port}",
            "upstream": upstream,
            "enabled": True,
            "toxics": [],
        }
        assert tap.client.post("/proxies/main", {"enabled": False}).json["enabled"] is False
        assert is_refused(port)
        assert tap.client.post("/reset").status == 204
        assert not is_refused(port)
        assert tap.client.delete("/proxies/main").status == 204
        assert tap.client.get("/v1/links").json["links"] == []
