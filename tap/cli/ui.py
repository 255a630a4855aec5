"""What `--ui` comes to."""

from tap.config import Ui
from tap.console.terminal import Terminal
from tap.errors import ConfigError


def chosen(ui: Ui, console: Terminal) -> Ui:
    """Of auto, what it stands for on this console. Raises ConfigError for what that cannot do."""
    drawable = console.is_terminal and not console.is_dumb_terminal
    if ui == "auto":
        return "live" if drawable else "log"
    if ui == "live" and not drawable:
        raise ConfigError("--ui live draws on a terminal, and stdout is none that can be drawn on; take --ui log")
    return ui
