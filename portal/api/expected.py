"""What the device behind an offering expects a circuit to need: asked before a transaction, and never for long."""

from __future__ import annotations

import asyncio

from hpc_adapters.contract import Circuit
from hpc_adapters.devices import Devices
from hpc_adapters.errors import Rejected, Unavailable
from portal.auth.caller import Caller
from pricing import service as pricing
from pricing.errors import UnknownOffering
from pricing.model import ServiceTime
from scheduler import service as scheduler
from scheduler.core.model import JobKind
from scheduler.errors import DeviceNotFound, RefusedByDevice
from scheduler.submission import Submission, checked


async def expected(caller: Caller, request: Submission, *, binding: bool) -> ServiceTime | None:
    """None: as the offering's model says, for nobody told better in time.

    binding: for a submission. There a simulator is not asked, for it follows its model exactly, and what a device would
    not run is left for it to say when it is handed over. Else RefusedByDevice; and the refusals of `checked()`.
    """
    if request.kind is not JobKind.QUANTUM:
        return None
    clean = checked(request)
    name = await _device(caller, clean.offering_id, real=binding)
    backend = None if name is None else caller.deps.backends.get(name)
    if name is None or not isinstance(backend, Devices):
        return None
    try:
        async with asyncio.timeout(caller.deps.limits.estimate_s), caller.deps.estimating:
            found = await backend.estimate(Circuit(program=clean.body, shots=clean.shots))
    except (Unavailable, TimeoutError):
        return None
    except Rejected as refused:
        if binding:
            return None
        raise RefusedByDevice(device=name, problem=refused.code) from None
    return ServiceTime(found.low_us, found.high_us, found.source.value, found.calibration_id)


async def _device(caller: Caller, offering_id: str, *, real: bool) -> str | None:
    """The backend of an offering; with `real` only where the register knows it as no simulator."""
    async with caller.transaction() as conn:
        try:
            offering = await pricing.offering(conn, offering_id)
            if real and (await scheduler.device(conn, offering.backend)).device.simulator:
                return None
        except (UnknownOffering, DeviceNotFound):
            return None
    return offering.backend
