"""/v1/faults: the same faults and the same sentences as on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from tap.control.fault_routes import FaultAnswer, FaultsAnswer
from tap.errors import ConfigError
from tap.faults import parse
from tests.control.asking import asked
from tests.support import Servers, client, follow, level, wait_until


@pytest.mark.parametrize(
    ("body", "spec"),
    [
        ({"spec": "cut at=rdb:50% mode=reset"}, "cut at=rdb:50% mode=reset"),
        ({"kind": "cut", "at": "rdb:50%", "mode": "reset"}, "cut at=rdb:50% mode=reset"),
        ({"kind": "drop", "command": "SET", "key": "user 1:*", "nth": 3}, "drop command=SET 'key=user 1:*' nth=3"),
        ({"kind": "cut", "key": "x mode=reset"}, "cut 'key=x mode=reset'"),
    ],
)
def test_a_fault_is_armed_by_spec_or_by_fields(body: dict[str, Any], spec: str) -> None:
    with asked(seed=7) as tap:
        reply = tap.client.post("/v1/faults", body)
        assert reply.status == 201
        armed = FaultAnswer.model_validate(reply.json)
        assert (armed.spec, armed.fired, armed.is_over, armed.seed) == (spec, 0, False, 7)
        assert FaultsAnswer.model_validate(tap.client.get("/v1/faults").json).faults == [armed]
        assert tap.client.get(f"/v1/faults/{armed.name}").json == reply.json
        assert [one.spec for one in tap.thread.tap.faults.armed] == [spec]


@pytest.mark.parametrize(
    "spec", ["", "cutt", "cut at=rdb:150%", "cut mode=soft", "cut link=nowhere", "cut 'at", "cut xs=1"]
)
def test_a_wrong_fault_is_refused_with_the_sentence_of_the_command_line(spec: str) -> None:
    with asked() as tap:
        reply = tap.client.post("/v1/faults", {"spec": spec})
        assert reply.status == 400
        with pytest.raises(ConfigError) as refused:
            tap.thread.tap.faults.check(parse(spec))
        assert reply.error == str(refused.value)
        assert tap.client.get("/v1/faults").json == {"faults": [], "ended": []}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "the body: give either a spec"),
        ({"spec": "cut", "kind": "cut"}, "the body: give either a spec"),
        ({"spec": "cut", "at": "rdb"}, "the body: a spec has everything in it: write at there, too"),
        ({"spec": 5}, "spec: "),
        ({"kind": "cut", "at": {}}, "at"),
        (b"{", "the body is not JSON"),
        (b"", "the body: it is missing"),
        ([], "the body: "),
    ],
)
def test_a_malformed_body_is_refused_in_one_sentence(body: Any, says: str) -> None:
    with asked() as tap:
        reply = tap.client.post("/v1/faults", body)
        assert reply.status == 422
        assert reply.error.startswith(says)
        assert "\n" not in reply.error


def test_a_body_is_json_whatever_it_is_called() -> None:
    with asked() as tap:
        for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"):
            reply = tap.client.ask("POST", "/v1/faults", b'{"spec": "delay 1ms"}', {"Content-Type": kind})
            assert reply.status == 201
        assert len(tap.client.get("/v1/faults").json["faults"]) == 3


def test_a_fault_is_removed_and_an_unknown_one_is_not() -> None:
    with asked() as tap:
        for name in ("a", "b", "c"):
            assert tap.client.post("/v1/faults", {"spec": f"delay 1ms name={name}"}).status == 201
        reply = tap.client.delete("/v1/faults/b")
        assert (reply.status, reply.json["name"], reply.json["is_over"]) == (200, "b", True)
        reply = tap.client.delete("/v1/faults/b")
        assert (reply.status, reply.error) == (404, "no fault is named 'b'; armed: a, c.")
        assert [one["name"] for one in tap.client.delete("/v1/faults").json["removed"]] == ["a", "c"]
        said = tap.client.get("/v1/faults").json
        assert (said["faults"], [one["name"] for one in said["ended"]]) == ([], ["b", "a", "c"])
        assert tap.client.get("/v1/faults/a").json["is_over"]


def test_two_faults_of_one_name_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap.control.fault_routes.MOST", 2)
    with asked() as tap:
        assert tap.client.post("/v1/faults", {"spec": "delay 1ms name=a"}).status == 201
        assert "another one is named 'a'" in tap.client.post("/v1/faults", {"spec": "delay 1ms name=a"}).error
        assert tap.client.post("/v1/faults", {"spec": "delay 1ms"}).status == 201
        assert tap.client.post("/v1/faults", {"spec": "delay 1ms"}).error.startswith("2 faults are armed")


def test_a_read_only_tap_lists_its_faults_and_takes_none() -> None:
    with asked(read_only=True) as tap:
        assert tap.client.get("/v1/faults").status == 200
        assert tap.client.post("/v1/faults", {"spec": "cut"}).status == 403
        assert tap.client.delete("/v1/faults").status == 403


def test_a_fault_made_here_cuts_a_real_pair_and_is_counted(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links=f"127.0.0.1:{master.port}") as tap:
        follow(replica, tap.thread.port)
        level(master, replica)
        tap.client.post("/v1/faults", {"spec": "cut at=offset:+10b name=here"})
        client(master).set("key", "v" * 100)
        wait_until(lambda: tap.client.get("/v1/faults/here").json["fired"] == 1)
        level(master, replica)
        wait_until(lambda: tap.client.get("/v1/faults").json["faults"] == [])
