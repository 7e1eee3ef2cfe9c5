from __future__ import annotations

from infra.slurm.cluster import Cluster


def test_a_job_runs_as_its_user(slurm: Cluster) -> None:
    done = slurm.exec("srun", "--gres=gpu:2", "sh", "-c", "id -u; hostname", user="alice", check=True)
    assert done.stdout.split() == ["2001", "kyoyo-slurm"]
