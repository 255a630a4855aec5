"""/v1/events: who hears what, resuming, and clients that do not read."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

import pytest

from tap import kept_events
from tap.control import event_stream
from tap.replication import events
from tests.control.asking import Asked, asked
from tests.control.streaming import EventSource
from tests.support import Servers, client, follow, level, wait_until


def publish(tap: Asked, count: int = 1, link: str = "main", size: int = 1) -> None:
    """Events of the kind sync_requested, and one opaque after each."""

    def some() -> None:
        for number in range(count):
            bus = tap.thread.tap.bus
            bus.publish(link, 1, "10.0.0.7:1", events.SyncRequested(start=number, end=number + 1, inline=True))
            bus.publish(
                link, 1, "", events.Opaque(start=number, end=number + 1, side=events.Side.MASTER, reason="x" * size)
            )

    tap.thread.call(some)


def opened(tap: Asked, query: str = "", last: str | None = None) -> contextlib.closing[EventSource]:
    source = EventSource(tap.address, query, last)
    assert source.answer.status == 200
    source.begin()
    return contextlib.closing(source)


def test_a_stream_says_what_happens_from_now_on_as_json_of_the_vocabulary() -> None:
    with asked() as tap:
        publish(tap)
        with opened(tap) as source:
            assert source.answer.getheader("content-type") == "text/event-stream; charset=utf-8"
            assert source.answer.getheader("cache-control") == "no-store"
            publish(tap)
            first, second = source.take(2)
            assert (first.kind, second.kind) == ("sync_requested", "opaque")
            assert first.data["event"] == "sync_requested"
            assert {"time", "link", "connection", "replica", "inline", "start", "end"} < set(first.data)
            assert first.data == tap.thread.told[-2].as_dict()


def test_streams_are_filtered_by_kind_and_by_link() -> None:
    with asked(links={"a": "127.0.0.1:1", "b": "127.0.0.1:2"}) as tap:
        with opened(tap, "?kind=opaque&link=b") as one, opened(tap, "?kind=opaque&kind=sync_requested&link=a") as other:
            publish(tap, link="a")
            publish(tap, link="b")
            assert [(said.kind, said.data["link"]) for said in one.take(1)] == [("opaque", "b")]
            assert [(said.kind, said.data["link"]) for said in other.take(2)] == [
                ("sync_requested", "a"),
                ("opaque", "a"),
            ]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?kind=opaq", "unknown event 'opaq'; known: "),
        ("?link=mainn", "no link is named 'mainn'; known: main. Did you mean 'main'?"),
        ("?kind=command", "command is reported only on request"),
        ("?after=yesterday", "'yesterday' is not the ID of an event"),
    ],
)
def test_a_filter_that_nothing_can_meet_is_refused(query: str, says: str) -> None:
    with asked() as tap:
        reply = tap.client.get(f"/v1/events{query}")
        assert reply.status == 400
        assert reply.error.startswith(says)


def test_a_client_that_comes_back_goes_on_where_it_stopped() -> None:
    with asked() as tap:
        with opened(tap) as source:
            publish(tap, 3)
            last = source.take(4)[-1].id
        publish(tap, 2)
        with opened(tap, "?kind=opaque", last) as source:
            assert [said.data["start"] for said in source.take(3)] == [2, 0, 1]
        with opened(tap, "?after=start&kind=opaque") as source:
            assert [said.data["start"] for said in source.take(5)] == [0, 1, 2, 0, 1]


def test_a_client_that_heard_nothing_yet_has_an_id_to_come_back_with() -> None:
    with asked() as tap:
        with opened(tap) as source:
            last = source.id
        publish(tap)
        with opened(tap, "", last) as source:
            assert source.take(1)[0].kind == "sync_requested"


def test_what_is_no_longer_kept_is_said_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_events, "MOST", 10)
    with asked() as tap:
        with opened(tap) as source:
            last = source.id
        publish(tap, 20)
        with opened(tap, "", last) as source:
            lost, first = source.take(2)
            assert (lost.kind, lost.data) == ("lost", {"count": 30})
            assert (first.kind, first.data["start"]) == ("sync_requested", 15)
        with opened(tap, "", "0123abcd-5") as source:
            assert (source.take(1)[0].kind, source.id) == ("lost", source.id)
        with opened(tap, "", "0123abcd-5") as source:
            assert source.take(1)[0].data == {"count": None}


def test_a_client_that_stops_reading_is_dropped_and_the_others_hear_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "STALL_SECONDS", 0.3)
    with asked() as tap, opened(tap, "?kind=opaque") as source:
        sleeper = socket.socket()
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with sleeper:
            sleeper.connect((tap.address.host, tap.address.port))
            sleeper.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_until(lambda: tap.client.get("/v1/events/streams").json["open"] == 2)
            for _ in range(40):
                publish(tap, 10, size=20_000)
                assert len(source.take(10)) == 10
            wait_until(lambda: tap.client.get("/v1/events/streams").json["dropped"] == 1)
            assert tap.client.get("/v1/events/streams").json["open"] == 1
        publish(tap)
        assert source.take(1)[0].kind == "opaque"


def test_a_slow_client_loses_events_and_hears_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_events, "MOST", 50)
    with asked() as tap, opened(tap, "?kind=opaque") as source:
        for _ in range(60):
            publish(tap, 10, size=50_000)
        heard = []
        for said in source:
            heard.append(said)
            if said.kind == "opaque" and said.id == tap.client.get("/v1/events/streams").json["last"]:
                break
        lost = sum(said.data["count"] for said in heard if said.kind == "lost")
        assert lost > 0
        assert lost == tap.client.get("/v1/events/streams").json["lost"]
        # All kinds count as lost; each opaque has a sync_requested before it.
        assert 1200 - 2 <= lost + 2 * sum(said.kind == "opaque" for said in heard) <= 1200 + 60


def test_a_stream_that_has_nothing_to_say_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "PULSE_SECONDS", 0.05)
    with asked() as tap, opened(tap, "?kind=opaque") as source:
        before = source.id
        tap.thread.call(
            lambda: tap.thread.tap.bus.publish("main", 1, "", events.SyncRequested(start=0, end=1, inline=True))
        )
        source.id = ""
        while source.begin() == before:
            source.id = ""


def test_streams_are_counted_and_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MOST_STREAMS", 1)
    with asked() as tap:
        with opened(tap):
            reply = tap.client.get("/v1/events")
            assert (reply.status, reply.error) == (503, "1 event streams are open, which is the most")
        wait_until(lambda: tap.client.get("/v1/events/streams").json["open"] == 0)


def test_the_end_of_the_tap_ends_a_stream_with_its_last_events() -> None:
    with asked() as tap, opened(tap) as source:
        publish(tap)
        began = time.monotonic()
        assert tap.thread.end()
        assert time.monotonic() - began < 1
        assert [said.kind for said in source][:2] == ["sync_requested", "opaque"]


def heard(
    source: EventSource, kind: str, fits: Callable[[dict[str, object]], bool] = lambda _: True
) -> dict[str, object]:
    for said in source:
        if said.kind == kind and fits(said.data):
            return dict(said.data)
    raise AssertionError(f"no {kind}")


def test_a_real_pair_is_heard_also_each_command_if_asked_for(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links=f"127.0.0.1:{master.port}", every_command=True) as tap:
        with opened(tap) as all_kinds, opened(tap, "?kind=command&kind=ack&kind=stream_started") as commands:
            follow(replica, tap.thread.port)
            assert heard(all_kinds, "full_resync")["replid"]
            level(master, replica)
            client(master).set("key", "value")
            assert heard(commands, "stream_started")
            assert heard(commands, "command", lambda said: said["name"] == "SET")["offset"]
            assert heard(commands, "ack")


def test_high_volume_kinds_have_a_bounded_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HIGH_VOLUME", 10)
    with asked() as tap, opened(tap, "?kind=ack") as source:

        def acks() -> None:
            for number in range(100):
                tap.thread.tap.bus.publish(
                    "main",
                    1,
                    "",
                    events.Ack(start=number, end=number + 1, offset=number, lag_bytes=0, lag_seconds=0.0, fsynced=None),
                )

        tap.thread.call(acks)
        said = source.take(11)
        assert (said[0].kind, said[0].data) == ("lost", {"count": 90})
        assert [one.data["offset"] for one in said[1:]] == list(range(10))
