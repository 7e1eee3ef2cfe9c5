"""The portal's ASGI application."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.staticfiles import StaticFiles

from portal import problems
from portal.api import health
from portal.api.routes import API, api_router
from portal.deps import PortalDeps
from portal.edge import Edge
from portal.pages.routes import pages_router

VERSION = "0.1.0"
_HERE = Path(__file__).parent


def create_app(deps: PortalDeps) -> FastAPI:
    """Everything over HTTP: the API, the pages, and what machines watch."""
    app = FastAPI(
        title="Kyoyo",
        version=VERSION,
        summary="Fair-share scheduler and marketplace for subsidised GPU and quantum compute.",
        description="Money: decimal strings of yen, exact. Errors: problem details (RFC 9457) with a stable `code`.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        separate_input_output_schemas=False,
    )
    app.state.deps = deps
    problems.install(app)
    app.include_router(api_router())
    app.include_router(health.router)
    app.include_router(pages_router())
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    app.add_middleware(Edge, deps=deps)
    return app


def _operation_id(route: APIRoute) -> str:
    """The handler's name: stable, whatever happens to paths."""
    return route.name
