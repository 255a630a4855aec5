"""A fault is what + when + scope: the same object from the command line, a scenario, the API and Python."""

from __future__ import annotations

from dataclasses import dataclass

from tap.faults.kind import Kind, Watch
from tap.faults.scope import Scope
from tap.faults.when import When


@dataclass(frozen=True, slots=True)
class Fault:
    """spec: as written in a plan."""

    what: Kind
    when: When
    scope: Scope
    spec: str

    @property
    def kind(self) -> str:
        return self.what.kind

    @property
    def destructive(self) -> str:
        """How it ends a server process, "" if servers survive it."""
        return self.what.danger(self.when)

    @property
    def has_to_understand(self) -> bool:
        """Whether it depends on the meaning of the bytes, so that it cannot work on an opaque link."""
        when = self.when
        by_meaning = when.matches or (when.at or when.during or self.scope.channel) is not None
        return by_meaning or self.what.watches not in (Watch.NOTHING, Watch.HEADER)

    @property
    def acts_on_time(self) -> bool:
        """Whether it acts on a timer, whatever flows."""
        when = self.when
        return not (when.matches or when.at or when.during) and self.what.watches is Watch.NOTHING

    @property
    def lasts_each_time(self) -> bool:
        """Whether `for` counts from each firing rather than once from when the fault is armed (or from `after`)."""
        when = self.when
        is_on_occasions = when.at is not None or when.during is not None or when.every is not None
        return self.spans and (when.matches or is_on_occasions)

    @property
    def is_continuous(self) -> bool:
        """Whether it is applied to every connection throughout its time window."""
        return self.spans and not self.lasts_each_time and self.scope.times is None

    @property
    def spans(self) -> bool:
        """Whether it lasts for a while, rather than being over once it has fired."""
        return bool(self.what.doing)
