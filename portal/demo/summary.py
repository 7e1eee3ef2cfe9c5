"""The demo's summary: from what the client was told, what the books say and what the audit found. Pure.

Its shape is a promise (see the e2e test): other programs read var/demo/summary.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from kyoyo.models import JobRecord, Json
from portal.demo.promises import Summary
from portal.demo.script import Played
from pricing.figures import Books
from pricing.units import decimal

_HOUR_S = Decimal(3600)
_STEP = Decimal("0.000001")


def summarise(played: Played, *, books: Books, unexplained: int, kpi: Json) -> Summary:
    """Everything that the demo promises to report. KeyError: a figure is missing."""
    return {
        "jobs": [_job(record, result) for record, result in zip(played.jobs, played.results, strict=True)],
        "refused": [{"code": refused.code} for refused in played.refused],
        "ledger": {"imbalance": abs(decimal(books.imbalance_micro_yen)).normalize(), "open_holds": books.open_holds},
        "audit": {"unexplained": unexplained},
        "kpi": {
            "users": figure(kpi, "registered_users"),
            "organisations": figure(kpi, "registered_organisations"),
            "gpu_hours": figure(kpi, "gpu_hours"),
            "qpu_seconds": figure(kpi, "qpu_seconds"),
            "utilisation": figure(kpi, "gpu_utilisation"),
        },
    }


def figure(kpi: Json, key: str) -> Decimal | int | None:
    """A figure over the whole house: the one without a resource, or else the only one."""
    found: Sequence[Mapping[str, Any]] = [item for item in kpi["items"] if item["key"] == key]
    whole = [item for item in found if not item["resource"]] or found
    if len(whole) != 1:
        raise KeyError(key)
    value = whole[0]["value"]
    return Decimal(value) if isinstance(value, str) else value


def _job(record: JobRecord, result: object) -> Summary:
    used = {name: Decimal(quantity) for name, quantity in record.raw["usage"].items()}
    gpu_hours = (used.get("gpu_s", Decimal(0)) / _HOUR_S).quantize(_STEP, ROUND_HALF_UP)
    return {
        "id": record.id,
        "kind": record.kind,
        "backend": record.backend,
        "state": record.state,
        "attempts": record.attempt_count,
        "quote_yen": record.quote_yen,
        "charge_yen": record.charge_yen,
        "usage": {"gpu_hours": gpu_hours, "qpu_seconds": used.get("qpu_s", Decimal(0))},
        "result": result if isinstance(result, Mapping) else {},
    }
