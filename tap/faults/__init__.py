"""What can go wrong on purpose. Decides, never waits: no sockets, no clock; the relay carries it out.

Start at fault.py: what + when + scope. plan.py has what is armed, link.py the faults at work on one connection.
"""

from tap.faults.fault import Fault
from tap.faults.plan import Armed, Plan
from tap.faults.spec import parse

__all__ = ["Armed", "Fault", "Plan", "parse"]
