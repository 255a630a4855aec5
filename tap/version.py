"""Which redis-tap this is."""


def version() -> str:
    """Of the distribution, as pip shows it."""
    from importlib import metadata  # 10 ms, for the few who ask

    return metadata.version("redis-tap")
