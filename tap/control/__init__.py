"""Control from outside: an HTTP API on top of a tap. This room decides nothing about replication or faults.

    request ──> server ──> access ──> app ──> a module of routes ──> the tap
              connections  may it?           one per group

The whole room runs in the tap's event loop, so a route may read the tap's state at any line without a lock, and nothing
changes between two lines without an await. In return every route has to be brief: what takes longer than about a
millisecond gives the links their turn in between (await asyncio.sleep(0)), and nothing here may block.

A thread beside the loop was tried, too. It made no clear difference to the p99 of SET + WAIT 1, for it holds the
interpreter's lock where the loop would be busy.

    api                 the API of one tap, from its start to its end
    server              accepts HTTP connections, limits them, and ends them with the tap
    door                the socket to listen on: TCP on this machine, elsewhere with a token, or a Unix socket
    access              who may ask what: token, Host and Origin, --read-only, the size of a body
    request_pace        how many requests are answered in a second
    app                 the FastAPI application: the groups of routes, errors as JSON
    controlled          what this room may ask of a tap, and what all routes share
    json_answers        JSON and errors as this API writes them
    health              /healthz, /readyz
    links               /v1/links
    fault_routes        /v1/faults
    fault_reference     /v1/fault-kinds
    link_samples, link_history    lag and throughput of the last half hour; /v1/history
    page                the page at /: its files, in page/static, and what a browser may do with them
    event_stream        /v1/events: server-sent events
    waiting             /v1/wait
    resyncs             /v1/resyncs
    statistics          /v1/stats, and advice on the backlog
    recordings          /v1/recordings
    metrics_page        /metrics, for Prometheus
    ledger              what has happened on each link since the API opened
    event_ids           how a client says up to where it has heard
    api_client          what `redis-tap ctl` asks with
    announcement        where the APIs of this machine's taps are
    link_answers        the JSON of links and connections, made from the status record
    toxiproxy/          Toxiproxy's API: proxies are links, toxics are faults

To add a group of routes: a module with a `router`, and its name in ROUTERS in app.py.
"""
