"""Which folders a job must see to run the Python that runs us."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

_CLIENT = "kyoyo"


def this_python() -> tuple[Path, ...]:
    """The virtual environment and the installation below it, leaving out what every sandbox sees anyway.

    And our client where it is installed by reference and lies elsewhere, so that a job can import it as we do.
    """
    executable = Path(sys.executable).resolve()
    places = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve(), executable.parents[1]]
    found = find_spec(_CLIENT)
    client = [Path(place) for place in (found.submodule_search_locations if found else None) or ()]
    elsewhere = [place for place in client if not any(place.is_relative_to(other) for other in places)]
    return tuple(dict.fromkeys(place for place in [*places, *elsewhere] if not place.is_relative_to("/usr")))
