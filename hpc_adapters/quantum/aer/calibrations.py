"""A device's calibration from a file, with the history of what the file has said.

TOML or JSON (by its suffix), all keys but `qubits` and `gates` optional:

    at = 2026-04-01T03:00:00+09:00
    basis_gates = ["rz", "sx", "x", "cx"]        # instead of the settings'
    coupling = [[0, 1], [1, 0]]                  # instead of the settings'
    qubits = [{t1_us = 120.0, t2_us = 90.0, readout_error = 0.02, readout_ns = 1200.0}]
    gates = [{name = "cx", qubits = [0, 1], error = 0.008, duration_ns = 340.0}]

`python -m hpc_adapters.quantum.aer.fake_device NAME` writes one from a device that qiskit-ibm-runtime remembers.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, Final

from hpc_adapters.devices import Calibration, GateData, QubitData

_MAX_BYTES: Final = 4 * 2**20
_ID_DIGITS: Final = 16
_TWO: Final = 2
_PACKAGES: Final = Path(__file__).resolve().parents[3]
_PATIENCE_S: Final = 120


class CalibrationUnreadable(Exception):
    """The file is not there, or says something else. The message says what."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the file says now."""

    calibration: Calibration
    basis_gates: Sequence[str] | None
    coupling: Sequence[tuple[int, int]] | None


class CalibrationFile:
    """Read again whenever it has changed. What it said before stays below `kept`, by its id."""

    def __init__(self, path: Path, kept: Path, *, qubits: int) -> None:
        """CalibrationUnreadable, also where it is of another number of qubits."""
        self._path, self._kept, self._qubits = path, kept, qubits
        self.problem = ""
        """Why the file as it is now is not in use; empty mostly."""
        self._stamp = self._stamped()
        self._loaded = self._load()

    def current(self) -> Loaded:
        """The latest that could be read. Blocking, and cheap while nothing has changed."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._loaded, self.problem = self._load(), ""
            except CalibrationUnreadable as error:
                self.problem = str(error)
        return self._loaded

    def history(self) -> Sequence[Calibration]:
        """All that were ever in use, the oldest first."""
        found = [path for path in self._kept.glob("*.json") if not path.name.startswith(".")]
        return [_read(path).calibration for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    def _stamped(self) -> tuple[int, int]:
        try:
            told = self._path.stat()
        except OSError:
            return (0, 0)
        return (told.st_mtime_ns, told.st_size)

    def _load(self) -> Loaded:
        loaded = _read(self._path)
        if (told := len(loaded.calibration.qubits)) != self._qubits:
            raise CalibrationUnreadable(f"{self._path.name}: of {told} qubits, and the device has {self._qubits}")
        self._kept.mkdir(parents=True, exist_ok=True)
        place = self._kept / f"{loaded.calibration.id}.json"
        if not place.exists():
            aside = self._kept / f".{place.name}.new"
            aside.write_text(json.dumps(_told(loaded)), encoding="utf-8")
            aside.rename(place)
        return loaded


def calibration_like(name: str, root: Path) -> Path:
    """A file made once from a device that qiskit-ibm-runtime remembers. CalibrationUnreadable: it does not."""
    place = root / f".{name}.json"
    if not place.exists():
        command = [sys.executable, "-m", "hpc_adapters.quantum.aer.fake_device", name]
        try:
            said = subprocess.run(command, cwd=_PACKAGES, capture_output=True, check=True, timeout=_PATIENCE_S)  # noqa: S603  our own program
        except (OSError, subprocess.SubprocessError) as error:
            raise CalibrationUnreadable(f"{name}: qiskit-ibm-runtime is not here, or has no such device") from error
        aside = root / f".{name}.new"
        aside.write_bytes(said.stdout)
        aside.rename(place)
    return place


def qubits_in(path: Path) -> int:
    """Of how many qubits it is. CalibrationUnreadable."""
    return len(_read(path).calibration.qubits)


def calibration_of(qubits: Sequence[QubitData], gates: Sequence[GateData], at: datetime | None) -> Calibration:
    """With its id and its medians."""
    couplings = [gate.error for gate in gates if len(gate.qubits) == _TWO and gate.error is not None]
    readouts = [qubit.readout_error for qubit in qubits if qubit.readout_error is not None]
    ordered = sorted(gates, key=lambda gate: (gate.name, gate.qubits))
    said = {"gates": [asdict(gate) for gate in ordered], "qubits": [asdict(qubit) for qubit in qubits]}
    return Calibration(
        id=sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:_ID_DIGITS],
        at=at,
        qubits=tuple(qubits),
        gates=tuple(ordered),
        two_qubit_error=median(couplings) if couplings else None,
        readout_error=median(readouts) if readouts else None,
    )


def _read(path: Path) -> Loaded:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CalibrationUnreadable(f"{path.name}: larger than {_MAX_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        told = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return _loaded(told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CalibrationUnreadable(f"{path.name}: {type(error).__name__}: {error}"[:300]) from error


def _loaded(told: Mapping[str, Any]) -> Loaded:
    at = told.get("at")
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
        raise ValueError("'at' needs its time zone")
    qubits = [QubitData(**_numbers(each)) for each in told["qubits"]]
    gates = [_gate(each, len(qubits)) for each in told["gates"]]
    coupling = told.get("coupling")
    basis = told.get("basis_gates")
    return Loaded(
        calibration=calibration_of(qubits, gates, None if at is None else at.astimezone(UTC)),
        basis_gates=None if basis is None else tuple(str(name) for name in basis),
        coupling=None if coupling is None else tuple((int(a), int(b)) for a, b in coupling),
    )


def _gate(told: Mapping[str, Any], qubits: int) -> GateData:
    rest = {key: value for key, value in told.items() if key not in {"name", "qubits"}}
    places = tuple(int(qubit) for qubit in told["qubits"])
    if not all(0 <= qubit < qubits for qubit in places):
        raise ValueError(f"gate {told['name']} on qubits {places}")
    return GateData(name=str(told["name"]), qubits=places, **_numbers(rest))


def _numbers(told: Mapping[str, Any]) -> dict[str, float | None]:
    """Errors between 0 and 1, times that are not negative."""
    found: dict[str, float | None] = {}
    for key, value in told.items():
        number = None if value is None else float(value)
        if number is not None and not (math.isfinite(number) and number >= 0 and ("error" not in key or number <= 1)):
            raise ValueError(f"{key} = {value}")
        found[key] = number
    return found


def _told(loaded: Loaded) -> dict[str, Any]:
    calibration = loaded.calibration
    return {
        "at": None if calibration.at is None else calibration.at.isoformat(),
        "basis_gates": loaded.basis_gates,
        "coupling": loaded.coupling,
        "qubits": [asdict(qubit) for qubit in calibration.qubits],
        "gates": [asdict(gate) for gate in calibration.gates],
    }
