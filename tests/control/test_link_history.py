"""/v1/history, and the samples that it answers with."""

from __future__ import annotations

from tap.control.link_history import HistoryAnswer
from tap.control.link_samples import CONNECTIONS, KEPT, LINKS, LinkSample, LinkSamples
from tap.replication.phase import Phase
from tap.status import ConnectionStatus, LinkStatus, Status
from tap.url import Address
from tests.control.asking import asked
from tests.support import Servers, client, follow, wait_until


def connection(number: int, lag: int | None, received: int) -> ConnectionStatus:
    return ConnectionStatus(
        number, "main", "10.0.0.7:1", "10.0.0.7:6379", None, 0.0, None, Phase.STREAM, None, None, None, None, lag, None,
        received, 0, None, None, None,
    )  # fmt: skip


def at(time: float, *connections: ConnectionStatus, name: str = "main") -> Status:
    return Status(time, (LinkStatus(name, Address("127.0.0.1", 1), None, connections),))


def taken(*moments: Status) -> dict[str, list[LinkSample]]:
    samples = LinkSamples(lambda most: moments[0])
    for one in moments:
        samples.take(one)
    return {name: list(found) for name, found in samples.links.items()}


def test_the_lag_is_the_worst_and_the_rate_that_of_all() -> None:
    first = at(100.0, connection(1, 5, 1000), connection(2, 7, 10), connection(3, None, 0))
    second = at(102.0, connection(1, 3, 3000), connection(2, None, 10), connection(4, None, 500))
    assert taken(first, second)["main"] == [LinkSample(100.0, 7, None), LinkSample(102.0, 3, 1250.0)]


def test_without_a_lag_that_is_known_it_is_null() -> None:
    assert taken(at(1.0), at(2.0, connection(1, None, 0)))["main"] == [
        LinkSample(1.0, None, None),
        LinkSample(2.0, None, 0.0),
    ]


def test_a_clock_that_goes_back_gives_no_rate() -> None:
    assert taken(at(5.0), at(4.0))["main"][1].rate is None


def test_half_an_hour_is_kept_and_links_that_are_gone_are_forgotten() -> None:
    assert len(taken(*(at(float(time)) for time in range(KEPT + 5)))["main"]) == KEPT
    assert list(taken(at(1.0, name="a"), at(2.0, name="b"))) == ["b"]
    many = Status(1.0, tuple(LinkStatus(str(number), Address("h", 1), None, ()) for number in range(LINKS + 5)))
    assert len(taken(many)) == LINKS


def test_it_is_answered_for_a_real_pair(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links=f"127.0.0.1:{master.port}") as tap:
        follow(replica, tap.thread.port)
        client(master).set("key", "v" * 100_000)

        def samples() -> list[LinkSample]:
            return HistoryAnswer.model_validate(tap.client.get("/v1/history").json).links["main"]

        wait_until(lambda: [one for one in samples() if one.lag is not None and one.rate])
        last = samples()[-1].time
        assert all(one[0] > last for one in tap.client.get(f"/v1/history?after={last}").json["links"]["main"])
        assert CONNECTIONS <= 100


def test_the_timer_ends_with_the_tap() -> None:
    with asked() as tap:
        samples = tap.thread.tap.api._shared.samples  # type: ignore[union-attr]
        assert not samples._timer.cancelled()  # type: ignore[union-attr]
    assert samples._timer.cancelled()  # type: ignore[union-attr]
