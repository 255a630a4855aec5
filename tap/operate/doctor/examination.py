"""Examine a pair: gather the facts, then judge them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tap.errors import ConfigError

# These register their checks.
from tap.operate.doctor import control_checks, data_checks, link_checks, reading_checks, size_checks, state_checks
from tap.operate.doctor.check import Finding, findings
from tap.operate.doctor.gather import gather
from tap.operate.doctor.pair_facts import PairFacts
from tap.url import Url

__all__ = [
    "Examination",
    "control_checks",
    "data_checks",
    "examine",
    "judge",
    "link_checks",
    "size_checks",
    "state_checks",
]

WATCH_SECONDS = 30.0
OUTAGE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. findings: the worst first."""

    facts: PairFacts
    findings: tuple[Finding, ...]

    @property
    def lacking(self) -> tuple[Finding, ...]:
        """Those that say what could not be looked at."""
        return tuple(one for one in self.findings if one.code in reading_checks.LACKING)

    @property
    def healthy(self) -> bool | None:
        """False if anything is broken. None if nothing is, as far as could be seen, and something could not be seen."""
        if any(one.severity == "broken" for one in self.findings):
            return False
        return None if self.lacking else True


async def examine(
    master: str,
    replicas: Sequence[str] = (),
    *,
    seconds: float = WATCH_SECONDS,
    outage: float = OUTAGE_SECONDS,
    advance: Callable[[float], None] = lambda _: None,
) -> Examination:
    """Examine a master and its replicas; without replicas those that the master lists, as far as they answer.

    seconds: for how long to watch what the master writes. outage: seconds of the longest outage that should cost no full
    resync. advance: called with the seconds watched so far. Raises ConfigError for what is not a server's URL, and
    EnvironmentFailure if the master cannot be asked.
    """
    if seconds <= 0 or outage <= 0:
        raise ConfigError("the time to watch, and the outage to survive, are more than 0")
    urls = [Url.parse(one) for one in (master, *replicas)]
    return judge(await gather(urls[0], urls[1:], seconds, outage, advance))


def judge(facts: PairFacts) -> Examination:
    return Examination(facts, findings(facts))
