"""Which files of this machine a job inside must see to run the Python that runs us, with its packages."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def this_python() -> tuple[Path, ...]:
    """The virtual environment and the installation below it.

    A Python of the distribution lies in /usr, which a cluster has of its own: then only the interpreter and its library
    are shown, beside those of Debian.
    """
    executable = Path(sys.executable).resolve()
    places = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_prefix).resolve(), executable.parents[1]]
    own = [place for place in places if not place.is_relative_to("/usr")]
    if executable.is_relative_to("/usr"):
        own += [executable, Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))]
    return tuple(dict.fromkeys(own))
