"""The frame around an RDB: `$<length>` and that many bytes, or `$EOF:<mark>`, the RDB and the mark again.

What is inside the RDB is another room's business; here it only passes, and nothing of it is kept but its last bytes.
"""

from tap.replication.events import Transfer

MARK_SIZE = 40
# The mark may occur inside a value, and masters use it again and again: it ends the RDB only behind the RDB's own end,
# a byte 0xFF and eight of checksum, and only where the master then falls silent until the replica acknowledges (Redis
# replication.c, repl_start_cmd_stream_on_ack). So the last bytes before an acknowledgement, or before the close,
# decide, and nothing has to be searched. Servers acknowledge only then; other clients do all the time, and then an
# acknowledgement that was on its way when the mark passed starts the stream: see watch().
TAIL_SIZE = MARK_SIZE + 9

MAX_SIZE = 2**50
PROGRESS_STEP = 8 * 2**20  # of a diskless RDB; a disk-based one counts in hundredths, of this size at the least


class Payload:
    """One RDB on the wire.

    transfer. size: bytes of the RDB, None when diskless. received: bytes so far, a diskless RDB's mark included.
    """

    def __init__(self, header: bytes) -> None:
        """header: what follows the $ of its line. Raises ValueError if it is neither form."""
        self.transfer = Transfer.DISK
        self.size: int | None = None
        self._mark = b""
        self._tail = b""
        if header.startswith(b"EOF:") and len(header) == len(b"EOF:") + MARK_SIZE:
            self.transfer = Transfer.DISKLESS
            self._mark = header[len(b"EOF:") :]
        elif header.isdigit() and len(header) < 20 and int(header) <= MAX_SIZE:
            self.size = int(header)
        else:
            raise ValueError(header)
        self.received = 0
        self._ended = False
        self._watches = False
        self._step = max(PROGRESS_STEP, (self.size or 0) // 100)
        self._told = 0

    def watch(self) -> None:
        """The peer acknowledges already now: the stream may follow the mark without a pause."""
        self._watches = True

    def feed(self, data: bytes | memoryview) -> int:
        """Take payload bytes from the front of data; returns how many, fewer only where the RDB ends."""
        taken = len(data)
        if self.size is not None:
            taken = min(taken, self.size - self.received)
        elif self._watches and (end := self._end_in(data)) is not None:
            self._ended = True
            taken = end
        elif taken >= TAIL_SIZE:
            self._tail = bytes(data[-TAIL_SIZE:])
        else:
            self._tail = (self._tail + bytes(data))[-TAIL_SIZE:]
        self.received += taken
        return taken

    def _end_in(self, data: bytes | memoryview) -> int | None:
        """Where in data a diskless RDB ends and a command begins, None if nowhere."""
        seen = self._tail + bytes(data)
        found = seen.find(self._mark)
        while found >= 0:
            end = found + MARK_SIZE
            if found >= 9 and seen[found - 9] == 0xFF and seen[end : end + 1] in (b"*", b"\n"):
                return end - len(self._tail)
            found = seen.find(self._mark, found + 1)
        return None

    def milestones(self) -> range:
        """The numbers of bytes, at fixed steps, that have been reached since the last call."""
        reached = range(self._told + self._step, self.received + 1, self._step)
        if reached:
            self._told = reached[-1]
        return reached

    @property
    def is_complete(self) -> bool:
        """Whether its end has been seen. That of a diskless one shows only to who has to watch for it."""
        return self._ended or self.received == self.size

    @property
    def looks_complete(self) -> bool:
        """Whether the bytes so far end as a diskless RDB does. Decides once the replica acknowledges or leaves."""
        return len(self._tail) == TAIL_SIZE and self._tail[0] == 0xFF and self._tail.endswith(self._mark)

    @property
    def rdb_bytes(self) -> int:
        """Bytes of the RDB itself, once it is complete."""
        return self.received - len(self._mark)
