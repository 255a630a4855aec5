"""redis-tap demo"""


def demo() -> None:
    """Show it."""
