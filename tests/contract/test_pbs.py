"""The PBS adapter before a small PBS in this process, which speaks in the words of public transcripts.

It proves what the adapter makes of such words. No live server was met: see the README of hpc_adapters/pbs.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from hpc_adapters.conformance.harness import Act, FaultyHarness
from hpc_adapters.conformance.secrecy import SecrecyConformance
from hpc_adapters.conformance.suite import BackendConformance, FaultConformance
from hpc_adapters.contract import Identity, JobRequest, Resources, Script, Seen, Stream
from hpc_adapters.errors import Rejected
from hpc_adapters.jobhead.places import job_name
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.pbs.adapter import PbsBackend
from hpc_adapters.pbs.settings import PbsSettings
from infra.clock import new_id, utc_now
from tests.support.fake_pbs import FakePbs

PROGRAMS = {
    Act.SUCCEED: (
        '#!/bin/bash\necho started >>starts\necho hello from a job\necho \'{"ok": true}\' >"$KYOYO_RESULT"\n'
    ),
    Act.FAIL: "#!/bin/bash\necho started >>starts\nexit 3\n",
    Act.RUN_LONG: "#!/bin/bash\necho started >>starts\necho running\nsleep 90\n",
    Act.OVERRUN: "#!/bin/bash\necho started >>starts\nsleep 90\n",
    Act.REJECTED: "#!/bin/bash\n",
}


class PbsHarness(FaultyHarness):
    """One queue with four GPUs. A tenant is an account; everybody is the user that the tests run as."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "shared").mkdir(mode=0o755)
        (folder / "accounting").mkdir()
        self.pbs = FakePbs(folder / "accounting", utc_now, gpus=4, cpus=16, memory_mb=16_384)
        self.backend = self._adapter()

    def _adapter(self) -> PbsBackend:
        settings = PbsSettings(
            name="pbs",
            server="pbs",
            queue="gpuq",
            folder=self._folder / "shared",
            accounting_folder=self._folder / "accounting",
            zone=ZoneInfo("UTC"),
            look_ahead=2,
            settle_window_s=1,
            accounting_lag_s=1,
        )
        spool = Spool(settings.folder, uids={getpass.getuser(): os.geteuid()})
        return PbsBackend(settings, commands=self.pbs, spool=spool, clock=utc_now)

    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        return JobRequest(
            attempt_id=new_id(),
            tenant=tenant,
            resources=Resources(gpus=400 if act is Act.REJECTED else 1, cpus=1, memory_mb=64),
            walltime_s=2 if act is Act.OVERRUN else 60,
            payload=Script(body=PROGRAMS[act].encode()),
            identity=Identity(user=getpass.getuser(), account=tenant),
        )

    def work(self, attempt_id: UUID) -> Path:
        return self._folder / "shared" / getpass.getuser() / str(attempt_id)

    def now(self):
        return utc_now()

    async def pause(self) -> None:
        await asyncio.sleep(0.1)

    async def restart(self) -> None:
        self.backend = self._adapter()

    async def starts(self, attempt_id: UUID) -> int:
        path = self.work(attempt_id) / "starts"
        return path.read_text().count("started") if path.exists() else 0

    def lose_next_answer(self) -> None:
        self.pbs.lose_answer = True

    def lose_next_request(self) -> None:
        self.pbs.lose_request = True

    def delay_next_submission(self) -> None:
        self.pbs.delay_request = True

    def forget(self, attempt_id: UUID) -> None:
        self.pbs.forget(job_name(attempt_id))

    def set_reachable(self, *, reachable: bool) -> None:
        self.pbs.reachable = reachable

    def start_again(self, attempt_id: UUID) -> None:
        self.pbs.start_again(job_name(attempt_id))


@pytest.fixture
async def pbs(tmp_path: Path) -> AsyncIterator[PbsHarness]:
    harness = PbsHarness(tmp_path)
    yield harness
    harness.pbs.reachable = True
    await harness.pbs.close()


class TestPbs(BackendConformance):
    @pytest.fixture
    def harness(self, pbs: PbsHarness) -> PbsHarness:
        return pbs


class TestPbsSecrecy(SecrecyConformance):
    @pytest.fixture
    def harness(self, pbs: PbsHarness) -> PbsHarness:
        return pbs


class TestPbsFaults(FaultConformance):
    @pytest.fixture
    def faulty(self, pbs: PbsHarness) -> PbsHarness:
        return pbs


async def test_reading_a_stream_asks_about_its_own_job_and_only_at_the_end(pbs: PbsHarness) -> None:
    ref = await pbs.backend.submit(pbs.request(Act.SUCCEED))
    await pbs.until_ended(ref)
    pbs.pbs.asked.clear()
    assert await pbs.read(ref, Stream.STDOUT, limit=5) == b"hello from a job\n"
    [asked] = pbs.pbs.asked
    assert asked[0] == "qstat"
    assert asked[-1] == "1"


async def test_a_submission_asks_qstat_once(pbs: PbsHarness) -> None:
    await pbs.backend.submit(pbs.request(Act.SUCCEED))
    assert [words[0] for words in pbs.pbs.asked] == ["qstat", "pbsnodes", "qsub"]


def with_a_secret(request: JobRequest) -> JobRequest:
    assert isinstance(request.payload, Script)
    return replace(request, payload=replace(request.payload, secrets={"TOKEN": "hunter2-very-secret"}))


async def test_secrets_of_a_job_that_was_deleted_in_the_queue_go(pbs: PbsHarness) -> None:
    before = await pbs.backend.submit(replace(pbs.request(Act.RUN_LONG), resources=Resources(gpus=4, cpus=1)))
    ref = await pbs.backend.submit(with_a_secret(pbs.request(Act.SUCCEED)))
    await pbs.until(before, lambda seen: seen.seen is Seen.RUNNING)
    await pbs.until(ref, lambda seen: seen.seen is Seen.WAITING)
    assert (pbs.work(ref.attempt_id) / ".secrets").exists()
    await pbs.backend.cancel(ref)
    assert (await pbs.until_ended(ref)).detail == "deleted-in-queue"
    assert not (pbs.work(ref.attempt_id) / ".secrets").exists()


async def test_the_working_folder_of_a_refused_submission_goes(pbs: PbsHarness) -> None:
    refused = with_a_secret(pbs.request(Act.REJECTED))
    with pytest.raises(Rejected):
        await pbs.backend.submit(refused)
    assert pbs.pbs.asked[-1][0] == "qsub"
    assert pbs.work(refused.attempt_id).parent.is_dir()
    assert not pbs.work(refused.attempt_id).exists()
