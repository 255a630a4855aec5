"""Chaos experiments: a master, a replica, a tap between them, steps that hurt, and a verdict.

load.py reads a scenario (actions.py its steps, versions.py the servers it is for), run.py carries it out, campaign.py
many of them side by side. One run has three parts:

    a stage      pair.py the servers, stage.py they and the tap, workload.py what is written, journal.py the tap's events
    steps        steps.py takes them, patience.py limits each wait; by_hand.py says how to undo them by hand
    a verdict    evidence.py gathers what was found, judge.py compares it with what was expected, result.py keeps both

Evidence comes from several sides: examine.py and trial.py test the tap against the servers, accounts.py and record.py its
events against the master's own record of the stream, compare.py the two data sets, tally.py the counts in INFO, and
outage.py the time without a stream. Nothing here prints: console/ shows what a Result says.
"""

from tap.scenario.load import Scenario, library, load
from tap.scenario.result import Result, Verdict
from tap.scenario.run import run

__all__ = ["Result", "Scenario", "Verdict", "library", "load", "run"]
