"""What a job of the local backend may ask for beyond resources: checkpoints, secrets, a warning, torchrun, arrays."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from hpc_adapters.contract import ArrayTask, Placement, Resources, Script, Seen, Signal, Stream, Torchrun
from hpc_adapters.errors import Rejected
from hpc_adapters.local.software import this_python
from infra.clock import new_id
from tests.support.local_cluster import a_cluster, a_request, output, until_ended, until_running
from tests.support.machine import Machine, a_run

pytestmark = pytest.mark.sandbox
SECRET = "s3cr3t 'quoted' $HOME `id`\nsecond line; end"  # what no shell may read


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


async def test_the_attempts_of_a_job_hand_on_a_folder_and_nobody_else_sees_it(tmp_path: Path) -> None:
    backend, job = a_cluster(tmp_path), new_id()
    note = 'echo "$KYOYO_RESTART_COUNT $KYOYO_JOB_NUMBER" >> "$KYOYO_CHECKPOINT_DIR/seen"'
    script = f'cat "$KYOYO_CHECKPOINT_DIR"/* 2>/dev/null; {note}'

    async def run(**facts: object) -> str:
        ref = await backend.submit(a_request(script, number=7, **facts))
        assert (await until_ended(backend, ref)).seen is Seen.SUCCEEDED
        return await output(backend, ref)

    assert await run(job_id=job) == ""
    assert await run(job_id=job, ordinal=2) == "0 7\n"
    assert await run(job_id=job, ordinal=3) == "0 7\n1 7\n"
    assert await run(job_id=job, tenant="tenant-b") == ""
    assert await run(job_id=new_id()) == ""
    assert await run() == ""


async def test_a_job_knows_itself_its_task_and_its_places(tmp_path: Path) -> None:
    backend, job = a_cluster(tmp_path), new_id()
    task = ArrayTask(number=12, index=4, first=2, last=8, step=2, count=4)
    places = 'touch "$KYOYO_OUTPUT_DIR/a"; ls "$KYOYO_INPUT_DIR"; echo {} > "$KYOYO_RESULT"'
    script = f'env | grep -E "^(KYOYO|SLURM)_" | sort; {places}'
    request = a_request(script, job_id=job, ordinal=2, number=13, array=task, walltime_s=600)
    ref = await backend.submit(request)
    assert (await until_ended(backend, ref)).seen is Seen.SUCCEEDED
    told = dict(line.split("=", 1) for line in (await output(backend, ref)).splitlines())
    end_at = int(told.pop("KYOYO_END_AT"))
    assert 0 <= end_at - int((tmp_path / str(request.attempt_id) / "started.json").stat().st_mtime) - 600 <= 5
    assert told == {
        "KYOYO_ATTEMPT_ID": str(request.attempt_id),
        "KYOYO_CHECKPOINT_DIR": "/checkpoint",
        "KYOYO_GPUS": "0",
        "KYOYO_INPUT_DIR": "/job/input",
        "KYOYO_JOB_ID": str(job),
        "KYOYO_JOB_NUMBER": "13",
        "KYOYO_OUTPUT_DIR": "/job/output",
        "KYOYO_RESTART_COUNT": "1",
        "KYOYO_RESULT": "/job/result.json",
        "SLURM_ARRAY_JOB_ID": "12",
        "SLURM_ARRAY_TASK_COUNT": "4",
        "SLURM_ARRAY_TASK_ID": "4",
        "SLURM_ARRAY_TASK_MAX": "8",
        "SLURM_ARRAY_TASK_MIN": "2",
        "SLURM_ARRAY_TASK_STEP": "2",
    }
    assert await output(backend, ref, Stream.RESULT) == "{}\n"


async def test_a_secret_reaches_the_program_and_stays_nowhere(tmp_path: Path) -> None:
    backend = a_cluster(tmp_path)
    lines = [
        "#!/bin/sh",
        'printf %s "$TOKEN" | sha256sum; read line; echo "stdin: $line"',
        "cat /proc/*/cmdline /kyoyo/* /kyoyo/.start; sleep 1",
    ]
    script = Script(body="\n".join(lines).encode(), secrets={"TOKEN": SECRET})
    request = a_request("", payload=script)
    ref = await backend.submit(request)
    await until_running(backend, ref)
    place = tmp_path / str(request.attempt_id)
    observation = await until_ended(backend, ref)
    assert observation.seen is Seen.SUCCEEDED
    printed = await output(backend, ref)
    assert printed.startswith(sha256(SECRET.encode()).hexdigest())
    assert "stdin: \n" in printed
    assert b"s3cr3t" not in everything_below(tmp_path)
    assert not (place / "secrets").exists()


async def test_a_secret_that_was_never_read_goes_with_the_wish_to_end(machine: Machine) -> None:
    spec = a_run("sleep 30", secrets={"TOKEN": SECRET})
    machine.runs.accept_now(spec)
    kept = machine.root / str(spec.attempt_id) / "secrets"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert b"s3cr3t" in kept.read_bytes()
    assert await machine.runs.cancel(spec.attempt_id)
    assert (await machine.until_over(spec.attempt_id)).detail == "before-start"
    assert b"s3cr3t" not in everything_below(machine.root)


async def test_a_secret_is_gone_before_the_program_starts(machine: Machine) -> None:
    spec = a_run("echo started; seq 30; sleep 30", secrets={"TOKEN": SECRET})  # fewer bytes may begin the secret
    await machine.runs.start(spec)
    await machine.until_prints(spec.attempt_id, "started")
    assert b"s3cr3t" not in everything_below(machine.root)
    await machine.runs.cancel(spec.attempt_id)
    await machine.until_over(spec.attempt_id)


async def test_a_warning_comes_before_the_end_and_spares_who_does_not_wait_for_it(tmp_path: Path) -> None:
    backend = a_cluster(tmp_path)
    inner = "trap 'echo warned; touch here' USR1; while :; do sleep 0.1; done"
    request = a_request(
        f'sh -c "{inner}"; echo never',
        walltime_s=3,
        placement=Placement(signal=Signal(name="USR1", before_s=2)),
    )
    ref = await backend.submit(request)
    assert (await until_ended(backend, ref)).seen is Seen.TIMED_OUT
    assert await output(backend, ref) == "warned\n"


@pytest.mark.torch
async def test_torchrun_starts_its_processes_and_gives_back_the_program_s_code(tmp_path: Path) -> None:
    backend = a_cluster(tmp_path, software=this_python(), total=Resources(gpus=2, cpus=8, memory_mb=8192))
    body = b"""\
import os, sys
import torch.distributed as dist
dist.init_process_group("gloo")
dist.barrier()
os.write(1, f"rank {os.environ['RANK']} of {dist.get_world_size()} {sys.argv[1:]}\\n".encode())
dist.barrier()
sys.exit(5)
"""
    script = Script(body=body, arguments=["a b", "$c"], launch=Torchrun(processes_per_node=2))
    request = a_request("", payload=script, resources=Resources(gpus=2, cpus=2, memory_mb=6000), walltime_s=120)
    ref = await backend.submit(request)
    observation = await until_ended(backend, ref)
    assert (observation.seen, observation.exit_code) == (Seen.FAILED, 5), await output(backend, ref, Stream.STDERR)
    assert sorted((await output(backend, ref)).splitlines()) == [f"rank {rank} of 2 ['a b', '$c']" for rank in "01"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"placement": Placement(nodes=2)}, "unsupported-nodes"),
        ({"placement": Placement(gpu_type="h200")}, "unsupported-gpu-type"),
        ({"placement": Placement(constraint="nvlink")}, "unsupported-constraint"),
        ({"placement": Placement(reservation="night")}, "unsupported-reservation"),
        ({"placement": Placement(licenses={"a": 1})}, "unsupported-licenses"),
        ({"placement": Placement(exclusive=True)}, "unsupported-exclusive"),
        ({"placement": Placement(image="pytorch")}, "unsupported-image"),
        ({"placement": Placement(signal=Signal(name="KILL", before_s=5))}, "invalid-signal"),
        ({"placement": Placement(signal=Signal(name="NOSUCH", before_s=5))}, "invalid-signal"),
        ({"placement": Placement(signal=Signal(name="USR1", before_s=30))}, "invalid-signal"),
        ({"payload": Script(body=b"#!/bin/sh", secrets={"PATH": "/job"})}, "invalid-environment"),
        ({"payload": Script(body=b"#!/bin/sh", secrets={"KYOYO_JOB_ID": "x"})}, "invalid-environment"),
        ({"payload": Script(body=b"#!/bin/sh", secrets={"LD_PRELOAD": "x"})}, "invalid-environment"),
    ],
)
async def test_what_it_cannot_do_is_refused_by_name(tmp_path: Path, changes: dict[str, object], code: str) -> None:
    backend = a_cluster(tmp_path)
    request = a_request("true", **changes)
    with pytest.raises(Rejected) as refused:
        await backend.submit(request)
    assert refused.value.code == code
    assert await backend.find(request.attempt_id) is None


async def test_a_job_imports_our_client_however_it_is_installed(tmp_path: Path) -> None:
    backend = a_cluster(tmp_path, software=this_python())
    script = "#!/usr/bin/env python3\nimport kyoyo\nprint(kyoyo.Done(1).value, callable(kyoyo.qpu_session))\n"
    ref = await backend.submit(a_request(script.encode()))
    assert (await until_ended(backend, ref)).seen is Seen.SUCCEEDED
    assert await output(backend, ref) == "1 True\n"
