"""Everything that people read on a terminal. These modules receive the tap as an argument and never act on it.

    terminal, stderr         the border that all text passes: nothing from outside acts as a command or as markup
    sentences                an event in words: plain text without a style
    lines                    `--ui log` and `--ui json`: one line per event
    levels                   how much a line of the log deserves attention, in words or for journald
    key_ranking              groups of keys for the live view
    live, followed           the live view: what is kept of the tap, and of each replica
    picture                  what one frame of it shows: the record of a replica's row, and others
    screen, pages, parts     one frame, drawn: the overview with the columns of its rows; the other pages; what both have
    walk, keyboard           where its viewer stands, and keys from a terminal
    charts, elision          figures over time; names in columns that are too narrow
    figures                  numbers in words
    trouble                  errors in the event loop itself
    demo_story               what `redis-tap demo` shows
    chaos_report, junit      results of chaos: for people, and for build servers
    fault_table              `redis-tap faults`
    control_tables           `redis-tap ctl`: the answers of the API
    rdb_formats              `redis-tap rdb`: which reader and which writer each format has
    rdb_report               its tables for people, and the columns of `--format keys`
    stats_report             statistics of a recording
    stats_follow             the same while the recording grows
    diff_report              differences of two data sets
    doctor_report            what an examination of a pair found
    replay_view, send_report  a recording that is played to replicas, or sent to a server
    rdbtools_formats         an RDB in the formats of rdbtools' `rdb`, by rdbtools.py and rdbtools_callbacks.py

Colours are added where text is drawn: in screen.py, demo_story.py and the reports.
"""
