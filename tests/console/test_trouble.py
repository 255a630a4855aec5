"""Errors in the event loop."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from tap.console.trouble import LoopTrouble


def test_an_error_in_the_event_loop_is_reported_once_in_a_while() -> None:
    said: list[str] = []
    loop = asyncio.new_event_loop()
    now = 100.0
    loop.time = lambda: now  # type: ignore[method-assign]
    loop.set_exception_handler(LoopTrouble(said.append))
    accept = {"message": "socket.accept() out of system resource", "exception": OSError(errno.ENFILE, "no")}
    for _ in range(3):
        loop.call_exception_handler(accept)
    assert said == ["cannot accept another replica: Too many open files in system"]
    now += 11
    loop.call_exception_handler(accept)
    assert len(said) == 2
    loop.close()


def test_a_listener_that_closes_while_asyncio_is_out_of_files_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def close_before_accepting_again() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopTrouble(lambda said: None))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            loop.call_soon(loop._start_serving, asyncio.Protocol, listening)  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    asyncio.run(close_before_accepting_again())
    assert not caplog.records


def test_other_errors_are_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(LoopTrouble(lambda said: None))
    for _ in range(3):
        loop.call_exception_handler({"message": "a bug", "exception": ValueError("of ours")})
    loop.call_exception_handler({"message": "another", "exception": KeyError("of ours")})
    assert [record.getMessage() for record in caplog.records] == ["a bug", "another"]
    loop.close()
