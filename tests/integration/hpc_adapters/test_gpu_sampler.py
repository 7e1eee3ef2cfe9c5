"""The sampler as a process of its own: it ends with the job, costs next to nothing, and says where there is no GPU."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hpc_adapters.workloads import gpu_sampler

PYNVML = """\
class NVMLError(Exception): pass
class Told:
    gpu, used = 73, 2**30
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 8
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUtilizationRates(handle): return Told
def nvmlDeviceGetMemoryInfo(handle): return Told
def nvmlDeviceGetPowerUsage(handle): return 500_000
def nvmlDeviceGetTotalEnergyConsumption(handle): raise NVMLError
"""
PATIENCE_S = 60.0


def sampler(folder: Path, *options: str, parent: int, library: str = PYNVML) -> subprocess.Popen[bytes]:
    (folder / "library").mkdir()
    (folder / "library" / "pynvml.py").write_text(library, encoding="utf-8")
    argv = [
        sys.executable,
        "-S",
        gpu_sampler.__file__,
        str(folder),
        "--parent",
        str(parent),
        "--every",
        "0.5",
        *options,
    ]
    environment = {"PYTHONPATH": str(folder / "library"), "CUDA_VISIBLE_DEVICES": "0,1"}
    running = subprocess.Popen(argv, env=environment)
    began = time.monotonic()
    while not (folder / "gpu.json").exists():
        assert running.poll() in {None, 0}
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.02)
    return running


def until_looks(folder: Path, count: int) -> None:
    """Until it has looked so often at its two GPUs."""
    began = time.monotonic()
    while len((folder / "gpu.csv").read_text().splitlines()) < 2 * count:
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.02)


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "gpu.json").read_text())
    return found


@pytest.mark.parametrize("ending", ["parent", "flag", "signal"])
def test_it_ends_with_the_job_and_leaves_the_whole_summary(tmp_path: Path, ending: str) -> None:
    parent = subprocess.Popen(["sleep", "60"])
    running = sampler(tmp_path, parent=parent.pid)
    until_looks(tmp_path, 2)
    if ending == "parent":
        parent.kill()
        parent.wait()
    elif ending == "flag":
        (tmp_path / "gpu.stop").touch()
    else:
        os.kill(running.pid, signal.SIGUSR1)  # meant for the program: it does not mind
        running.terminate()
    assert running.wait(timeout=PATIENCE_S) == 0
    parent.kill()
    parent.wait()
    gpus = told(tmp_path)["gpus"]
    assert set(gpus) == {"0", "1"}
    assert gpus["0"]["samples"] >= 3
    assert gpus["0"]["utilisation_pct"] == 73
    assert gpus["0"]["energy_j"] == pytest.approx(500 * gpus["0"]["duration_s"], rel=1e-3)


def test_without_a_gpu_nothing_is_measured_and_nothing_runs_on(tmp_path: Path) -> None:
    running = sampler(tmp_path, parent=os.getpid(), library="raise ImportError")
    assert running.wait(timeout=PATIENCE_S) == 0
    assert told(tmp_path) == {"measured": False, "reason": "no-nvml"}


def test_it_costs_less_than_half_a_percent_of_a_cpu(tmp_path: Path) -> None:
    """Here it looks ten times as often as for a job. What starting costs is paid once."""
    costs = {}
    for looks in (1, 7):
        (tmp_path / str(looks)).mkdir()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        running = sampler(tmp_path / str(looks), parent=os.getpid())
        until_looks(tmp_path / str(looks), looks)
        running.terminate()
        assert running.wait(timeout=PATIENCE_S) == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs[looks] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert costs[7] - costs[1] < 0.005 * 6
