"""What a real adapter says of its device goes into the register as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpc_adapters.contract import Circuit
from hpc_adapters.quantum.aer.adapter import AerBackend
from hpc_adapters.quantum.aer.device import DeviceSettings
from infra.clock import utc_now
from scheduler import service
from scheduler.loops import devices
from tests.support.database import Database
from tests.support.portal_world import GHZ
from tests.support.scheduled import open_world

pytestmark = [pytest.mark.postgres, pytest.mark.quantum]


async def test_what_aer_says_is_registered_once_and_read_back_as_it_was(database: Database, tmp_path: Path) -> None:
    world = await open_world(database)
    settings = DeviceSettings(name="aer-7", qubits=7, max_shots=1000, base_us=500_000, per_kshot_us=250_000)
    aer = AerBackend(name="aer-7", root=tmp_path, device=settings, clock=utc_now)
    world.backends = {"aer-7": aer}
    assert [await devices.tick(world.deps(), world.now), await devices.tick(world.deps(), world.now)] == [1, 0]
    told = await aer.device()
    async with world.market.as_worker() as conn:
        kept = (await service.device(conn, "aer-7")).device
    assert kept == replace(told, observed_at=world.now, basis_gates=tuple(told.basis_gates))
    expected = await aer.estimate(Circuit(program=GHZ.encode(), shots=1000))
    assert 0 < expected.low_us <= expected.high_us
    await aer.close()
