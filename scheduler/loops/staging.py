"""Files of attempts: inputs are brought before the hand-over, outputs fetched after the end; never in a transaction.

What is brought is the version that was there at submission. Killed anywhere, it is begun again and goes on: a file that
is there whole is not brought twice, an output that is kept already is found by its content. An attempt whose inputs
cannot be had ends as FAILED without having run, and costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from hpc_adapters.contract import Ref
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.filenames import problem_of
from hpc_adapters.job_files import Desk, Files, OutputFile
from infra.db.connection import notify, transaction
from infra.refusal import Refusal
from scheduler.core.events import NotStaged
from scheduler.core.model import MAIN
from scheduler.files import Changed, ContentLost, Shelf, ShelfAway
from scheduler.loops import items, metrics, phasing
from scheduler.loops.apply import note
from scheduler.loops.deps import Deps
from scheduler.loops.identities import identity_of
from scheduler.store import files as store
from scheduler.store.files import Filed, Left

_TRIES = 20
_RETRY_S, _LONGEST_RETRY_S = 5, 300
_AT_ONCE = 20


async def tick(deps: Deps, now: datetime) -> int:
    """How many attempts have been dealt with. What a phase was just given is brought in the same tick."""
    moved = await _move(deps, now)
    begun = await phasing.tick(deps, now)
    return moved + begun + (await _move(deps, now) if begun else 0)


async def _move(deps: Deps, now: datetime) -> int:
    names = sorted(name for name, backend in deps.backends.items() if isinstance(backend, Files))
    if deps.shelf is None or not names:
        return 0
    since = now - timedelta(seconds=deps.settings.result_window_s)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        to_stage = await store.to_stage(conn, backends=names, now=now, limit=_AT_ONCE)
        to_collect = await store.to_collect(conn, backends=names, since=since, now=now, limit=_AT_ONCE)
    shelf, incoming, outgoing = deps.shelf, _by_organisation(to_stage), _by_organisation(to_collect)
    staging = [items.each("staging", group, lambda each: _stage(deps, shelf, each, now)) for group in incoming]
    collecting = [items.each("staging", group, lambda each: _collect(deps, shelf, each, now)) for group in outgoing]
    return sum(await asyncio.gather(*staging, *collecting))


def _by_organisation(found: Sequence[Filed]) -> list[list[Filed]]:
    """One after the other within an organisation: none waits for another's large files more than it must."""
    ordered = sorted(found, key=lambda each: each.organisation_id)
    return [list(group) for _, group in groupby(ordered, lambda each: each.organisation_id)]


def _files(deps: Deps, filed: Filed) -> Files:
    backend = deps.backends[filed.backend]
    assert isinstance(backend, Files)
    return backend


async def _desk(deps: Deps, filed: Filed) -> Desk:
    """As whom its files are moved: as its owner is known to the site now. SiteUserMissing."""
    async with transaction(deps.pool, lease=deps.lease) as conn:
        identity = await identity_of(
            conn, deps, backend=filed.backend, organisation_id=filed.organisation_id, person_id=filed.person_id
        )
    return Desk(filed.id, str(filed.organisation_id), identity=identity)


# -- in ----------------------------------------------------------------------------------------------------------------


async def _stage(deps: Deps, shelf: Shelf, filed: Filed, now: datetime) -> bool:
    try:
        await _bring(deps, shelf, filed)
    except ContentLost as lost:
        await note(deps, filed.id, NotStaged(at=now, code=lost.code), now=now)
        return True
    except (Unavailable, ShelfAway, Refusal) as problem:
        code = problem.code if isinstance(problem, Refusal) else problem.detail
        if filed.tries + 1 >= _TRIES:
            await note(deps, filed.id, NotStaged(at=now, code=code), now=now)
            return True
        await _later(deps, filed, code, now)
        return False
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await store.set_staged(conn, filed, now=now)
        await notify(conn, "dispatch")
    return True


async def _bring(deps: Deps, shelf: Shelf, filed: Filed) -> None:
    files, desk = _files(deps, filed), await _desk(deps, filed)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        inputs = await store.inputs_of(conn, filed)
    for each in inputs:
        async with aclosing(shelf.read(filed.organisation_id, each.object_id, each.checksum)) as pieces:
            await files.put_input(desk, each.name, pieces, size=each.size)
        metrics.STAGED_BYTES.labels("in").inc(each.size)
    await files.seal_inputs(desk, {each.name: each.size for each in inputs})


# -- out ---------------------------------------------------------------------------------------------------------------


async def _collect(deps: Deps, shelf: Shelf, filed: Filed, now: datetime) -> bool:
    files = _files(deps, filed)
    try:
        desk = await _desk(deps, filed)
        left = await _kept(deps, shelf, filed, desk, now) if filed.has_run else []
        await files.drop_inputs(desk)
    except (Unavailable, ShelfAway, Refusal) as problem:
        code = problem.code if isinstance(problem, Refusal) else problem.detail
        await _later(deps, filed, code, now)
        return False
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await store.set_collected(conn, filed, left, now=now)
    return True


async def _kept(deps: Deps, shelf: Shelf, filed: Filed, desk: Desk, now: datetime) -> list[Left]:
    files = _files(deps, filed)
    ref = Ref(filed.backend, filed.id, filed.native_id or "")
    try:
        outputs = await files.outputs(ref, desk, filed.patterns)
    except Forgotten:
        return []
    passed_over = [Left(name=name, problem=why) for name, why in outputs.passed_over]
    kept = [await _keep(deps, shelf, filed, (files, ref, desk, output), now) for output in outputs.files]
    return list({each.name: each for each in [*passed_over, *kept]}.values())


async def _keep(
    deps: Deps, shelf: Shelf, filed: Filed, source: tuple[Files, Ref, Desk, OutputFile], now: datetime
) -> Left:
    """One file into the organisation's store; what cannot be kept is noted with the reason."""
    files, ref, desk, output = source
    folder = f"jobs/{filed.number or filed.job_id}"
    key = f"{folder}/{output.name}" if filed.phase == MAIN else f"{folder}/{filed.phase}/{output.name}"
    if problem_of(key) is not None:
        return Left(name=output.name, size=output.size, problem="name")

    async def read(offset: int, limit: int) -> bytes:
        return await files.read_output(ref, desk, output.path, offset, limit)

    owner: tuple[UUID, UUID] = (filed.organisation_id, filed.person_id)
    try:
        checksum = await shelf.keep(owner, key, size=output.size, read=read, lease=deps.lease, now=now)
    except (Changed, Forgotten):
        return Left(name=output.name, size=output.size, problem="changed")
    except Refusal as refusal:
        return Left(name=output.name, size=output.size, problem=refusal.code)
    metrics.STAGED_BYTES.labels("out").inc(output.size)
    return Left(name=output.name, size=output.size, key=key, checksum=checksum)


async def _later(deps: Deps, filed: Filed, problem: str, now: datetime) -> None:
    wait_s = min(_RETRY_S * 2 ** min(filed.tries, 16), _LONGEST_RETRY_S)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await store.retry_later(conn, filed, problem=problem, at=now + timedelta(seconds=wait_s))
