"""How a verb comes to its end: the signals that ask for it, and an end that nothing holds up."""

import os
import signal
import sys
import threading

END_SECONDS = 0.3  # for threads of a script


def endings() -> list[signal.Signals]:
    """Ctrl-C, kill, and a terminal that is closed; not that where nohup has it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] if ignored else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def end_in_time(code: int) -> None:
    """End the process with this exit code, should it still be there in a moment: Python waits for threads of a script."""

    def say() -> None:
        print("redis-tap: threads that the script began have not ended and are left behind", file=sys.stderr)

    # Two, for nobody may be reading stderr.
    for after, step in ((END_SECONDS, say), (END_SECONDS + 0.1, lambda: os._exit(code))):
        timer = threading.Timer(after, step)
        timer.daemon = True
        timer.start()
