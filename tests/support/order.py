"""Which tests start first, and which share a worker: a run ends when its last worker does.

`make test` hands tests to its workers one by one in this order (xdist's `loadgroup`). What takes long and mostly waits
goes first, so that nobody is left alone with it at the end. Tests that share something dear (a cluster, a house) name
it with `xdist_group`, and one worker runs them one after the other; those of a shared Slurm cluster get that mark here.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path

import pytest
from xdist.scheduler import LoadGroupScheduling

from tests.support.postgres import RUN_DIR

SHARED_CLUSTERS = ("slurm_2605", "slurm_2411")


def group_and_order(items: list[pytest.Item]) -> None:
    """By what a group's tests take together, in seconds as they marked themselves; the rest stays as it is."""
    for item in items:
        cluster = _shared_cluster(item)
        if cluster is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(cluster))
    _tell_groups(items)
    takes: dict[str, float] = defaultdict(float)
    first: dict[str, int] = {}
    for place, item in enumerate(items):
        takes[_group(item)] += _seconds(item)
        first.setdefault(_group(item), place)
    items.sort(key=lambda item: (-takes[_group(item)], first[_group(item)]))  # stable: within a group as it was


def _shared_cluster(item: pytest.Item) -> str | None:
    """The fixture of the cluster that a test shares with others."""
    callspec = getattr(item, "callspec", None)
    asked = {*getattr(item, "fixturenames", ()), callspec.params.get("slurm") if callspec else None}
    return next((name for name in SHARED_CLUSTERS if name in asked), None)


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else item.nodeid


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("takes")
    return float(marker.args[0]) if marker else 0.0


class Groups(LoadGroupScheduling):
    """xdist's own, told the groups by a file of the workers: as parts of a test's name they are lost in pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return self._told.get(nodeid) or str(super()._split_scope(nodeid))

    @cached_property
    def _told(self) -> dict[str, str]:
        """By test; asked for when every worker has collected."""
        told: dict[str, str] = json.loads(_file().read_text(encoding="utf-8"))
        return told


def _tell_groups(items: list[pytest.Item]) -> None:
    """Every worker writes the same."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return
    mine = _file().with_suffix(f".{worker}")
    mine.write_text(json.dumps({item.nodeid: _group(item) for item in items}), encoding="utf-8")
    mine.replace(_file())


def _file() -> Path:
    return Path(os.environ[RUN_DIR], "groups.json")
