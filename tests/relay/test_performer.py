"""Faults at work on sockets: other bytes pass unchanged, whichever peer ends or is slow, however the plan changes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest

from tap import Tap
from tap.bus import Told
from tap.faults.commands import CommandFaults
from tap.faults.work import Work
from tap.relay import closing, performer
from tap.relay.performer import Performer
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tests.relay.wire import (
    BASE,
    GRANT,
    LOCALHOST,
    RESET,
    add,
    asks,
    block_up_to,
    command,
    fill,
    flooded,
    in_front_of,
    only_link,
    receive,
    refuses,
    remove,
)
from tests.support import WITHIN, TapThread, wait_inside, wait_until


class Ends:
    """A made-up replica and master with a tap between them."""

    def __init__(self, *faults: str, **options: object) -> None:
        self._stack = contextlib.ExitStack()
        listener = self._stack.enter_context(socket.create_server((LOCALHOST, 0)))
        listener.settimeout(WITHIN)
        self.tap = self._stack.enter_context(TapThread(in_front_of(listener.getsockname()[1], *faults, **options)))
        self.replica = self._stack.enter_context(socket.create_connection((LOCALHOST, self.tap.port), WITHIN))
        self.master = self._stack.enter_context(listener.accept()[0])
        self.master.settimeout(WITHIN)

    def resync(self) -> None:
        """Up to the stream."""
        self.replica.sendall(asks(BASE))
        assert receive(self.master, len(asks(BASE))) == asks(BASE)
        self.master.sendall(GRANT)
        assert receive(self.replica, len(GRANT)) == GRANT

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


IDLE = "drop command=NOSUCHCMD"


def test_a_half_closed_link_still_gets_what_a_fault_holds() -> None:
    with Ends("delay 1s from=master during=stream") as ends:
        ends.resync()
        ends.master.sendall(b"*1\r\n$4\r\nPING\r\n")
        ends.master.shutdown(socket.SHUT_WR)
        link = only_link(ends.tap)
        wait_until(lambda: link.master.at_end)
        ends.replica.shutdown(socket.SHUT_WR)
        assert ends.master.recv(1) == b""
        assert receive(ends.replica, 14) == b"*1\r\n$4\r\nPING\r\n"
        assert ends.replica.recv(1) == b""
        assert ends.tap.wait_for(events.LinkClosed).how == "fin"


def test_a_link_that_ends_as_its_slow_replica_reads_on_ends_once(caplog: pytest.LogCaptureFixture) -> None:
    data = bytes(8 * 2**20)  # less than a delay holds, more than a socket
    with Ends("delay 100ms from=master") as ends:
        ends.resync()
        ends.replica.shutdown(socket.SHUT_WR)
        assert ends.master.recv(1) == b""
        link = only_link(ends.tap)
        ends.master.sendall(data)
        ends.master.shutdown(socket.SHUT_WR)
        wait_until(lambda: link.master.at_end and link.replica.blocked)
        assert receive(ends.replica, len(data)) == data
        assert ends.replica.recv(1) == b""
        assert ends.tap.wait_for(events.LinkClosed).how == "fin"
    assert not caplog.records


@pytest.mark.parametrize("where", [(CommandFaults, "read"), (Work, "act")])
def test_a_bug_in_a_fault_costs_no_byte(
    where: tuple[type, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However many bytes had been handled when it showed, held ones included."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    with Ends("stall command=KNOWN for=1ms") as ends:
        ends.resync()
        begin, rest = command("KNOWN", "x")[:12], command("KNOWN", "x")[12:] + command("SET", "key", "value") * 100
        ends.master.sendall(command("PING") + begin)  # which is held, because its name may be that
        assert receive(ends.replica, 14) == command("PING")
        monkeypatch.setattr(*where, broken)
        ends.master.sendall(rest)
        assert receive(ends.replica, len(begin + rest)) == begin + rest
        ends.master.sendall(command("PING"))
        assert receive(ends.replica, 14) == command("PING")
    assert "a bug" in caplog.text


def test_a_cut_link_ends_its_faults() -> None:
    """A stall that would have continued is over with it."""
    with Ends("stall at=stream:4b times=1 from=replica", "cut at=stream:9b") as ends:
        ends.resync()
        ends.replica.sendall(b"x")
        ends.master.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert receive(ends.replica, 9) == b"*1\r\n$4\r\nP"[:9]
        expired = {event.fault for event in ends.tap.events(events.FaultExpired)}
        wait_until(
            lambda: {event.fault for event in ends.tap.events(events.FaultExpired)} == {"stall-1", "cut-1"},
            what=f"both are over, not only {expired}",
        )


def test_a_delay_before_a_replica_that_does_not_read_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The link wakes when the replica reads again, not all the while until then."""
    woken = 0
    alarm = Performer._alarm

    def count(one: Performer) -> None:
        nonlocal woken
        woken += 1
        alarm(one)

    monkeypatch.setattr(Performer, "_alarm", count)
    with Ends("delay 1ms from=master") as ends:
        ends.resync()
        sent = fill(ends.tap, ends.master)
        ticks = 0

        def tick(*_: object, **__: object) -> None:
            nonlocal ticks
            ticks += 1

        monkeypatch.setattr(Conversation, "tick", tick)
        before = woken
        wait_until(lambda: ticks >= 5)
        assert woken - before < 10
        assert receive(ends.replica, sent) == bytes(sent)


@pytest.mark.parametrize("mode", ["fin", "reset"])
def test_the_uncut_leg_is_read_again_after_the_other_was_full(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "RESET_SECONDS", 0.01)
    with Ends() as ends:
        ends.resync()
        fill(ends.tap, ends.master)
        add(ends.tap, f"cut legs=replica mode={mode}")
        for _ in range(50):
            ends.master.sendall(bytes(2**20))
        assert not ends.tap.events(events.LinkClosed)


def test_a_slow_replica_gets_everything_before_a_reset_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it makes progress."""
    monkeypatch.setattr(closing, "RESET_SECONDS", 0.2)
    count = 2_500_000
    with flooded(lambda port: in_front_of(port, f"cut at=offset:{BASE + count} mode=reset"), slow=True) as (
        _,
        counter,
        _,
    ):
        counter.finish()
        assert counter.how == "reset"
        assert counter.data == block_up_to(count)


# ---- the plan changes while bytes are in flight ----


def in_the_tap(ends: Ends, kind: type[events.Event], act: object) -> None:
    """Call act in the tap's thread, at the first event of that kind."""
    done = False

    def hear(told: object) -> None:
        nonlocal done
        if isinstance(told.event, kind) and not done:  # type: ignore[attr-defined]
            done = True
            act()  # type: ignore[operator]

    ends.tap.call(lambda: ends.tap.tap.bus.subscribe(hear))


@pytest.mark.parametrize("spec", ["cut", IDLE, "delay 1ms", "stall for=10ms", "cut at=offset:+5b"])
def test_an_observer_may_change_the_plan(spec: str, caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of the chunk that the event is about."""
    with Ends(IDLE) as ends:
        faults = ends.tap.tap.faults

        def change() -> None:
            faults.clear()
            faults.add(spec)

        in_the_tap(ends, events.Opaque, change)
        ends.resync()
        ends.master.sendall(b"nonsense, and more of it")
        if spec == "cut":
            assert ends.replica.recv(100) in (b"", b"nonsense, and more of it")
        else:
            assert receive(ends.replica, 24) == b"nonsense, and more of it"
        assert not caplog.records


def test_an_observer_may_remove_the_last_fault(caplog: pytest.LogCaptureFixture) -> None:
    with Ends(IDLE) as ends:
        in_the_tap(ends, events.Opaque, ends.tap.tap.faults.clear)
        ends.resync()
        ends.master.sendall(b"nonsense, and more of it")
        assert receive(ends.replica, 24) == b"nonsense, and more of it"
        wait_until(lambda: only_link(ends.tap).faults is None)
        assert not caplog.records


def test_an_observer_may_remove_a_fault_when_it_fires(caplog: pytest.LogCaptureFixture) -> None:
    with Ends("drop command=SET times=all") as ends:
        in_the_tap(ends, events.FaultFired, ends.tap.tap.faults.clear)
        ends.resync()
        one, two = command("SET", "a", "1"), command("SET", "b", "2")
        ends.master.sendall(one)
        ends.tap.wait_for(events.FaultFired)
        ends.master.sendall(two)
        assert receive(ends.replica, len(two)) == two
        wait_until(lambda: only_link(ends.tap).faults is None)
        assert not caplog.records


def test_a_removed_fault_leaves_the_link_as_it_was() -> None:
    """However far away the byte was that it waited for."""
    with Ends() as ends:
        ends.resync()
        armed = [add(ends.tap, spec) for spec in ("cut at=offset:99gb", "cut at=offset:+1gb", "drop 5b at=stream:1gb")]
        assert only_link(ends.tap).faults is not None
        for one in armed:
            remove(ends.tap, one)
        assert only_link(ends.tap).faults is None


# ---- refusals ----


def test_a_cut_at_connect_does_not_wait_for_the_master() -> None:
    """The master never sees the link: the next one is the first to arrive there."""
    with socket.create_server((LOCALHOST, 0)) as master:
        master.settimeout(WITHIN)
        with TapThread(in_front_of(master.getsockname()[1], "cut at=connect times=2")) as tap:
            for _ in range(2):
                with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica:
                    assert replica.recv(1) == b""
            wait_until(lambda: not tap.tap.links)
            assert_next_arrives(tap, master)


def assert_next_arrives(tap: TapThread, master: socket.socket) -> None:
    """The next replica reaches the master, and none before it did."""
    with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, master.accept()[0] as arrived:
        replica.sendall(b"PING\r\n")
        assert receive(arrived, 6) == b"PING\r\n"


def test_a_tap_that_refuses_replicas_stays_closed_at_its_end() -> None:
    async def run() -> int:
        async with Tap(in_front_of(1, "refuse")) as tap:
            await wait_inside(lambda: not tap.listeners[0]._servers)
        await wait_inside(lambda: len(asyncio.all_tasks()) == 1)  # no task is left that could listen again
        return refuses(tap.port)

    assert asyncio.run(run())


def test_a_replica_that_leaves_while_blackholed_leaves_no_link() -> None:
    """It is not read: however many come and go, they are gone."""
    with TapThread(in_front_of(1, "refuse blackhole")) as tap:
        for how in ("fin", "reset", "fin"):
            with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica:
                replica.sendall(b"PING\r\n")
                wait_until(lambda: len(tap.tap.links) == 1)
                if how == "reset":
                    replica.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            wait_until(lambda: not tap.tap.links)
        assert [(end.by, end.how) for end in tap.events(events.LinkClosed)] == [
            (Side.REPLICA, "fin"),
            (Side.REPLICA, "reset"),
            (Side.REPLICA, "fin"),
        ]


def test_one_replica_is_blackholed_until_it_leaves() -> None:
    with socket.create_server((LOCALHOST, 0)) as master:
        master.settimeout(WITHIN)
        with TapThread(in_front_of(master.getsockname()[1], "refuse blackhole times=1")) as tap:
            with socket.create_connection((LOCALHOST, tap.port), WITHIN):
                tap.wait_for(events.FaultFired)
                assert_next_arrives(tap, master)
                assert not tap.events(events.FaultExpired)
            tap.wait_for(events.FaultExpired)


def test_an_observer_may_admit_a_replica_when_it_is_refused() -> None:
    with socket.create_server((LOCALHOST, 0)) as master:
        master.settimeout(WITHIN)
        with TapThread(in_front_of(master.getsockname()[1], "refuse blackhole name=dark")) as tap:

            def hear(told: Told) -> None:
                if isinstance(told.event, events.FaultFired):
                    tap.tap.faults.remove("dark")

            tap.call(lambda: tap.tap.bus.subscribe(hear))
            with socket.create_connection((LOCALHOST, tap.port), WITHIN):
                master.accept()[0].close()


def test_a_slow_link_is_not_given_up_while_it_still_passes_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have sent FIN, and one still reads."""
    monkeypatch.setattr(performer, "FORGOTTEN_AFTER", 0.2)
    with Ends("throttle 10kb/s from=master") as ends:
        ends.resync()
        ends.master.sendall(bytes(10_000))
        ends.master.shutdown(socket.SHUT_WR)
        ends.replica.shutdown(socket.SHUT_WR)
        assert receive(ends.replica, 10_000) == bytes(10_000)


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_stalled_link_ends_when_both_peers_have_gone(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One alone does not end it: that is what a stall is for."""
    monkeypatch.setattr(performer, "FORGOTTEN_AFTER", 0.1)
    with Ends("stall") as ends:
        link = only_link(ends.tap)
        wait_until(lambda: link.master.transport is not None)
        if how == "reset":
            for peer in (ends.replica, ends.master):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        ends.replica.close()
        wait_until(lambda: link.replica.hung_up == how)
        ends.tap.call(lambda: link.tick(time.monotonic()))
        assert not link.closed
        ends.master.close()
        wait_until(lambda: not ends.tap.tap.links)
        assert ends.tap.wait_for(events.LinkClosed).how == how
