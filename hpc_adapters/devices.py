"""What a quantum backend tells of its device, and what it expects a program to need, beside the port. Values only.

A device's data change by themselves: each calibration has an id, and a result names the one under which it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from hpc_adapters.contract import Circuit


class DeviceState(StrEnum):
    """Whether a device takes work now. A vendor's word that we do not know is OFFLINE, with the word as the detail."""

    ONLINE = "online"
    CALIBRATING = "calibrating"
    MAINTENANCE = "maintenance"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class GateData:
    """One gate on these qubits. None: not told."""

    name: str
    qubits: tuple[int, ...]
    error: float | None = None
    duration_ns: float | None = None


@dataclass(frozen=True, slots=True)
class QubitData:
    """One qubit. None: not told."""

    t1_us: float | None = None
    t2_us: float | None = None
    readout_error: float | None = None
    readout_ns: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """`id`: the vendor's, or the first 16 hex digits of SHA-256 over the canonical JSON of gates and qubits."""

    id: str
    at: datetime | None
    """When it was made, by the vendor; None: not told."""
    qubits: Sequence[QubitData] = ()
    gates: Sequence[GateData] = ()
    two_qubit_error: float | None = None
    """Median over the couplings."""
    readout_error: float | None = None
    """Median over the qubits."""


@dataclass(frozen=True, slots=True)
class OfflineWindow:
    """The device will take no work in [since, until)."""

    since: datetime
    until: datetime
    kind: DeviceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device as its backend tells of it now."""

    name: str
    vendor: str
    """A short machine word: 'aer', 'ibm', 'oqtopus', 'iqm' …"""
    technology: str
    """'superconducting', 'ion-trap', 'neutral-atom', 'photonic', 'simulator' …; empty: not told."""
    qubits: int
    basis_gates: Sequence[str]
    coupling: Sequence[tuple[int, int]] | None
    """Pairs of qubits that may be coupled, each as it is directed; None: all."""
    simulator: bool
    domestic: bool
    """Whether it stands in Japan."""
    sessions: bool
    max_shots: int
    max_circuits: int
    """In one job."""
    clops: int | None = None
    quantum_volume: int | None = None
    state: DeviceState = DeviceState.ONLINE
    detail: str = ""
    """A short machine word of the backend for its state."""
    queue: int | None = None
    """Jobs that wait at the vendor, everybody's; None: not told."""
    windows: Sequence[OfflineWindow] = ()
    calibration: Calibration | None = None
    observed_at: datetime


class EstimateSource(StrEnum):
    """Where an estimate of QPU time comes from."""

    DURATIONS = "durations"
    """The program was translated for the device and its gates' durations were added up."""
    MODEL = "model"
    """The device's calibrated service-time model: base per job, time per thousand shots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEstimate:
    """QPU time that a program will need. low_us ≤ high_us."""

    low_us: int
    high_us: int
    source: EstimateSource
    qubits: int | None = None
    depth: int | None = None
    two_qubit_gates: int | None = None
    calibration_id: str | None = None


@runtime_checkable
class Devices(Protocol):
    """A backend that is one quantum device implements this beside `Backend`."""

    async def device(self) -> Device:
        """As it is now. Unavailable."""

    async def estimate(self, circuit: Circuit) -> ServiceEstimate:
        """By translation in a confined process where that is possible, else by the model.

        `Rejected`: it could not run here, with the code that `submit` or the run itself would give. Unavailable.
        """
