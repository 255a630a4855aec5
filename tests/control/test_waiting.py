"""/v1/wait: the event, or what happened instead."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tap.control import waiting
from tap.control.waiting import FoundAnswer, NotFoundAnswer
from tests.control.asking import Asked, Reply, asked
from tests.control.test_event_stream import publish
from tests.support import Servers, client, follow, level, wait_until


class Asking(threading.Thread):
    """A wait in a thread of its own."""

    def __init__(self, tap: Asked, body: dict[str, Any]) -> None:
        super().__init__(name="wait")
        self._client = tap.another()
        self._body = body
        self.reply: Reply
        self.start()

    def run(self) -> None:
        self.reply = self._client.post("/v1/wait", self._body)
        self._client.close()

    def done(self) -> Reply:
        self.join(30)
        return self.reply


def begun(tap: Asked, **body: Any) -> Asking:
    """A wait that the tap has begun."""
    asking = Asking(tap, body)
    shared = tap.thread.tap.api._shared  # type: ignore[union-attr]
    wait_until(lambda: shared.waits == 1)
    return asking


def test_an_event_is_answered_when_it_happens() -> None:
    with asked() as tap:
        one = begun(tap, event="opaque", where={"start": 2}, within="20s")
        publish(tap, 4)
        found = FoundAnswer.model_validate(one.done().json)
        assert (found.event["event"], found.event["start"]) == ("opaque", 2)
        assert 0 <= found.seconds < 20
        again = tap.client.post("/v1/wait", {"event": ["sync_requested", "opaque"], "after": found.id, "within": 1})
        assert (again.status, again.json["event"]["event"], again.json["event"]["start"]) == (200, "sync_requested", 3)
        assert again.json["seconds"] == 0


def test_what_a_request_caused_comes_after_its_event_id() -> None:
    with asked() as tap:
        here = tap.client.post("/v1/faults", {"spec": "delay 1ms name=x"}).headers["event-id"]
        reply = tap.client.post("/v1/wait", {"event": "fault_armed", "where": {"fault": "x"}, "after": here})
        assert (reply.status, reply.json["event"]["fault"]) == (200, "x")


def test_an_event_that_does_not_happen_is_answered_with_what_did() -> None:
    with asked() as tap:
        publish(tap)
        one = begun(tap, event="full_resync", within=0.3)
        publish(tap, 12)
        reply = one.done()
        assert reply.status == 409
        said = NotFoundAnswer.model_validate(reply.json)
        assert said.error == ("no full_resync within 0.3 s; reported meanwhile: 12 x sync_requested, 12 x opaque")
        assert said.meanwhile == {"sync_requested": 12, "opaque": 12}
        assert [one["start"] for one in said.last] == [7, 7, 8, 8, 9, 9, 10, 10, 11, 11]
        reply = tap.client.post("/v1/wait", {"event": "opaque", "within": 0, "where": {"start": 11}})
        assert reply.status == 409
        hint = reply.json["error"].split('"after": "')[1].split('"')[0]
        assert tap.client.post("/v1/wait", {"event": "opaque", "after": hint, "within": 0}).json["event"]["start"] == 11


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"event": "full_resinc"}, 400, "unknown event 'full_resinc'; known: "),
        ({"event": []}, 400, "event: name at least one kind"),
        ({"event": "full_resync", "where": {"reason.cod": "x"}}, 400, "full_resync.reason has no field 'cod'"),
        ({"event": "full_resync", "link": "x"}, 400, "no link is named 'x'; known: main."),
        ({"event": "command"}, 400, "command is reported only on request"),
        ({"event": "full_resync", "within": "1 hour"}, 400, "'1 hour' is not a time"),
        ({"event": "full_resync", "within": -1}, 400, "within -1"),
        ({"event": "full_resync", "within": "2h"}, 400, "within 2h: up to an hour"),
        ({"event": "full_resync", "after": "x"}, 400, "'x' is not the ID of an event"),
        ({"event": "full_resync", "when": 1}, 422, "when: "),
        ({}, 422, "event: it is missing"),
    ],
)
def test_a_wait_that_cannot_end_well_is_refused_at_once(body: dict[str, Any], status: int, says: str) -> None:
    with asked() as tap:
        reply = tap.client.post("/v1/wait", body)
        assert reply.status == status
        assert reply.error.startswith(says)


def test_a_client_that_leaves_waits_no_more_and_the_end_of_the_tap_is_an_answer() -> None:
    with asked() as tap:
        shared = tap.thread.tap.api._shared  # type: ignore[union-attr]
        leaving = tap.another()
        leaving.http.request(
            "POST", "/v1/wait", b'{"event": "opaque", "within": 60}', {"Content-Type": "application/json"}
        )
        wait_until(lambda: shared.waits == 1)
        leaving.close()
        wait_until(lambda: shared.waits == 0)
        one = begun(tap, event="opaque", within=60)
        began = time.monotonic()
        assert tap.thread.end()
        assert time.monotonic() - began < 1
        reply = one.done()
        assert (reply.status, reply.json["error"].split(";")[0]) == (503, "the tap ended before a opaque")


def test_a_read_only_tap_lets_clients_wait_and_waits_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITS", 1)
    with asked(read_only=True) as tap:
        one = begun(tap, event="opaque", within=60)
        reply = tap.client.post("/v1/wait", {"event": "opaque"})
        assert (reply.status, reply.error) == (503, "1 requests wait, which is the most")
        publish(tap)
        assert one.done().status == 200


def test_a_real_resync_is_waited_for(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links=f"127.0.0.1:{master.port}") as tap:
        follow(replica, tap.thread.port)
        reply = tap.client.post("/v1/wait", {"event": "stream_started", "after": "start", "within": "30s"})
        assert reply.status == 200
        level(master, replica)
        here = tap.client.post("/v1/faults", {"spec": "cut"}).headers["event-id"]
        reply = tap.client.post("/v1/wait", {"event": "partial_resync", "link": "main", "after": here, "within": "30s"})
        assert (reply.status, reply.json["event"]["link"]) == (200, "main")
        client(master).set("key", "value")
        level(master, replica)
