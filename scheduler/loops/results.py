"""The result file that a job left, read from its backend so that it outlives it."""

from __future__ import annotations

import structlog

from hpc_adapters.contract import Backend, Ref, Stream
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps

MAX_BYTES = 1_048_576
_PIECE_BYTES = 65_536
_log = structlog.get_logger(__name__)


async def read_result(deps: Deps, backend: Backend, ref: Ref) -> bytes | None:
    """Empty: there is none (or none that we keep). None: it could not be read now; the sweep tries again."""
    try:
        return await _read(deps, backend, ref)
    except Unavailable:
        return None
    except (Forgotten, Rejected):
        return b""


async def _read(deps: Deps, backend: Backend, ref: Ref) -> bytes:
    data = b""
    for _ in range(MAX_BYTES // _PIECE_BYTES + 1):
        piece = await ask(deps, ref.backend, "logs", backend.logs(ref, Stream.RESULT, len(data), _PIECE_BYTES))
        data += piece.data
        if piece.truncated:
            break
        if piece.ended or not piece.data:
            return data if len(data) <= MAX_BYTES else _too_large(ref)
    return _too_large(ref)


def _too_large(ref: Ref) -> bytes:
    """A piece of JSON is no JSON."""
    _log.warning("result too large", attempt=str(ref.attempt_id), backend=ref.backend, limit_bytes=MAX_BYTES)
    return b""
