"""How a replica identifies itself, with REPLCONF, AUTH and CLIENT SETNAME, before it asks to replicate."""

from __future__ import annotations

from tap.replication.events import Role
from tap.replication.replies import readable
from tap.replication.requests import COMPRESSIONS, UNDERSTOOD, Request

# Requests that replicas send up to PSYNC; REPLPING is KeyDB's PING (KeyDB 6.3 replication.cpp, syncWithMaster). Any other
# request makes the connection an ordinary one, until it asks to replicate.
SET_UP = frozenset({b"PING", b"REPLPING", b"AUTH", b"HELLO", b"CLIENT", b"SELECT", b"REPLCONF", b"PSYNC", b"SYNC"})

# The options of REPLCONF that are needed later; others are not kept.
OPTIONS = frozenset(
    {
        "listening-port",
        "ip-address",
        "rdb-only",
        "rdb-filter-only",
        "rdb-channel",
        "main-ch-client-id",
        "set-rdb-client-id",
    }
)

MAX_NAME = 255  # bytes kept of each name and value from the peer
MAX_NOVELTIES = 8  # number of unknown capabilities that are remembered

ROLES = {
    Role.REPLICA: "a replica",
    Role.RDB_CHANNEL: "the RDB channel",
    Role.RDB_CLIENT: "a client that takes the RDB only, as redis-cli --rdb does",
    Role.SYNC_CLIENT: "a client that follows with SYNC, as redis-cli --replica does",
}


class Identity:
    """host, port: the source address; port 0: unknown. options: REPLCONF options by lower-case name.

    has_configured: a REPLCONF has come. called: the name from CLIENT SETNAME. user: the user of AUTH.
    """

    __slots__ = (
        "_novelties",
        "called",
        "has_configured",
        "host",
        "options",
        "port",
        "user",
    )

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.options: dict[str, str] = {}
        self.has_configured = False
        self.called = b""
        self.user = b""
        self._novelties: list[str] = []

    def heard(self, request: Request) -> None:
        """Take a whole request of the handshake."""
        name, args = request.name, request.args
        if name == b"REPLCONF":
            self._configured(request)
        elif name == b"AUTH" and len(args) > 2:
            self.user = args[1][:MAX_NAME]
        elif name == b"CLIENT" and len(args) > 2 and args[1].upper() == b"SETNAME":
            self.called = args[2][:MAX_NAME]

    def _configured(self, request: Request) -> None:
        self.has_configured = True
        options = request.args[1:]
        for option, value in zip(options[::2], options[1::2], strict=False):
            name = readable(option).lower()
            if name in OPTIONS:
                self.options[name] = readable(value[:MAX_NAME])
        told = (request.sent or request.args)[1:]
        for option, value in zip(told[::2], told[1::2], strict=False):
            capability = readable(value[:64]).lower()
            if option.lower() == b"capa" and capability not in UNDERSTOOD and len(self._novelties) < MAX_NOVELTIES:
                self._novelties.append(capability)

    def take_address(self, other: Identity) -> None:
        """Copy the address that another connection of the same replica announced: replicas do not always repeat it."""
        self.options |= {name: other.options[name] for name in ("ip-address", "listening-port") if name in other.options}

    # ---- the replica's name ----

    def name(self, role: Role | None) -> str:
        """The announced address, or the source host with the announced port.

        For a replica that announces no port, or port 0 as RedisShake does, the source address: several such replicas on
        one host would otherwise have the same name.
        """
        host, port = self.options.get("ip-address", self.host), self.options.get("listening-port")
        if self.port > 0 and self.is_nameless(role):
            port = str(self.port)
        return _address(host, port)

    def is_nameless(self, role: Role | None) -> bool:
        """Whether only the source address names the replica."""
        port = self.options.get("listening-port")
        return self.port > 0 and (port == "0" or (port is None and role is Role.REPLICA))

    @property
    def announced(self) -> str:
        """The announced or source host, with the announced port if there is one."""
        return _address(self.options.get("ip-address", self.host), self.options.get("listening-port"))

    @property
    def way_out(self) -> str:
        """For a message: the option that hides capabilities unknown here, if the replica offered any; else ""."""
        if not self._novelties:
            return ""
        masks = dict.fromkeys("compression" if name in COMPRESSIONS else name for name in self._novelties)
        return (
            f"; the replica offered capa {', '.join(self._novelties)}, which redis-tap cannot read: "
            f"{' '.join(f'--mask capa:{name}' for name in masks)} has them do without"
        )


def _address(host: str, port: str | None) -> str:
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
