"""Chaos experiments: a master, a replica, a tap between them, steps that hurt, and a verdict.

load.py reads a scenario, run.py carries it out on a pair of pair.py, judge.py says whether what was expected came true.
campaign.py runs many of them side by side. Nothing here prints: console/ shows what a Result says.
"""

from tap.scenario.load import Scenario, library, load
from tap.scenario.result import Result, Verdict
from tap.scenario.run import run

__all__ = ["Result", "Scenario", "Verdict", "library", "load", "run"]
