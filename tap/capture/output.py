"""One file of a recording, to which only whole blocks are appended; compressed if its name ends in .zst."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

# The fastest of zstd's ordinary levels: it compresses a stream of short values to a quarter at 340 MB/s, without holding
# the interpreter's lock. Levels below 0 compress half as well and are hardly faster; higher ones gain little.
LEVEL = 1
# An empty block, the last of its frame (RFC 8878, 3.1.1.2): ends the frame whatever became of the bytes before.
END_OF_FRAME = b"\x01\x00\x00"
# Data on the disk is dropped from the page cache in steps of this many bytes. A recording is rarely read again soon;
# allocating cache for it page by page costs more than writing it, and takes memory from other processes.
DROP_BYTES = 8 * 2**20


class Output:
    """An open file. size: its bytes."""

    def __init__(self, path: Path, heading: bytes) -> None:
        """Create the file with this heading. Raises OSError, also if the file exists; then none is created."""
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
        import zstandard  # takes 12 MB of memory, so only when needed

        self._compressor = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        self._flush_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def encode(self, data: bytes | memoryview) -> bytes | memoryview:
        """The next bytes in the form that append() takes. Compressed, they can be read only after all earlier ones.

        So the results must be appended in order: one that append() refuses must be offered again or be the last.
        """
        if self._compressor is None:
            return data
        # Flush a block each time, so that everything written can be read, whatever becomes of the rest.
        encoded: bytes = self._compressor.compress(data) + self._compressor.flush(self._flush_block)
        return encoded

    def encode_anew(self, data: bytes | memoryview) -> bytes | memoryview:
        """As encode(), but readable without the last result of encode(), which was never appended."""
        if self._compressor is None:
            return data
        self._begin_frame()
        return END_OF_FRAME + bytes(self.encode(data))

    def append(self, encoded: bytes | memoryview) -> None:
        """Write all of it, or nothing and raise OSError."""
        view = memoryview(encoded)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            with contextlib.suppress(OSError):  # if this fails, too, a reader recognizes the incomplete block
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(encoded)

    def what_became_of_it(self) -> str:
        """What another process did to the file so that it has lost what was written; "" for nothing.

        A file that was moved still holds everything, under another name, and counts as nothing. Raises OSError.
        """
        status = os.fstat(self._file)
        if not status.st_nlink:
            return "was replaced by another file" if os.path.lexists(self.path) else "was deleted"
        if status.st_size < self.size:
            return f"was cut to {status.st_size} bytes"
        return ""

    @property
    def unsynced(self) -> int:
        """Bytes that may not be on the disk yet."""
        return self.size - self._synced

    def sync(self) -> None:
        """Force the file to the disk. Raises OSError, only once for the same bytes."""
        self._synced = self.size
        os.fsync(self._file)
        if self._synced - self._dropped >= DROP_BYTES and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, self._dropped, self._synced - self._dropped, os.POSIX_FADV_DONTNEED)
            self._dropped = self._synced // DROP_BYTES * DROP_BYTES

    def close(self, *, sync: bool) -> None:
        """End the file. Raises OSError if its end cannot be written or forced to the disk."""
        try:
            if self._compressor is not None:
                self.append(END_OF_FRAME)
            if sync and self.unsynced:
                self.sync()
        finally:
            os.close(self._file)
