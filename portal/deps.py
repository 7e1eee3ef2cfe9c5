"""What the portal is made of: handed to create_app() by bootstrap, or by a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import Request

from accounts.sealing import Sealer
from hpc_adapters.contract import Backend
from infra.clock import Clock, new_id, new_secret, utc_now
from infra.db.connection import Pool
from infra.paper.typesetting import FONT_FOLDERS
from portal.auth.sessions import Sessions
from portal.data.service import DataStore
from portal.metrics import Metrics
from portal.streams import Streams
from pricing.closing import CloseRules

NO_ISSUER = CloseRules(issuer={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request, page or stream may cost."""

    body_bytes: int = 2 * 1024 * 1024
    page_items: int = 200
    log_chunk_bytes: int = 65_536
    streams: int = 200
    live_poll_s: float = 0.5
    estimate_s: float = 4.0
    """So long a device may take to say what a circuit needs; then the offering's model is quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalDeps:
    """pool logs in as kyoyo_portal. backends are only read: logs and health."""

    pool: Pool
    backends: Mapping[str, Backend]
    sessions: Sessions
    data: DataStore | None = None
    """Files of organisations; None: none are kept here."""
    clock: Clock = utc_now
    new_id: Callable[[], UUID] = new_id
    new_secret: Callable[[], bytes] = new_secret
    sealer: Sealer | None = None
    """None: members' secrets are not kept here."""
    close_rules: CloseRules = NO_ISSUER
    """How months are closed, and who issues invoices."""
    unexplained: Callable[[datetime, datetime], Awaitable[int]] | None = None
    """How many differences between the books and the machines nobody can explain, from an instant to now; None: nobody
    can be asked, so no month is closed from here."""
    webhook_secrets: tuple[str, ...] = ()
    """Of Stripe's events; empty: Stripe is not used here."""
    address: str = ""
    """Where people reach the portal."""
    font_folders: Sequence[Path] = FONT_FOLDERS
    """Where the fonts of papers are."""
    limits: Limits = Limits()
    metrics: Metrics = field(default_factory=Metrics)
    streams: Streams = field(default_factory=Streams)
    estimating: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """So many programs are looked at by devices at a time, for estimates."""
    log: Any = None
    """A structlog logger; None logs nothing."""


def deps_of(request: Request) -> PortalDeps:
    """The dependencies of the application that serves this request."""
    deps: PortalDeps = request.app.state.deps
    return deps
