"""The command `redis-tap`. It stands beside the package, for another distribution may have overwritten that."""

import os
import signal
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location


def main() -> None:
    """Run the command, or say which other distribution has its package, and exit with 3."""
    _interrupt(signal.SIG_DFL)
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tap")
    # By its path: to import tap.claims would run whatever tap/__init__.py there is.
    spec = spec_from_file_location("_redis_tap_claims", os.path.join(own, "claims.py"))
    assert spec is not None
    assert spec.loader is not None
    claims = module_from_spec(spec)
    try:
        spec.loader.exec_module(claims)
    except OSError:
        print(f"redis-tap: {own} lacks files of redis-tap: pip install --force-reinstall mends that", file=sys.stderr)
        sys.exit(3)
    found = find_spec("tap")
    places = [] if found is None else [*(found.submodule_search_locations or ()), found.origin]
    said = claims.trouble(places[0] if places else own)
    if said:
        claims.refuse(said)
    begin()


def begin() -> None:
    """Import the command's own code, and run it. Whatever stops that is a line, and exit code 3."""
    _complete_streams()
    columns = os.environ.get("COLUMNS", "")
    if not (columns.isdecimal() and len(columns) < 5):  # what is drawn as wide as the number says would take for ever
        os.environ.pop("COLUMNS", None)
    _interrupt(signal.SIG_DFL)
    try:
        from tap.cli import main
        from tap.console.stderr import take_over
    except (ImportError, MemoryError, OSError) as error:
        print(f"redis-tap: it cannot be loaded: {str(error) or 'there is not enough memory'}", file=sys.stderr)
        sys.exit(3)
    _interrupt(signal.default_int_handler)
    take_over()
    main()


def _interrupt(handler: object) -> None:
    """What Ctrl-C does: end the imports as it ends any command, without a word, and later raise KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.default_int_handler):  # else somebody ignores it
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]


def _complete_streams() -> None:
    """Open what the caller has closed of stdin, stdout and stderr, so that no file or socket becomes one of them.

    What is read from it or written to it fails as it does where it is closed; stderr swallows what is said.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # the lowest free number, which is this one
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
