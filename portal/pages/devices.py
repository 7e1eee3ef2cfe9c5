"""Quantum devices: the list, and one device with its picture, its calibration and its history."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from portal.api.devices import HISTORY, DeviceOut, Name, facts_of, sold_by_backend
from portal.pages.topology import pairs_of, topology
from portal.pages.visitor import AnyVisitor
from scheduler import service as scheduler

router = APIRouter(prefix="/{language}/devices")
_PAGE = 25


@router.get("")
async def show_devices(visitor: AnyVisitor) -> HTMLResponse:
    """Every device that is sold."""
    caller = visitor.caller
    async with caller.transaction() as conn:
        found = await scheduler.devices(conn)
        sold, waiting = await sold_by_backend(conn, caller), await scheduler.waiting_at(conn)
    shown = [DeviceOut(**facts_of(each, caller, sold, waiting)) for each in found if each.backend in sold]
    return visitor.show("devices.html", devices=shown, now=caller.now)


@router.get("/{name}")
async def show_device(
    visitor: AnyVisitor, name: Name, cursor: Annotated[str | None, Query(max_length=500)] = None
) -> HTMLResponse:
    """One device."""
    caller = visitor.caller
    async with caller.transaction() as conn:
        found = await scheduler.device(conn, name)
        history = await scheduler.device_history(conn, name, limit=HISTORY)
        past = await scheduler.calibrations(conn, name, limit=_PAGE, cursor=cursor)
        sold, waiting = await sold_by_backend(conn, caller), await scheduler.waiting_at(conn)
    return visitor.show(
        "device.html",
        device=DeviceOut(**facts_of(found, caller, sold, waiting)),
        picture=await asyncio.to_thread(topology, found.device),  # some tenths of a second the first time
        couplings=pairs_of(found.device),
        history=history,
        past=past,
        now=caller.now,
    )
