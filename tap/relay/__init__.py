"""Sockets: the only room that moves live bytes. Nothing here decides what bytes mean, and nothing waits for an observer.

listener.py accepts replicas, admission.py decides whether to. connection.py joins two legs (leg.py); start there. Its
parts: opening.py dials, closing.py ends, performer.py carries out faults; connection_interface.py is what
they see of it. route.py holds the settings of a link. share.py and setup_queue.py divide the thread's time.
tls_transport.py puts TLS on a leg.
"""
