"""Which tests start first, and which share a worker: a run ends when its last worker does.

`make test` hands tests to its workers one by one in this order (xdist's `loadgroup`). What takes long and mostly waits
goes first, so that nobody is left alone with it at the end. Tests that share something dear (a cluster, a house) name
it with `xdist_group`, and one worker runs them one after the other; those of a shared Slurm cluster get that mark here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import pytest

SHARED_CLUSTERS = ("slurm_2605", "slurm_2411")


def group_and_order(items: list[pytest.Item]) -> None:
    """By what a group's tests take together, in seconds as they marked themselves; the rest stays as it is."""
    for item in items:
        cluster = _shared_cluster(item)
        if cluster is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(cluster))
    takes: dict[Hashable, float] = defaultdict(float)
    first: dict[Hashable, int] = {}
    for place, item in enumerate(items):
        takes[_group(item)] += _seconds(item)
        first.setdefault(_group(item), place)
    items.sort(key=lambda item: (-takes[_group(item)], first[_group(item)]))  # stable: within a group as it was


def _shared_cluster(item: pytest.Item) -> str | None:
    """The fixture of the cluster that a test shares with others."""
    callspec = getattr(item, "callspec", None)
    asked = {*getattr(item, "fixturenames", ()), callspec.params.get("slurm") if callspec else None}
    return next((name for name in SHARED_CLUSTERS if name in asked), None)


def _group(item: pytest.Item) -> Hashable:
    marker = item.get_closest_marker("xdist_group")
    return marker.args[0] if marker else item.nodeid


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("takes")
    return float(marker.args[0]) if marker else 0.0
