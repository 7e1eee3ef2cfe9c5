"""Which units of a backend are in service."""

from __future__ import annotations

from datetime import UTC, datetime

from hpc_adapters.contract import Capacity, Resources
from metering.loops.capacity import units_of

ALL = Resources(gpus=8, cpus=64, qpus=2)
NOW = Capacity(at=datetime(2026, 4, 1, tzinfo=UTC), total=ALL, free=ALL)


def test_a_device_that_is_sold_as_a_simulator_is_no_idle_qpu() -> None:
    assert units_of(NOW, {"qpu_s", "shot"}) == {"gpu_s": 8, "cpu_s": 64, "qpu_s": 2}
    assert units_of(NOW, {"sim_s", "shot"}) == {"gpu_s": 8, "cpu_s": 64, "qpu_s": 0}
