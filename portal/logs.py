"""The portal's own log: one JSON object a line, with the request's id and without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_TOKEN = re.compile(r"kyo_[A-Za-z0-9_-]{20,}")
_SECRET_NAMES = frozenset({"authorization", "cookie", "password", "token", "secret", "set-cookie"})
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]+):[^@/\s]+@")


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Takes tokens, passwords in URLs and whatever is named like a secret out of an entry."""
    return {
        name: "[redacted]" if name.lower() in _SECRET_NAMES and isinstance(value, str) else _clean(value)
        for name, value in event.items()
    }


def _clean(value: object) -> object:
    match value:
        case str():
            return _URL_PASSWORD.sub(r"\1:[redacted]@", _TOKEN.sub("kyo_[redacted]", value))
        case dict():
            return dict(redact(None, "", value))
        case list() | tuple():
            return [_clean(each) for each in value]
        case _:
            return value


def configure(stream: TextIO = sys.stderr) -> None:
    """Every logger of the house writes to a stream from now on. JSON escapes controls: nobody forges a line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
