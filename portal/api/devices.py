"""Quantum devices as products: what each can do, how good it is today, how long its lines are, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from accounts import service as accounts
from accounts.model import CustomerClass
from hpc_adapters.devices import Calibration, OfflineWindow
from infra.db.connection import Conn
from portal.api.offerings import PriceOut, is_sold, prices_out
from portal.api.wire import Count, Items, Out
from portal.auth.caller import AnyCaller, Caller
from portal.language import Language
from pricing import service as pricing
from pricing.model import OfferingWithPrices
from scheduler import service as scheduler
from scheduler.core.windows import next_window
from scheduler.devices import CalibrationThen, ConditionThen, Registered

router = APIRouter(tags=["devices"])
_PAGE = 50
HISTORY = 20
_TEXT = r"^[^\x00]+$"
"""What a text in the database can be."""
Name = Annotated[str, Path(max_length=200, pattern=_TEXT, description="Of the device, as its offering's backend.")]
Sold = Mapping[str, Sequence[OfferingWithPrices]]
"""What is sold, by backend."""


class WindowOut(Out):
    """The device takes no work in [since, until)."""

    since: datetime
    until: datetime
    kind: Annotated[str, Field(examples=["calibrating"])]


class GateOut(Out):
    name: str
    qubits: list[int]
    error: float | None
    duration_ns: float | None


class QubitOut(Out):
    t1_us: float | None
    t2_us: float | None
    readout_error: float | None
    readout_ns: float | None


class CalibrationOut(Out):
    """`id` stands in each result made under it. The errors are medians. Data is told where one is asked for."""

    id: str
    at: datetime | None
    two_qubit_error: float | None
    readout_error: float | None
    qubits: list[QubitOut] = Field(default_factory=list)
    gates: list[GateOut] = Field(default_factory=list)


class CalibrationThenOut(CalibrationOut):
    """`recorded_at`: when we first heard of it."""

    recorded_at: datetime


class CalibrationPage(Items[CalibrationThenOut]):
    next_cursor: str | None


class DeviceOfferingOut(Out):
    """An offering that sells the device, with this organisation's prices."""

    id: str
    title: str
    max_walltime_s: int
    max_shots: int
    max_session_s: int
    max_session_idle_s: int
    prices: list[PriceOut]


class DeviceOut(Out):
    """A device as it last told of itself. `state`: online, calibrating, maintenance or offline, since `since`.

    `queue`: jobs that wait at its vendor, everybody's; null: it does not tell. `waiting`: jobs that wait for it here.
    `domestic`: it stands in Japan. `offering` and `prices` are those of the first of `offerings`.
    """

    name: str
    vendor_name: str
    vendor: str
    technology: str
    qubits: int
    basis_gates: list[str]
    coupling: Annotated[list[tuple[int, int]] | None, Field(description="Pairs of qubits; null: all of them.")]
    simulator: bool
    domestic: bool
    sessions: bool
    max_shots: int
    max_circuits: int
    clops: int | None
    quantum_volume: int | None
    state: str
    detail: str
    since: datetime
    observed_at: datetime
    queue: int | None
    waiting: int
    next_window: WindowOut | None
    windows: list[WindowOut]
    calibration: CalibrationOut | None
    offering: str | None
    prices: list[PriceOut]
    offerings: list[DeviceOfferingOut]


class StateThenOut(Out):
    """So it was from `recorded_at` on."""

    recorded_at: datetime
    state: str
    detail: str
    queue: int | None
    windows: list[WindowOut]


class DeviceDetail(DeviceOut):
    """With its calibration's data, and what its state was, newest first."""

    history: list[StateThenOut]


@router.get("/devices")
async def list_devices(caller: AnyCaller) -> Items[DeviceOut]:
    """Every quantum device that is sold, with its state, lines, next offline window and prices."""
    async with caller.transaction() as conn:
        found = await scheduler.devices(conn)
        sold, waiting = await sold_by_backend(conn, caller), await scheduler.waiting_at(conn)
    return Items(items=[DeviceOut(**facts_of(each, caller, sold, waiting)) for each in found if each.backend in sold])


@router.get("/devices/{name}")
async def get_device(caller: AnyCaller, name: Name) -> DeviceDetail:
    """One device with its latest calibration and what its state was."""
    async with caller.transaction() as conn:
        found = await scheduler.device(conn, name)
        history = await scheduler.device_history(conn, name, limit=HISTORY)
        sold, waiting = await sold_by_backend(conn, caller), await scheduler.waiting_at(conn)
    return DeviceDetail(**facts_of(found, caller, sold, waiting), history=[_state_out(each) for each in history])


@router.get("/devices/{name}/calibrations")
async def list_calibrations(
    caller: AnyCaller,
    name: Name,
    limit: Annotated[Count, Query(description="At most 200.")] = _PAGE,
    cursor: Annotated[str | None, Query(max_length=500, description="next_cursor of the page before.")] = None,
) -> CalibrationPage:
    """Its calibrations as we heard of them, newest first, without their data."""
    async with caller.transaction() as conn:
        page = await scheduler.calibrations(conn, name, limit=limit, cursor=cursor)
    return CalibrationPage(items=[_then_out(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/devices/{name}/calibrations/{calibration}")
async def get_calibration(
    caller: AnyCaller, name: Name, calibration: Annotated[str, Path(max_length=200, pattern=_TEXT)]
) -> CalibrationThenOut:
    """One calibration with its data: what a result was made under."""
    async with caller.transaction() as conn:
        return _then_out(await scheduler.calibration(conn, name, calibration))


async def sold_by_backend(conn: Conn, caller: Caller) -> Sold:
    """What can be bought now, at the caller's prices; staff see startups'."""
    customer_class = CustomerClass.STARTUP
    if caller.principal.organisation_id is not None:
        customer_class = (await accounts.require_eligible(conn, caller.organisation_id, now=caller.now)).customer_class
    sold: dict[str, list[OfferingWithPrices]] = {}
    for each in await pricing.offerings(conn, customer_class=customer_class, now=caller.now):
        if is_sold(each.offering, caller.now):
            sold.setdefault(each.offering.backend, []).append(each)
    return sold


def facts_of(found: Registered, caller: Caller, sold: Sold, waiting: Mapping[str, int]) -> dict[str, Any]:
    """The fields of a DeviceOut."""
    device = found.device
    offerings = [_offering_out(each, caller.language) for each in sold.get(found.backend, ())]
    coming = next_window(device.windows, now=caller.now)
    return {
        "name": found.backend,
        "vendor_name": device.name,
        "vendor": device.vendor,
        "technology": device.technology,
        "qubits": device.qubits,
        "basis_gates": list(device.basis_gates),
        "coupling": None if device.coupling is None else list(device.coupling),
        "simulator": device.simulator,
        "domestic": device.domestic,
        "sessions": device.sessions,
        "max_shots": device.max_shots,
        "max_circuits": device.max_circuits,
        "clops": device.clops,
        "quantum_volume": device.quantum_volume,
        "state": device.state.value,
        "detail": device.detail,
        "since": found.since,
        "observed_at": found.heard_at,
        "queue": device.queue,
        "waiting": waiting.get(found.backend, 0),
        "next_window": None if coming is None else _window_out(coming),
        "windows": [_window_out(each) for each in device.windows],
        "calibration": None if device.calibration is None else CalibrationOut(**_calibration(device.calibration)),
        "offering": offerings[0].id if offerings else None,
        "prices": offerings[0].prices if offerings else [],
        "offerings": offerings,
    }


def _offering_out(found: OfferingWithPrices, language: Language) -> DeviceOfferingOut:
    each = found.offering
    return DeviceOfferingOut(
        id=each.id,
        title=each.title_ja if language is Language.JA else each.title_en,
        max_walltime_s=each.max_walltime_s,
        max_shots=each.max_shots,
        max_session_s=each.max_session_s,
        max_session_idle_s=each.max_session_idle_s,
        prices=[price for version in found.prices for price in prices_out(version)],
    )


def _window_out(window: OfflineWindow) -> WindowOut:
    return WindowOut(since=window.since, until=window.until, kind=window.kind.value)


def _state_out(then: ConditionThen) -> StateThenOut:
    condition = then.condition
    return StateThenOut(
        recorded_at=then.recorded_at,
        state=condition.state.value,
        detail=condition.detail,
        queue=condition.queue,
        windows=[_window_out(each) for each in condition.windows],
    )


def _then_out(then: CalibrationThen) -> CalibrationThenOut:
    return CalibrationThenOut(**_calibration(then.calibration), recorded_at=then.recorded_at)


def _calibration(found: Calibration) -> dict[str, Any]:
    return {
        "id": found.id,
        "at": found.at,
        "two_qubit_error": found.two_qubit_error,
        "readout_error": found.readout_error,
        "qubits": [
            QubitOut(t1_us=each.t1_us, t2_us=each.t2_us, readout_error=each.readout_error, readout_ns=each.readout_ns)
            for each in found.qubits
        ],
        "gates": [
            GateOut(name=each.name, qubits=list(each.qubits), error=each.error, duration_ns=each.duration_ns)
            for each in found.gates
        ],
    }
