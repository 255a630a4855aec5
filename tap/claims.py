"""Other distributions with the import name `tap`: pip silently overwrites the files of one with those of another.

This module imports nothing of the package, because redis_tap.py runs it alone when `tap` may be another project's. It
runs at every start, and takes half a millisecond: it lists one directory and reads the beginning of one file.
importlib.metadata, which takes twenty times as long, is used only if something is wrong.
"""

import contextlib
import os
import sys
from typing import NoReturn

KNOWN = ("tap.py", "typed-argument-parser")
OURS = b'"""redis-tap'  # the beginning of our __init__.py
DO = (
    "Give redis-tap an environment of its own: pipx install, uv tool install, or python3 -m venv and its pip. "
    "What was there before works again after pip uninstall redis-tap and pip install --force-reinstall {}"
)


def trouble(place: str) -> str:
    """Why the package at this place is not an intact redis-tap, and what to do; "" if it seems to be one.

    place: where `import tap` looks, a directory or a file.
    """
    directory = os.path.dirname(place)
    is_ours = _is_ours(place)
    others = _known(directory) or ([] if is_ours else _who_says_so(directory))
    if others:
        names = " and ".join(f"{name} {version}".strip() for name, version in others)
        has = "is the package `tap`, too" if len(others) == 1 else "are the package `tap`, too"
        then = DO.format(" ".join(name for name, _ in others))
        return f"{names} {has}, in {directory}, and whichever was installed last has overwritten the other. {then}"
    if is_ours:
        return ""
    return (
        f"{place} is not the package of redis-tap: something else of that name comes first, or another distribution has "
        "taken files of it along when it was uninstalled. pip install --force-reinstall mends that; an environment of "
        "its own (pipx install, uv tool install, python3 -m venv) keeps it so"
    )


def check(init: str) -> None:
    """Check the package, from its __init__.py. Raises ImportError, except in `python -m tap`, which reports it itself."""
    said = trouble(os.path.dirname(init))
    is_command = sys.argv[:1] == ["-m"] and ("-m", "tap") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    if said and not is_command:
        raise ImportError(said)


def refuse(said: str) -> NoReturn:
    """End the command with the exit code of EnvironmentFailure, see tap/errors.py."""
    line = "".join(one if one.isprintable() else repr(one)[1:-1] for one in said)  # names of files may hold anything
    print(f"redis-tap: {line}", file=sys.stderr)
    sys.exit(3)


def _is_ours(place: str) -> bool:
    try:
        with open(os.path.join(place, "__init__.py"), "rb") as file:
            return file.read(len(OURS)) == OURS
    except OSError:
        return False


def _known(directory: str) -> list[tuple[str, str]]:
    """Names and versions of the KNOWN distributions that are installed in a directory."""
    found = []
    with contextlib.suppress(OSError):
        for entry in sorted(os.listdir(directory)):
            stem, kind = os.path.splitext(entry)
            name, _, version = stem.partition("-")
            for known in KNOWN:
                if kind in (".dist-info", ".egg-info") and _plain(name) == _plain(known):
                    found.append((known, version.partition("-")[0]))
    return found


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _who_says_so(directory: str) -> list[tuple[str, str]]:
    """Names and versions of the distributions in a directory whose metadata list files in tap/."""
    from importlib.metadata import distributions

    found = []
    for one in distributions(path=[directory]):
        name = one.metadata["Name"] or ""
        if name != "redis-tap" and any(file.parts[0] == "tap" for file in one.files or ()):
            found.append((name, one.version))
    return found
