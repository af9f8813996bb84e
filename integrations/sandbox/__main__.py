"""`python -m integrations.sandbox`: the sandbox without Django."""

import argparse
import functools
import sys

from integrations.sandbox.run import DEFAULT_PORT, run
from integrations.sandbox.sandbox import DEFAULT_SEED
from integrations.sandbox.server import PortTaken


def main() -> int:
    parser = argparse.ArgumentParser(prog="sandbox", description="Serve a local stand-in of every provider.")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="which invented gym")
    arguments = parser.parse_args()
    try:
        run(arguments.port, arguments.seed, functools.partial(print, flush=True))
    except PortTaken as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
