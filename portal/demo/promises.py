"""What the demo promises, checked on its own summary. Pure: the same summary always gives the same complaints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

LEAST_ACCURACY = 0.95
SHOTS = 4_000
GHZ_OUTCOMES = ("000", "111")
SIGMAS = 5
"""How far a fair count may stray: less than one run in a million goes further."""
REFUSAL = "insufficient-funds"

Summary = Mapping[str, Any]


def broken(summary: Summary) -> list[str]:
    """Everything that is not as promised, in words for a developer; empty when all is well."""
    return [*_jobs(summary["jobs"]), *_refused(summary["refused"]), *_books(summary), *_kpi(summary)]


def _jobs(jobs: Sequence[Summary]) -> Iterator[str]:
    by_state = {(job["kind"], job["state"]): job for job in jobs}
    if (training := by_state.get(("training", "SUCCEEDED"))) is None:
        yield "no training job succeeded"
    elif not LEAST_ACCURACY <= training["result"].get("accuracy", 0) <= 1:
        yield f"accuracy {training['result'].get('accuracy')} is below {LEAST_ACCURACY}"
    if (quantum := by_state.get(("quantum", "SUCCEEDED"))) is None:
        yield "no quantum job succeeded"
    else:
        yield from _ghz(quantum["result"].get("counts", {}))
    if (cancelled := by_state.get(("training", "CANCELLED"))) is None:
        yield "no job was cancelled"
    elif cancelled["charge_yen"] <= 0:
        yield "the cancelled job was not charged for what ran"
    for job in jobs:
        yield from _job(job)


def _job(job: Summary) -> Iterator[str]:
    if not 0 <= job["charge_yen"] <= job["quote_yen"]:
        yield f"job {job['id']} is charged {job['charge_yen']} of a quote of {job['quote_yen']}"
    if job["attempts"] != 1:
        yield f"job {job['id']} took {job['attempts']} attempts"
    used = "qpu_seconds" if job["kind"] == "quantum" else "gpu_hours"
    if job["usage"][used] <= 0:
        yield f"job {job['id']} used no {used}"


def _ghz(counts: Mapping[str, int]) -> Iterator[str]:
    if sum(counts.values()) != SHOTS:
        yield f"{sum(counts.values())} shots were counted, not {SHOTS}"
    if strange := sorted(set(counts) - set(GHZ_OUTCOMES)):
        yield f"a GHZ state never reads {', '.join(strange)}"
    spread = SIGMAS * (SHOTS * 0.25) ** 0.5
    if abs(counts.get(GHZ_OUTCOMES[0], 0) - SHOTS / 2) > spread:
        yield f"counts {dict(counts)} are further than {spread:.0f} from even"


def _refused(refused: Sequence[Summary]) -> Iterator[str]:
    if [each["code"] for each in refused] != [REFUSAL]:
        yield f"refused were {[each['code'] for each in refused]}, not one {REFUSAL}"


def _books(summary: Summary) -> Iterator[str]:
    for book, figure in (("ledger", "imbalance"), ("ledger", "open_holds"), ("audit", "unexplained")):
        if summary[book][figure] != 0:
            yield f"{book}.{figure} is {summary[book][figure]}, not 0"


def _kpi(summary: Summary) -> Iterator[str]:
    kpi = summary["kpi"]
    for figure in ("users", "organisations", "gpu_hours", "qpu_seconds", "utilisation"):
        if kpi[figure] is None or kpi[figure] <= 0:
            yield f"kpi.{figure} is {kpi[figure]}"
    if kpi["utilisation"] is not None and kpi["utilisation"] > 1:
        yield f"kpi.utilisation is {kpi['utilisation']}"
    for figure in ("gpu_hours", "qpu_seconds"):
        total = sum((Decimal(str(job["usage"][figure])) for job in summary["jobs"]), Decimal(0))
        if abs(Decimal(str(kpi[figure] or 0)) - total) > Decimal("0.000001") * len(summary["jobs"]):
            yield f"kpi.{figure} is {kpi[figure]}, the jobs' sum is {total}"


def to_json(value: object) -> str:
    """JSON with every Decimal as the exact number that it is."""
    match value:
        case Decimal():
            return f"{value:f}"
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(str(name))}: {to_json(inner)}" for name, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(to_json(inner) for inner in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
