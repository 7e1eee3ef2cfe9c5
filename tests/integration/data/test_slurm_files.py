"""Files of jobs on a real Slurm cluster: the job's own user reads them, nobody else; no link is followed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hpc_adapters.contract import JobRequest
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.job_files import Desk
from infra.slurm.cluster import Cluster
from tests.support.slurm_site import USERS, job, site, until_ended

pytestmark = [pytest.mark.slurm, pytest.mark.root]


async def pieces(*told: bytes) -> AsyncIterator[bytes]:
    for piece in told:
        yield piece


def desk_of(request: JobRequest) -> Desk:
    return Desk(request.attempt_id, request.tenant, request.identity)


async def test_a_job_reads_its_inputs_and_leaves_outputs(slurm_2411: Cluster) -> None:  # noqa: PLR0915  one story
    lines = (
        'cat "$KYOYO_INPUT_DIR/data/x"; echo x 2>/dev/null > "$KYOYO_INPUT_DIR/data/x" && exit 7\n'
        'echo out > "$KYOYO_OUTPUT_DIR/model"; mkdir logs; echo log > logs/l\n'
        'ln -s /etc/passwd "$KYOYO_OUTPUT_DIR/link"\n'
        'ln -s / "$KYOYO_OUTPUT_DIR/root"'
    )
    request = job(lines, has_inputs=True)
    desk = desk_of(request)
    async with site(slurm_2411) as backend:
        with pytest.raises(Rejected, match="inputs-missing"):
            await backend.submit(request)
        await backend.put_input(desk, "data/x", pieces(b"some", b"thing"), size=9)
        with pytest.raises(Unavailable, match="input-not-there"):
            await backend.seal_inputs(desk, {"data/x": 9, "y": 1})
        with pytest.raises(Unavailable, match="cut-short"):
            await backend.put_input(desk, "y", pieces(b""), size=1)
        await backend.seal_inputs(desk, {"data/x": 9})
        await backend.seal_inputs(desk, {"data/x": 9})
        place = slurm_2411.shared / "alice" / f"{request.attempt_id}.input" / "data" / "x"
        assert slurm_2411.exec("cat", str(place), user="alice").stdout == "something"
        assert slurm_2411.exec("cat", str(place), user="carol").returncode != 0
        ref = await backend.submit(request)
        seen = await until_ended(backend, ref)
        assert seen.exit_code == 0
        outputs = await backend.outputs(ref, desk, ["logs/*"])
        assert {(each.name, each.path) for each in outputs.files} == {("model", "output/model"), ("logs/l", "logs/l")}
        assert dict(outputs.passed_over) == {"output/link": "not-a-file", "output/root": "not-a-file"}
        assert await backend.read_output(ref, desk, "output/model", 0, 100) == b"out\n"
        for path in ("output/link", "output/root/etc/passwd", "../x", "stdout/x"):
            assert await backend.read_output(ref, desk, path, 0, 100) == b""
        await backend.drop_inputs(desk)
        await backend.drop_inputs(desk)
        assert not place.exists()


async def test_what_was_never_there_is_forgotten(slurm_2411: Cluster) -> None:
    request = job("true")
    async with site(slurm_2411) as backend:
        ref = await backend.submit(job("true"))
        with pytest.raises(Forgotten):
            await backend.outputs(type(ref)("slurm", request.attempt_id, ref.native_id), desk_of(request), [])
        await until_ended(backend, ref)
    assert USERS["tenant-a"].user == "alice"
