"""Sockets: the only room that moves live bytes. Nothing here decides what bytes mean, and nothing waits for an observer.

Start at connection.py, which joins two legs.

    listener, admission, refusals    accepts replicas; decides whether to; reports those that were not admitted
    connection, outline              one connection; its name, number and figures, apart from its sockets
    opening, closing, performer      its parts: begin it, within the time limits of a dial and of a TLS handshake; end it;
                                     carry out its faults
    connection_interface             what these parts see of it
    leg, sink                        one socket; where its bytes go besides to the other leg: the interface of a recorder
    route, transparent               where connections go, and with which settings, time limits among them; where a
                                     redirected one was going
    facts                            what the tap learns of one master from its connections
    dial, name_lookup                connects to a master; looks host names up in threads
    buffers, sockets                 what legs read into; what the kernel knows of a socket
    share, setup_queue               divide the thread's time: between links; between accepts, dials, TLS handshakes
    tls_transport                    puts TLS on a leg
    tls_contexts                     certificates, keys and CAs, from the configuration
    tls_probe, tls_failure           does a silent master speak TLS; why TLS did not come about, in words
"""
