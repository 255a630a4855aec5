"""What can go wrong on purpose. Decides, never waits: no sockets, no clock; the relay carries it out.

Start at fault.py: what + when + scope. kinds/ has what: one file per kind of fault, all that is known of it. plan.py has
what is armed, link.py the faults at work on one connection.
"""

from tap.faults.armed import Armed
from tap.faults.fault import Fault
from tap.faults.plan import Plan
from tap.faults.spec import parse

__all__ = ["Armed", "Fault", "Plan", "parse"]
