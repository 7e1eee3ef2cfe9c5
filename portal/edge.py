"""The outermost layer of every request: id, size limit, security headers, log line, metrics, and the last safety net.

Pure ASGI, so that live streams pass through unbuffered.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.db.faults import passes
from portal.data.capability import TRANSFERS
from portal.deps import PortalDeps
from portal.errors import BodyTooLarge, DatabaseAway
from portal.language import negotiate
from portal.problems import answer, internal_error

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_DRAIN_BYTES = 64 * 1024 * 1024


class Edge:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, deps: PortalDeps) -> None:
        self._app, self._deps = app, deps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = self._deps.new_id().hex
        exchange = _Exchange(scope, send, secure=self._deps.sessions.secure)
        began_s = perf_counter()
        try:
            await self._serve(scope, receive, exchange)
        finally:
            self._note(scope, exchange.status, perf_counter() - began_s)

    async def _serve(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        request = Request(scope)
        try:
            bounded = await _bounded(scope, receive, self._deps.limits.body_bytes)
            if bounded is None:
                refused = answer(request, BodyTooLarge(limit_bytes=self._deps.limits.body_bytes))
                await refused(scope, receive, exchange.send)
                return
            await self._app(scope, bounded, exchange.send)
        except Exception as error:  # noqa: BLE001  the last net: nothing of ours may leak, everything is logged
            await self._fail(scope, receive, exchange, error)

    async def _fail(self, scope: Scope, receive: Receive, exchange: _Exchange, error: Exception) -> None:
        request = Request(scope)
        request_id: str = request.state.request_id
        away = passes(error)
        if self._deps.log is not None:
            tell = self._deps.log.warning if away else self._deps.log.error
            tell("request failed", request_id=request_id, route=route_of(scope), exc_info=error)
        if exchange.status is not None:
            raise error  # the answer has begun: all that is left is to break it off
        language = negotiate(request.headers.get("accept-language", ""))
        failed = answer(request, DatabaseAway()) if away else internal_error(language, request_id)
        await failed(scope, receive, exchange.send)

    def _note(self, scope: Scope, status: int | None, took_s: float) -> None:
        route = route_of(scope)
        self._deps.metrics.requests.labels(_method_of(scope), route, str(status or 0)).inc()
        self._deps.metrics.request_s.labels(route).observe(took_s)
        if self._deps.log is None:
            return
        organisation_id = scope["state"].get("organisation_id")
        self._deps.log.info(
            "request",
            request_id=scope["state"]["request_id"],
            method=_method_of(scope),
            route=route,
            status=status,
            took_ms=round(took_s * 1000, 1),
            organisation_id=str(organisation_id) if organisation_id else None,
        )


class _Exchange:
    """Sends an answer with our headers on it, and remembers its status."""

    def __init__(self, scope: Scope, send: Send, *, secure: bool) -> None:
        self.status: int | None = None
        self._send, self._scope, self._secure = send, scope, secure

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._scope["state"]["request_id"]
            if not self._scope["path"].startswith("/static/"):
                headers.setdefault("Cache-Control", "no-store")
            headers.add_vary_header("Accept-Language")
            if self._secure:
                headers["Strict-Transport-Security"] = "max-age=31536000"
        await self._send(message)


def route_of(scope: Scope) -> str:
    """The route's template, so that ids make no new series; every unknown path is one."""
    included: Any = scope.get("fastapi", {}).get("effective_route_context")  # knows its path with every prefix
    return str(getattr(included or scope.get("route"), "path", None) or "unmatched")


def _method_of(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"


async def _bounded(scope: Scope, receive: Receive, limit: int) -> Receive | None:
    """A receive that yields at most `limit` bytes; None when the body is larger.

    What is too large is read away (up to a bound): a client that is still sending would else see a broken connection
    instead of the answer.
    """
    if scope["path"].startswith(f"{TRANSFERS}/"):
        return receive  # a part of a file: its signed address says how large it is, and it is never held as a whole
    headers = Headers(scope=scope)
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) <= limit:
        return receive
    if not announced and "transfer-encoding" not in headers:
        return receive
    if announced.isdecimal() and int(announced) > _DRAIN_BYTES:
        return None
    body = await _read(receive, limit)
    return None if body is None else _replay(body, receive)


async def _read(receive: Receive, limit: int) -> bytes | None:
    body, total = bytearray(), 0
    while total <= _DRAIN_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            break
        total += len(message.get("body", b""))
        if total <= limit:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(body) if total <= limit else None


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
