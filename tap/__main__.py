"""`python -m tap` is `redis-tap`."""

import os

from tap import claims

if __name__ == "__main__":
    said = claims.trouble(os.path.dirname(__file__))
    if said:
        claims.refuse(said)
    from redis_tap import begin

    begin()
