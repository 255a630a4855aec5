"""Which lines and branches of a room its own tests run: `python -m tests.coverage [ROOM ...]`."""
