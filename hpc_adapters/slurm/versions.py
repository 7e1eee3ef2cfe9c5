"""Which version of Slurm's REST API we speak: the newest that the server offers and that we know. Pure.

A release of Slurm serves three or four versions and drops the oldest at each step, so the choice is made at run time,
from the server's own description, and again when the server no longer knows what was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from hpc_adapters.slurm.models.lenient import Json, mapping

DESCRIPTION: Final = "openapi/v3"
KNOWN: Final = ("v0.0.40", "v0.0.41", "v0.0.42", "v0.0.43", "v0.0.44", "v0.0.45")
"""Oldest first; each proved by golden fixtures of a real server."""
_PATH: Final = re.compile(r"/(slurm|slurmdb)/(v\d+\.\d+\.\d+)/jobs/?")


class NoCommonVersion(Exception):
    """The server offers nothing that we know. Says what it offers."""

    def __init__(self, offered: Iterable[str]) -> None:
        self.offered = tuple(sorted(offered, key=_order))
        super().__init__(f"offered: {', '.join(self.offered) or 'none'}; known: {', '.join(KNOWN)}")


def offered(description: Json) -> frozenset[str]:
    """The versions for which both daemons' jobs can be asked, by the server's own description."""
    found = [match.groups() for path in mapping(description, "paths") if (match := _PATH.fullmatch(path))]
    by_daemon = {daemon: {version for name, version in found if name == daemon} for daemon in ("slurm", "slurmdb")}
    return frozenset(by_daemon["slurm"] & by_daemon["slurmdb"])


def choose(description: Json) -> str:
    """The newest common version. NoCommonVersion."""
    common = offered(description)
    for version in reversed(KNOWN):
        if version in common:
            return version
    raise NoCommonVersion(common)


def at_least(version: str, other: str) -> bool:
    """Whether `version` is `other` or newer."""
    return _order(version) >= _order(other)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))
