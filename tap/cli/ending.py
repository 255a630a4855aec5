"""How a verb comes to its end: the signals that ask for it."""

import signal


def endings() -> list[signal.Signals]:
    """Ctrl-C, kill, and a terminal that is closed; not that where nohup has it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] if ignored else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
