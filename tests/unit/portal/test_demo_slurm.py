from __future__ import annotations

import sys
from pathlib import Path

import kyoyo
from portal.demo import slurm


def test_jobs_of_the_demos_cluster_see_the_python_and_the_client() -> None:
    for needed in (Path(sys.executable), Path(kyoyo.__file__)):
        assert any(needed.is_relative_to(place) for place in slurm.binds())
