"""Fault injection. This room decides and never waits: no sockets, no clock; the relay carries out its decisions.

Start at fault.py: what + when + scope. kinds/ holds the "what", one self-contained file per kind of fault.

    fault, when, at, scope             a fault: the kind, the moment or the place, the links and directions
    spec, parameters                   a fault as people write it; how a kind declares what may be written
    kind, site                         what a kind may fill in; what it may know of a connection and do to it
    plan, armed                        the faults that are armed; one of them, with its counts
    link_faults                        all faults on one connection; start there for how they meet its bytes
    work                               one fault on one connection; implements site.py
    places, phases, frames, commands   find where faults act: at=, during=, before the stream, in the stream
    context                            the phase and the replication offset of a byte
    taken_command                      a command that a fault took
    lane                               which bytes go out: one direction, with what is replaced, dropped, inserted
    flow, flow_items, shaper           when they go out: what is queued, and what holds it back
    request_words, rules               requests in other words: changed by a fault, or for all replicas of a link
    reports                            which firings are reported one by one
"""

from tap.faults.armed import Armed
from tap.faults.fault import Fault
from tap.faults.plan import Plan
from tap.faults.spec import parse

__all__ = ["Armed", "Fault", "Plan", "parse"]
