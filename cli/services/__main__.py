"""`python -m cli.services up|down|status`, behind scripts/services, which installs the servers first."""

import argparse
import sys
from pathlib import Path

from cli.console import err, out, write_json
from cli.services.plant import SERVICES, Services
from core.errors import FlawlineError


def main() -> int:
    """Start, stop or look; 1 when something that was asked for does not answer."""
    parser = argparse.ArgumentParser(prog="scripts/services", description=__doc__)
    parser.add_argument("action", choices=("up", "down", "status"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(SERVICES)}; default: all")
    parser.add_argument("--folder", type=Path, default=Path(".services"), help="where they keep their data")
    parser.add_argument("--wipe", action="store_true", help="with down: remove their data too")
    parser.add_argument("--json", action="store_true", help="print the state as JSON")
    asked = parser.parse_args()
    try:
        services = Services(asked.folder, asked.names or SERVICES)
        if asked.action == "up":
            services.up()
        elif asked.action == "down":
            services.down(wipe=asked.wipe)
    except (FlawlineError, OSError) as problem:
        err.print(f"scripts/services: {problem}", soft_wrap=True)
        return 1
    states = services.status()
    if asked.json:
        write_json(states, Path("-"))
    else:
        for name, state in states.items():
            word = "answers" if state["answers"] else "does not answer" if state["pid"] else "is down"
            out.print(f"{name:10} {word:16} {state['url']}  {state['log']}", soft_wrap=True)
    wanted = asked.action != "down"
    return 0 if all(bool(state["answers"]) is wanted for state in states.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
