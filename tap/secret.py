"""Passwords and tokens that no command line and no file of options holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tap.errors import ConfigError


def secret(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The environment's variable of this name, or else the systemd credential of this name; None if there is neither.

    A credential is a file that systemd hands to one service (LoadCredential=NAME:...), in $CREDENTIALS_DIRECTORY. A
    newline at its end is not part of the secret: editors add one. Raises ConfigError if it cannot be read.
    """
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if name in environment or not directory:
        return environment.get(name)
    path = Path(directory, name)
    try:
        return path.read_text("utf-8").removesuffix("\n")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {name} cannot be read from it: {error}") from None
