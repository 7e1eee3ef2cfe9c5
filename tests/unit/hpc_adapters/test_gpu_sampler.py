"""Figures of GPU use: exact over a fake NVML, silent where nothing is told, and never taken from nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.workloads import gpu_sampler
from hpc_adapters.workloads.gpu_sampler import (
    Gpus,
    NotMeasured,
    Sample,
    Sampler,
    Total,
    Writer,
    chosen,
    facts,
    summary,
    visible,
)


class FakeNvml:
    """A driver with three GPUs. `mute`: functions that this GPU does not have."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, mute: frozenset[str] = frozenset(), count: int = 3) -> None:
        self.mute, self.count = mute, count
        self.used_pct, self.energy_mj = 50, 1_000_000

    def nvmlInit(self) -> None:  # noqa: N802  the library's name
        self._tell("init", 0)

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802  the library's name
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802  the library's name
        return f"#{index}"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802  the library's name
        return uuid

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:  # noqa: N802  the library's name
        return SimpleNamespace(gpu=self._tell("utilisation", self.used_pct), memory=1)

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:  # noqa: N802  the library's name
        return SimpleNamespace(used=self._tell("memory", 3 * 2**30))

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802  the library's name
        return self._tell("power", 400_000)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802  the library's name
        return self._tell("energy", self.energy_mj)

    def _tell(self, what: str, value: int) -> int:
        if what in self.mute:
            raise self.NVMLError(what)
        return value


def measured(nvml: FakeNvml, folder: Path, *, name: str = "", steps: int = 13) -> dict[str, Any]:
    """Two minutes in steps of ten seconds, at 300 W by the counter and busier each time."""
    sampler = Sampler(Gpus(nvml, "0,2"), Writer(str(folder), name))
    for step in range(steps):
        sampler.step(10.0 * step)
        nvml.used_pct, nvml.energy_mj = nvml.used_pct + 1, nvml.energy_mj + 3_000_000
    sampler.step(10.0 * steps, is_last=True)
    told: dict[str, Any] = json.loads((folder / (f"gpu-{name}.json" if name else "gpu.json")).read_text())
    return told


def test_the_job_s_gpus_are_measured_and_summed_up(tmp_path: Path) -> None:
    told = measured(FakeNvml(), tmp_path)
    assert told["measured"] is True
    assert set(told["gpus"]) == {"0", "2"}
    assert told["gpus"]["0"] == {
        "samples": 14,
        "duration_s": 130.0,
        "utilisation_pct": 56.5,
        "memory_peak_mb": 3072.0,
        "energy_j": 39_000.0,
    }
    lines = (tmp_path / "gpu.csv").read_text().splitlines()
    assert len(lines) == 28
    assert lines[2] == "10.0,0,51.0,3072.0,400.0,4000.0"
    assert facts([told]) == {"gpu_utilisation_pct": 56.5, "gpu_memory_peak_mb": 3072.0, "gpu_energy_j": 78_000.0}


def test_without_a_counter_the_power_is_summed_up_over_time(tmp_path: Path) -> None:
    told = measured(FakeNvml(mute=frozenset({"energy"})), tmp_path)
    assert told["gpus"]["0"]["energy_j"] == 400 * 130


def test_what_a_gpu_does_not_tell_is_absent_and_never_zero(tmp_path: Path) -> None:
    told = measured(FakeNvml(mute=frozenset({"energy", "power", "utilisation"})), tmp_path, name="gpu1")
    assert told["gpus"]["0"]["energy_j"] is None
    assert told["gpus"]["0"]["utilisation_pct"] is None
    assert facts([told]) == {"gpu_memory_peak_mb": 3072.0}
    mute = measured(FakeNvml(mute=frozenset({"energy", "power", "utilisation", "memory"})), tmp_path)
    assert facts([mute]) == {"gpu_measured": "no"}


def test_a_counter_that_was_reset_does_not_make_energy_negative() -> None:
    total = Total()
    for at_s, energy_j in ((0.0, 900.0), (10.0, 1000.0), (20.0, 5.0), (30.0, 25.0)):
        total.add(Sample(at_s, "0", None, None, 10.0, energy_j))
    assert total.figures()["energy_j"] == 100 + 10 * 10 + 20


def test_the_summary_is_renewed_each_minute_while_the_job_runs(tmp_path: Path) -> None:
    sampler = Sampler(Gpus(FakeNvml(), None), Writer(str(tmp_path), ""))
    seen = []
    for at_s in range(130):
        sampler.step(float(at_s))
        seen.append(json.loads((tmp_path / "gpu.json").read_text())["gpus"]["0"]["samples"])
    assert sorted(set(seen)) == [1, 7, 13]


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (None, ["0", "1", "2"]),
        ("", []),
        ("1", ["1"]),
        ("2,0,2", ["2", "0"]),
        ("0,7,1", ["0"]),  # CUDA stops there, too
        ("GPU-aa, MIG-bb", ["GPU-aa", "MIG-bb"]),
        ("NoDevFiles", []),
        ("-1", []),
    ],
)
def test_the_job_s_gpus_are_those_that_cuda_would_show_it(told: str | None, names: list[str]) -> None:
    assert chosen(told, 3) == names


def test_who_gave_the_gpus_said_which() -> None:
    assert visible({}) is None
    assert visible({"SLURM_JOB_GPUS": "3"}) == "3"
    assert visible({"SLURM_JOB_GPUS": "3", "CUDA_VISIBLE_DEVICES": ""}) == ""


@pytest.mark.parametrize(
    ("nvml", "told", "reason"),
    [
        (FakeNvml(), "", "no-gpu"),
        (FakeNvml(count=0), None, "no-gpu"),
        (FakeNvml(mute=frozenset({"init"})), None, "nvml-failed"),
    ],
)
def test_where_nothing_can_be_measured_the_reason_is_said(nvml: FakeNvml, told: str | None, reason: str) -> None:
    with pytest.raises(NotMeasured, match=reason):
        Gpus(nvml, told)
    assert summary({}) == {"measured": False, "reason": "no-sample"}
    assert facts([{"measured": False, "reason": reason}]) == {"gpu_measured": "no"}
    assert facts([]) == {"gpu_measured": "no"}


def test_nodes_are_put_together() -> None:
    one = {"measured": True, "gpus": {"0": {"utilisation_pct": 90, "memory_peak_mb": 10, "energy_j": 5.5}}}
    two = {"measured": True, "gpus": {"0": {"utilisation_pct": 50, "memory_peak_mb": 30, "energy_j": 4.5}}}
    assert facts([one, two]) == {"gpu_utilisation_pct": 70, "gpu_memory_peak_mb": 30, "gpu_energy_j": 10}
    silent = {"measured": True, "gpus": {"0": {"utilisation_pct": 50, "memory_peak_mb": 30, "energy_j": None}}}
    assert "gpu_energy_j" not in facts([one, silent])  # half of the energy is not the energy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIGURES = st.dictionaries(st.sampled_from(["utilisation_pct", "memory_peak_mb", "energy_j"]), JSON)
SUMMARIES = JSON | st.fixed_dictionaries(
    {"measured": st.booleans() | JSON, "gpus": st.dictionaries(st.text(max_size=3), FIGURES | JSON, max_size=3) | JSON}
)


@given(told=st.lists(SUMMARIES, max_size=3))
def test_whatever_a_job_writes_the_facts_are_figures_within_bounds(told: list[object]) -> None:
    found = facts(told)
    assert found
    assert set(found) <= {"gpu_utilisation_pct", "gpu_memory_peak_mb", "gpu_energy_j", "gpu_measured"}
    for name, value in found.items():
        if name != "gpu_measured":
            assert isinstance(value, float)
            assert 0 <= value <= 1e15
    assert found.get("gpu_utilisation_pct", 0) <= 100  # type: ignore[operator]
    json.dumps(found, allow_nan=False)


def test_a_full_folder_costs_samples_and_never_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_sampler, "MAX_SAMPLE_BYTES", 100)
    told = measured(FakeNvml(), tmp_path)
    assert told["gpus"]["0"]["samples"] == 14
    assert (tmp_path / "gpu.csv").stat().st_size <= 100
    Writer(str(tmp_path / "not-there"), "").replace({})
