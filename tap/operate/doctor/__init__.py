"""Examine a master and its replicas as they are, without a tap in between: gather facts first, judge them afterwards.

examination      both, and the answer as a whole
gather           asks the servers, and writes down what they say
pair_facts       the records of that
check            a finding, and the registry of the checks: pure functions from these records to findings. docs/operate.md
                 lists the codes of all
link_checks      whether a replica reaches its master, may log in there, and loads its RDB
size_checks      backlog, output buffer and timeouts against the write rate
data_checks      persistence, min-replicas, memory (maxmemory too), clocks, reads
control_checks   how Sentinel and Cluster see the pair
cluster_nodes    where a Cluster lists the nodes of a shard
sentinel_hello   what a Sentinel publishes
state_checks     roles, chains, histories, resyncs, lag
reading_checks   what could not be read
permissions      what a user of the master may run
sent_rdb         which RDB version a master sends to a replica
"""
