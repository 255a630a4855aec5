"""What to read of one side, and what was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tap.errors import RdbError
from tap.glob import matcher
from tap.operate.comparison.spill import Sums
from tap.rdb.parser import Parser
from tap.url import Url


@dataclass(frozen=True, slots=True)
class Filter:
    """dbs, globs: only these dbs, only keys that match one of the patterns; empty for all."""

    dbs: tuple[int, ...] = ()
    globs: tuple[bytes, ...] = ()

    def function(self) -> Callable[[int, bytes], bool] | None:
        """Whether a key, by db and name, is wanted; None if all are."""
        if not self.dbs and not self.globs:
            return None
        matchers = [matcher(glob) for glob in self.globs]

        def wanted(db: int, key: bytes) -> bool:
            return (not self.dbs or db in self.dbs) and (not matchers or any(matches(key) for matches in matchers))

        return wanted


@dataclass(frozen=True, slots=True)
class Job:
    """What to read, and where the records go. key: of the hash. scan: read a server by SCAN. functions: whether libraries
    of functions are compared, too.
    """

    name: str
    place: Path | Url
    directory: Path
    key: bytes = field(repr=False)
    filter: Filter = Filter()
    scan: bool = False
    expiries: bool = True
    functions: bool = True


@dataclass(frozen=True, slots=True)
class SideSnapshot:
    """What was read. created: seconds since the epoch, by the writer's clock; None if unknown. after: what comes after
    the RDB in its file: the first byte. size: bytes that were read.
    """

    keys: int
    sums: Sums
    created: int | None
    size: int
    after: bytes = b""


Report = Callable[[int, int | None, int], None]  # bytes read, of how many if that is known, keys read


def check(parser: Parser, name: str) -> None:
    """Raise RdbError if the RDB is not whole."""
    parser.close()
    if parser.problem is not None:
        raise RdbError(f"{name}: {parser.problem}")
