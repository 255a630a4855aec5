"""The work of `redis-tap replay --as-master`: make a master from its options, serve replicas, and show them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import typer

from tap.cli.ending import endings, until_ended
from tap.cli.ui import chosen, written
from tap.config.config import Ui
from tap.console.lines import json_lines, log_lines
from tap.console.replay_view import ReplayView, announcement
from tap.console.stderr import say
from tap.console.terminal import Terminal
from tap.errors import RecordingError
from tap.recording.missing import sentences
from tap.replay import ReplayMaster
from tap.replay.excerpt import Excerpt


def feed(
    files: list[Path],
    listen: str,
    excerpt: Excerpt,
    exits: bool,
    ui: Ui,
) -> int:
    """Serve until it is done or a signal ends it. Returns the exit code."""
    master = ReplayMaster(
        *files, listen=listen, speed=excerpt.speed, links=excerpt.links, begin=excerpt.begin, end=excerpt.end
    )
    return asyncio.run(_until_stopped(master, exits, ui))


async def _until_stopped(master: ReplayMaster, exits: bool, ui: Ui) -> int:
    """Serve; a signal is the normal end once a recording is being played. Returns the exit code."""
    try:
        await until_ended(_serve(master, exits, ui), "replay")
    except typer.Exit as ended:
        if exits or not master.parts or ended.exit_code not in [128 + number for number in endings()]:
            raise
    return RecordingError.exit_code if _lacking(master) else 0


def _lacking(master: ReplayMaster) -> list[str]:
    return [*master.problems, *sentences(master.missing)]


async def _serve(master: ReplayMaster, exits: bool, ui: Ui) -> None:
    console = Terminal()
    ui = chosen(ui, console)
    with contextlib.ExitStack() as viewers:
        if ui in ("log", "json"):
            lines = json_lines(sys.stdout) if ui == "json" else log_lines(sys.stdout)
            viewers.enter_context(written(lines))
            master.bus.subscribe(lines, inbox=lines.inbox)
        async with contextlib.AsyncExitStack() as playing:
            try:
                with console.status("reading the recording") if ui == "live" else contextlib.nullcontext():
                    await playing.enter_async_context(master)
            finally:
                for line in (*master.remarks, *_lacking(master)):
                    say(line)
            say(announcement(master))
            if ui == "live":
                master.bus.subscribe(viewers.enter_context(ReplayView(master, console)))
            await master.acknowledged()
            count = len(master.followers)
            who = "1 replica has" if count == 1 else f"{count} replicas have"
            say(f"played to the end: {who} acknowledged offset {master.part.end}")
            if not exits:
                await asyncio.Event().wait()
