"""The version of redis-tap."""


def version() -> str:
    """The version of the installed distribution, as pip shows it."""
    from importlib import metadata  # importing this takes 10 ms, and few runs need it

    return metadata.version("redis-tap")
