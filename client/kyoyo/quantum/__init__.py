"""Quantum work without Qiskit: devices, programs, results and charts, for the command line and for `kyoyo.qiskit`."""

from kyoyo.quantum.devices import Calibration, Device, GateData, OfflineWindow, QubitData, Sale
from kyoyo.quantum.errors import (
    BadPrecision,
    BadShots,
    DocumentTooLarge,
    JobFailed,
    SessionOver,
    TooManyQubits,
    UnknownBackend,
)

__all__ = [
    "BadPrecision",
    "BadShots",
    "Calibration",
    "Device",
    "DocumentTooLarge",
    "GateData",
    "JobFailed",
    "OfflineWindow",
    "QubitData",
    "Sale",
    "SessionOver",
    "TooManyQubits",
    "UnknownBackend",
]
