"""One OQTOPUS device behind the port and beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import httpx2

from hpc_adapters.contract import Circuit
from hpc_adapters.quantum.oqtopus.api import Oqtopus
from hpc_adapters.quantum.oqtopus.rest import Rest
from hpc_adapters.quantum.oqtopus.settings import OqtopusSettings
from hpc_adapters.quantum.oqtopus.vendor import OqtopusVendor
from hpc_adapters.quantum.queued.backend import QueuedBackend
from hpc_adapters.quantum.queued.checking import RESULT_BYTES, Checking
from hpc_adapters.workloads.portable_circuits import PortableJob


class OqtopusBackend(QueuedBackend):
    """See `QueuedBackend`. Tenants' programs are handed on as OpenQASM 3, which the vendor translates itself."""

    def __init__(
        self,
        settings: OqtopusSettings,
        *,
        root: Path,
        clock: Callable[[], datetime],
        transport: httpx2.AsyncBaseTransport | None = None,
        sandbox: str | None = None,
    ) -> None:
        """`transport`: the way to the API instead of the settings' url. `sandbox`: a kind of `confined.sandbox`."""
        rest = Rest(
            settings.url,
            token_file=settings.token_file,
            clock=clock,
            connect_s=settings.connect_s,
            call_s=settings.call_s,
            body_bytes=settings.body_bytes,
            allows_plain_links=settings.is_local,
            transport=transport,
        )

        vendor = OqtopusVendor(settings, Oqtopus(rest), clock=clock)

        async def job(circuit: Circuit) -> Mapping[str, object]:
            return asdict(
                PortableJob(
                    qubits=settings.qubits or (await vendor.device()).qubits,
                    shots=circuit.shots,
                    max_operations=settings.max_operations,
                    max_runs=settings.max_circuits,
                    result_bytes=RESULT_BYTES,
                )
            )

        super().__init__(
            settings,
            root=root,
            vendor=vendor,
            checking=Checking(
                root / "checks", settings, module="portable_circuits", job=job, clock=clock, sandbox=sandbox
            ),
            clock=clock,
        )
