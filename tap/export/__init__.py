"""What can be taken out of a recording: an RDB, a directory that a server boots from, the stream, or rows.

history.py of recording/ finds the RDB and the stream; aof.py writes the directory, resp.py the stream's bytes, rows.py
commands as JSON lines or Parquet. atomic.py writes files that are there whole or not at all.
"""
