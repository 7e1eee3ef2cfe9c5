"""A session on the simulated device is forgotten before the circuits in it: they say when it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from hpc_adapters.contract import Observation, Ref, Window
from tests.integration.hpc_adapters.test_session_crashes import SETTINGS, inside, seen, session
from tests.support.aer_device import Device

pytestmark = [pytest.mark.quantum, pytest.mark.sandbox]


async def _until(device: Device, ref: Ref, wanted: Callable[[Observation], bool]) -> Observation:
    for _ in range(400):
        if wanted(told := await seen(device, ref)):
            return told
        await asyncio.sleep(0.05)
    raise AssertionError("never seen as wanted")


async def test_circuits_go_with_their_session_or_after_it(tmp_path: Path) -> None:
    device = Device(tmp_path / "aer", SETTINGS)
    held = session()
    ref = await device.backend.submit(held)
    await _until(device, ref, lambda told: told.started_at is not None)
    work = inside(ref.attempt_id)
    circuit = await device.backend.submit(work)
    await _until(device, circuit, lambda told: told.seen.is_end)
    await device.backend.cancel(ref)
    ended = await _until(device, ref, lambda told: told.seen.is_end)
    assert ended.ended_at is not None
    window = Window(ended.ended_at - timedelta(hours=1), ended.ended_at + timedelta(hours=1))
    rows = {row.natural_key: row for row in await device.backend.accounting(window)}
    assert len(rows) == 2
    assert (await device.backend.forget([work.attempt_id])).attempts == 0
    assert (await device.backend.forget([held.attempt_id])).attempts == 1
    assert (await device.backend.forget([work.attempt_id])).attempts == 1
    assert {row.natural_key: row for row in await device.backend.accounting(window)} == rows
