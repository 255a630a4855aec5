"""Are two data sets equal, and if not, which keys differ.

comparison          compares: the order of all that follows
data_sets           what the two arguments mean
job                 which keys of a side are read, and to where; what was read
side_snapshot       reads one side, once
server_snapshot     reads one side if it is a server: by a full resync, or by SCAN and DUMP
digest, siphash     of each key a record with a digest of its value
reader_processes    both sides at the same time, in two processes
restored            a server of our own with the data of an append-only file; recordings are exported to one first
spill               the records in files, by the hash of the name; where sums agree nothing is read again
difference          two records of one key: what differs
second_look         between two live servers: writes in flight are no differences
dumped              values of a live server, by DUMP
details             how many elements of a value differ
"""
