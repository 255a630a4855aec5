"""What a connection has come to: its phases, and which of them may follow which.

A replica connects, says who it is, asks to go on from where it stopped, and gets either an RDB and the stream after it,
or the stream at once:

    CONNECT ─> HANDSHAKE ─> PSYNC ─┬─ +FULLRESYNC ─> WAITING ─ $... ─> RDB ─┬─> STREAM
                  ▲ │         │    │                    ▲                   └─> DONE      nothing follows the RDB
                  │ │         │    └─ +CONTINUE ────────┼───────────────────> STREAM
                  │ └─ SYNC ──┼─────────────────────────┘
                  └─ refused ─┘
                  └──────────> ORDINARY      any other client, until it asks to replicate all the same
    all of them ─────────────> OPAQUE        what came is not understood: from here on bytes are only counted

The phase decides which reader gets the master's next bytes: replies up to WAITING, the RDB, the stream, or none. A step
that NEXT lacks is not taken: the reader stops, and the connection is opaque. So a capture that lies, or a server of the
future, costs the understanding and nothing else.

LOADING is not among the steps, because no byte of this connection begins it: the RDB is through, and the replica has not
acknowledged anything yet. With two connections in one sync, the main one is where its RDB channel is (AS_MAIN). Both are
views for people, see Resync.phase.

Protocol facts, unless stated otherwise: Redis 7.0 replication.c, syncWithMaster and readSyncBulkPayload for the replica's
side, syncCommand and replconfCommand for the master's.
"""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """The values are what users see and write."""

    CONNECT = "connect"  # nothing asked yet
    HANDSHAKE = "handshake"  # PING, AUTH, REPLCONF
    PSYNC = "psync"  # the master has not answered PSYNC yet
    WAITING = "waiting"  # for the RDB: granted, or SYNC sent
    RDB = "rdb"
    LOADING = "loading"  # the RDB is through, the replica has not acknowledged
    STREAM = "stream"
    DONE = "done"  # the RDB was all that this connection was for
    ORDINARY = "ordinary"  # no replication so far: passed on, followed for a request that asks for it
    OPAQUE = "opaque"  # no longer understood: passed on, counted


NEXT = {
    Phase.CONNECT: {  # to the RDB or beyond where a recording begins there, see Conversation.join() and stand()
        Phase.HANDSHAKE,
        Phase.PSYNC,
        Phase.WAITING,
        Phase.RDB,
        Phase.STREAM,
        Phase.DONE,
        Phase.ORDINARY,
        Phase.OPAQUE,
    },
    Phase.HANDSHAKE: {Phase.PSYNC, Phase.WAITING, Phase.ORDINARY, Phase.OPAQUE},
    Phase.PSYNC: {Phase.HANDSHAKE, Phase.WAITING, Phase.STREAM, Phase.OPAQUE},
    Phase.WAITING: {Phase.HANDSHAKE, Phase.RDB, Phase.OPAQUE},
    Phase.RDB: {Phase.STREAM, Phase.DONE, Phase.OPAQUE},
    Phase.STREAM: {Phase.OPAQUE},
    Phase.DONE: {Phase.OPAQUE},
    Phase.ORDINARY: {Phase.HANDSHAKE},
    Phase.OPAQUE: set(),
}

# The phase of a main connection by that of its RDB channel; otherwise it is waiting.
AS_MAIN = {
    Phase.RDB: Phase.RDB,
    Phase.LOADING: Phase.LOADING,
    Phase.DONE: Phase.LOADING,
    Phase.OPAQUE: Phase.OPAQUE,
}

REPLIES = (Phase.CONNECT, Phase.HANDSHAKE, Phase.PSYNC, Phase.WAITING)  # the master's bytes are replies to requests


class Lost(Exception):
    """Understanding ends here; the conversation catches it. at: the byte, None for the one being read."""

    at: int | None = None
