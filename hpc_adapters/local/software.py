"""Which folders a job must see to run the Python that runs us."""

from __future__ import annotations

import sys
from pathlib import Path


def this_python() -> tuple[Path, ...]:
    """The virtual environment and the installation below it, leaving out what every sandbox sees anyway."""
    executable = Path(sys.executable).resolve()
    places = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve(), executable.parents[1]]
    return tuple(dict.fromkeys(place for place in places if not place.is_relative_to("/usr")))
