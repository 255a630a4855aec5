"""Real servers: the one room that talks to them. No other module imports redis-py.

    embedded            servers that we start ourselves
    client              one client: commands, pipelines, INFO, raw streams
    redis_connection    redis-py's connection to the server of a URL
    key_scan            the names of all keys of a db
    reply_sizes         refuses replies that announce more than memory holds
    info                INFO as dataclasses
    server_settings     CONFIG GET; CONFIG SET with undo
    answers             CONFIG GET and CLIENT LIST as Python values
    following           REPLICAOF with restore
    undo                what these two share: the end of a context takes a change back
    backlog             a master's stream, from its backlog
    target              a server that a verb cannot do without
    shell               the same by hand, as redis-cli commands
    failures            what can go wrong
    cancellation        a task that is cancelled ends, after its clean-up

URLs are read by tap.url, which stands below this room: listeners and the relay use its addresses, and none of redis-py.
"""

from tap.servers.embedded import Server, find_server

__all__ = ["Server", "find_server"]
