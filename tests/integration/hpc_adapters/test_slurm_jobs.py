"""What jobs on real Slurm find around them, and how their ends are told apart. Both releases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest

from hpc_adapters.contract import (
    BY_OWNER,
    ArrayTask,
    Observation,
    Placement,
    Ref,
    Resources,
    Seen,
    Signal,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.errors import Forgotten, Rejected
from hpc_adapters.jobhead.places import job_name, native, work_of
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.slurm import telling
from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.rest import Rest
from hpc_adapters.slurm.settings import ImageHook, ImageKind
from hpc_adapters.slurm.site_check import check_site
from hpc_adapters.slurm.tokens import Minter
from infra.clock import new_id, utc_now
from infra.slurm.cluster import Cluster
from tests.support.slurm_site import job, printed, settings_of, site, until, until_ended, until_printed

pytestmark = [pytest.mark.slurm, pytest.mark.root]


def slurm_id(ref: Ref) -> str:
    told = native(ref.native_id)
    assert told is not None
    return str(told.job_id)


async def final_row(backend: SlurmBackend, ref: Ref) -> UsageRow:
    for _ in range(300):
        around = Window(utc_now() - timedelta(hours=1), utc_now() + timedelta(hours=1))
        rows = [row for row in await backend.accounting(around) if row.attempt_id == ref.attempt_id and row.final]
        if rows:
            assert len(rows) == 1
            return rows[0]
        await asyncio.sleep(0.1)
    raise AssertionError("no final row")


async def test_secrets_and_variables_reach_the_job_and_nobody_else(slurm: Cluster) -> None:
    show = 'printf "%s|%s|%s|%s\\n" "$TOKEN" "$GREETING" "$SLURM_ARRAY_TASK_ID" "$KYOYO_RESTART_COUNT"; '
    show += 'printf %s "$TOKEN" | sha256sum; ls -A; sleep 600'
    async with site(slurm) as backend:
        request = job(
            show,
            secrets={"TOKEN": "hunter2-is-my-secret"},
            environment={"GREETING": "こんにちは $(id) 'x'"},
            array=ArrayTask(number=12, index=3, first=1, last=9, step=2, count=5),
            ordinal=2,
        )
        ref = await backend.submit(request)
        await until_printed(backend, ref, b"stdout")
        said = (await printed(backend, ref)).decode()
        assert said.startswith(f"{'*' * 20}|こんにちは $(id) 'x'|3|1\n{sha256(b'hunter2-is-my-secret').hexdigest()}")
        assert ".secrets" not in said
        asked = [
            slurm.exec("scontrol", "show", "job", slurm_id(ref), check=True).stdout,
            slurm.exec("scontrol", "write", "batch_script", slurm_id(ref), "-", check=True).stdout,
            slurm.exec("sacct", "-j", slurm_id(ref), "--json", check=True).stdout,
        ]
        assert not any("hunter2" in text for text in asked)
        await backend.cancel(ref)
        await until_ended(backend, ref)


async def test_who_cancelled_is_known(slurm: Cluster) -> None:
    async with site(slurm) as backend:
        refs = [await backend.submit(job("echo on; exec sleep 600")) for _ in range(3)]
        for ref in refs:
            await until_printed(backend, ref, b"on")
        slurm.exec("scancel", slurm_id(refs[0]), user="alice", check=True)
        slurm.exec("scancel", slurm_id(refs[1]), user="root", check=True)
        await backend.cancel(refs[2])
        ends = [await until_ended(backend, ref) for ref in refs]
        assert [end.seen for end in ends] == [Seen.CANCELLED] * 3
        assert [end.detail for end in ends] == [BY_OWNER, "", BY_OWNER]  # ours go with the owner's own token


async def test_a_renamed_job_stays_ours_and_a_namesake_does_not_become_ours(slurm: Cluster) -> None:
    async with site(slurm) as backend:
        ref = await backend.submit(job("echo on; exec sleep 600"))
        await until_printed(backend, ref, b"on")
        renamed = ("scontrol", "update", f"jobid={slurm_id(ref)}", "name=innocent", "comment=mine")
        slurm.exec(*renamed, user="alice", check=True)
        name = job_name(ref.attempt_id)
        forged = (
            "sbatch",
            "--parsable",
            f"-J{name}",
            "-D/tmp",
            "-Alab-b",
            "-o/dev/null",
            "--gres=gpu:1",
            "--wrap=sleep 600",
        )
        stranger = slurm.exec(*forged, user="carol", check=True).stdout.strip()
        await asyncio.sleep(2)
        [seen] = await backend.observe([ref])
        assert isinstance(seen, Observation)
        assert seen.seen is Seen.RUNNING
        assert await backend.find(ref.attempt_id) == ref
        [theirs] = await backend.observe([Ref("slurm", ref.attempt_id, f"{stranger}:carol")])
        assert isinstance(theirs, Observation | Forgotten)
        await backend.cancel(ref)
        await until_ended(backend, ref)
        row = await final_row(backend, ref)
        assert row.facts["slurm_job_id"] == int(slurm_id(ref))
        states = slurm.exec("squeue", "-h", "-j", stranger, "-o", "%T").stdout
        assert "RUNNING" in states or "PENDING" in states  # nobody's job was cancelled but ours
        slurm.exec("scancel", stranger)


async def test_another_users_id_is_neither_seen_read_nor_cancelled(slurm: Cluster) -> None:
    """As after a crash, when the id that we hold was given to a job of another tenant."""
    async with site(slurm) as backend:
        theirs = await backend.submit(job("echo canary; exec sleep 600", tenant="tenant-b"))
        await until_printed(backend, theirs, b"canary")
        stale = Ref("slurm", new_id(), f"{slurm_id(theirs)}:alice")
        [seen] = await backend.observe([stale])
        assert isinstance(seen, Forgotten)
        for call in (backend.cancel(stale), backend.logs(stale, Stream.STDOUT)):
            with pytest.raises(Forgotten):
                await call
        [still] = await backend.observe([theirs])
        assert isinstance(still, Observation)
        assert still.seen is Seen.RUNNING
        await backend.cancel(theirs)
        await until_ended(backend, theirs)


async def test_a_warning_is_heard_below_a_shell_before_the_walltime(slurm: Cluster) -> None:
    body = """python3 -c '
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: (print("warned", flush=True), sys.exit(0)))
print("ready", flush=True)
while True: signal.pause()
'
echo "after $?" """
    async with site(slurm) as backend:
        placement = Placement(signal=Signal(name="USR1", before_s=110))
        ref = await backend.submit(job(body, walltime_s=120, placement=placement))
        end = await until_ended(backend, ref)
        assert (await printed(backend, ref)) == b"ready\nwarned\nafter 0\n"
        assert (end.seen, end.exit_code) == (Seen.SUCCEEDED, 0)


async def test_a_copy_that_is_held_for_good_is_ended_and_is_our_fault(slurm: Cluster) -> None:
    async with site(slurm) as backend:
        ref = await backend.submit(job("echo on; exec sleep 600"))
        await until_printed(backend, ref, b"on")
        slurm.exec("scontrol", "update", f"jobid={slurm_id(ref)}", "requeue=1", check=True)
        slurm.exec("scontrol", "requeuehold", slurm_id(ref), check=True)
        end = await until_ended(backend, ref)
        assert end.seen in {Seen.NODE_FAILED, Seen.PREEMPTED}, end
        assert "PENDING" not in slurm.exec("squeue", "-h", "-j", slurm_id(ref), "-o", "%T").stdout


async def test_what_its_owner_takes_back_into_the_queue_is_not_free(
    slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm lets members make their own jobs requeueable and requeue them, and does not say who did."""
    monkeypatch.setattr(telling, "HEAD_S", 1)
    async with site(slurm) as backend:
        ref = await backend.submit(job("sleep 4; echo on; exec sleep 600"))
        await until_printed(backend, ref, b"on")
        slurm.exec("scontrol", "update", f"jobid={slurm_id(ref)}", "requeue=1", user="alice", check=True)
        slurm.exec("scontrol", "requeue", slurm_id(ref), user="alice", check=True)
        end = await until_ended(backend, ref)
        assert (end.seen, end.detail) == (Seen.CANCELLED, BY_OWNER)
        assert "PENDING" not in slurm.exec("squeue", "-h", "-j", slurm_id(ref), "-o", "%T").stdout
        row = await final_row(backend, ref)
        assert row.components["gpu_s"] >= 4


async def test_a_second_copy_that_waits_behind_the_gate_is_found_and_cancelled(slurm: Cluster) -> None:
    """As a submission leaves it whose answer was lost, and which was sent again."""
    async with site(slurm) as backend:
        ref = await backend.submit(job("echo on; exec sleep 600"))
        await until_printed(backend, ref, b"on")
        work = work_of(slurm.shared, "alice", ref.attempt_id)
        again = ("sbatch", "--parsable", f"-J{job_name(ref.attempt_id)}", f"-D{work}", "-Alab-a", "--begin=now+1hour")
        copy = slurm.exec(*again, "-o/dev/null", "--wrap=true", user="alice", check=True).stdout.strip()
        seen = await until(
            backend, ref, lambda _: "PENDING" not in slurm.exec("squeue", "-h", "-j", copy, "-o", "%T").stdout
        )
        assert seen.seen is Seen.RUNNING
        assert await backend.find(ref.attempt_id) == ref
        await backend.cancel(ref)
        end = await until_ended(backend, ref)
        assert (end.seen, end.detail) == (Seen.CANCELLED, BY_OWNER)


async def test_a_program_in_an_image_gets_the_sites_words_before_it(slurm: Cluster) -> None:
    hook = ImageHook(ImageKind.PREFIX, ("/usr/bin/env", "IMAGE={image}", "WORK={work}"))
    async with site(slurm, images={"torch": "/images/torch 2.sif"}, image_hook=hook) as backend:
        ref = await backend.submit(job('echo "$IMAGE|$WORK"', placement=Placement(image="torch")))
        await until_ended(backend, ref)
        work = work_of(slurm.shared, "alice", ref.attempt_id)
        assert (await printed(backend, ref)).decode() == f"/images/torch 2.sif|{work}\n"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"resources": Resources(gpus=9)}, "no-node-fits"),
        ({"resources": Resources(gpus=64), "placement": Placement(nodes=8)}, "too-large"),
        ({"placement": Placement(gpu_type="a100")}, "no-node-fits"),
    ],
)
async def test_what_slurm_itself_refuses_has_a_name_too(slurm: Cluster, more: dict[str, object], code: str) -> None:
    async with site(slurm, gpu_types=frozenset({"a100"})) as backend:
        request = job("echo on", **more)
        with pytest.raises(Rejected) as refused:
            await backend.submit(request)
        assert refused.value.code == code
        assert await backend.find(request.attempt_id) is None


async def test_what_lies_in_the_folder_is_not_trusted(slurm: Cluster) -> None:
    lines = "rm -f stdout stderr; ln -s /etc/shadow stdout; mkfifo stderr; ln -s /etc/passwd result.json; sleep 1"
    async with site(slurm) as backend:
        ref = await backend.submit(job(lines))
        assert (await until_ended(backend, ref)).seen is Seen.SUCCEEDED
        for stream in Stream:
            chunk = await backend.logs(ref, stream)
            assert (chunk.data, chunk.ended) == (b"", True)


async def test_a_real_site_says_what_it_lacks(slurm: Cluster) -> None:
    told = settings_of(slurm, partition="nowhere")
    rest = Rest(told.url, minter=Minter(told.jwt_key, clock=utc_now), clock=utc_now, service_user=told.service_user)
    try:
        lacks = {lack.code for lack in await check_site(told, rest=rest, spool=Spool(told.folder, uids=told.uids))}
    finally:
        await rest.close()
    shown = {"proctrack"} if slurm.release == "26.05" else {"configuration-not-told"}
    assert lacks == {"unknown-partition"} | shown
