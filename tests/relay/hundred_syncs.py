"""A real pair syncs again and again through a tap in this interpreter: `python -m tests.relay.hundred_syncs [COUNT]`.

To be run by hand where an interpreter is new, or is said to lose something. Each time the replica begins without a
history, so that its handshake is the first that the tap hears. Ends with 1 if one sync of all does not come about.
"""

from __future__ import annotations

import platform
import sys

from tap import Address, Config, LinkConfig
from tap.replication import events
from tests.support import MATRIX, TapThread, client, follow, level, programs, some_servers

PATIENCE = 10.0  # seconds for one sync


def main(count: int) -> int:
    found = programs()
    name = next(one for one in (*MATRIX, *found) if one in found)
    synced = 0
    with some_servers() as servers:
        master, replica = servers.start(name), servers.start(name)
        with TapThread(Config(links=(LinkConfig(master=Address("127.0.0.1", master.port)),))) as tap:
            for number in range(1, count + 1):
                client(replica).execute_command("REPLICAOF", "NO", "ONE")
                client(replica).execute_command("DEBUG", "CHANGE-REPL-ID")
                client(master).set(f"key:{number}", number)
                follow(replica, tap.port)
                try:
                    level(master, replica, within=PATIENCE)
                except AssertionError:
                    print(f"sync {number} did not come about within {PATIENCE:g} s")
                    continue
                synced += client(replica).get(f"key:{number}") == str(number).encode()
            client(replica).execute_command("REPLICAOF", "NO", "ONE")
        full = len(tap.events(events.FullResync))
        opened = len(tap.events(events.LinkOpened))
    print(
        f"Python {platform.python_version()}, {master.version}: {synced} of {count} synced, "
        f"in {opened} connections, with {full} full resyncs told"
    )
    return synced != count


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
