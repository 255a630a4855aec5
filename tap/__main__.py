"""`python -m tap` is `redis-tap`."""

import os

from tap import claims

if __name__ == "__main__":
    said = claims.trouble(os.path.dirname(__file__))
    if said:
        claims.refuse(said)
    from tap.cli import main
    from tap.console.stderr import take_over

    take_over()
    main()
