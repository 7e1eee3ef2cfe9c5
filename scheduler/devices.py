"""The register of quantum devices: what they told of themselves, when it changed, and the forms it is kept in. Pure.

A device is known by the name of its backend, as offerings and jobs are; what its vendor calls it is told beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from hpc_adapters.devices import Calibration, Device, DeviceState, GateData, OfflineWindow, QubitData

UNAVAILABLE = "unavailable"
"""Detail of a device that does not answer."""
NOT_CONFIGURED = "not-configured"
"""Detail of a device that is no longer among the configured backends."""
MAX_WINDOWS = 100
_MAX_DETAIL = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What of a device changes from hour to hour."""

    state: DeviceState
    detail: str = ""
    queue: int | None = None
    """Jobs that wait at the vendor, everybody's; None: not told."""
    windows: tuple[OfflineWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionThen:
    """An entry of a device's history: so it was from `recorded_at` on."""

    recorded_at: datetime
    condition: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A device as the register has it. device.calibration: the latest; where many are listed, without its data."""

    backend: str
    device: Device
    since: datetime
    """When it came into its state."""
    heard_at: datetime
    """When it last told of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationThen:
    """A calibration and when we first heard of it."""

    calibration: Calibration
    recorded_at: datetime


def condition_of(told: Device) -> Condition:
    """What a device says of itself, in bounds."""
    windows = sorted(told.windows, key=lambda each: (each.since, each.until))
    sound = tuple(each for each in windows if each.since < each.until)
    return Condition(
        state=told.state,
        detail=told.detail[:_MAX_DETAIL],
        queue=None if told.queue is None else max(0, told.queue),
        windows=sound[:MAX_WINDOWS],
    )


def away(known: Condition, detail: str) -> Condition:
    """The same device when nobody hears of it: what was announced still holds, how long its line is nobody knows."""
    return Condition(state=DeviceState.OFFLINE, detail=detail, queue=None, windows=known.windows)


# -- as JSON -----------------------------------------------------------------------------------------------------------


def windows_told(windows: Iterable[OfflineWindow]) -> list[dict[str, str]]:
    """For a jsonb column."""
    return [
        {"since": each.since.isoformat(), "until": each.until.isoformat(), "kind": each.kind.value} for each in windows
    ]


def windows_read(told: Iterable[Mapping[str, str]]) -> tuple[OfflineWindow, ...]:
    """What windows_told() wrote."""
    return tuple(
        OfflineWindow(
            since=datetime.fromisoformat(each["since"]),
            until=datetime.fromisoformat(each["until"]),
            kind=DeviceState(each["kind"]),
        )
        for each in told
    )


def calibration_told(calibration: Calibration) -> dict[str, Any]:
    """Its data for a jsonb column: a figure that is none (NaN, infinite) is not told."""
    return {
        "qubits": [_sound(asdict(each)) for each in calibration.qubits],
        "gates": [{**_sound(asdict(each)), "qubits": list(each.qubits)} for each in calibration.gates],
    }


def gates_read(told: Mapping[str, Any]) -> tuple[GateData, ...]:
    """The gates that calibration_told() wrote."""
    return tuple(GateData(**{**each, "qubits": tuple(each["qubits"])}) for each in told["gates"])


def qubits_read(told: Mapping[str, Any]) -> tuple[QubitData, ...]:
    """The qubits that calibration_told() wrote."""
    return tuple(QubitData(**each) for each in told["qubits"])


def figure(value: float | None) -> float | None:
    """A figure that can be kept, or None."""
    return value if value is not None and math.isfinite(value) else None


def _sound(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figure(value) if isinstance(value, float) else value for name, value in told.items()}


def pairs(coupling: Sequence[Sequence[int]] | None) -> tuple[tuple[int, int], ...] | None:
    """A coupling map as it was kept."""
    return None if coupling is None else tuple((first, second) for first, second in coupling)
