"""The faults of one tap, in order: which are armed and which are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from tap.errors import ConfigError, did_you_mean
from tap.faults.armed import Armed
from tap.faults.fault import Fault
from tap.faults.parameters import is_address
from tap.faults.spec import parse
from tap.replication import events
from tap.replication.events import Event, Side

KEPT = 100  # faults that have ended: a program may add and remove them for days


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
        links: Sequence[str] = (),
        by_address: bool = False,
        destructive: bool = False,
        read_only: bool = False,
        opaque: bool = False,
    ) -> None:
        """tell: receives the events of the plan as a whole. links: the names that exist. by_address: further links may
        appear, named by their master's address.

        destructive: allow faults that end a server process. read_only: allow no fault. opaque: allow only faults that
        need not understand the bytes.
        """
        self.seed = seed
        self.armed: list[Armed] = []
        self.never_fired: list[Armed] = []  # the last faults that ended without having fired
        self.ended: deque[Armed] = deque(maxlen=KEPT)  # the last faults that ended, oldest first
        self.changed: Callable[[], None] = lambda: None
        self._tell = tell
        self._clock = clock
        self._links = links
        self._by_address = by_address
        self._destructive = destructive
        self._read_only = read_only
        self._opaque = opaque
        self._numbers: dict[str, int] = {}
        self._rngs: dict[Armed, Random] = {}

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
        if self._opaque and fault.has_to_understand:
            raise ConfigError(
                f"fault {fault.spec!r} needs to parse the traffic, and this tap parses nothing (--opaque); faults by "
                "time (after, every, for) or by a number of bytes work"
            )
        if fault.destructive and not self._destructive:
            raise ConfigError(
                f"fault {fault.spec!r} is destructive: {fault.destructive}. If that is what you want, allow it with "
                "--destructive"
            )
        link = fault.scope.link
        if link is None or link in self._links or (self._by_address and is_address(link)):
            return
        if self._by_address:
            known = ", ".join([*self._links, "an address of a master, as 10.0.0.5:6379 or [fd00::5]:6379"])
            raise ConfigError(f"fault {fault.spec!r}: no link is named {link!r}; known: {known}")
        if self._links:
            known = ", ".join(self._links)
            raise ConfigError(
                f"fault {fault.spec!r}: no link is named {link!r}; known: {known}.{did_you_mean(link, self._links)}"
            )

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
