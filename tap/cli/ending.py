"""The signals that end a verb."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

T = TypeVar("T")


def endings() -> list[signal.Signals]:
    """Those of Ctrl-C, kill and a closed terminal; the last one only if it is not ignored, as under nohup."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] if ignored else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


async def until_ended(work: Coroutine[Any, Any, T], name: str) -> T:
    """Run the work and return its result. A signal cancels it and raises typer.Exit with the signal's exit code."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work, name=name)
    signals: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if not signals:  # a second one must not interrupt the clean-up
            task.cancel()
        signals.append(number)

    for number in endings():
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not signals:
            raise
        raise typer.Exit(128 + signals[0]) from None
