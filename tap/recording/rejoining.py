"""The search for a place where a stream can be read again, after bytes that are missing or were not understood.

The bytes after them begin somewhere inside a command. Until the next beginning of a command is found, bytes are kept or
skipped (boundary.py). Positions are still counted, and so are offsets if the offset was known where the search began.
"""

from __future__ import annotations

from dataclasses import dataclass

from tap.recording.boundary import BoundaryFinder


@dataclass(frozen=True, slots=True)
class Rejoined:
    """data: from the first command on. position, offset: before its first byte; offset is None if unknown."""

    data: bytes
    position: int
    offset: int | None


class Rejoining:
    """start, start_offset: position and replication offset of the first byte that is searched. replid: of the stream.

    is_boundary: start_offset is right only if a command begins at *start*.
    """

    def __init__(
        self, start: int, start_offset: int | None = None, replid: str | None = None, *, is_boundary: bool = False
    ) -> None:
        self.start = start
        self._is_boundary = is_boundary
        self.start_offset = start_offset
        self.replid = replid
        self._finder = BoundaryFinder()

    @property
    def position(self) -> int:
        """After the last byte that came."""
        return self.start + self._finder.skipped + self._finder.kept

    @property
    def offset(self) -> int | None:
        """After the last byte that came."""
        return None if self.start_offset is None else self.start_offset + self._finder.skipped + self._finder.kept

    @property
    def kept(self) -> int:
        """Bytes before *position* that may turn out to begin with a command."""
        return self._finder.kept

    @property
    def kept_offset(self) -> int | None:
        """Before the first of the bytes that are kept."""
        return None if self.start_offset is None else self.start_offset + self._finder.skipped

    @property
    def begins_with_command(self) -> bool:
        """Whether the bytes so far begin with a whole command, and no error follows."""
        return self._finder.begins_with_command()

    def feed(self, data: bytes) -> Rejoined | None:
        return self._found(self._finder.feed(data))

    def close(self) -> Rejoined | None:
        """No more bytes come before the next gap or the end: return the best candidate."""
        return self._found(self._finder.close())

    def after_gap(self, size: int) -> Rejoining:
        """The search that goes on after *size* more missing bytes."""
        offset = self.offset
        return Rejoining(self.position + size, None if offset is None else offset + size, self.replid)

    def _found(self, data: bytes | None) -> Rejoined | None:
        if data is None:
            return None
        if self._is_boundary and self._finder.skipped:
            self.start_offset = None
        return Rejoined(data, self.start + self._finder.skipped, self.kept_offset)
