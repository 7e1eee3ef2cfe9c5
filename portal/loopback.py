"""Whether a request comes from this very machine."""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.types import Scope


def is_loopback(scope: Scope) -> bool:
    """Whether this machine itself asks, and no proxy in its name."""
    headers = Headers(scope=scope)
    if "forwarded" in headers or "x-forwarded-for" in headers:
        return False
    host = (scope.get("client") or ("", 0))[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
