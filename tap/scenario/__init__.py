"""Chaos experiments: a master, a replica, a tap between them, harmful steps, and a verdict.

load.py reads a scenario (actions.py its steps, versions.py the servers it is for), experiment.py carries it out, and
campaign.py runs many scenarios side by side. One run has three parts:

    a stage      pair.py: the servers; stage.py: these and the tap; workload.py: the writes; journal.py: the tap's events
    steps        steps.py takes them, patience.py limits each wait; by_hand.py says how to undo them by hand
    a verdict    evidence.py collects evidence, judge.py compares it with the expectations, result.py holds the result

Evidence comes from several sources: examine.py and trial.py compare the tap with the servers, accounts.py and
backlog_commands.py its events with the stream in the master's backlog, pair_difference.py the two data sets, tally.py
the counts in INFO, and outage.py measures the time without a stream. This room prints nothing: console/ shows a Result.
"""

from tap.scenario.experiment import run
from tap.scenario.load import Scenario, library, load
from tap.scenario.result import Result, Verdict

__all__ = ["Result", "Scenario", "Verdict", "library", "load", "run"]
