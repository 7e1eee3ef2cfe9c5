"""A simulated quantum device: its size, its gates, and how long and how much of it a job uses.

The service-time model is the one that measured machines follow: a base time for each job, and a time for each thousand
shots of each circuit. It is in whole microseconds, rounded down: exact, and never to the customer's cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

from hpc_adapters.contract import Seen
from hpc_adapters.devices import DeviceState, OfflineWindow
from hpc_adapters.programs import METHODS

_KSHOT = 1000
_MICROSECOND = timedelta(microseconds=1)
_STATE_VECTOR = "statevector"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTime:
    """The model of one job. Frozen with the job, so that new device settings never change an old job's usage."""

    base_us: int
    per_kshot_us: int
    shots: int
    circuits: int = 1

    @property
    def full_us(self) -> int:
        """QPU time of the whole job."""
        return self.base_us + self.per_kshot_us * self.shots * self.circuits // _KSHOT

    def shots_within(self, used_us: int) -> int:
        """How many shots the model has taken after this much QPU time."""
        if used_us >= self.full_us:
            return self.shots * self.circuits
        return max(0, used_us - self.base_us) * _KSHOT // self.per_kshot_us if self.per_kshot_us else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """One device as an operator configures it."""

    name: str
    qubits: int
    max_shots: int
    """Of one circuit with one set of parameters."""
    base_us: int
    per_kshot_us: int
    basis_gates: Sequence[str] = ("rz", "sx", "x", "cx")
    coupling: Sequence[tuple[int, int]] | None = None
    """Pairs of qubits that may be coupled; None: all."""
    domestic: bool = True
    """Whether it stands in Japan."""
    slots: int = 1
    """Jobs at a time. A device is serial: more than 1 is for simulators."""
    paced: bool = True
    """Hold the device for as long as the model says, so that its utilisation means what a real device's does."""
    max_operations: int = 100_000
    memory_mb: int = 1024
    """For the state vector; 2^26 amplitudes fill it."""
    cpus: int = 1
    methods: Sequence[str] = METHODS
    """Of simulation; the first is taken where a program names none. Without 'statevector' there may be more qubits
    than the memory has room for."""
    gpu: bool = False
    """Simulate on a GPU. Where the simulator has none, every program ends as 'no-gpu'."""
    noise: bool = True
    """Simulate the errors of the calibration, where there is one and the program does not say otherwise."""
    calibration: Path | None = None
    """A TOML or JSON file, see `calibrations`; read again when it changes."""
    technology: str = "simulator"
    sold_as: Literal["qpu", "simulator"] = "qpu"
    """A simulator has no service time: it is charged for the seconds that its CPUs or its GPU computed ('sim_s'), is
    never paced, and knows no cap of QPU time. What stands for a QPU is charged by the model ('qpu_s')."""
    rep_delay_us: int = 250
    """Between two shots; of estimates by durations."""
    windows: Sequence[OfflineWindow] = ()
    cap_slack_s: float = 5.0
    """A program's cap of QPU time ends its simulation so long after it: it may be slower than what it simulates."""
    estimate_s: float = 20.0
    """So long an estimate may take by translation, before the model answers alone."""

    def __post_init__(self) -> None:
        if min(self.qubits, self.max_shots, self.slots, self.memory_mb, self.cpus, self.max_operations) < 1:
            raise ValueError("qubits, max_shots, slots, memory_mb, cpus and max_operations are at least 1")
        if min(self.base_us, self.per_kshot_us, self.rep_delay_us) < 0:
            raise ValueError("a service time is not negative")
        if self.sold_as not in ("qpu", "simulator"):
            raise ValueError("a device is sold as 'qpu' or as 'simulator'")
        if not self.methods or set(self.methods) - set(METHODS):
            raise ValueError(f"methods are some of {', '.join(METHODS)}")
        if _STATE_VECTOR in self.methods and 16 * 2**self.qubits > self.memory_mb * 2**20:
            raise ValueError(f"the state vector of {self.qubits} qubits does not fit into {self.memory_mb} MB")

    @property
    def is_simulator(self) -> bool:
        """Whether it is sold by the simulator's seconds."""
        return self.sold_as == "simulator"

    @property
    def sim_units(self) -> int:
        """What a program holds while it is executed: one GPU, or so many CPUs."""
        return 1 if self.gpu else self.cpus

    def service_time(self, shots: int) -> ServiceTime:
        if self.is_simulator:
            return ServiceTime(base_us=0, per_kshot_us=0, shots=shots)
        return ServiceTime(base_us=self.base_us, per_kshot_us=self.per_kshot_us, shots=shots)

    def state_at(self, now: datetime) -> DeviceState:
        """By the configured windows."""
        within = (window.kind for window in self.windows if window.since <= now < window.until)
        return next(within, DeviceState.ONLINE)


def used(
    service: ServiceTime,
    ending: Seen,
    executed: timedelta | None,
    *,
    taken: int | None = None,
    cap_us: int | None = None,
) -> Mapping[str, Decimal]:
    """What a job used of the device.

    `executed`: how long its execution phase has lasted, None when it never reached the device. Succeeded: the whole
    model, of the executions that were `taken` (fewer than declared where observables were measured together). Stopped
    (cancelled, out of walltime, at its cap of QPU time) or still running: the wall time of the execution phase up to
    the whole model and the cap, and the shots of that time. Any other end is the program's error, or the device's own
    failure, and leaves no counts: nothing.
    """
    if ending is Seen.SUCCEEDED:
        if taken is not None and 0 <= taken < service.shots:
            service = replace(service, shots=taken)
        used_us = service.full_us
    elif executed is not None and ending in {Seen.CANCELLED, Seen.TIMED_OUT, Seen.RUNNING}:
        used_us = min(max(0, executed // _MICROSECOND), service.full_us)
        used_us = used_us if cap_us is None else min(used_us, cap_us)
    else:
        return {"qpu_s": Decimal(0), "shot": Decimal(0)}
    return {"qpu_s": Decimal(used_us) / 1_000_000, "shot": Decimal(service.shots_within(used_us))}


def simulated(
    ending: Seen, executed: timedelta | None, *, units: int, shots: int, taken: int | None = None
) -> Mapping[str, Decimal]:
    """What a job used of a simulator that is sold as one: its units, for as long as the execution phase lasted.

    The same ends are charged as in `used`. `shots`: as declared; counted where the program came to its end, because a
    simulation that was stopped does not say how far it was.
    """
    if executed is None or ending not in {Seen.SUCCEEDED, Seen.CANCELLED, Seen.TIMED_OUT, Seen.RUNNING}:
        return {"sim_s": Decimal(0), "shot": Decimal(0)}
    held_us = max(0, executed // _MICROSECOND) * units
    done = min(shots, shots if taken is None else taken) if ending is Seen.SUCCEEDED else 0
    return {"sim_s": Decimal(held_us) / 1_000_000, "shot": Decimal(done)}
