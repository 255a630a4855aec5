"""Everything that people read on a terminal. These modules receive the tap as an argument and never act on it.

terminal.py and stderr.py are the border: all text passes them, and nothing from outside acts there as a command or as
markup. Events become sentences in sentences.py, lines in lines.py, and the live view in live.py (what is kept) and
screen.py (one frame). The reports are named for what they report: chaos_report, junit, fault_table, rdb_report,
stats_report, replay_view, send_report, demo_story. rdbtools_formats.py, rdbtools_callbacks.py and
rdbtools.py are rdb's output formats; figures.py writes numbers.
"""
