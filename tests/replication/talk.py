"""A conversation to feed turn by turn, and the bytes of the two sides."""

from __future__ import annotations

from tap.replication.conversation import Conversation
from tap.replication.events import Event
from tap.replication.memory import Memory

ID = "8371a4ee67df5dfc0e22c0d4ab19dcd9e6a2b0c1"
MARK = "0123456789abcdef0123456789abcdef01234567"
RDB = b"REDIS0009" + b"\xff" + bytes(8)
UNREADABLE = b"REDIS0079" + b"\xff" + bytes(8)
PSYNC = b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"
ACK_0 = b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n0\r\n"
PING = b"*1\r\n$4\r\nping\r\n"


def array(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Talk:
    """A conversation that is fed turn by turn: R(bytes), M(bytes)."""

    def __init__(self, memory: Memory | None = None, *, every_command: bool = False, every_key: bool = False) -> None:
        self.told: list[Event] = []
        self.conversation = Conversation(
            self.told.append, memory=memory, peer_host="10.0.0.7", every_command=every_command, every_key=every_key
        )

    def R(self, data: bytes) -> Talk:  # noqa: N802  (as in the transcripts of the reference)
        self.conversation.receive_from_replica(data)
        return self

    def M(self, data: bytes) -> Talk:  # noqa: N802
        self.conversation.receive_from_master(data)
        return self

    def quiet(self, *, held_back: bool = False) -> Talk:
        """Time passes in which nothing comes."""
        for tick in range(5):
            self.conversation.tick(tick / 10, held_back=held_back)
        return self

    def kinds(self) -> list[str]:
        return [event.kind for event in self.told]

    def last(self) -> Event:
        return self.told[-1]


def diskless(talk: Talk) -> Talk:
    talk.R(PSYNC).M(b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n" % (ID.encode(), MARK.encode())).M(RDB + MARK.encode())
    return talk


def begun_diskless() -> Talk:
    return Talk().R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$EOF:{MARK}\r\n".encode())


# One key, whose value is a whole diskless transfer with the same mark.
TRICKY_VALUE = RDB + MARK.encode() + PING
TRICKY_RDB = b"REDIS0009\x00\x01k\x40" + bytes([len(TRICKY_VALUE)]) + TRICKY_VALUE + b"\xff" + bytes(8)


def following(*, behind: int = 0) -> Talk:
    """A replica after a partial resync at offset 100, and some PINGs."""
    return Talk().R(f"PSYNC {ID} 101\r\n".encode()).M(f"+CONTINUE {ID}\r\n".encode() + PING * behind).quiet()


def ack(offset: int) -> bytes:
    return b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%d\r\n%d\r\n" % (len(str(offset)), offset)
