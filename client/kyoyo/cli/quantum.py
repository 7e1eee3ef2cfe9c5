"""qpu ls, qpu submit, qpu result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import cell, per, table
from kyoyo.cli.submit import MaxCost, Name, Parsable, Wait, announce, finish
from kyoyo.models import Offering
from kyoyo.spec import Choices, spec_of_circuit
from kyoyo.terminal import histogram, one_line, yen


def qpu_ls(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """List devices."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        devices = [offering for offering in client.offerings() if offering.kind == "quantum"]
    if wants_json:
        session.answer({"items": [device.raw for device in devices]})
        return
    columns = ["offering", "title", "qubits", "max_shots", "per", "price_yen"]
    table(session, columns, [row for device in devices for row in _rows(session, device)], right=1)


def qpu_submit(
    ctx: typer.Context,
    circuit: Annotated[Path, typer.Argument(help="option.circuit", metavar="FILE")],
    *,
    shots: Annotated[int, typer.Option("--shots", min=1, help="option.shots")] = 1000,
    device: Annotated[str | None, typer.Option("--device", "--backend", "--offering", help="option.device")] = None,
    name: Name = None,
    max_cost: MaxCost = None,
    parsable: Parsable = False,
    wait: Wait = False,
    wants_json: JSON = False,
) -> None:
    """Submit a circuit."""
    session = session_of(ctx, wants_json=wants_json)
    spec = spec_of_circuit(circuit, shots=shots, choices=Choices(name=name, offering=device))
    with session.client() as client:
        job = client.submit(spec, max_cost_yen=max_cost)
        announce(session, job, parsable=parsable, is_last=not wait)
        if wait:
            finish(session, job)


def qpu_result(
    ctx: typer.Context,
    job_id: Annotated[str, typer.Argument(help="option.job_id", metavar="JOB")],
    *,
    wants_json: JSON = False,
) -> None:
    """Show the counts."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        left = client.job(job_id).result()
    counts = counts_of(left)
    if wants_json or (left is not None and counts is None):
        if not wants_json:
            session.tell("say.no_counts")
        session.answer(left)
    elif counts is None:
        session.tell("say.no_result")
    else:
        session.plain(histogram(counts))
        session.say("say.shots", shots=f"{sum(counts.values()):,}")


def counts_of(left: object) -> Mapping[str, int] | None:
    """Outcome → count in a circuit's result; None when it has none."""
    found = left.get("counts") if isinstance(left, Mapping) else None
    if not isinstance(found, Mapping) or not all(isinstance(count, int) for count in found.values()):
        return None
    return {one_line(str(outcome)): count for outcome, count in found.items()}


def _rows(session: Session, device: Offering) -> list[list[str]]:
    return [
        [
            one_line(device.id),
            one_line(device.title),
            cell(device.hardware.get("qubits", device.limits.get("max_qubits"))),
            cell(device.limits.get("max_shots")),
            per(session, price),
            yen(price.price_yen),
        ]
        for price in device.prices
    ]
