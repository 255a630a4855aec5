"""Fault injection. This room decides and never waits: no sockets, no clock; the relay carries out its decisions.

Start at fault.py: what + when + scope. kinds/ holds the "what", one self-contained file per kind of fault. plan.py holds
the armed faults, link_faults.py those applied to one connection.
"""

from tap.faults.armed import Armed
from tap.faults.fault import Fault
from tap.faults.plan import Plan
from tap.faults.spec import parse

__all__ = ["Armed", "Fault", "Plan", "parse"]
