"""A crowd of TLS handshakes takes turns, and those of known replicas come first."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import Callable

import pytest

from tap import Address, Config, LinkConfig
from tap.relay.setup_queue import CONNECTION, SetupQueue
from tap.relay.share import COSTLY_PART, LONG, LinkAccount, Thread
from tap.replication import events
from tests.jumping import acted
from tests.relay.certificates import Certificates
from tests.relay.wire import LOCALHOST
from tests.support import WITHIN, TapThread, wait_inside, wait_until

STEP = 0.001  # seconds


class Line:
    """A queue of handshakes of STEP each, with its own clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done: list[str] = []
        self.thread = Thread()
        self.setup_queue = SetupQueue(self.thread, lambda: self.now, lambda: self.now)

    def step(self, name: str, seconds: float = STEP) -> Callable[[], None]:
        def step() -> None:
            self.now += seconds
            self.done.append(name)

        return step


@pytest.mark.parametrize(("seconds", "at_once"), [(STEP, 1), (LONG / 4, 4)])
def test_a_turn_of_the_loop_does_one_costly_step_or_several_cheap_ones(seconds: float, at_once: int) -> None:
    async def story() -> None:
        line, loop = Line(), asyncio.get_running_loop()
        seen: list[int] = []

        def look() -> None:
            """Once in each turn."""
            seen.append(len(line.done))
            loop.call_soon(look)

        look()
        for _ in range(20):
            line.setup_queue.add(line.step("", seconds), is_first=False)
        await wait_inside(lambda: len(line.done) == 20)
        assert max(after - before for before, after in itertools.pairwise(seen)) == at_once

    asyncio.run(story())


@pytest.mark.parametrize("is_beside", [False, True])
def test_beside_a_brief_link_connections_begin_one_after_the_other_even_if_each_waits_for_the_previous_one(
    is_beside: bool,
) -> None:
    async def story() -> None:
        line, loop = Line(), asyncio.get_running_loop()
        if is_beside:
            brief = LinkAccount(line.thread)
            brief.is_beside(line.now)
            brief.is_waited_for(line.now, False)
        begin = loop.time()
        for _ in range(5):
            await line.setup_queue.turn(is_first=False)
        took = loop.time() - begin
        assert took >= 4 * CONNECTION / COSTLY_PART if is_beside else took == 0

    acted(story())


@pytest.mark.parametrize("waiting", [0, 1])
def test_links_make_room_only_while_steps_wait(waiting: int) -> None:
    """A link that has just been dialled, and is alone, does not rest because of its own dial."""

    async def story() -> None:
        line = Line()
        link = LinkAccount(line.thread)
        for _ in range(waiting):
            line.setup_queue.add(line.step("other", CONNECTION), is_first=False)
        await line.setup_queue.turn(is_first=True)
        assert link.is_beside(line.now) == bool(waiting)

    asyncio.run(story())


def test_known_replicas_come_first_and_a_failing_step_delays_nothing() -> None:
    async def story() -> None:
        line = Line()

        def fails() -> None:
            line.done.append("fails")
            raise ZeroDivisionError

        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        for _ in range(2):
            line.setup_queue.add(line.step("other"), is_first=False)
        line.setup_queue.add(fails, is_first=True)
        line.setup_queue.add(line.step("replica"), is_first=True)
        await wait_inside(lambda: len(line.done) == 4)
        assert line.done == ["fails", "replica", "other", "other"]

    asyncio.run(story())


def test_a_crowd_from_a_replicas_address_yields_every_fourth_step_to_others() -> None:
    async def story() -> None:
        line = Line()
        for _ in range(9):
            line.setup_queue.add(line.step("crowd"), is_first=True)
        for _ in range(2):
            line.setup_queue.add(line.step("new"), is_first=False)
        await wait_inside(lambda: len(line.done) == 11)
        assert line.done == [*["crowd"] * 3, "new", *["crowd"] * 3, "new", *["crowd"] * 3]

    asyncio.run(story())


def test_beside_other_links_the_queue_rests() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        line = Line()
        line.thread.turns.note("another link", 0.0)
        times: list[float] = []

        def costly() -> None:
            line.step("costly")()
            times.append(loop.time())

        for _ in range(2):
            line.setup_queue.add(costly, is_first=False)
        await wait_inside(lambda: len(times) == 2)
        assert times[1] - times[0] > STEP

    asyncio.run(story())


def hello() -> bytes:
    """A ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


@pytest.mark.parametrize("ends", [False, True])
def test_half_handshakes_are_given_up_and_others_succeed(
    listener: socket.socket, certificates: Certificates, ends: bool
) -> None:
    """ends: with FIN, before there was an answer."""
    master = Address(LOCALHOST, listener.getsockname()[1])
    config = Config(
        links=(LinkConfig(master=master, listen_cert=certificates.leaf),), connect_timeout=WITHIN if ends else 1.0
    )
    with contextlib.ExitStack() as stack:
        tap = stack.enter_context(TapThread(config))
        crowd = [stack.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN)) for _ in range(100)]
        wait_until(lambda: len(tap.tap.links) == len(crowd))
        said = hello()
        for one in crowd:
            one.sendall(said)
            if ends:
                one.shutdown(socket.SHUT_WR)
        plain = socket.create_connection((LOCALHOST, tap.port), WITHIN)
        replica = stack.enter_context(certificates.asking().wrap_socket(plain, server_hostname=LOCALHOST))
        with listener.accept()[0] as there:
            replica.sendall(b"PING\r\n")
            assert there.recv(100) == b"PING\r\n"
        wait_until(lambda: len(tap.events(events.LinkClosed)) == len(crowd))
        texts = {event.text for event in tap.events(events.LinkClosed) if event.how == "tls"}
    if ends:
        assert texts == {"the replica closed during the TLS handshake"}
    else:
        assert texts == {"no answer to the TLS handshake within 1 s"}
