"""`kyoyo` and `python -m kyoyo`."""

from __future__ import annotations

import sys

from kyoyo.cli.app import run
from kyoyo.cli.session import standard_session


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:], standard_session()))


if __name__ == "__main__":
    main()
