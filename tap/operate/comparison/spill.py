"""The records of one side in files, one for each partition, and the search for those that the other side lacks.

Memory does not depend on the number of keys: a partition that is too large is read in several passes, each with the
records of a share of the names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tap.errors import EnvironmentFailure, words
from tap.operate.comparison.digest import add_records

PASS_BYTES = 8 * 2**20  # of records of one side that are held at a time
CHUNK = 2**20

Sums = list[tuple[int, int, int]]  # of each partition: how many records, and the halves of the sum of their hashes


class Spill:
    """Takes the records of one side. To be closed before anything is read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[int, BinaryIO] = {}

    def put(self, partition: int, records: memoryview) -> None:
        """Raises EnvironmentFailure if the disk takes no more."""
        try:
            if partition not in self._files:
                self._files[partition] = (self._directory / str(partition)).open("wb", buffering=0)
            self._write(self._files[partition], records)
        except OSError as error:
            raise EnvironmentFailure(
                f"{self._directory}: {words(error)}; about 80 bytes are needed for each key, and TMPDIR says where"
            ) from None

    @staticmethod
    def _write(file: BinaryIO, records: memoryview) -> None:
        while records:
            records = records[file.write(records) :]

    def close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()


@dataclass(frozen=True, slots=True)
class Spilled:
    """The records of one side, complete. sums: see Digest.sums."""

    directory: Path
    sums: Sums

    def size(self, partition: int) -> int:
        """Bytes."""
        path = self.directory / str(partition)
        return path.stat().st_size if path.exists() else 0

    def records(self, partition: int, passes: int, number: int) -> set[bytes]:
        """Those of one pass."""
        found: set[bytes] = set()
        path = self.directory / str(partition)
        if not path.exists():
            return found
        rest = b""
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                data = rest + chunk
                rest = data[add_records(data, found, passes, number) :]
        return found

    def forget(self, partition: int) -> None:
        """Free the disk space of a partition that has been compared."""
        path = self.directory / str(partition)
        if path.exists():
            os.unlink(path)


def unmatched(a: Spilled, b: Spilled, pass_bytes: int = PASS_BYTES) -> Iterator[tuple[set[bytes], set[bytes]]]:
    """Yield the records of each side that the other one lacks, a share of the names at a time."""
    for partition, (mine, theirs) in enumerate(zip(a.sums, b.sums, strict=True)):
        if mine != theirs:
            passes = max(a.size(partition), b.size(partition)) // pass_bytes + 1
            for number in range(passes):
                ours, others = (side.records(partition, passes, number) for side in (a, b))
                if ours != others:
                    yield ours - others, others - ours
        for side in (a, b):
            side.forget(partition)
