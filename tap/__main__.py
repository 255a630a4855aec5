"""`python -m tap` is `redis-tap`."""

from tap.cli import main

if __name__ == "__main__":
    main()
