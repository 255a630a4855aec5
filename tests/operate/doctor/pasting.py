"""The commands of a remedy, run as a shell with redis-cli would run them."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

import redis

from tap.operate.doctor import examination
from tap.operate.doctor.check import Finding
from tap.operate.doctor.examination import Examination
from tests.support import WITHIN, wait_until


def examined(master: str, *replicas: str, seconds: float = 0.01, **more: Any) -> Examination:
    return asyncio.run(examination.examine(master, replicas, seconds=seconds, **more))


def codes(done: Examination) -> set[str]:
    return {one.code for one in done.findings}


def finds(code: str, master: str, *replicas: str, **more: Any) -> Finding:
    """Examine until that is found: servers notice a lost link within a second or so."""
    seen: list[Finding] = []

    def look() -> list[Finding]:
        seen[:] = [one for one in examined(master, *replicas, **more).findings if one.code == code]
        return seen

    wait_until(look, what=code)
    return seen[0]


def paste(lines: Sequence[str], variables: Mapping[str, str] | None = None, password: str = "") -> None:
    """Run them, comments left out. password: as in REDISCLI_AUTH."""
    for line in lines:
        if line.startswith("#"):
            continue
        words = shlex.split(Template(line).substitute(variables or {}))
        assert words.pop(0) == "redis-cli"
        given = {}
        while words[0] in ("-h", "-p", "--tls", "--cacert", "--cert", "--key", "--user"):
            option = words.pop(0)
            given[option] = words.pop(0) if option != "--tls" else ""
        files = {"ssl_ca_certs": "--cacert", "ssl_certfile": "--cert", "ssl_keyfile": "--key"}
        tls: dict[str, Any] = {name: given[option] for name, option in files.items() if option in given}
        server = redis.Redis(
            given["-h"],
            int(given["-p"]),
            username=given.get("--user"),
            password=password or None,
            socket_timeout=WITHIN,
            ssl="--tls" in given,
            **tls,
        )
        reply = server.execute_command(*words)
        assert not isinstance(reply, Exception), line
        server.close()
