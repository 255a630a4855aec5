"""Examine a master and its replicas as they are, without a tap in between: gather facts first, judge them afterwards.

gather.py asks the servers and writes what they said into the records of pair_facts.py. The checks are pure functions from
these records to findings: one file for each part of a pair, one registry, in check.py. examination.py does both.
"""
