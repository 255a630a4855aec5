"""Sockets: the only room that moves live bytes.

leg.py is one socket, tls.py what may lie between it and the bytes, link.py two legs and what their bytes say, listener.py
where links come from. Nothing here decides what the bytes mean, and nothing here waits for whoever watches.
"""
