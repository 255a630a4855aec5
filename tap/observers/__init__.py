"""Who watches a tap besides its screen: StatsD, and scripts of its users.

They hear the bus and give nothing back. Whatever befalls them (a host that is dead, a script that sleeps, computes, fails
or dies) is told in an ObserverTrouble, and is never felt by a link.
"""
