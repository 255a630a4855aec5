"""What was recorded, once more: its commands, to a server.

commands.py chooses what of a stream is sent, sending.py sends it.
"""
