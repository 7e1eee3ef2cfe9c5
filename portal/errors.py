"""What the portal itself refuses, before any other package is asked."""

from __future__ import annotations

from infra.refusal import Refusal


class Unauthenticated(Refusal):
    """No bearer token, or nothing that could be one."""

    code = "unauthenticated"


class CustomersOnly(Refusal):
    """It is done in an organisation's name, and the token acts for none."""

    code = "customers-only"


class OriginNotTrusted(Refusal):
    """A form that does not come from one of our own pages."""

    code = "origin-not-trusted"


class InvalidRequest(Refusal):
    """The request has not the form that the API describes. Facts: fields (where), problems (the same, with reasons)."""

    code = "invalid-request"


class BodyTooLarge(Refusal):
    """Facts: limit_bytes."""

    code = "body-too-large"


class PageNotFound(Refusal):
    """No such address."""

    code = "not-found"


class MethodNotAllowed(Refusal):
    """Facts: method."""

    code = "method-not-allowed"


class NoResult(Refusal):
    """The job has left no result (yet)."""

    code = "no-result"


class NoSuchAttempt(Refusal):
    """Facts: attempt."""

    code = "attempt-not-found"


class LogsGone(Refusal):
    """The backend no longer keeps what this attempt printed."""

    code = "logs-gone"


class SecretsOff(Refusal):
    """The installation has no key for secrets."""

    code = "secrets-off"


class BackendAway(Refusal):
    """The backend does not answer now. Facts: backend."""

    code = "backend-unavailable"


class DatabaseAway(Refusal):
    """The database does not answer now, or two requests stood in each other's way."""

    code = "temporarily-unavailable"


class TooManyStreams(Refusal):
    """Facts: limit."""

    code = "too-many-streams"
