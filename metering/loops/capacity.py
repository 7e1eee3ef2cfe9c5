"""Notes how many units each backend has in service, whenever that changes: the denominator of utilisation."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

from hpc_adapters.contract import Capacity
from hpc_adapters.errors import Unavailable
from infra.db.connection import transaction
from metering.loops import alarms
from metering.loops.deps import Deps
from metering.store import collection


async def tick(deps: Deps, now: datetime) -> int:
    """Facts written. A backend that does not answer keeps its last fact: silence is not being out of service."""
    noted = 0
    for name, backend in deps.backends.items():
        try:
            capacity = await backend.capacity()
        except Unavailable as unavailable:
            alarms.unavailable(name, "capacity", unavailable.detail)
            continue
        noted += await _note(deps, name, units_of(capacity, backend.capabilities().components), now)
    return noted


async def _note(deps: Deps, backend: str, units: Mapping[str, int], now: datetime) -> int:
    async with transaction(deps.pool, lease=deps.lease) as conn:
        before = await collection.units_in_service(conn, backend)
        changed = {component: count for component, count in units.items() if count != before.get(component, 0)}
        for component, count in changed.items():
            await collection.insert_capacity(conn, backend, component=component, units=count, now=now)
    return len(changed)


def units_of(capacity: Capacity, components: AbstractSet[str]) -> dict[str, int]:
    """Component → units in service; none while the backend is off line.

    QPUs count only where QPU time is metered: a device that is sold as a simulator is no idle QPU.
    """
    total = capacity.total
    qpus = total.qpus if "qpu_s" in components else 0
    units = {"gpu_s": total.gpus, "qpu_s": qpus, "cpu_s": total.cpus}
    return units if capacity.online else dict.fromkeys(units, 0)
