"""One file of a recording: appended to, whole blocks only, and compressed if its name ends in .zst."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

# The fastest of zstd's ordinary levels: 340 MB/s of a stream of short values to a quarter, with the interpreter free
# meanwhile. Faster ones (below 0) compress half as well and are hardly faster, higher ones gain little.
LEVEL = 1
# An empty block, the last of its frame (RFC 8878, 3.1.1.2): ends the frame whatever became of the bytes before.
END_OF_FRAME = b"\x01\x00\x00"
# What is on the disk leaves the system's memory in steps of so many bytes. A recording is rarely read again at once; the
# memory for it, taken page by page, costs more than to write it, and whoever else uses the machine loses it.
DROP_BYTES = 8 * 2**20


class Output:
    """size: bytes of the file."""

    def __init__(self, path: Path, heading: bytes) -> None:
        """heading: what the file begins with. Raises OSError, also if there is such a file; then none is made."""
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self.size = 0
        self._synced = 0
        self._dropped = 0
        self._compressor: Any = None
        if path.suffix == ".zst":
            self._begin_frame()
        try:
            self.append(self.encode(heading))
        except OSError:
            os.close(self._file)
            path.unlink()
            raise

    def _begin_frame(self) -> None:
        import zstandard  # of 12 MB, for this alone

        self._compressor = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        self._flush_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def encode(self, data: bytes | memoryview) -> bytes | memoryview:
        """The next bytes as the file takes them. Compressed, they can only be read behind those of the calls before.

        They are to be given to append() in the same order until it takes them, or to be the last ones.
        """
        if self._compressor is None:
            return data
        # Block by block, so that all that is written can be read, whatever becomes of the rest.
        encoded: bytes = self._compressor.compress(data) + self._compressor.flush(self._flush_block)
        return encoded

    def encode_anew(self, data: bytes | memoryview) -> bytes | memoryview:
        """As encode(), to be read without what that gave last, which was never taken."""
        if self._compressor is None:
            return data
        self._begin_frame()
        return END_OF_FRAME + bytes(self.encode(data))

    def append(self, encoded: bytes | memoryview) -> None:
        """All of it, or nothing: then raises OSError."""
        view = memoryview(encoded)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            with contextlib.suppress(OSError):  # then the reader tells the cut block from a whole one
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(encoded)

    def what_became_of_it(self) -> str:
        """What somebody else did to it, so that it does not hold what was written; "" for nothing.

        A file that was moved away holds all of it, under another name. Raises OSError.
        """
        status = os.fstat(self._file)
        if not status.st_nlink:
            return "was replaced by another file" if os.path.lexists(self.path) else "was deleted"
        if status.st_size < self.size:
            return f"was cut to {status.st_size} bytes"
        return ""

    @property
    def unsynced(self) -> int:
        """Bytes that may not be on the disk."""
        return self.size - self._synced

    def sync(self) -> None:
        """Force it to the disk. Raises OSError, once for the same bytes."""
        self._synced = self.size
        os.fsync(self._file)
        if self._synced - self._dropped >= DROP_BYTES and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, self._dropped, self._synced - self._dropped, os.POSIX_FADV_DONTNEED)
            self._dropped = self._synced // DROP_BYTES * DROP_BYTES

    def close(self, *, sync: bool) -> None:
        """Nothing more comes. Raises OSError if the end could not be written, or not be forced to the disk."""
        try:
            if self._compressor is not None:
                self.append(END_OF_FRAME)
            if sync and self.unsynced:
                self.sync()
        finally:
            os.close(self._file)


def sync_directory(path: Path) -> None:
    """Force the names in it to the disk. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
