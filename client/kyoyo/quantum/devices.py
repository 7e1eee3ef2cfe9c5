"""Quantum devices as the portal tells of them: what they can do, how good they are today, what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kyoyo.models import Fields, Json, Offering, Price

ONLINE = "online"


@dataclass(frozen=True, slots=True)
class GateData:
    """One gate on these qubits: error as a probability, duration in nanoseconds. None: not told."""

    name: str
    qubits: tuple[int, ...]
    error: float | None = None
    duration_ns: float | None = None

    @classmethod
    def of(cls, told: object) -> GateData:
        """Read one gate of a calibration."""
        gate = Fields(told)
        qubits = tuple(gate.integers("qubits"))
        return cls(gate.text("name"), qubits, gate.number("error"), gate.number("duration_ns"))


@dataclass(frozen=True, slots=True)
class QubitData:
    """One qubit: coherence in microseconds, readout in nanoseconds. None: not told."""

    t1_us: float | None = None
    t2_us: float | None = None
    readout_error: float | None = None
    readout_ns: float | None = None

    @classmethod
    def of(cls, told: object) -> QubitData:
        """Read one qubit of a calibration."""
        qubit = Fields(told)
        return cls(
            qubit.number("t1_us"), qubit.number("t2_us"), qubit.number("readout_error"), qubit.number("readout_ns")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """`id` stands in each result made under it; the errors are medians over the couplings and over the qubits."""

    id: str
    at: datetime | None = None
    qubits: Sequence[QubitData] = ()
    gates: Sequence[GateData] = ()
    two_qubit_error: float | None = None
    readout_error: float | None = None

    @classmethod
    def of(cls, told: Fields) -> Calibration | None:
        """Read a calibration, or nothing."""
        if not told.told:
            return None
        return cls(
            id=told.text("id", ""),
            at=told.instant("at"),
            qubits=told.items(QubitData.of, "qubits"),
            gates=told.items(GateData.of, "gates"),
            two_qubit_error=told.number("two_qubit_error"),
            readout_error=told.number("readout_error"),
        )


@dataclass(frozen=True, slots=True)
class OfflineWindow:
    """The device takes no work in [since, until). `kind`: calibrating, maintenance, offline."""

    since: datetime | None
    until: datetime | None
    kind: str

    @classmethod
    def of(cls, told: object) -> OfflineWindow:
        """Read one window."""
        window = Fields(told)
        return cls(window.instant("since"), window.instant("until"), window.text("kind", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """An offering of a device. `max_session_s` 0: no sessions are sold."""

    id: str
    max_session_s: int
    max_session_idle_s: int
    prices: Sequence[Price]

    @classmethod
    def of(cls, told: object) -> Sale:
        """Read one offering of a device."""
        sale = Fields(told)
        return cls(
            id=sale.text("id"),
            max_session_s=sale.integer("max_session_s", 0),
            max_session_idle_s=sale.integer("max_session_idle_s", 0),
            prices=sale.items(Price.of, "prices"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device and the offering that sells it. `coupling` None: every pair; `queue` None: the vendor does not tell.

    `name` is the portal's, `vendor_name` the vendor's own; `waiting`: jobs that wait for it in the portal. A word in
    `state` that we do not know means that it takes no work. `sales`: all offerings of it, where they are told.
    """

    name: str
    offering: str
    vendor_name: str = ""
    waiting: int = 0
    sales: Sequence[Sale] = ()
    vendor: str = ""
    technology: str = ""
    qubits: int = 0
    basis_gates: Sequence[str] = ()
    coupling: Sequence[tuple[int, int]] | None = None
    simulator: bool = False
    domestic: bool = False
    sessions: bool = False
    max_shots: int | None = None
    max_circuits: int | None = None
    clops: int | None = None
    quantum_volume: int | None = None
    state: str = ONLINE
    detail: str = ""
    queue: int | None = None
    windows: Sequence[OfflineWindow] = ()
    calibration: Calibration | None = None
    observed_at: datetime | None = None
    prices: Sequence[Price] = ()
    raw: Json

    @property
    def online(self) -> bool:
        """Whether it takes work now."""
        return self.state == ONLINE

    @property
    def line(self) -> int | None:
        """Jobs that wait for it, here and at its vendor, as far as they are told."""
        return self.waiting or None if self.queue is None else self.queue + self.waiting

    @property
    def sale(self) -> Sale | None:
        """The offering by which it is bought."""
        return next((each for each in self.sales if each.id == self.offering), None)

    @property
    def names(self) -> str:
        """By what it can be named: its own, and those of its offerings where they differ."""
        offerings = [each.id for each in self.sales] or [self.offering]
        others = [each for each in offerings if each != self.name]
        return f"{self.name} ({', '.join(others)})" if others else self.name

    def called(self, name: str) -> Device | None:
        """Itself where that is a name of it; where it is an offering's, bought by that. None: it is not called so."""
        for each in self.sales:
            if each.id == name:
                return replace(self, offering=name, prices=each.prices)
        return self if name in {self.name, self.vendor_name, self.offering} else None

    def next_stop(self, now: datetime) -> OfflineWindow | None:
        """The window in which it will next take no work, or the present one."""
        coming = [each for each in self.windows if each.since and (each.until is None or each.until > now)]
        return min(coming, key=lambda each: each.since or now, default=None)

    @classmethod
    def of(cls, told: object) -> Device:
        """Read one device."""
        device = Fields(told)
        coupling = device.told.get("coupling")
        return cls(
            name=device.text("name"),
            offering=device.text("offering", "") or device.text("name"),
            vendor_name=device.text("vendor_name", ""),
            waiting=device.integer("waiting", 0),
            sales=device.items(Sale.of, "offerings"),
            vendor=device.text("vendor", ""),
            technology=device.text("technology", ""),
            qubits=device.integer("qubits", 0),
            basis_gates=[str(each) for each in device.items(str, "basis_gates")],
            coupling=None if coupling is None else device.items(_pair, "coupling"),
            simulator=device.told.get("simulator") is True,
            domestic=device.told.get("domestic") is True,
            sessions=device.told.get("sessions") is True,
            max_shots=device.optional_integer("max_shots"),
            max_circuits=device.optional_integer("max_circuits"),
            clops=device.optional_integer("clops"),
            quantum_volume=device.optional_integer("quantum_volume"),
            state=device.text("state", ONLINE),
            detail=device.text("detail", ""),
            queue=device.optional_integer("queue"),
            windows=device.items(OfflineWindow.of, "windows"),
            calibration=Calibration.of(device.inner("calibration")),
            observed_at=device.instant("observed_at"),
            prices=device.items(Price.of, "prices"),
            raw=device.told,
        )


def device_of_offering(offering: Offering) -> Device:
    """What an offering alone tells of its device: of a portal that knows offerings and no devices."""
    hardware, limits = Fields(offering.hardware), Fields(offering.limits)
    return Device(
        name=offering.id,
        offering=offering.id,
        qubits=hardware.integer("qubits", limits.integer("max_qubits", 0)),
        simulator=offering.hardware.get("simulated") is True,
        max_shots=limits.optional_integer("max_shots"),
        prices=offering.prices,
        raw=offering.raw,
    )


def _pair(told: object) -> tuple[int, int]:
    first, second = Fields({"pair": told}).integers("pair")
    return first, second
