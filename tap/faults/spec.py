"""Faults as people write them: `KIND [VALUE] NAME=VALUE ...`, as in `cut at=rdb:50% mode=reset`."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from tap.errors import ConfigError, did_you_mean
from tap.faults.at import REQUESTS
from tap.faults.fault import Fault
from tap.faults.kind import Kind, Watch
from tap.faults.kinds import KINDS
from tap.faults.parameters import parameters
from tap.faults.scope import Scope
from tap.faults.when import When


def parse(spec: str, **more: object) -> Fault:
    """Read `KIND [VALUE] NAME=VALUE ...`. *more*: further parameters, with _ appended to Python keywords (for_, from_).

    Raises ConfigError that names the word that was not understood, and what is allowed in its place.
    """
    try:
        words = shlex.split(spec)
    except ValueError:
        raise ConfigError(f"fault {spec!r}: a quote that does not end") from None
    for name, value in more.items():
        words.append(f"{name.rstrip('_').replace('_', '-')}={value}")
    try:
        return _parsed(words)
    except ConfigError as error:
        raise ConfigError(f"fault {spec!r}: {error}") from None


def _parsed(words: list[str]) -> Fault:
    if not words:
        raise ConfigError(f"nothing is written; known faults: {', '.join(KINDS)}")
    kind = KINDS.get(words[0])
    if kind is None:
        raise ConfigError(f"unknown fault {words[0]!r}; known: {', '.join(KINDS)}.{did_you_mean(words[0], KINDS)}")
    own = parameters(kind)
    tables: dict[type[Any], dict[str, Any]] = {kind: {}, When: {}, Scope: {}}
    known: dict[str, tuple[dataclasses.Field[Any], type[Any]]] = {name: (field, kind) for name, field in own.items()}
    for name, field in parameters(When).items():
        if name in kind.takes or name in ("after", "probability"):
            known[name] = field, When
    known |= {name: (field, Scope) for name, field in parameters(Scope).items() if name not in kind.lacks}
    free = [name for name, field in own.items() if field.metadata["positional"]]
    for text in words[1:]:
        name, equals, value = text.partition("=")
        if not equals or (free and name not in known and " " in name):
            if not free:
                raise ConfigError(f"{text!r}: parameters are written name=value; {kind.kind} takes {', '.join(known)}")
            name, value = free[0], text
        if name not in known:
            raise ConfigError(
                f"unknown parameter {name!r} of {kind.kind}; allowed: {', '.join(known)}.{did_you_mean(name, known)}"
            )
        field, table = known[name]
        if field.name in tables[table]:
            raise ConfigError(f"{name} is given twice")
        if name in free:
            free.remove(name)
        try:
            tables[table][field.name] = field.metadata["parse"](value)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
    return _checked(kind(**tables[kind]), tables[When], tables[Scope], shlex.join(words))


def _checked(what: Kind, when: dict[str, Any], scope: dict[str, Any], spec: str) -> Fault:
    """Assemble the fault. Raises ConfigError for combinations that make no sense."""
    at = when.get("at")
    if at is not None and at.place in REQUESTS and "request" not in when:
        when["request"] = REQUESTS[at.place]
        when["at"] = None
    elif at is not None and at.place == "transaction":
        when["command"] = b"MULTI"
        when["at"] = None
    if "times" not in scope:
        scope["times"] = 1 if what.once and "every" not in when else None
    fault = Fault(what, When(**when), Scope(**scope), spec)
    matchers = [name for name in ("command", "request", "reply") if when.get(name) is not None]
    if when.get("key") is not None and "command" not in matchers:
        matchers.append("key")
    if len(matchers) + (fault.when.at is not None) > 1:
        given = [*matchers, *(["at"] if fault.when.at else [])]
        raise ConfigError(f"{' and '.join(given)}: one trigger at a time")
    edge = fault.when.edge
    if edge and fault.when.at is None and edge not in ("start", "inside", "end"):
        raise ConfigError(f"edge={edge} goes with at=offset or at=stream; a match has start, inside and end")
    if (
        edge
        and fault.when.at is not None
        and (edge not in ("byte", "command", "transaction") or fault.when.at.place not in ("offset", "stream"))
    ):
        raise ConfigError("edge with at= is byte, command or transaction, and at is an offset or a place in the stream")
    if fault.when.nth > 1 and not matchers and what.watches is not Watch.REQUESTS:
        raise ConfigError("nth counts matches: it goes with command, key, request or reply")
    if fault.when.every is not None and (matchers or fault.when.at is not None):
        raise ConfigError("every is a trigger of its own: it does not go with at, command, key, request or reply")
    early = _before_channel(fault)
    if fault.scope.channel is not None and early:
        raise ConfigError(f"{early}: a connection says which channel it is only later; take at=replconf or at=psync")
    wrong = what.wrong(fault.when, fault.scope)
    if wrong:
        raise ConfigError(wrong)
    return fault


def _before_channel(fault: Fault) -> str:
    """The fault's trigger, if it comes before a connection has said which channel it is; "" if it comes later."""
    when = fault.when
    if when.at is not None and when.at.place in ("connect", "handshake"):
        return f"at={when.at.place}"
    for name, word in (("request", when.request), ("reply", when.reply)):
        if word in (b"PING", b"AUTH"):
            return f"{name}={word.decode()}"
    return ""
