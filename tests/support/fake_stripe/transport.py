"""Stripe's side of the wire, under the library's own HTTP client: no socket, and faults where a test wants them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from stripe import APIConnectionError, HTTPClient

from tests.support.fake_stripe.forms import NotAllowed, checked, read_form
from tests.support.fake_stripe.routes import find
from tests.support.fake_stripe.world import Refused, Thing, World

Answer = tuple[bytes, int, Mapping[str, str]]


class Killed(BaseException):
    """The process died here (as a test sees it: nothing may catch this)."""


class FakeTransport(HTTPClient):
    """before, after: called around each request that changes something; what they raise is the fault.

    before raises: Stripe never heard of it. after raises: Stripe did it, and its answer was lost.
    """

    name = "fake"

    def __init__(self, world: World, *, key: str) -> None:
        super().__init__()
        self.world, self._key = world, key
        self.is_down = False
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None

    def request(self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None) -> Answer:
        if self.is_down:
            raise APIConnectionError("Stripe is down", should_retry=True)
        address = urlsplit(url)
        changes = method != "get"
        if changes:
            self.before(address.path)
        answer = self._answer(method, address.path, headers or {}, post_data if method == "post" else address.query)
        if changes:
            self.after(address.path)
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self, method: str, path: str, headers: Mapping[str, str], said: str | None) -> Answer:
        try:
            done, status = self._do(method, path, headers, said or ""), 200
        except NotAllowed as wrong:
            done, status = Refused(str(wrong), code="parameter_unknown").body(), 400
        except Refused as refused:
            done, status = refused.body(), refused.status
        return json.dumps(done, default=float).encode(), status, {"Request-Id": "req_fake"}

    def _do(self, method: str, path: str, headers: Mapping[str, str], said: str) -> Thing:
        if headers.get("Authorization") != f"Bearer {self._key}":
            raise Refused("Invalid API Key provided", status=401)
        if headers.get("Stripe-Version") != self.world.api_version:
            raise Refused(f"Invalid Stripe API version: {headers.get('Stripe-Version')}")
        key = headers.get("Idempotency-Key")
        for params, handler, identities in find(method, path):
            given = checked(read_form(said), params)
            self.world.requests.append((method, path, given))
            return self.world.once(
                key if method == "post" else None,
                f"{method} {path} {said}",
                lambda: handler(self.world, *identities, given),  # noqa: B023  called at once
            )
        raise Refused(f"Unrecognized request URL ({method.upper()}: {path})", status=404)
