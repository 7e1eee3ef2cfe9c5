"""For machines that watch: whether the process lives, whether it can serve, and its figures. No token, no secrets."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from infra.db.connection import Role, transaction
from infra.db.faults import passes
from portal.api.operations import look_at_backends
from portal.deps import PortalDeps, deps_of
from portal.errors import PageNotFound
from portal.loopback import is_loopback
from scheduler import service as scheduler

router = APIRouter(tags=["health"], include_in_schema=False)


@router.get("/livez")
async def live() -> Response:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """The database answers; machines may be away, for jobs wait in our queue."""
    try:
        async with transaction(deps_of(request).pool):
            pass
    except Exception as error:
        if not passes(error):
            raise
        return PlainTextResponse("database\n", HTTPStatus.SERVICE_UNAVAILABLE)
    return PlainTextResponse("ok\n")


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus' text format; only for this machine itself."""
    if not is_loopback(request.scope):
        raise PageNotFound
    deps = deps_of(request)
    await _refresh(deps)
    return Response(deps.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _refresh(deps: PortalDeps) -> None:
    async with transaction(deps.pool, role=Role.OPERATOR) as conn:
        view = await scheduler.queue_view(conn, now=deps.clock())
    deps.metrics.set_jobs(Counter(entry.state.value for entry in view.entries))
    await look_at_backends(deps)
    deps.metrics.streams.set(deps.streams.open)
