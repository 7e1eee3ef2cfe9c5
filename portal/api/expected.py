"""What the device behind an offering expects a circuit to need: asked before a transaction, and never for long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hpc_adapters.contract import Circuit
from hpc_adapters.devices import Devices
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.workloads.circuit_refusals import DEVICE_CODES
from portal.auth.caller import Caller
from pricing import service as pricing
from pricing.errors import UnknownOffering
from pricing.model import OfferingKind, ServiceTime
from scheduler import service as scheduler
from scheduler.core.model import JobKind
from scheduler.errors import DeviceNotFound, RefusedByDevice
from scheduler.service.placing import Foreseen, Services
from scheduler.submission import Submission, checked

_OUR_FAULT = DEVICE_CODES | {"check-failed"}
"""What says nothing of the program."""


async def expected(caller: Caller, request: Submission, *, binding: bool) -> Services:
    """By offering; of one that is not there the offering's model says, for nobody told better in time.

    binding: for a submission. There a simulator is not asked, for it follows its model exactly and costs nothing where
    it refuses, and a translation takes seconds; whoever wants to know before asks for an estimate. The refusals of
    `checked()`.
    """
    if request.kind is not JobKind.QUANTUM:
        return {}
    clean = checked(request)
    if clean.session is not None:
        return {}
    names = await _sold(caller) if clean.anywhere else (clean.offering_id, *clean.alternatives)
    told = await asyncio.gather(*(_expected(caller, clean, name, binding=binding) for name in names))
    return {name: each for name, each in zip(names, told, strict=True) if each is not None}


async def _sold(caller: Caller) -> Sequence[str]:
    """Every offering of quantum devices."""
    async with caller.transaction() as conn:
        return [each.id for each in await pricing.sold(conn) if each.kind is OfferingKind.QUANTUM]


async def _expected(caller: Caller, clean: Submission, offering_id: str, *, binding: bool) -> Foreseen | None:
    name = await _device(caller, offering_id, real=binding)
    backend = None if name is None else caller.deps.backends.get(name)
    if name is None or not isinstance(backend, Devices):
        return None
    try:
        async with asyncio.timeout(caller.deps.limits.estimate_s), caller.deps.estimating:
            found = await backend.estimate(Circuit(program=clean.body, shots=clean.shots))
    except (Unavailable, TimeoutError):
        return None
    except Rejected as refused:
        return _refusal(name, refused)
    return ServiceTime(found.low_us, found.high_us, found.source.value, found.calibration_id)


def _refusal(device: str, refused: Rejected) -> RefusedByDevice | None:
    if refused.code in _OUR_FAULT:
        return None
    about = [f"{fact}: {value}" for fact, value in refused.facts.items()]
    return RefusedByDevice(device=device, problem=refused.code, about=about)


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
