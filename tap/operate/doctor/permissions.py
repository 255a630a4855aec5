"""Whether a user of the master may run the commands of a replica's handshake."""

from __future__ import annotations

from collections.abc import Sequence

# The commands, with arguments that ACL DRYRUN can take.
HANDSHAKE = {"ping": ("PING",), "replconf": ("REPLCONF", "capa", "psync2"), "psync": ("PSYNC", "?", "-1")}
_CATEGORIES = {
    "ping": {"all", "fast", "connection"},
    "replconf": {"all", "admin", "slow", "dangerous"},
    "psync": {"all", "admin", "slow", "dangerous"},
}


def allows(user: Sequence[object], command: str) -> bool | None:
    """user: the reply to ACL GETUSER, names and values in turn. None if it does not say.

    For servers before Redis 7.0, which lack ACL DRYRUN. Rules apply in their order, the last one that fits decides.
    """
    words = [one.decode(errors="replace") if isinstance(one, bytes) else one for one in user]
    said = dict(zip(words[::2], words[1::2], strict=False)).get("commands")
    if not isinstance(said, str):
        return None
    allowed = False
    for rule in said.lower().split():
        name = rule[1:]
        if name == command or (name.startswith("@") and name[1:] in _CATEGORIES[command]):
            allowed = rule.startswith("+")
    return allowed
