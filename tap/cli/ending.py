"""How a verb comes to its end: the signals that ask for it."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

T = TypeVar("T")


def endings() -> list[signal.Signals]:
    """Ctrl-C, kill, and a terminal that is closed; not that where nohup has it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] if ignored else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


async def until_ended(work: Coroutine[Any, Any, T], name: str) -> T:
    """What it returns. A signal cancels it, and that is typer.Exit then, with the exit code of that signal."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work, name=name)
    signals: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if not signals:  # a second one must not disturb the cleaning up
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
