"""Real Slurm clusters for tests: one of each release per test process, started when the first test asks for it.

Whoever uses `slurm_2411`, `slurm_2605` or `slurm` (both in turn) shares them: own names keep tests apart. A test that
hurts its cluster (kills daemons, changes the configuration) starts one of its own with `own_cluster`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from infra.slurm import cluster as slurm
from infra.slurm.cluster import Cluster
from infra.slurm.host_python import this_python
from tests.support.postgres import RUN_DIR

RELEASES = tuple(slurm.RELEASES)
FIXTURES = {"slurm_2411", "slurm_2605", "slurm", "own_cluster"}
"""Whoever asks for one of these needs the real part `slurm`."""
StartCluster = Callable[..., Cluster]


def start(name: str, release: str, **site: Any) -> Cluster:
    """A cluster in the folder of this test run; this Python and its packages are seen inside, unless told otherwise.

    It ends with this process at the latest.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    folder = Path(os.environ[RUN_DIR]) / f"slurm-{worker}-{name}"
    return slurm.start(folder, release, **{"binds": this_python(), **site})


def _shared(release: str) -> Iterator[Cluster]:
    with start(release, release) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_2411() -> Iterator[Cluster]:
    yield from _shared("24.11")


@pytest.fixture(scope="session")
def slurm_2605() -> Iterator[Cluster]:
    yield from _shared("26.05")


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Each release of Slurm in turn, for tests that start a cluster of their own."""
    return str(request.param)


@pytest.fixture(name="slurm", params=["slurm_2411", "slurm_2605"])
def slurm_of_each_release(request: pytest.FixtureRequest) -> Cluster:
    """Each release's shared cluster in turn."""
    cluster = request.getfixturevalue(request.param)
    assert isinstance(cluster, Cluster)
    return cluster


@pytest.fixture
def own_cluster() -> Iterator[StartCluster]:
    """Starts clusters that only this test uses, as in `own_cluster("24.11", nodes=2, min_job_age_s=5)`."""
    numbers = count(1)
    with ExitStack() as running:

        def start_one(release: str, **site: Any) -> Cluster:
            return running.enter_context(start(f"own{next(numbers)}", release, **site))

        yield start_one
