"""The same figures of GPU use from a site's own DCGM exporter, by way of Prometheus. Pure: questions and answers only.

Needs an exporter that knows jobs (`dcgm-exporter --hpc-job-mapping-dir`): its series carry the label `hpc_job`. Job ids
are handed out again, so each question is bound to the time that the job ran: evaluate it at the job's end.
Names of metrics and labels: NVIDIA's dcgm-exporter documentation; no live exporter was met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

UTILISATION, MEMORY, ENERGY = "utilisation_pct", "memory_peak_mb", "energy_j"
_QUESTIONS = {
    UTILISATION: "avg_over_time(DCGM_FI_DEV_GPU_UTIL{{{job}}}[{range}])",
    MEMORY: "max_over_time(DCGM_FI_DEV_FB_USED{{{job}}}[{range}])",  # MiB
    ENERGY: "increase(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{job}}}[{range}]) / 1000",  # from mJ
}


def questions(job_id: int, *, duration_s: int) -> Mapping[str, str]:
    """PromQL by figure, for a job that ran so long up to the moment of evaluation."""
    words = {"job": f'hpc_job="{int(job_id)}"', "range": f"{max(1, int(duration_s))}s"}
    return {figure: question.format(**words) for figure, question in _QUESTIONS.items()}


def summary(answers: Mapping[str, object]) -> dict[str, object]:
    """As `gpu_sampler` would have written it, from the answers of Prometheus' /api/v1/query by figure.

    Feed it to `gpu_sampler.facts`. Not measured: no series told anything.
    """
    gpus: dict[str, dict[str, float | None]] = {}
    for figure in _QUESTIONS:
        for gpu, value in _series(answers.get(figure)):
            gpus.setdefault(gpu, dict.fromkeys(_QUESTIONS))[figure] = value
    return {"measured": True, "gpus": gpus} if gpus else {"measured": False, "reason": "no-series"}


def _series(answer: object) -> list[tuple[str, float]]:
    data = _part(answer, "data") if _part(answer, "status") == "success" else None
    rows = _part(data, "result") if _part(data, "resultType") == "vector" else None
    found = []
    for row in rows if isinstance(rows, list) else []:
        gpu, value = _name(_part(row, "metric")), _value(_part(row, "value"))
        if gpu and value is not None:
            found.append((gpu, value))
    return found


def _name(labels: object) -> str:
    """Its UUID, else where it is."""
    uuid = _part(labels, "UUID")
    return str(uuid) if uuid else f"{_part(labels, 'Hostname') or ''}/{_part(labels, 'gpu') or ''}".strip("/")


def _value(pair: object) -> float | None:
    try:
        value = float(pair[1]) if isinstance(pair, list) else math.nan
    except (IndexError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _part(of: object, name: str) -> object:
    return of.get(name) if isinstance(of, Mapping) else None
