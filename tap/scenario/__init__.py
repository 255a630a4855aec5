"""Chaos experiments: a master, a replica, a tap between them, harmful steps, and a verdict.

    load                 reads a scenario, and the servers it is for (versions.py)
    experiment           carries one out
    campaign             runs many, side by side

One run has three parts. A stage:

    pair                 the servers; a given pair gets its settings and its master back
    stage                these and the tap
    workload             the writes
    journal              the tap's events
    outage               the time without a stream, measured during the run

The steps:

    actions              which steps there are, and the words for each
    steps                carries them out; a server's settings through node.options, which pair.py restores
    patience             limits each wait
    by_hand              how to undo them by hand

A verdict:

    evidence             collects evidence
    judge                compares it with the expectations
    result               holds the result

Evidence comes from several sources:

    examine, trial       compare the tap with the servers
    accounts             compares its events with the stream in the master's backlog (backlog_commands.py)
    pair_difference      compares the data of master and replica; operate/comparison does so for any two data sets
    tally                the counts in INFO

This room prints nothing: console/ shows a Result.
"""

from tap.scenario.experiment import run
from tap.scenario.load import Scenario, library, load
from tap.scenario.result import Outcome, Result

__all__ = ["Outcome", "Result", "Scenario", "library", "load", "run"]
