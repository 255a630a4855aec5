"""Real servers: started here (embedded.py), or talked to as a client (target.py)."""

from tap.servers.embedded import Server, find_server

__all__ = ["Server", "find_server"]
