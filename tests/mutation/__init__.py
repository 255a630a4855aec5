"""Mutation testing: `python -m tests.mutation ROOM`. A change of one line of a module has to turn a test red.

mutants.py finds the changes, reach.py which tests run which lines, trial.py tries one change after the other in forked
processes. All of it works on a copy of the tree that has no compiled modules, in one process at a time.
"""
