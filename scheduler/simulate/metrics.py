"""How good a schedule was, from starts and ends alone: what the policy believed plays no part. Pure.

Definitions, with w the wait and r the run time of a job:
- bounded slowdown: max(1, (w + r) / max(r, 10 s)) (Feitelson 2001);
- every 600 s until the last submission, after all that happens at that instant: allocation a, demand d (running +
  waiting) and water-filling share f of each organisation, in NU-rates over all machines;
- share error: a and f averaged per day; max over organisations of |a − f| ÷ capacity; mean and p95 over days;
- Jain index: (Σx)² ÷ (n·Σx²) with x = a ÷ f over the organisations with demand, mean over the samples;
- utilisation with a backlog: over the samples at which something waits;
- starvation: the longest time that one job has waited while its organisation held at least one unit less than its
  share;
- percentiles: linear, as NumPy's default; of organisations: those with at least 50 jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scheduler.simulate.replay import Outcome
from scheduler.simulate.sampling import Samples, sampled
from scheduler.simulate.violations import violations

_SHORT_S = 10
_MIN_JOBS = 50


@dataclass(frozen=True, slots=True)
class Figures:
    """Names and units as in the JSON."""

    jobs: int
    wait_mean_s: float
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    wait_max_s: float
    wait_p95_worst_org_s: float
    bsld_mean: float
    bsld_p95: float
    share_error_p95: float
    share_error_mean: float
    jain: float
    utilisation: float
    utilisation_backlog: float
    starvation_max_s: int
    preemption_waste: float
    violations: int
    jobs_per_s: float


def percentile(values: Iterable[float], percent: float) -> float:
    """Linear between the two nearest; 0 of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def mean(values: Sequence[float]) -> float:
    """0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def waits_by_organisation(outcome: Outcome) -> list[list[int]]:
    """In seconds, of each top of the tree."""
    load = outcome.workload
    waits: list[list[int]] = [[] for _ in load.names]
    for job, start in zip(load.requests, outcome.starts, strict=True):
        waits[load.organisations[job.leaf]].append(start - job.submitted_s)
    return waits


def slowdowns(outcome: Outcome) -> list[float]:
    """Bounded slowdown of each job."""
    return [
        max(1.0, (start - job.submitted_s + duration) / max(duration, _SHORT_S))
        for job, start, duration in zip(
            outcome.workload.requests, outcome.starts, outcome.workload.durations, strict=True
        )
    ]


def share_errors(samples: Samples) -> list[float]:
    """Of each day."""
    return [
        max((abs(a - f) for a, f in zip(day.held, day.share, strict=True)), default=0.0)
        / (day.count * samples.capacity)
        for day in samples.days
    ]


def measured(outcome: Outcome, *, replay_s: float = 0.0, samples: Samples | None = None) -> Figures:
    """All figures; replay_s: how long the replay took."""
    seen = samples or sampled(outcome)
    by_org = waits_by_organisation(outcome)
    waits = [wait for each in by_org for wait in each]
    slow, errors = slowdowns(outcome), share_errors(seen)
    worst = [percentile(each, 95) for each in by_org if len(each) >= _MIN_JOBS]
    return Figures(
        jobs=len(waits),
        wait_mean_s=mean(waits),
        wait_p50_s=percentile(waits, 50),
        wait_p95_s=percentile(waits, 95),
        wait_p99_s=percentile(waits, 99),
        wait_max_s=max(waits),
        wait_p95_worst_org_s=max(worst, default=0.0),
        bsld_mean=mean(slow),
        bsld_p95=percentile(slow, 95),
        share_error_p95=percentile(errors, 95),
        share_error_mean=mean(errors),
        jain=seen.jain,
        utilisation=seen.utilisation,
        utilisation_backlog=seen.utilisation_backlog,
        starvation_max_s=seen.starvation_max_s,
        preemption_waste=0.0,  # nothing preempts yet
        violations=len(violations(outcome)),
        jobs_per_s=len(waits) / replay_s if replay_s else 0.0,
    )
