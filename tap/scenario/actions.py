"""What a step can do: parses the words after `do`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tap.errors import ConfigError, did_you_mean
from tap.replication.passwords import hidden
from tap.units import parse_duration, parse_size

BOTH = ("master", "replica")

# Verb, what may follow it, and what it does. Error messages and `redis-tap chaos --help-steps` are made from this table.
ACTIONS = {
    "attach": ("", "point the replica at the tap"),
    "write": ("SIZE", "write that many bytes of values to the master, as fast as it takes them"),
    "send": ("COMMAND", "send one command to the master"),
    "start": ("workload|master|replica", "go on writing; start a server that was killed"),
    "stop": ("workload", "pause the writing"),
    "restart": ("master|replica", "shut a server down, saving its data, and start it again on the same port"),
    "kill": ("master|replica", "kill a server's process"),
    "disconnect": ("replica", "have the master close the replica's connection (CLIENT KILL)"),
    "promote": ("replica", "make the replica a master (REPLICAOF NO ONE)"),
    "demote": ("master", "make the old master a replica of the promoted one; the two have then changed places"),
    "set": ("master|replica OPTION VALUE", "change an option of a running server (CONFIG SET)"),
    "pause": ("TIME", "let time pass; where there is something to wait for, wait for that instead"),
}
TARGETS = {
    "start": ("workload", *BOTH),
    "stop": ("workload",),
    "restart": BOTH,
    "kill": BOTH,
    "disconnect": ("replica",),
    "promote": ("replica",),
    "demote": ("master",),
    "set": BOTH,
}
# Done to servers of our own only: they end or start a server's process, or change who replicates whom.
OWN_ONLY = frozenset({"start", "restart", "kill", "promote", "demote"})


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do.

    text: as written, with *** for secrets. target: "master", "replica" or "workload", by the roles at that step. amount:
    bytes to write or seconds to pause. words: of the command to send, or option and value.
    """

    text: str
    verb: str
    target: str = ""
    amount: float = 0
    words: tuple[str, ...] = ()

    @property
    def is_own_only(self) -> bool:
        """Whether it is done to servers of our own only, not to a pair that the user gave."""
        return self.verb in OWN_ONLY and self.target != "workload"

    @classmethod
    def parse(cls, text: str) -> Action:
        """Read "write 2mb", "promote replica" and so on. Raises ConfigError."""
        try:
            verb, *rest = shlex.split(text)
        except ValueError as error:
            if text.strip():
                raise ConfigError(f"{_without_secrets(text, text.split())!r}: {str(error).lower()}") from None
            raise ConfigError(f"nothing to do; known: {', '.join(ACTIONS)}") from None
        if verb not in ACTIONS:
            raise ConfigError(f"unknown action {verb!r}; known: {', '.join(ACTIONS)}.{did_you_mean(verb, ACTIONS)}")
        text = _without_secrets(text, [verb, *rest])
        what, _ = ACTIONS[verb]
        form = f"{verb} {what}".strip()
        if verb == "send" and rest:
            return cls(text, verb, words=tuple(rest))
        if verb == "write" and len(rest) == 1:
            return cls(text, verb, amount=parse_size(rest[0]))
        if verb == "pause" and len(rest) == 1:
            return cls(text, verb, amount=parse_duration(rest[0]))
        if verb in TARGETS and rest:
            target, *words = rest
            if target not in TARGETS[verb]:
                known = ", ".join(TARGETS[verb])
                raise ConfigError(
                    f"{verb} what? {target!r} is unknown; known: {known}.{did_you_mean(target, TARGETS[verb])}"
                )
            if len(words) == (2 if verb == "set" else 0):
                return cls(text, verb, target=target, words=tuple(words))
        if verb == "attach" and not rest:
            return cls(text, verb)
        raise ConfigError(f"{text!r} is not understood; it is written {form!r}")


def _without_secrets(text: str, words: list[str]) -> str:
    """The text, which consists of these words, with any secrets in them hidden."""
    before, command = words[:1], words[1:] if words[0] == "send" else []
    if words[0] == "set":
        before, command = words[:2], ["CONFIG", "SET", *words[2:]]
    # In a malformed action, everything after the first secret is hidden.
    shown = hidden([word.encode(errors="replace") for word in command], inline=words[0] == "set")
    said = [word.decode(errors="replace") for word in shown]
    return text if said == command else " ".join([*before, *(said if words[0] == "send" else said[2:])])
