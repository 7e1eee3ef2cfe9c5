"""Calls of a backend: always with a time limit, never inside a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import structlog

from hpc_adapters.contract import Backend, Ref
from hpc_adapters.errors import BackendError, Forgotten, Unavailable
from scheduler.core.effects import CancelOnBackend, Effect, LeaveBackend
from scheduler.core.model import Attempt
from scheduler.loops import metrics
from scheduler.loops.deps import Deps

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


async def ask(deps: Deps, backend: str, call: str, answer: Awaitable[_T]) -> _T:
    """The backend's answer. Unavailable also when none comes in time; BackendError as the port says."""
    try:
        async with asyncio.timeout(deps.settings.call_timeout_s):
            return await answer
    except TimeoutError:
        problem = Unavailable("no-answer-in-time", maybe_done=True)
        _count(backend, call, problem)
        raise problem from None
    except Unavailable as problem:
        _count(backend, call, problem)
        raise


def ref_of(attempt: Attempt) -> Ref | None:
    if attempt.native_id is None:
        return None
    return Ref(attempt.backend, attempt.id, attempt.native_id)


async def tell(deps: Deps, attempt: Attempt, effects: tuple[Effect, ...]) -> None:
    """What effects want of the backend, after the transaction. A wish that is lost is repeated by a later tick."""
    backend = deps.backends.get(attempt.backend)
    for effect in effects:
        if isinstance(effect, CancelOnBackend | LeaveBackend) and backend is not None:
            await _cancel(deps, backend, attempt, effect.native_id)


async def _cancel(deps: Deps, backend: Backend, attempt: Attempt, native_id: str) -> None:
    if attempt.state.is_terminal:
        metrics.STRAYS.labels(attempt.backend).inc()
        _log.warning("stray", attempt=str(attempt.id), backend=attempt.backend, state=attempt.state)
    ref = Ref(attempt.backend, attempt.id, native_id)
    try:
        await ask(deps, attempt.backend, "cancel", backend.cancel(ref))
    except Forgotten:
        _log.info("cancel of something forgotten", attempt=str(attempt.id), backend=attempt.backend)
    except BackendError as problem:
        _log.warning("cancel did not arrive", attempt=str(attempt.id), backend=attempt.backend, problem=str(problem))


def _count(backend: str, call: str, problem: Unavailable) -> None:
    metrics.UNAVAILABLE.labels(backend, call, str(problem.maybe_done).lower()).inc()
    _log.warning(
        "backend unavailable", backend=backend, call=call, detail=problem.detail, maybe_done=problem.maybe_done
    )
