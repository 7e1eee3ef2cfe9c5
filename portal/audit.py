"""`kyoyod audit`: runs the independent audit and prints what it finds."""

from __future__ import annotations

import json

import typer

from infra.clock import utc_now
from infra.db.connection import open_pool
from metering.auditing import run_audit
from portal.bootstrap import DatabaseUrls, build_backends
from portal.settings import Settings


async def print_audit(settings: Settings, urls: DatabaseUrls, *, as_json: bool) -> int:
    """How many differences nobody can explain."""
    backends = build_backends(settings)
    try:
        async with open_pool(urls.auditor, size=1) as pool:
            result = await run_audit(pool, backends, now=utc_now())
    finally:
        for backend in backends.values():
            await backend.close()
    if as_json:
        typer.echo(json.dumps(result.as_json(), ensure_ascii=False, indent=2))
    else:
        for line in result.lines():
            typer.echo(line)
    return result.unexplained
