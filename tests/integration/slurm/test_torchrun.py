"""The launch text on a real cluster, by plain sbatch: ranks meet, words arrive, each rank is told, codes come back."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpc_adapters.contract import Torchrun
from hpc_adapters.launching.torchrun import torchrun
from infra.slurm.cluster import Cluster
from tests.support.slurm import StartCluster

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.torch, pytest.mark.takes(12)]
PATIENCE_S = 90.0
STRANGE = "a 'b' \"c\" $HOME `id` \\ ;&*"

RANK = """\
import json, os, signal, sys, time
import torch.distributed as dist

seen = []
for name in ("SIGTERM", "SIGUSR1", "SIGUSR2"):
    signal.signal(getattr(signal, name), lambda number, _: seen.append(signal.Signals(number).name))
place, rank, wanted = sys.argv[1], os.environ["RANK"], sys.argv[3]
dist.init_process_group("gloo")
dist.barrier()

def tell():
    told = {"rank": rank, "world": os.environ["WORLD_SIZE"], "node": os.environ["SLURM_NODEID"], "seen": seen,
            "words": sys.argv[2:], "threads": os.environ["OMP_NUM_THREADS"]}
    with open(f"{place}/rank-{rank}.new", "w") as file:
        json.dump(told, file)
    os.rename(f"{place}/rank-{rank}.new", f"{place}/rank-{rank}.json")

tell()
until = time.monotonic() + 60
while wanted != "none" and wanted not in seen and time.monotonic() < until:
    time.sleep(0.05)
tell()
dist.barrier()
dist.destroy_process_group()
sys.exit(int(sys.argv[4]) if rank == "0" else 0)
"""


def until(is_so: Callable[[], object], what: str) -> None:
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < PATIENCE_S, f"never: {what}"
        time.sleep(0.1)


class Place:
    """A folder of alice's on the shared file system, and jobs of hers that start there."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.folder = cluster, cluster.shared / name
        self.folder.mkdir()
        self.give(self.folder)

    def give(self, path: Path) -> None:
        uid = self.cluster.uids["alice"]
        os.chown(path, uid, uid)

    def sbatch(self, text: str, *options: str) -> int:
        script = self.folder / "job.sh"
        script.write_text(f"#!/bin/sh\n{text}", encoding="utf-8")
        argv = ("sbatch", "--parsable", f"--chdir={self.folder}", "--output=%j.out", *options, str(script))
        return int(self.cluster.exec(*argv, user="alice", check=True).stdout)

    def ended(self, job: int) -> tuple[str, int | None]:
        """State and exit code, waited for."""
        rows = [row for row in self.cluster.sacct() if row.job_id == job and row.ended_at]
        began = time.monotonic()
        while not rows:
            assert time.monotonic() - began < PATIENCE_S, (self.folder / f"{job}.out").read_text()
            time.sleep(0.3)
            rows = [row for row in self.cluster.sacct() if row.job_id == job and row.ended_at]
        return rows[0].state[0], rows[0].exit_code

    def told(self) -> list[dict[str, object]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("rank-*.json"))]


@pytest.fixture
def place(slurm: Cluster, request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(slurm, f"launch-{request.node.originalname}"[:60])
    (made.folder / "rank.py").write_text(RANK, encoding="utf-8")
    yield made
    slurm.exec("scancel", "--user=alice")
    shutil.rmtree(made.folder, ignore_errors=True)


def launched(place: Place, *words: str, nodes: int, processes: int) -> str:
    """The text as the adapter writes it, with this Python."""
    script, arguments = str(place.folder / "rank.py"), [str(place.folder), *words]
    text = torchrun(Torchrun(processes_per_node=processes), nodes=nodes, script=script, arguments=arguments, slurm=True)
    return f"export KYOYO_ATTEMPT_ID=attempt-1 KYOYO_PYTHON={sys.executable} OMP_NUM_THREADS=1\n{text}"


def test_ranks_of_two_nodes_meet_and_words_pass_unread(place: Place) -> None:
    text = launched(place, STRANGE, "none", "0", nodes=2, processes=1)
    job = place.sbatch(text, "--nodes=2", "--ntasks-per-node=1", "--gres=gpu:1")
    assert place.ended(job) == ("COMPLETED", 0), (place.folder / f"{job}.out").read_text()
    told = place.told()
    assert [each["rank"] for each in told] == ["0", "1"]
    assert {each["world"] for each in told} == {"2"}
    assert {each["node"] for each in told} == {"0", "1"}
    assert {tuple(each["words"]) for each in told} == {(STRANGE, "none", "0")}  # type: ignore[arg-type]  # of JSON


@pytest.mark.parametrize(("nodes", "processes"), [(1, 2), (2, 1)], ids=["one node", "two nodes"])
def test_a_warning_reaches_each_rank_and_the_program_s_own_exit_code_comes_back(
    place: Place, nodes: int, processes: int
) -> None:
    text = launched(place, "x", "SIGUSR1", "7", nodes=nodes, processes=processes)
    job = place.sbatch(text, f"--nodes={nodes}", "--ntasks-per-node=1", "--gres=gpu:1")
    until(lambda: len(place.told()) == 2, "both ranks are there")
    place.cluster.exec("scancel", "--signal=USR1", str(job), user="alice", check=True)
    assert place.ended(job) == ("FAILED", 7), (place.folder / f"{job}.out").read_text()
    assert [each["seen"] for each in place.told()] == [["SIGUSR1"], ["SIGUSR1"]]


def test_at_preemption_each_rank_is_told_and_has_the_grace_to_end(own_cluster: StartCluster, release: str) -> None:
    cluster = own_cluster(release, nodes=2, preempt_grace_s=30)
    place = Place(cluster, "preempted")
    (place.folder / "rank.py").write_text(RANK, encoding="utf-8")
    text = launched(place, "x", "SIGTERM", "0", nodes=2, processes=1)
    job = place.sbatch(text, "--nodes=2", "--ntasks-per-node=1", "--exclusive")
    until(lambda: len(place.told()) == 2, "both ranks are there")
    place.cluster.exec("sbatch", "--qos=high", "--exclusive", "--wrap=true", user="alice", check=True)
    state, _ = place.ended(job)
    assert state == "PREEMPTED"
    assert [each["seen"] for each in place.told()] == [["SIGTERM"], ["SIGTERM"]]
