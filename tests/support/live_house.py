"""A whole house for end-to-end tests: database, portal and worker as real processes, with the demo's cast in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portal.demo import ground
from portal.demo.house import House

COMMAND_LIMIT_S = 120


@contextmanager
def live_house(folder: Path) -> Iterator[House]:
    """Open until the block ends; this process's own settings are as before afterwards."""
    before = dict(os.environ)
    try:
        with ground.cleared(folder):
            house = House(folder, ground.free_port())
            try:
                house.open()
                house.wait_until_ready()
                yield house
            finally:
                house.close()
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class Kyoyo:
    """The installed `kyoyo` command as one person, in a process of its own."""

    url: str
    token: str
    home: Path

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        signed_in = {"KYOYO_URL": self.url, "KYOYO_TOKEN": self.token, "KYOYO_CONFIG_DIR": str(self.home)}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("KYOYO_", "LC_", "LANG"))}
        return subprocess.run(
            [sys.executable, "-m", "kyoyo", *arguments],
            env={**clean, "LANG": "C.UTF-8", "COLUMNS": "200", **signed_in, **environment},
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
