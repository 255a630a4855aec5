"""The faults of one tap, in order: which are armed and which are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import NamedTuple

from tap.errors import ConfigError, did_you_mean
from tap.faults.armed import Armed
from tap.faults.fault import Fault
from tap.faults.parameters import is_address
from tap.faults.spec import parse
from tap.replication import events
from tap.replication.events import Event, Side

KEPT = 100  # faults that have ended: a program may add and remove them for days


class _Link(NamedTuple):
    """What the plan knows of a link; see Plan.set_link()."""

    is_opaque: bool = False
    is_transparent: bool = False


class Plan:
    """The faults of one tap. The plan may change at any time, and its connections follow at once.

    seed: decides every random choice. Each fault draws from a generator of its own for each connection, so that neither
    the order of connections nor another fault changes the draws.
    """

    def __init__(
        self,
        seed: int,
        tell: Callable[[Event], None],
        clock: Callable[[], float],
        *,
        links: Iterable[str] | None = None,
        destructive: bool = False,
        read_only: bool = False,
    ) -> None:
        """tell: receives the events of the plan as a whole. links: the names that exist, see set_link(); None: any name.

        destructive: allow faults that end a server process. read_only: allow no fault.
        """
        self.seed = seed
        self.armed: list[Armed] = []
        self.never_fired: list[Armed] = []  # the last faults that ended without having fired
        self.ended: deque[Armed] = deque(maxlen=KEPT)  # the last faults that ended, oldest first
        self.changed: Callable[[], None] = lambda: None
        self._tell = tell
        self._clock = clock
        self._links = None if links is None else dict.fromkeys(links, _Link())
        self._destructive = destructive
        self._read_only = read_only
        self._numbers: dict[str, int] = {}
        self._rngs: dict[Armed, Random] = {}

    def set_link(self, name: str, *, is_opaque: bool = False, is_transparent: bool = False) -> None:
        """There is a link of this name, whose faults are of this kind from now on.

        is_opaque: it takes only faults that need not understand the bytes. is_transparent: its connections, and their
        faults, go by the addresses of their masters. Raises ConfigError if a fault of this link could no longer fire.
        """
        links = (self._links or {}) | {name: _Link(is_opaque, is_transparent)}
        for armed in self.armed:
            if armed.fault.scope.link == name:
                _check_link(armed.fault, links)
        self._links = links

    def drop_link(self, name: str) -> None:
        """The link has gone: disarm the faults that were for it alone."""
        if self._links is None or name not in self._links:
            return
        del self._links[name]
        of_none = [armed for armed in self.armed if not _is_there(armed.fault.scope.link, self._links)]
        for armed in of_none:
            self._end(armed)
        if of_none:
            self.changed()

    def add(self, spec: str | Fault, **more: object) -> Armed:
        """Arm a fault: `add("cut at=rdb:50%")`, or `add("cut", at="rdb:50%", for_="5s")`. Raises ConfigError."""
        if not isinstance(spec, str | Fault):
            raise ConfigError(f"{spec!r} is not a fault: write one at a time, as add('cut at=rdb:50%')")
        fault = parse(spec, **more) if isinstance(spec, str) else spec
        self.check(fault)
        name = fault.scope.name or self._new_name(fault.kind)
        armed = Armed(fault, name, self._clock())
        self.armed.append(armed)
        self._tell(events.FaultArmed(fault=name, spec=fault.spec, seed=self.seed))
        self.changed()
        return armed

    def check(self, *faults: Fault) -> None:
        """Raises ConfigError if this plan would not take these faults, one after the other."""
        names = {armed.name for armed in self.armed}
        for fault in faults:
            self._check(fault, names)
            names.add(fault.scope.name)

    def _check(self, fault: Fault, names: set[str]) -> None:
        """names: already taken."""
        if fault.scope.name and fault.scope.name in names:
            raise ConfigError(f"fault {fault.spec!r}: another one is named {fault.scope.name!r}")
        if self._read_only:
            raise ConfigError(f"fault {fault.spec!r}: this tap is read-only and takes no fault")
        if fault.destructive and not self._destructive:
            raise ConfigError(
                f"fault {fault.spec!r} is destructive: {fault.destructive}. If that is what you want, allow it with "
                "--destructive"
            )
        if self._links is not None:
            _check_link(fault, self._links)

    def remove(self, name: str) -> None:
        """Disarm a fault and release the bytes it holds. Raises ConfigError if no fault has that name."""
        self._end(self._named(name))
        self.changed()

    def _named(self, name: str) -> Armed:
        for armed in self.armed:
            if armed.name == name:
                return armed
        names = [armed.name for armed in self.armed]
        raise ConfigError(f"no fault is named {name!r}; armed: {', '.join(names) or 'none'}.{did_you_mean(name, names)}")

    def change(self, name: str, fault: Fault) -> Armed:
        """Give an armed fault other parameters; it keeps its name and its place in the plan.

        Each connection hands over what the fault holds and has counted, and the fault's chance is drawn anew. Raises
        ConfigError if no fault has that name, or the plan would not take the new one.
        """
        before = self._named(name)
        self._check(fault, set())
        armed = Armed(fault, name, self._clock(), before)
        self.armed[self.armed.index(before)] = armed
        self._over(before)
        self._tell(events.FaultArmed(fault=name, spec=fault.spec, seed=self.seed))
        self.changed()
        return armed

    def clear(self) -> None:
        """Disarm all faults."""
        for armed in tuple(self.armed):
            self._end(armed)
        self.changed()

    def rng(self, armed: Armed, link: str, ordinal: int) -> Random:
        """The generator of one fault on the *ordinal*th connection of a link."""
        edition = f" {armed.edition}" if armed.edition else ""
        return Random(f"{self.seed} {armed.name} {link} {ordinal}{edition}")  # noqa: S311

    def _rng(self, armed: Armed) -> Random:
        """The generator for draws that a fault makes before there is a connection."""
        return self._rngs.setdefault(armed, self.rng(armed, "", 0))

    def refusal(self, link: str) -> Armed | None:
        """The fault that keeps out a replica that connects now; None if it may connect."""
        for armed, _ in self._refusals(link):
            chance = armed.fault.when.probability
            if chance is None or self._rng(armed).random() < chance:
                return armed
        return None

    def closes(self, link: str) -> Armed | None:
        """The fault that forbids the tap to listen for replicas of this link; None if it may listen."""
        return next((armed for armed, mode in self._refusals(link) if mode == "refuse"), None)

    def _refusals(self, link: str) -> list[tuple[Armed, str]]:
        now = self._clock()
        return [
            (armed, armed.fault.what.keeps_out)
            for armed in self.armed
            if armed.fault.what.keeps_out and armed.fault.scope.link in (None, link) and armed.is_due(now)
        ]

    def refuse(self, armed: Armed, how: str, tell: Callable[[Event], None]) -> None:
        """Report that a replica is kept out. how: "refuse", "close" or "blackhole", which may differ from the mode."""
        armed.fired += 1
        text = {"refuse": "no longer listening", "close": "closed at once", "blackhole": "accepted, and left alone"}[how]
        tell(
            events.FaultFired(
                fault=armed.name,
                spec=armed.spec,
                text=text,
                side=Side.REPLICA,
                phase="connect",
                position=0,
                offset=None,
                bytes=0,
            )
        )

    def tick(self, now: float) -> None:
        """End the faults whose time is over, and those that have fired as often as they may and have no effect left."""
        past = [armed for armed in self.armed if armed.is_past(now)]
        for armed in past:
            self._end(armed)
        if past:
            self.changed()

    def _end(self, armed: Armed) -> None:
        if armed.is_over:  # an observer that saw another fault expire has removed this one
            return
        if not armed.fired:
            self.never_fired.append(armed)
            del self.never_fired[:-KEPT]
        self.ended.append(armed)
        self.armed.remove(armed)
        self._over(armed)

    def _over(self, armed: Armed) -> None:
        armed.is_over = True
        self._rngs.pop(armed, None)
        self._tell(events.FaultExpired(fault=armed.name, spec=armed.fault.spec, fired=armed.fired, bytes=armed.bytes))

    def _new_name(self, kind: str) -> str:
        taken = {armed.name for armed in self.armed}
        while True:
            self._numbers[kind] = self._numbers.get(kind, 0) + 1
            name = f"{kind}-{self._numbers[kind]}"
            if name not in taken:
                return name


def _is_there(link: str | None, links: Mapping[str, _Link]) -> bool:
    """Whether a fault of this scope can concern a connection."""
    if link is None:
        return True
    if any(one.is_transparent for one in links.values()) and is_address(link):
        return True
    return link in links and not links[link].is_transparent


def _check_link(fault: Fault, links: Mapping[str, _Link]) -> None:
    """Raise ConfigError if the fault is for a link that does not exist, or for links where it could never fire."""
    link = fault.scope.link
    if not _is_there(link, links):
        names = [name for name, one in links.items() if not one.is_transparent]
        hint = did_you_mean(str(link), names)
        if len(names) < len(links):
            names.append("an address of a master, as 10.0.0.5:6379 or [fd00::5]:6379")
            hint = ""
        known = f"known: {', '.join(names)}{hint and '.'}{hint}" if names else "this tap has no link"
        raise ConfigError(f"fault {fault.spec!r}: no link is named {link!r}; {known}")
    concerned = [one for name, one in links.items() if link in (None, name) or one.is_transparent]
    if fault.has_to_understand and concerned and all(one.is_opaque for one in concerned):
        what = f"link {link} parses nothing" if link in links else "this tap parses nothing (--opaque)"
        raise ConfigError(
            f"fault {fault.spec!r} needs to parse the traffic, and {what}; faults by time (after, every, for) or by a "
            "number of bytes work"
        )
