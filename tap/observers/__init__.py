"""What observes a tap besides its screen: metrics for StatsD, scripts of users, and classes that Python users write.

An observer (observer.py) is one class in one file, and one line in registry.py. The Tap attaches each to its bus
(attached.py) and knows none by name. Observers receive events and give nothing back: whatever happens to one (a host that
is down, a script that sleeps, computes, fails or dies) is reported as an ObserverTrouble, and delays no link.
"""
