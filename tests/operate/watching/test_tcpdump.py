"""tcpdump as a child: how it begins and ends, and what it says. Stand-ins, and the real one where it may run."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tap.capture.pcapng import Packet
from tap.errors import ConfigError, EnvironmentFailure
from tap.operate.watching import tcpdump
from tap.operate.watching.tcpdump import Tcpdump
from tests.operate.watching.watched import needs_tcpdump, skip_if_lost
from tests.recording.wires import STREAM, file, streamed
from tests.support import WITHIN, wait_inside

Stand = Callable[[str], None]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Puts a shell script in the place of tcpdump."""

    def put(script: str) -> None:
        program = tmp_path / "tcpdump"
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


async def read(one: Tcpdump, found: list[Packet] | None = None) -> list[Packet]:
    """All packets until the end. found: to which each is added as it comes."""
    problems: list[str] = []
    found = [] if found is None else found
    await asyncio.to_thread(lambda: found.extend(one.packets(problems, lambda is_idle: True)))
    assert problems in ([], ["tcpdump: it is empty"])
    return found


def test_only_the_ports_are_captured_whole_and_at_once() -> None:
    one = Tcpdump("eth0", [6379, 6380, 6379])
    assert " ".join(one.arguments) == (
        "tcpdump -i eth0 -w - -U --immediate-mode -s 0 -B 131072 tcp port 6379 or tcp port 6380"
    )


def test_packets_of_some_hosts_alone_are_captured() -> None:
    one = Tcpdump("eth0", [6379, 6380], ["10.0.0.7", "fd00::7", "10.0.0.7"])
    assert one.arguments[-1] == "(tcp port 6379 or tcp port 6380) and (host 10.0.0.7 or host fd00::7)"


@pytest.mark.parametrize("host", ["", "10.0.0.7 or 10.0.0.8", "-i", "a'b", "(x)"])
def test_a_piece_of_a_filter_is_not_a_host(host: str) -> None:
    with pytest.raises(ConfigError, match="is not a host"):
        Tcpdump("eth0", [6379], [host])


@pytest.mark.parametrize("name", ["", "-w", "--help"])
def test_an_option_is_not_an_interface(name: str) -> None:
    with pytest.raises(ConfigError, match="not a network interface"):
        Tcpdump(name, [6379])


def test_without_tcpdump_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match=r"not installed.*apt install tcpdump.*\| redis-tap watch -"):
        asyncio.run(Tcpdump("lo", [6379]).start())


def test_without_permission_it_says_what_to_do(stand_in: Stand) -> None:
    stand_in(
        'echo "tcpdump: lo: You don\'t have permission to perform this capture on that device" >&2\n'
        "echo '(socket: Operation not permitted)' >&2; exit 1"
    )
    with pytest.raises(EnvironmentFailure) as caught:
        asyncio.run(Tcpdump("lo", [6379]).start())
    said = str(caught.value)
    assert "\n" not in said
    for words in (
        "Operation not permitted",
        "with sudo",
        "setcap cap_net_raw",
        "sudo tcpdump -i lo",
        "redis-tap watch -",
    ):
        assert words in said


def test_what_it_complains_of_is_shown(stand_in: Stand) -> None:
    stand_in("echo 'tcpdump: nope: No such device exists (No such device exists)' >&2; exit 1")
    with pytest.raises(EnvironmentFailure, match=r"does not capture on nope \(No such device exists\)$"):
        asyncio.run(Tcpdump("nope", [6379]).start())


def test_its_own_end_is_a_failure_and_ours_is_none(stand_in: Stand, tmp_path: Path) -> None:
    path = file(tmp_path / "capture.pcap", streamed(STREAM[:3]).packets, "<us")

    async def ends(script: str) -> tuple[int, str]:
        stand_in(script)
        one = Tcpdump("lo", [6379])
        await one.start()
        found = await read(one)
        return len(found), await one.failure()

    begin = f"cat {path}; echo 'tcpdump: listening on lo, link-type RAW' >&2"
    count, why = asyncio.run(ends(f"{begin}; echo 'tcpdump: The interface disappeared' >&2; exit 1"))
    assert count > 5
    assert why == "tcpdump has ended: The interface disappeared"

    async def ended() -> str:
        stand_in(f"{begin}; exec sleep 60")
        one = Tcpdump("lo", [6379])
        await one.start()
        reading = asyncio.create_task(read(one))
        await one.stop()
        assert len(await asyncio.wait_for(reading, WITHIN)) == count
        return await one.failure()

    assert asyncio.run(ended()) == ""


def test_one_that_does_not_end_is_killed(stand_in: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcpdump, "END_SECONDS", 0.1)
    stand_in("trap '' TERM; echo 'tcpdump: listening on lo' >&2; while :; do sleep 0.02; done")

    async def ended() -> None:
        one = Tcpdump("lo", [6379])
        await one.start()
        await one.stop()
        await one.stop()
        assert await asyncio.wait_for(read(one), WITHIN) == []

    asyncio.run(ended())


def test_much_that_it_says_at_once_neither_stops_it_nor_fills_the_memory(stand_in: Stand) -> None:
    much = "head -c 300000 /dev/zero | tr '\\0' x >&2"
    stand_in(
        f"echo 'tcpdump: listening on lo' >&2; {much}; echo >&2; {much}; echo ' 7 packets dropped by kernel' >&2; exit 1"
    )

    async def why() -> str:
        one = Tcpdump("lo", [6379])
        await one.start()
        assert await asyncio.wait_for(read(one), WITHIN) == []
        return await one.failure()

    assert asyncio.run(why()) == f"tcpdump has ended: {'x' * tcpdump.MAX_LINE} {'x' * tcpdump.MAX_LINE}"
    stand_in(f"{much}; exit 1")
    with pytest.raises(EnvironmentFailure, match=r"does not capture on lo \(xxx"):
        asyncio.run(Tcpdump("lo", [6379]).start())


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_child_of_its_own_that_stays_holds_up_nothing(stand_in: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcpdump, "END_SECONDS", 0.2)
    stand_in("sleep 3 >/dev/null & trap '' TERM; echo 'tcpdump: listening on lo' >&2; while :; do sleep 0.02; done")

    async def ended() -> str:
        one = Tcpdump("lo", [6379])
        await one.start()
        await one.stop()
        assert await asyncio.wait_for(read(one), WITHIN) == []
        return await one.failure()

    began = time.monotonic()
    assert asyncio.run(ended()) == ""
    gc.collect()
    assert time.monotonic() - began < 2


def test_one_that_says_nothing_is_given_up(stand_in: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcpdump, "START_SECONDS", 0.1)
    stand_in("exec sleep 60")
    with pytest.raises(EnvironmentFailure, match=r"does not capture on lo \(it says nothing\)"):
        asyncio.run(Tcpdump("lo", [6379]).start())


def test_what_the_kernel_dropped_is_asked_for(stand_in: Stand) -> None:
    stand_in(
        "trap 'echo \"tcpdump: 7 packets captured, 9 packets received by filter, 5 packets dropped by kernel\" >&2' "
        f"{tcpdump._STATISTICS.name.removeprefix('SIG')}\n"
        "trap 'echo \"12 packets dropped by kernel\" >&2; exit 0' TERM\n"
        "echo 'tcpdump: listening on lo' >&2; while :; do sleep 0.02; done"
    )

    async def lost() -> None:
        one = Tcpdump("lo", [6379])
        await one.start()
        assert one.lost == 0
        one.ask()
        await wait_inside(lambda: one.lost == 5)
        await one.stop()
        assert one.lost == 12
        one.ask()  # of one that is gone
        assert await read(one) == []

    asyncio.run(lost())


@needs_tcpdump
def test_the_real_one_brings_packets_at_once_and_counts() -> None:
    async def captured() -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = Tcpdump("lo", [server.getsockname()[1]], ["127.0.0.1", "::1"])
            await one.start()
            found: list[Packet] = []
            reading = asyncio.create_task(read(one, found))
            with socket.create_connection(server.getsockname()) as client:
                client.sendall(b"hello")
                one.ask()
                await wait_inside(lambda: one.lost or any(b"hello" in packet.data for packet in found))
            await one.stop()
            await asyncio.wait_for(reading, WITHIN)
            skip_if_lost(one.lost)
            assert await one.failure() == ""
            return sum(b"hello" in packet.data for packet in found)

    assert asyncio.run(captured()) == 1


@needs_tcpdump
def test_the_real_one_refuses_an_interface_that_does_not_exist() -> None:
    with pytest.raises(EnvironmentFailure, match="No such device"):
        asyncio.run(Tcpdump("no-such-if", [6379]).start())


@needs_tcpdump
def test_the_real_one_that_is_killed_is_a_failure() -> None:
    async def killed() -> str:
        one = Tcpdump("lo", [1])
        await one.start()
        assert one._process is not None
        one._process.send_signal(signal.SIGKILL)
        assert await asyncio.wait_for(read(one), WITHIN) == []
        return await one.failure()

    assert asyncio.run(killed()) == "tcpdump has ended: it was killed by SIGKILL"
