"""What leaves the store after a while: uploads that nobody finished, objects that were removed or replaced."""

from __future__ import annotations

from datetime import datetime

import structlog

from infra.db.connection import Lease, Pool, transaction
from portal.data import store
from portal.data.model import StoredObject, Upload
from portal.data.service import DataStore
from portal.data.storage import StorageAway
from scheduler import service as scheduler

_log = structlog.get_logger(__name__)
_BATCH = 100


async def tick(data: DataStore | None, pool: Pool, lease: Lease | None, now: datetime) -> int:
    """How many have left. A replaced version stays while a job that has not ended reads it."""
    if data is None:
        return 0
    async with transaction(pool, lease=lease) as conn:
        for organisation_id, upload_id in await store.expired_uploads(conn, now=now, limit=_BATCH):
            await store.end_upload(conn, organisation_id, upload_id, "expired", now=now)
        ended_before = now - data.limits.grace
        uploads = await store.uploads_to_purge(conn, ended_before=ended_before, limit=_BATCH)
        objects = await store.objects_to_purge(conn, left_before=ended_before, limit=_BATCH)
        read = await scheduler.inputs_in_use(conn, [each.id for each in objects])
    done = 0
    for upload in uploads:
        done += await _purge(data, pool, lease, upload, now)
    for each in objects:
        if each.id not in read or each.is_removed:
            done += await _purge(data, pool, lease, each, now)
    return done


async def _purge(data: DataStore, pool: Pool, lease: Lease | None, gone: Upload | StoredObject, now: datetime) -> bool:
    """First the content, then the note: killed in between it is done again."""
    try:
        if isinstance(gone, Upload):
            await data.storage.abort(gone.blob, gone.token)
        await data.storage.delete(gone.blob)
    except StorageAway as away:
        _log.warning("object not purged", object=str(gone.id), problem=str(away))
        return False
    async with transaction(pool, lease=lease) as conn:
        if isinstance(gone, Upload):
            await store.upload_purged(conn, gone.id, now=now)
        else:
            await store.object_purged(conn, gone.id, now=now)
    return True
