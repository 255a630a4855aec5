"""The events that a tap reports: `from tap import events`, or `import tap.events`.

This is the module tap.replication.events, under the name by which users find it.
"""

import sys

from tap.replication import events
from tap.replication.events import *  # noqa: F403  # for tools that read this file without running it

sys.modules[__name__] = events
