"""The phases of a connection, and their order.

A replica connects, identifies itself, asks to continue from where it stopped, and gets either an RDB followed by the
stream, or the stream at once:

    CONNECT ─> HANDSHAKE ─> PSYNC ─┬─ +FULLRESYNC ─> WAITING ─ $... ─> RDB ─┬─> STREAM
                  ▲ │         │    │                    ▲                   └─> DONE      nothing follows the RDB
                  │ │         │    └─ +CONTINUE ────────┼───────────────────> STREAM
                  │ └─ SYNC ──┼─────────────────────────┘
                  └─ refused ─┘
                  └──────────> ORDINARY      any other client, unless it asks to replicate later
    any phase ───────────────> OPAQUE        the bytes are not understood: from here on they are only counted

The phase decides which reader gets the master's next bytes: replies up to WAITING, the RDB, the stream, or none. A step
that is not in NEXT is never taken; instead the connection becomes opaque. A damaged capture, or a server of the future,
thus costs only the understanding of one connection: its bytes still flow.

LOADING is not a step, because no byte of the connection begins it: the RDB has passed, and the replica has not
acknowledged anything yet. In a two-connection sync, the main connection is shown in the phase of its RDB channel
(AS_MAIN). Both are views for people, see Resync.phase.

Protocol facts, unless stated otherwise: Redis 7.0 replication.c, syncWithMaster and readSyncBulkPayload for the
replica's side, syncCommand and replconfCommand for the master's.
"""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """The values are the names that users see and write."""

    CONNECT = "connect"  # no request yet
    HANDSHAKE = "handshake"  # PING, AUTH, REPLCONF
    PSYNC = "psync"  # the master has not answered PSYNC yet
    WAITING = "waiting"  # for the RDB: granted, or SYNC sent
    RDB = "rdb"
    LOADING = "loading"  # the RDB has passed, the replica has not acknowledged
    STREAM = "stream"
    DONE = "done"  # the RDB has passed, and nothing else was to come on this connection
    ORDINARY = "ordinary"  # no replication so far: passed on, and searched for a request to replicate
    OPAQUE = "opaque"  # no longer understood: passed on and counted


NEXT = {
    Phase.CONNECT: {  # RDB and later where a recording begins there, see Conversation.join() and stand()
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

# The phase of a main connection, by that of its RDB channel; WAITING for those not listed.
AS_MAIN = {
    Phase.RDB: Phase.RDB,
    Phase.LOADING: Phase.LOADING,
    Phase.DONE: Phase.LOADING,
    Phase.OPAQUE: Phase.OPAQUE,
}

REPLIES = (Phase.CONNECT, Phase.HANDSHAKE, Phase.PSYNC, Phase.WAITING)  # the master's bytes are replies to requests


class Lost(Exception):
    """The bytes cannot be understood from here on; caught by the conversation. at: the byte, None: the one being read."""

    at: int | None = None
