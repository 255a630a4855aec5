"""The vocabulary of what a tap tells: `from tap import events`, or `import tap.events`.

It is tap.replication.events, by the name under which users find it.
"""

import sys

from tap.replication import events
from tap.replication.events import *  # noqa: F403  # for who reads this without running it

sys.modules[__name__] = events
