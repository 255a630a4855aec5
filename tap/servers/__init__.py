"""Real servers: started here, or talked to as a client."""
