"""HTTP to the portal: one place for the token, the Idempotency-Key, the retries and the meaning of a status."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from kyoyo.errors import Conflict, NotFound, Problem, Refused, Unauthorised, Unavailable

API = "/api/v1"
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Pauses between tries; together longer than a portal needs to restart."""
MAX_RETRY_AFTER_S = 30.0
_AGAIN = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_RIGHTS = {"http-403", "scope-missing", "customers-only", "owner-required", "scope-not-held", "token-for-another"}
"""403 for what the token may not do; every other 403 is about the organisation: a refusal."""
_BROKEN = (httpx2.TransportError, httpx2.StreamError)


@dataclass(frozen=True, slots=True)
class Pace:
    """How time passes for the client; tests hand in one that does not wait."""

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


def new_key() -> str:
    """A fresh Idempotency-Key: made once per logical call, the same for each of its tries."""
    return secrets.token_hex(16)


class Transport:
    """Sends a call until it has an answer. Every call here is safe to repeat: reads by nature, writes by their key."""

    def __init__(
        self,
        *,
        url: str,
        token: str,
        language: str = "en",
        pace: Pace | None = None,
        make_key: Callable[[], str] = new_key,
        timeout_s: float = 30.0,
        http: httpx2.BaseTransport | None = None,
    ) -> None:
        self.pace = pace or Pace()
        self._make_key = make_key
        self._http = httpx2.Client(
            base_url=url.rstrip("/") + API,
            headers={"Authorization": f"Bearer {token}", "Accept-Language": language, "User-Agent": "kyoyo-client"},
            timeout=httpx2.Timeout(timeout_s, connect=10.0),
            transport=http,
        )

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def get(self, path: str, **params: object) -> object:
        """GET; parameters that are None are left out. NotFound, Unauthorised, Refused, Unavailable."""
        return _body(self._send("GET", path, params=_present(params)))

    def get_text(self, path: str, **params: object) -> str:
        """The same of a document that is no JSON: UTF-8, without a byte order mark."""
        return self._send("GET", path, params=_present(params)).content.decode("utf-8-sig")

    def get_bytes(self, path: str) -> bytes:
        """The same of a file."""
        return self._send("GET", path).content

    def post(self, path: str, body: Mapping[str, object] | None = None, *, key: str | None = None) -> object:
        """POST under one Idempotency-Key for all tries. Conflict when the key was used with another body."""
        headers = {"Idempotency-Key": key or self._make_key()}
        return _body(self._send("POST", path, json=body or {}, headers=headers))

    def put(self, path: str, body: Mapping[str, object]) -> object:
        """PUT: again is the same."""
        return _body(self._send("PUT", path, json=body))

    def delete(self, path: str) -> object:
        """DELETE. NotFound, also when an earlier try has done it and its answer was lost."""
        return _body(self._send("DELETE", path))

    @contextmanager
    def events(self, path: str, **params: object) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        """One connection's server-sent events. It may break at any moment: Unavailable; go on from the last offset."""
        try:
            with self._http.sse(path, params=_present(params)) as source:
                if source.response.is_error:
                    source.response.read()
                    raise problem_of(source.response)
                yield iter(source)
        except (*_BROKEN, httpx2.SSEError) as broken:
            raise Unavailable("stream-broken", str(broken)) from broken

    def _send(self, method: str, path: str, **call: object) -> httpx2.Response:
        for pause_s in (*BACK_OFF_S, None):
            failure: Problem
            try:
                response = self._http.request(method, path, **call)  # type: ignore[arg-type]  # passed through as is
            except _BROKEN as broken:
                failure, wanted_s = Unavailable("unreachable", f"{self._http.base_url.host}: {broken}"), None
            else:
                if response.is_success:
                    return response
                failure, wanted_s = problem_of(response), _retry_after_s(response)
                if response.status_code not in _AGAIN and wanted_s is None:
                    raise failure
            if pause_s is None:
                raise failure
            self.pace.sleep(max(pause_s, wanted_s or 0.0))
        raise AssertionError("the last try returns or raises")


def problem_of(response: httpx2.Response) -> Problem:
    """The exception for an answer that is an error. An answer that is no problem document keeps its status as code."""
    try:
        told = response.json()
    except ValueError:
        told = {}
    facts = told if isinstance(told, dict) else {}
    status = response.status_code
    detail = facts.get("detail") or facts.get("title") or f"HTTP {status}"
    given = facts.get("facts")
    code = str(facts.get("code") or f"http-{status}")
    return _kind_of(status, code)(
        code,
        str(detail),
        status=status,
        facts=given if isinstance(given, dict) else None,
        remedy=str(facts.get("remedy") or ""),
    )


def _kind_of(status: int, code: str) -> type[Problem]:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return Unauthorised
        case HTTPStatus.FORBIDDEN if code in _RIGHTS:
            return Unauthorised
        case HTTPStatus.NOT_FOUND:
            return NotFound
        case HTTPStatus.CONFLICT:
            return Conflict
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unavailable
        case _:
            return Refused


def _retry_after_s(response: httpx2.Response) -> float | None:
    """What a 429 or 503 asks us to wait; None without a usable wish, or when it is longer than a caller should hang."""
    if response.status_code not in _AGAIN | {HTTPStatus.TOO_MANY_REQUESTS}:
        return None
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() and float(told) <= MAX_RETRY_AFTER_S else None


def _body(response: httpx2.Response) -> object:
    if response.status_code == HTTPStatus.NO_CONTENT or not response.content:
        return None
    try:
        return json.loads(response.content)
    except ValueError as broken:
        raise Unavailable("not-json", f"HTTP {response.status_code}: {broken}") from broken


def _present(params: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}
