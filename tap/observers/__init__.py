"""What observes a tap besides its screen: metrics for StatsD, scripts of users, and classes that Python users write.

    observer            what an observer may fill in: one class in one file
    registry            the observers that options ask for: one line each
    attached            attaches each observer to the tap's bus; the tap knows none by name
    metrics, series     what a tap measures, each declared once; the values
    statsd              sends them to a StatsD server
    inspection          asks a link's master about itself, once a second
    script, scripted    a script of a user; the process that runs it

Observers receive events and give nothing back: whatever happens to one (a host that is down, a script that sleeps,
computes, fails or dies) is reported as an ObserverTrouble, and delays no link.
"""
