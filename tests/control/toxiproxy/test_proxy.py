"""One link as a proxy, and its toxics, without any socket."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tap.config import LinkConfig
from tap.control.toxiproxy.proxy import Proxy, WantedProxy
from tap.control.toxiproxy.request_body import ToxiproxyError
from tap.faults.plan import Plan
from tap.url import Address


class Bench:
    """A proxy whose listener is a stand-in, and its plan of faults."""

    def __init__(self, name: str = "it", **options: Any) -> None:
        self.plan = Plan(1, lambda event: None, lambda: 0.0)
        config = LinkConfig(name=name, master=Address("db", 6379), listen=Address("127.0.0.1", 6400))
        self.listener = SimpleNamespace(config=config, address=config.listen)
        self.proxy = Proxy(cast("Any", self.listener), self.plan, **options)

    @property
    def specs(self) -> list[str]:
        return [armed.spec for armed in self.plan.armed]


def test_a_link_is_answered_as_a_proxy() -> None:
    found = Bench().proxy.as_dict()
    assert list(found) == ["name", "listen", "upstream", "enabled", "toxics"]
    assert list(found.values()) == ["it", "127.0.0.1:6400", "db:6379", True, []]


def test_addresses_are_answered_as_they_were_written_as_long_as_they_hold() -> None:
    bench = Bench(asked_listen="localhost:", upstream="db:06379")
    assert (bench.proxy.listen, bench.proxy.upstream) == ("localhost:", "db:06379")
    bench.proxy.set_upstream("db:6379")
    bench.proxy.asked_listen = None
    assert (bench.proxy.listen, bench.proxy.upstream) == ("127.0.0.1:6400", "db:6379")
    bench.listener.config = LinkConfig(name="it", master=Address("other", 1))
    assert bench.proxy.upstream == "other:1"


def test_addresses_can_be_taken_back() -> None:
    bench = Bench(asked_listen="a:1", upstream="db:6379")
    before = bench.proxy.addresses
    bench.proxy.asked_listen = None
    bench.proxy.set_upstream("x:1")
    bench.proxy.restore(before)
    assert (bench.proxy.listen, bench.proxy.upstream) == ("a:1", "db:6379")


def test_upstream_toxics_are_listed_first_and_each_stream_keeps_its_order() -> None:
    bench = Bench()
    for name, stream in [("a", "downstream"), ("b", "UPSTREAM"), ("c", "Downstream"), ("d", "upstream")]:
        bench.proxy.add({"type": "latency", "name": name, "stream": stream})
    bench.proxy.update(bench.proxy.toxic("a"), {"attributes": {"latency": 5}})
    assert [one.name for one in bench.proxy.toxics] == ["b", "d", "a", "c"]
    assert [armed.name for armed in bench.plan.armed] == ["it.a", "it.b", "it.c", "it.d"]
    bench.proxy.remove(bench.proxy.toxic("b"))
    bench.proxy.add({"type": "latency", "name": "b", "stream": "upstream"})
    assert [one.name for one in bench.proxy.toxics] == ["d", "b", "a", "c"]


def test_names_of_faults_are_unique_where_those_of_toxics_need_not_be() -> None:
    bench = Bench()
    bench.plan.add("cut name=it.latency_downstream")
    bench.proxy.add({"type": "latency"})
    assert [armed.name for armed in bench.plan.armed] == ["it.latency_downstream", "it.latency_downstream.2"]
    bench.proxy.update(bench.proxy.toxic("latency_downstream"), {"toxicity": 0.5})
    assert bench.specs[1].endswith("name=it.latency_downstream.2 probability=0.5")


def test_a_rejected_toxic_leaves_nothing_and_a_rejected_update_changes_nothing() -> None:
    bench = Bench()
    toxic = bench.proxy.add({"type": "latency", "attributes": {"latency": 5, "jitter": 1}})
    bodies: list[Any] = [{"type": "latency"}, {"type": "x"}, {"type": "slicer", "attributes": {"delay": "x"}}, []]
    for body in bodies:
        with pytest.raises(ToxiproxyError):
            bench.proxy.add(body)
    before = bench.specs
    with pytest.raises(ToxiproxyError):
        bench.proxy.update(toxic, {"toxicity": 0.5, "attributes": {"latency": 9, "jitter": "x"}})
    assert bench.specs == before
    assert (toxic.attributes, toxic.toxicity) == ({"latency": 5, "jitter": 1}, 1)


def test_what_the_plan_refuses_is_refused() -> None:
    bench = Bench()
    with pytest.raises(ToxiproxyError, match="--destructive") as caught:
        bench.proxy.add({"type": "packet_loss", "attributes": {"loss_rate": 1}})
    assert caught.value.status == 400
    assert bench.proxy.toxics == []


def test_all_toxics_can_be_removed_at_once() -> None:
    bench = Bench()
    for kind in ("latency", "noop", "timeout"):
        bench.proxy.add({"type": kind})
    bench.plan.remove("it.timeout_downstream")
    bench.proxy.remove_all()
    assert (list(bench.proxy.toxics), bench.specs) == ([], [])


def test_a_proxy_that_is_wanted_has_its_defaults() -> None:
    assert WantedProxy.read({"name": "a", "upstream": "b:1"}) == WantedProxy("a", "", "b:1", True)
    proxy = Bench().proxy
    assert WantedProxy.read({"name": "ignored", "enabled": False}, proxy) == WantedProxy(
        "it", "127.0.0.1:6400", "db:6379", False
    )
    assert WantedProxy.read_list([{}, None]) == [WantedProxy("", "", "", True)] * 2
    assert [
        WantedProxy("", "", "", True).lacks,
        WantedProxy("a", "", "", True).lacks,
        WantedProxy("a", "", "b", True).lacks,
    ] == [
        "name",
        "upstream",
        "",
    ]
    bodies: list[Any] = [{}, "x", [5]]
    for wrong in bodies:
        with pytest.raises(ToxiproxyError):
            WantedProxy.read_list(wrong)
