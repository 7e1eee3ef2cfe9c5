"""A recorded workload through the core under each policy: jobs a second, and how good the schedules are."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from time import process_time

from scheduler.simulate.metrics import Figures, measured
from scheduler.simulate.replay import replay
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import Share, read_shares
from scheduler.simulate.trace import read_jobs
from scheduler.simulate.workload import Setting, prepared
from tests.support.benchmark import Result

_FOLDER, _GPUS = "KYOYO_BENCH_TRACE", "KYOYO_BENCH_GPUS"
_POLICIES = ("kyoyo", "fifo", "fifo-easy", "fairtree-easy")


async def run() -> Result | str:
    folder = os.environ.get(_FOLDER)
    if not folder:
        return f"not run: {_FOLDER} names no folder with jobs.csv.gz and shares.csv"
    jobs, shares = read_jobs(Path(folder) / "jobs.csv.gz"), read_shares(Path(folder) / "shares.csv")
    gpus = int(os.environ.get(_GPUS, "576"))
    figures = {policy: _figures(jobs, shares, Setting(gpus=gpus, policy=policy)) for policy in _POLICIES}
    assert all(each.violations == 0 for each in figures.values()), "a schedule holds more than there is"
    kyoyo, fifo = figures["kyoyo"], figures["fifo"]
    return Result(
        name="trace_replay",
        figure=round(kyoyo.jobs_per_s),
        unit="jobs/processor s",
        peer=round(fifo.jobs_per_s),
        ratio=round(kyoyo.jobs_per_s / fifo.jobs_per_s, 2),
        facts={"bounds": _bounds(figures), "policies": {name: asdict(each) for name, each in figures.items()}},
    )


def _figures(jobs: list[TraceJob], shares: list[Share], setting: Setting) -> Figures:
    load = prepared(jobs, shares, setting)
    began = process_time()
    outcome = replay(load, setting)
    return measured(outcome, replay_s=process_time() - began)


def _bounds(figures: dict[str, Figures]) -> dict[str, float]:
    """Each as a ratio to its peer of this run. At most 1, 1, 1.2, 1.5 and 1 are wanted; of the last at least 0.99."""
    kyoyo, fifo, easy, tree = (figures[name] for name in _POLICIES)
    ratios = {
        "share_error_p95": kyoyo.share_error_p95 / tree.share_error_p95,
        "share_error_mean": kyoyo.share_error_mean / tree.share_error_mean,
        "wait_p95_worst_org": kyoyo.wait_p95_worst_org_s / max(1, fifo.wait_p95_worst_org_s),
        "wait_max": kyoyo.wait_max_s / max(1, fifo.wait_max_s),
        "bsld_mean": kyoyo.bsld_mean / tree.bsld_mean,
        "utilisation_backlog": kyoyo.utilisation_backlog / easy.utilisation_backlog,
    }
    return {name: round(ratio, 3) for name, ratio in ratios.items()}
