"""Which tests start first, and which share a worker: a run ends when its last worker does.

`make test` hands tests to its workers one by one (`Groups`). Most workers begin with what takes longest, which mostly
waits (for a cluster, a daemon, a walltime); every third begins at the other end, with what only computes: so neither
the processors stand still at first nor all workers want them at last, and they meet among what is short.
Tests that share something dear (a cluster, a house) name it with `xdist_group`, and one worker runs them one after the
other; those of a shared Slurm cluster get that mark here.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling

from tests.support.postgres import RUN_DIR

SHARED_CLUSTERS = ("slurm_2605", "slurm_2411")
COMPUTES = 3
"""Every so many-th worker begins with what computes."""


def group_and_order(items: list[pytest.Item]) -> None:
    """By what a group's tests take together, in seconds as they marked themselves; the rest stays as it is."""
    for item in items:
        cluster = _shared_cluster(item)
        if cluster is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(cluster))
    takes: dict[str, float] = defaultdict(float)
    first: dict[str, int] = {}
    for place, item in enumerate(items):
        takes[_group(item)] += _seconds(item)
        first.setdefault(_group(item), place)
    items.sort(key=lambda item: (-takes[_group(item)], first[_group(item)]))  # stable: within a group as it was
    _tell({item.nodeid: (_group(item), takes[_group(item)]) for item in items})


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
    """xdist's own, but for which group a worker is given next.

    It is told the groups by a file of the workers: as parts of a test's name they are lost in pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return self._told[nodeid][0] if nodeid in self._told else str(super()._split_scope(nodeid))

    def _assign_work_unit(self, node: Any) -> None:
        """From the long end, or from the short one.

        A worker always knows its next test while it runs one. Behind a long one that is never another long one, which
        would wait there while others are free.
        """
        if self._has_a_long_one(node) or _begins_with_what_computes(node):
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)

    def _has_a_long_one(self, node: Any) -> bool:
        return any(
            self._long.get(group, False) and not all(tests.values())
            for group, tests in self.assigned_work[node].items()
        )

    @cached_property
    def _long(self) -> dict[str, bool]:
        return {group: seconds > 0 for group, seconds in self._told.values()}

    @cached_property
    def _told(self) -> dict[str, tuple[str, float]]:
        """Group, and what it takes, by test; asked for when every worker has collected."""
        told: dict[str, tuple[str, float]] = json.loads(_file().read_text(encoding="utf-8"))
        return told


def _begins_with_what_computes(node: Any) -> bool:
    number = str(node.gateway.id).removeprefix("gw")
    return number.isdigit() and int(number) % COMPUTES == COMPUTES - 1


def _tell(groups: dict[str, tuple[str, float]]) -> None:
    """Every worker writes the same."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return
    mine = _file().with_suffix(f".{worker}")
    mine.write_text(json.dumps(groups), encoding="utf-8")
    mine.replace(_file())


def _file() -> Path:
    return Path(os.environ[RUN_DIR], "groups.json")
