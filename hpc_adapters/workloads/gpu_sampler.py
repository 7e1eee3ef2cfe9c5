"""Measures a job's GPUs while it runs: utilisation, memory and energy of each, into two files of the job's folder.

    gpu_sampler.py FOLDER [--parent PID] [--name NODE] [--every SECONDS]

One file of standard library, started by the job's head in the background; it ends with its parent, at SIGTERM, or when
FOLDER/gpu.stop appears. `gpu.csv` holds the samples, `gpu.json` their summary, renewed each minute and at the end (with
--name both carry the node's name: gpu-NODE.json). What cannot be measured is said to be unmeasured, never zero.
The last part is pure, and reads the summary again: it comes from the job's folder, so nothing in it is trusted.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

EVERY_S, SUMMARY_EVERY_S, LOOK_S = 10.0, 60.0, 1.0
STOP = "gpu.stop"
MAX_SAMPLE_BYTES = 16 * 2**20
SUMMARY_CAP_BYTES = 65_536
_NICE = 19
_PR_SET_PDEATHSIG = 1
_MB = 2**20
_MOST_GPUS = 4096
_LIBRARY = "libnvidia-ml.so.1"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one GPU. None: this GPU does not tell."""

    at_s: float
    """Since the first look."""
    gpu: str
    utilisation_pct: float | None
    memory_mb: float | None
    power_w: float | None
    energy_j: float | None
    """The GPU's own counter, which runs for ever."""


# ---- the library ----------------------------------------------------------------------------------------------------


class NotMeasured(Exception):
    """Why nothing can be measured here; the reason is a machine word."""


class _Utilisation(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Nvml:
    """The handful of NVML's functions that are needed, under the names of `nvidia-ml-py`, for a Python without it."""

    class NVMLError(Exception):
        """A function that did not return success."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_LIBRARY)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise self.NVMLError(f"{name}: {code}")

    def _ask(self, name: str, handle: Any, answer: Any) -> Any:
        self._call(name, handle, ctypes.byref(answer))
        return answer

    def nvmlInit(self) -> None:  # noqa: N802  the library's name, as below
        self._call("nvmlInit_v2")

    def nvmlShutdown(self) -> None:  # noqa: N802
        self._call("nvmlShutdown")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        return count.value

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
        return handle

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:  # noqa: N802
        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()), ctypes.byref(handle))
        return handle

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any:  # noqa: N802
        return self._ask("nvmlDeviceGetUtilizationRates", handle, _Utilisation())

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:  # noqa: N802
        return self._ask("nvmlDeviceGetMemoryInfo", handle, _Memory())

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int:  # noqa: N802
        return int(self._ask("nvmlDeviceGetPowerUsage", handle, ctypes.c_uint()).value)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:  # noqa: N802
        return int(self._ask("nvmlDeviceGetTotalEnergyConsumption", handle, ctypes.c_ulonglong()).value)


def library() -> Any:
    """`nvidia-ml-py` where the job's Python has it, else the driver's library itself. NotMeasured: neither."""
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415  not everywhere
    except ImportError:
        try:
            return Nvml()
        except OSError as missing:
            raise NotMeasured("no-nvml") from missing
    return pynvml


class Gpus:
    """The job's own GPUs."""

    def __init__(self, nvml: Any, visible: str | None) -> None:
        """`visible` as in CUDA_VISIBLE_DEVICES; None: all that NVML shows. NotMeasured."""
        self._nvml = nvml
        try:
            nvml.nvmlInit()
            names = chosen(visible, nvml.nvmlDeviceGetCount())
            self._handles = {name: self._handle(name) for name in names}
        except nvml.NVMLError as error:
            raise NotMeasured("nvml-failed") from error
        if not self._handles:
            raise NotMeasured("no-gpu")

    def _handle(self, name: str) -> Any:
        nvml = self._nvml
        return nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdecimal() else nvml.nvmlDeviceGetHandleByUUID(name)

    def look(self, at_s: float) -> list[Sample]:
        """One sample of each."""
        return [self._sample(name, handle, at_s) for name, handle in self._handles.items()]

    def _sample(self, name: str, handle: Any, at_s: float) -> Sample:
        nvml = self._nvml
        used = self._told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        memory = self._told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / _MB)
        power = self._told(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000)
        energy = self._told(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)
        return Sample(at_s, name, used, memory, power, energy)

    def _told(self, ask: Any) -> float | None:
        """None: this GPU, or this driver, does not tell it."""
        try:
            return float(ask())
        except self._nvml.NVMLError:
            return None


def chosen(visible: str | None, count: int) -> list[str]:
    """Indices or UUIDs of the job's GPUs. As CUDA reads the list: it ends at the first entry that names nothing."""
    if visible is None:
        return [str(index) for index in range(count)]
    names: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        if not (int(name) < count if name.isdecimal() else name.startswith(("GPU-", "MIG-"))):
            break
        names.append(name)
    return list(dict.fromkeys(names))


# ---- the process ----------------------------------------------------------------------------------------------------


class Writer:
    """The two files. A full disk costs samples, never the job."""

    def __init__(self, folder: str, name: str) -> None:
        stem = f"gpu-{name}" if name else "gpu"
        self._samples, self._summary = (f"{folder}/{stem}.{ending}" for ending in ("csv", "json"))
        self._room = MAX_SAMPLE_BYTES

    def append(self, samples: Iterable[Sample]) -> None:
        """Lines of: seconds, GPU, utilisation %, MiB, W, J; empty for what is not told."""
        text = "".join(",".join(map(_short, asdict(sample).values())) + "\n" for sample in samples)
        if len(text) > self._room:
            return
        self._room -= len(text)
        with suppress(OSError), open(self._samples, "a", encoding="ascii") as file:  # noqa: PTH123  a light start
            file.write(text)

    def replace(self, summary: Mapping[str, object]) -> None:
        """A reader sees the old summary or the new one."""
        draft = f"{self._summary}.new"
        with suppress(OSError):
            with open(draft, "w", encoding="ascii") as file:  # noqa: PTH123  see above
                json.dump(summary, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._summary)  # noqa: PTH105  see above


def _short(value: object) -> str:
    return "" if value is None else str(round(value, 3)) if isinstance(value, float) else str(value)


class Sampler:
    """The loop, with its clock and its end as arguments."""

    def __init__(self, gpus: Gpus, writer: Writer, *, every_s: float = EVERY_S) -> None:
        self._gpus, self._writer, self._every_s = gpus, writer, every_s
        self._totals: dict[str, Total] = {}
        self._next_look = self._next_summary = 0.0

    def step(self, at_s: float, *, is_last: bool = False) -> None:
        """Called about every second; looks when it is time. The last step always looks and sums up."""
        if at_s >= self._next_look or is_last:
            self._next_look = at_s + self._every_s
            samples = self._gpus.look(at_s)
            for sample in samples:
                self._totals.setdefault(sample.gpu, Total()).add(sample)
            self._writer.append(samples)
        if at_s >= self._next_summary or is_last:
            self._next_summary = at_s + SUMMARY_EVERY_S
            self._writer.replace(summary(self._totals))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure until the job ends. 0 whatever happens: a job never suffers from being measured."""
    asked = _asked(arguments)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker)  # the job's end waits for the last summary, and a sleep would go on after the signal
    for passing in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        signal.signal(passing, signal.SIG_IGN)  # meant for the job's program
    with suppress(OSError):
        os.nice(_NICE)
    writer = Writer(asked.folder, asked.name)
    try:
        sampler = Sampler(Gpus(library(), visible(os.environ)), writer, every_s=asked.every)
    except NotMeasured as reason:
        writer.replace({"measured": False, "reason": str(reason)})
        return 0
    _die_with_parent()
    began = time.monotonic()
    while not (stopped or _is_over(asked)):
        sampler.step(time.monotonic() - began)
        select.select([woken], [], [], LOOK_S)
    sampler.step(time.monotonic() - began, is_last=True)
    return 0


def visible(environment: Mapping[str, str]) -> str | None:
    """Which GPUs the job was given, in the words of whoever gave them."""
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        if name in environment:
            return environment[name]
    return None


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures a job's GPUs.")
    parser.add_argument("folder")
    parser.add_argument("--parent", type=int, default=os.getppid())
    parser.add_argument("--name", default="")
    parser.add_argument("--every", type=float, default=EVERY_S)
    return parser.parse_args(arguments)


def _is_over(asked: argparse.Namespace) -> bool:
    try:
        os.kill(asked.parent, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives, as somebody else
    return os.path.exists(f"{asked.folder}/{STOP}")  # noqa: PTH110  a light start


def _die_with_parent() -> None:
    """SIGTERM when the one who started us is gone, so that the last summary is still written."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


# ---- pure: from samples to figures ----------------------------------------------------------------------------------


class Total:
    """What is kept of one GPU's samples: constant space, however long the job runs."""

    def __init__(self) -> None:
        self.samples = 0
        self.duration_s = 0.0
        self.peak_memory_mb: float | None = None
        self._used, self._weight = 0.0, 0
        self._energy_j: float | None = None
        self._last: Sample | None = None

    def add(self, sample: Sample) -> None:
        """The next sample, in the order of time."""
        last, self._last = self._last, sample
        self.samples += 1
        if sample.utilisation_pct is not None:
            self._used += sample.utilisation_pct
            self._weight += 1
        if sample.memory_mb is not None:
            self.peak_memory_mb = max(self.peak_memory_mb or 0.0, sample.memory_mb)
        if last is not None:
            self._pass(last, sample)

    def _pass(self, last: Sample, sample: Sample) -> None:
        passed_s = max(0.0, sample.at_s - last.at_s)
        self.duration_s += passed_s
        powers = [power for power in (last.power_w, sample.power_w) if power is not None]
        mean_w = sum(powers) / len(powers) if powers else None
        spent_j = None if mean_w is None else mean_w * passed_s
        if last.energy_j is not None and sample.energy_j is not None and sample.energy_j >= last.energy_j:
            spent_j = sample.energy_j - last.energy_j  # the counter, unless there is none or it was reset
        if spent_j is not None:
            self._energy_j = (self._energy_j or 0.0) + spent_j

    def figures(self) -> dict[str, float | int | None]:
        """Of this GPU; None for what it never told."""
        return {
            "samples": self.samples,
            "duration_s": round(self.duration_s, 3),
            "utilisation_pct": round(self._used / self._weight, 3) if self._weight else None,
            "memory_peak_mb": None if self.peak_memory_mb is None else round(self.peak_memory_mb, 3),
            "energy_j": None if self._energy_j is None else round(self._energy_j, 3),
        }


def summary(totals: Mapping[str, Total]) -> dict[str, object]:
    """What gpu.json says."""
    gpus = {name: total.figures() for name, total in totals.items()}
    if not any(figures["samples"] for figures in gpus.values()):
        return {"measured": False, "reason": "no-sample"}
    return {"measured": True, "gpus": gpus}


def facts(summaries: Iterable[object]) -> dict[str, str | float]:
    """The facts of a usage record, from the summaries of all nodes as read from JSON; nonsense counts as absent.

    Utilisation: the mean over the GPUs. Memory: the peak of any one GPU. Energy: the sum, only when every GPU told it.
    """
    gpus = [figures for told in summaries for figures in _gpus_of(told)]
    used = [value for figures in gpus if (value := _figure(figures, "utilisation_pct", most=100.0)) is not None]
    memory = [value for figures in gpus if (value := _figure(figures, "memory_peak_mb", most=1e9)) is not None]
    energy = [_figure(figures, "energy_j", most=1e13) for figures in gpus]
    found: dict[str, str | float] = {}
    if used:
        found["gpu_utilisation_pct"] = round(sum(used) / len(used), 3)
    if memory:
        found["gpu_memory_peak_mb"] = round(max(memory), 3)
    told = [value for value in energy if value is not None]
    if told and len(told) == len(gpus):
        found["gpu_energy_j"] = round(sum(told), 3)
    return found or {"gpu_measured": "no"}


def _gpus_of(told: object) -> list[Mapping[object, object]]:
    gpus = told.get("gpus") if isinstance(told, Mapping) and told.get("measured") is True else None
    if not isinstance(gpus, Mapping) or len(gpus) > _MOST_GPUS:
        return []
    return [figures for figures in gpus.values() if isinstance(figures, Mapping)]


def _figure(figures: Mapping[object, object], name: str, *, most: float) -> float | None:
    value = figures.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= most and math.isfinite(value) else None


if __name__ == "__main__":
    sys.exit(main())
