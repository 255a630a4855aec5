"""Which servers are meant: "Valkey", "Redis >= 7", "Redis 6.*"."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from tap.errors import ConfigError

_COMPARISONS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Servers:
    """A pattern for servers: a name or *, then nothing, a version as a glob, or a comparison with one."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Servers:
        """Raises ConfigError."""
        if not _PATTERN.fullmatch(text.strip()):
            raise ConfigError(
                f"{text!r} names no servers: write a name, a name and a version, or a comparison, as 'Valkey', "
                "'Redis 6.*' or 'Redis >= 7'"
            )
        return cls(text.strip())

    def match(self, server: str) -> bool:
        """server: as "Redis 7.0.15"."""
        found = _PATTERN.fullmatch(self.text)
        assert found is not None
        name, _, version = server.partition(" ")
        if not fnmatch.fnmatchcase(name.lower(), found["name"].lower()):
            return False
        if found["comparison"]:
            wanted = _numbers(found["than"])
            # "Redis > 7" means a later one than any 7
            return _COMPARISONS[found["comparison"]](_numbers(version)[: len(wanted)], wanted)
        glob = found["glob"]
        return glob is None or fnmatch.fnmatchcase(version, glob) or version.startswith(f"{glob}.")

    def __str__(self) -> str:
        return self.text


_PATTERN = re.compile(
    r"(?P<name>redis|valkey|\*)(\s*(?P<comparison>>=|<=|>|<)\s*(?P<than>\d+(\.\d+)*)|\s+(?P<glob>[\d.*]+))?",
    re.IGNORECASE,
)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,18}", version))
