"""The command `redis-tap`. It stands beside the package, for another distribution may have overwritten that."""

import os
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location


def main() -> None:
    """Run the command, or say which other distribution has its package, and exit with 3."""
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
    from tap.cli import main
    from tap.console.stderr import take_over

    take_over()
    main()
