"""qpu ls, qpu show, qpu submit, qpu estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import cell, pairs, per, table
from kyoyo.cli.submit import MaxCost, MaxCostEstimate, Name, Parsable, Wait, announce, finish, show_estimate
from kyoyo.client import Client
from kyoyo.models import Estimate
from kyoyo.quantum.devices import Device, OfflineWindow
from kyoyo.quantum.errors import BadShots
from kyoyo.quantum.estimates import NeededTime
from kyoyo.quantum.programs import shots_in
from kyoyo.spec import Choices, JobSpec, spec_of_circuit
from kyoyo.terminal import one_line, yen

Circuit = Annotated[Path, typer.Argument(help="option.circuit", metavar="FILE")]
Backend = Annotated[str | None, typer.Option("--backend", "--device", "--offering", help="option.device")]
Shots = Annotated[int | None, typer.Option("--shots", min=1, help="option.shots")]
Project = Annotated[str | None, typer.Option("--project", help="option.project")]


def qpu_ls(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """List devices."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        devices = client.devices()
    if wants_json:
        session.answer({"items": [device.raw for device in devices]})
        return
    columns = ["device", "offering", "qubits", "queue", "state", "next_stop", "price"]
    rows = [
        [
            one_line(device.name),
            one_line(device.offering),
            cell(device.qubits or None),
            cell(device.line),
            _state(session, device),
            _window(session, device.next_stop(session.now())),
            _prices(session, device),
        ]
        for device in devices
    ]
    table(session, columns, rows, spare=("offering", "next_stop"))


def qpu_show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="option.device_name", metavar="NAME")],
    *,
    wants_json: JSON = False,
) -> None:
    """One device."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        device = client.device(name)
    if wants_json:
        session.answer(device.raw)
    else:
        pairs(session, _about(session, device))


def qpu_submit(
    ctx: typer.Context,
    circuit: Circuit,
    *,
    shots: Shots = None,
    backend: Backend = None,
    name: Name = None,
    project: Project = None,
    max_cost: MaxCost = None,
    parsable: Parsable = False,
    wait: Wait = False,
    wants_json: JSON = False,
) -> None:
    """Submit a circuit, unless its device would not run it: an estimate says so before there is a job."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        spec = _spec(
            session, client, circuit, shots=shots, backend=backend, choices=Choices(name=name, project=project)
        )
        client.estimate(spec, max_cost_yen=max_cost)
        job = client.submit(spec, max_cost_yen=max_cost)
        announce(session, job, parsable=parsable, is_last=not wait)
        if wait:
            finish(session, job)


def qpu_estimate(
    ctx: typer.Context,
    circuit: Circuit,
    *,
    shots: Shots = None,
    backend: Backend = None,
    max_cost: MaxCostEstimate = None,
    wants_json: JSON = False,
) -> None:
    """What a circuit would take and cost."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        spec = _spec(session, client, circuit, shots=shots, backend=backend, choices=Choices())
        told = client.estimate(spec, max_cost_yen=max_cost)
    if wants_json:
        session.answer(told.raw)
        return
    for number, each in enumerate(shots_in(spec.body) or ()):
        session.say("say.estimator", number=number, shots=f"{each:,}", precision=f"{each**-0.5:.2g}")
    _show_time(session, told)
    show_estimate(session, told)


def _spec(
    session: Session, client: Client, circuit: Path, *, shots: int | None, backend: str | None, choices: Choices
) -> JobSpec:
    """The job, for the device of that name; what can be refused without asking is."""
    spec = spec_of_circuit(circuit, shots=shots, choices=choices)
    if backend is None:
        return spec
    device = client.device(backend)
    if shots is not None and device.max_shots is not None and shots > device.max_shots:
        limit = f"{device.max_shots:,}"
        raise BadShots(language=session.texts.language, shots=shots, limit=limit, backend=device.name)
    return spec.on(device.offering)


def _show_time(session: Session, told: Estimate) -> None:
    needed = NeededTime.of(told)
    if needed is None:
        return
    source = session.texts.get(f"word.{needed.source}", one_line(needed.source))
    range_s = {"low": f"{needed.low_s:f}", "likely": f"{needed.expected_s:f}", "high": f"{needed.high_s:f}"}
    session.say("say.qpu_time", **range_s, source=source)
    session.say("say.qpu_cost", low=yen(needed.low_yen), high=yen(told.ceiling_yen))
    session.say("say.qpu_cap", cap=f"{needed.cap_s:f}")


def _about(session: Session, device: Device) -> list[tuple[str, str]]:
    calibration = device.calibration
    told = {
        "device": one_line(device.name),
        "vendor_name": one_line(device.vendor_name) or "-",
        "offering": one_line(device.offering),
        "vendor": one_line(device.vendor) or "-",
        "technology": one_line(device.technology) or "-",
        "state": _state(session, device),
        "queue": cell(device.queue),
        "waiting_here": cell(device.waiting),
        "qubits": cell(device.qubits or None),
        "basis_gates": cell(list(device.basis_gates)) or "-",
        "couplings": "-" if device.coupling is None else cell(len(device.coupling)),
        "quantum_volume": cell(device.quantum_volume),
        "clops": cell(device.clops),
        "two_qubit_error": _error(calibration.two_qubit_error if calibration else None),
        "readout_error": _error(calibration.readout_error if calibration else None),
        "calibration": one_line(calibration.id) if calibration else "-",
        "calibrated_at": cell(calibration.at if calibration else None),
        "next_stop": _window(session, device.next_stop(session.now())),
        "max_shots": cell(device.max_shots),
        "max_circuits": cell(device.max_circuits),
        "sessions": cell(device.sessions),
        "domestic": cell(device.domestic),
        "simulator": cell(device.simulator),
        "price": _prices(session, device),
    }
    return list(told.items())


def _state(session: Session, device: Device) -> str:
    word = session.texts.get(f"word.{device.state}", one_line(device.state))
    return f"{word} ({one_line(device.detail)})" if device.detail else word


def _window(session: Session, window: OfflineWindow | None) -> str:
    if window is None:
        return "-"
    return f"{cell(window.since)} {session.texts.get(f'word.{window.kind}', one_line(window.kind))}"


def _prices(session: Session, device: Device) -> str:
    return "; ".join(f"{yen(price.price_yen)} / {per(session, price)}" for price in device.prices) or "-"


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
