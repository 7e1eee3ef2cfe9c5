"""One machine that QRMI reaches, behind the port and beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any, Final

from hpc_adapters.contract import Circuit
from hpc_adapters.quantum.ibm_runtime.device import target_of
from hpc_adapters.quantum.ibm_runtime.results import about, executions_of
from hpc_adapters.quantum.numbers import to_measure
from hpc_adapters.quantum.qrmi.settings import QrmiSettings
from hpc_adapters.quantum.qrmi.vendor import QrmiVendor
from hpc_adapters.quantum.queued.backend import QueuedBackend
from hpc_adapters.quantum.queued.checking import RESULT_BYTES, Checking

Json = dict[str, Any]
_SEED: Final = 7
_COST_AT_MOST_S: Final = 10_800


class QrmiBackend(QueuedBackend):
    """See `QueuedBackend`. Tenants' programs are translated for the machine in the confined check."""

    def __init__(
        self, settings: QrmiSettings, *, root: Path, clock: Callable[[], datetime], sandbox: str | None = None
    ) -> None:
        """`sandbox`: a kind of `confined.sandbox` instead of the best that works here."""
        vendor = QrmiVendor(settings, root=root, clock=clock)

        async def job(circuit: Circuit) -> Mapping[str, object]:
            told = (await vendor.raw())["target"]
            return {
                "target": target_of(told),
                "shots": circuit.shots,
                "max_operations": settings.max_operations,
                "seed": _SEED,
                "result_bytes": RESULT_BYTES,
            }

        def read(told: Json) -> Json | None:
            return None if "circuits" not in told else _plan(told, settings)

        super().__init__(
            settings,
            root=root,
            vendor=vendor,
            checking=Checking(
                root / "checks",
                settings,
                module="transpile_circuit",
                job=job,
                clock=clock,
                sandbox=sandbox,
                read=read,
            ),
            clock=clock,
        )


def _plan(isa: Json, settings: QrmiSettings) -> Json:
    """One task for the whole document. `cost_s`: what the vendor may spend on it at most, beside our own limits."""
    metadata = [pub["metadata"] for pub in isa["pubs"]]
    shot_s = [pub["shot_s"] for pub in isa["pubs"]]
    device_us = None
    if None not in shot_s:
        device_us = ceil(sum(pub["executions"] * pub["shot_s"] for pub in isa["pubs"]) * 1e6)
    model_us = settings.base_us + settings.per_kshot_us * executions_of(isa) // 1000
    cost_s = 2 * ceil(max(model_us, device_us or 0) / 1e6) + ceil(settings.overhead_s)
    measured = to_measure(isa)
    return {
        "runs": [measured] if measured["pubs"] else [],
        "about": about(isa),
        "qubits": max(circuit["qubits"] for circuit in isa["circuits"]),
        "depth": max(each["depth"] for each in metadata),
        "device_us": device_us,
        "cost_s": min(cost_s, _COST_AT_MOST_S),
    }
