"""Toxiproxy's HTTP API, at the level of its version 2.12: its clients drive a tap without changes.

A proxy is a link, and a toxic is a fault of that link, so the events, the seed and the counts of faults come with toxics.
Links that were made elsewhere are proxies, too. Statuses, members of JSON and texts of errors are those of Toxiproxy, as
clients compare them; its accidents are left out.

    toxiproxy_routes    which path and method does what; the form of answers
    proxies             what is asked of all proxies: create, populate, update, delete, reset
    proxy               one link as a proxy, and its toxics
    toxic_types         the types of toxics, their attributes, and the faults that they are
    request_body        how JSON is read
    listen_address      how an address to listen on is read, and what is said of one that cannot be used
"""
