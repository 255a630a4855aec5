"""A fault is what + when + scope: the same object from the command line, a scenario, the API and Python."""

from __future__ import annotations

from dataclasses import dataclass

from tap.faults.kind import Kind, Watch
from tap.faults.scope import Scope
from tap.faults.when import When


@dataclass(frozen=True, slots=True)
class Fault:
    """spec: as one would write it."""

    what: Kind
    when: When
    scope: Scope
    spec: str

    @property
    def kind(self) -> str:
        return self.what.kind

    @property
    def destructive(self) -> str:
        """What it does to a server, "" if servers survive it."""
        return self.what.danger(self.when)

    @property
    def has_to_understand(self) -> bool:
        """Whether it has to know what the bytes of a link mean."""
        when = self.when
        by_meaning = when.matches or (when.at or when.during or self.scope.channel) is not None
        return by_meaning or self.what.watches not in (Watch.NOTHING, Watch.HEADER)

    @property
    def acts_on_time(self) -> bool:
        """Whether it acts once its time has come, whatever flows."""
        when = self.when
        return not (when.matches or when.at or when.during) and self.what.watches is Watch.NOTHING

    @property
    def lasts_each_time(self) -> bool:
        """Whether `for` counts anew whenever it fires, and not once from when it may."""
        when = self.when
        is_on_occasions = when.at is not None or when.during is not None or when.every is not None
        return self.spans and (when.matches or is_on_occasions)

    @property
    def is_continuous(self) -> bool:
        """Whether it is at work on every link, from its first moment to its last."""
        return self.spans and not self.lasts_each_time and self.scope.times is None

    @property
    def spans(self) -> bool:
        """Whether it goes on for a while, and is not over when it has fired."""
        return bool(self.what.doing)
