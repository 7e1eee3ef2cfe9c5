"""The local backend forgets runs: the checkpoints and the user id of a job go with the last of its attempts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc_adapters.keeping import Freed
from infra.clock import new_id
from tests.support.local_cluster import a_cluster, a_request, output, until_ended

pytestmark = pytest.mark.sandbox


def _in(root: Path, name: str) -> list[str]:
    place = root / name
    return sorted(each.name for each in place.iterdir()) if place.is_dir() else []


async def test_the_checkpoints_of_a_job_go_with_its_last_attempt(tmp_path: Path) -> None:
    backend, job = a_cluster(tmp_path), new_id()
    script = 'cat "$KYOYO_CHECKPOINT_DIR"/* 2>/dev/null; head -c 9000 /dev/zero > "$KYOYO_CHECKPOINT_DIR/model"'
    requests = [a_request(script, job_id=job, ordinal=ordinal) for ordinal in (1, 2)]
    for request in requests:
        await until_ended(backend, await backend.submit(request))
    assert len(_in(tmp_path, ".lineages")) == 1
    claimed = _in(tmp_path, ".uids")
    first = await backend.forget([requests[0].attempt_id])
    assert first.attempts == 1
    assert (len(_in(tmp_path, ".lineages")), _in(tmp_path, ".uids")) == (1, claimed)
    assert (await backend.forget([requests[1].attempt_id])).bytes > 9000
    assert (_in(tmp_path, ".lineages"), _in(tmp_path, ".uids"), _in(tmp_path, ".going")) == ([".going"], [], [])
    assert await backend.forget([each.attempt_id for each in requests]) == Freed()
    again = await backend.submit(a_request(script, job_id=job, ordinal=3))
    await until_ended(backend, again)
    assert await output(backend, again) == ""
