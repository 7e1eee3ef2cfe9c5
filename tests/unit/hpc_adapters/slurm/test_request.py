"""What is refused by name before anything reaches Slurm, and what the rest becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hpc_adapters.contract import (
    ArrayTask,
    Identity,
    JobRequest,
    Placement,
    Resources,
    Script,
    Signal,
    Torchrun,
)
from hpc_adapters.errors import Rejected
from hpc_adapters.jobhead.places import Places
from hpc_adapters.jobhead.room import has_room
from hpc_adapters.jobhead.variables import own_variables
from hpc_adapters.slurm.checks import check
from hpc_adapters.slurm.request import body, head
from hpc_adapters.slurm.settings import ImageHook, ImageKind, SlurmSettings

A, JOB = UUID(int=10), UUID(int=20)
SITE = SlurmSettings(
    name="hpc",
    cluster="c",
    url="unix:/run/restd.sock",
    jwt_key=b"k" * 32,
    folder=Path("/shared/ky"),
    gpu_type="h200",
    gpu_types=frozenset({"a100"}),
    constraints=frozenset({"nvlink", "ib"}),
    reservations={"course": frozenset({"lab-a"}), "open": frozenset()},
    licenses=frozenset({"matlab"}),
    images={"torch": "/images/torch.sif"},
    image_hook=ImageHook(ImageKind.PREFIX, ("apptainer", "exec", "--nv", "--bind", "{work}", "{image}")),
)
PLAIN = JobRequest(
    attempt_id=A,
    job_id=JOB,
    tenant="t",
    identity=Identity("alice", "lab-a"),
    resources=Resources(gpus=4, cpus=8, memory_mb=4000),
    walltime_s=3601,
    payload=Script(body=b"#!/bin/sh\necho hi\n", arguments=["a b"]),
)


def posted(request: JobRequest, version: str = "v0.0.42", site: SlurmSettings = SITE) -> dict[str, Any]:
    script, identity = check(request, site)
    places = Places.of(request, site.folder, identity.user)
    told = dict(body(request, script, identity, settings=site, places=places, version=version))
    job = told["job"]
    assert isinstance(job, dict)
    return {**job, "script": job.get("script") or told["script"]}


def placed(**more: Any) -> JobRequest:
    return replace(PLAIN, placement=Placement(**more))


def with_script(**more: Any) -> JobRequest:
    return replace(PLAIN, payload=Script(**{"body": b"#!/bin/sh\n:\n", **more}))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (replace(PLAIN, identity=None), "no-identity"),
        (replace(PLAIN, identity=Identity("root", "lab-a")), "unknown-user"),
        (replace(PLAIN, identity=Identity("../bob", "lab-a")), "unknown-user"),
        (replace(PLAIN, identity=Identity("alice", "a;b")), "unknown-account"),
        (replace(PLAIN, walltime_s=0), "invalid-walltime"),
        (replace(PLAIN, walltime_s=10**9), "walltime-too-long"),
        (replace(PLAIN, resources=Resources(qpus=1)), "no-qpu"),
        (replace(PLAIN, resources=Resources(gpus=-1)), "invalid-resources"),
        (placed(nodes=65), "too-large"),
        (placed(nodes=0), "invalid-resources"),
        (placed(nodes=3), "uneven-layout"),
        (placed(gpu_type="h100"), "unknown-gpu-type"),
        (placed(constraint="nvlink&secret"), "unknown-constraint"),
        (placed(constraint="nvlink\n--uid=0"), "unknown-constraint"),
        (placed(reservation="other"), "unknown-reservation"),
        (replace(placed(reservation="course"), identity=Identity("carol", "lab-b")), "reservation-not-allowed"),
        (placed(licenses={"ansys": 1}), "unknown-license"),
        (placed(licenses={"matlab": 0}), "unknown-license"),
        (placed(image="/etc/passwd"), "image-not-allowed"),
        (placed(signal=Signal(name="KILL", before_s=60)), "invalid-signal"),
        (placed(signal=Signal(name="USR1", before_s=0)), "invalid-signal"),
        (with_script(body=b" \n"), "empty-script"),
        (with_script(body=b"x" * (2**20 + 1)), "script-too-large"),
        (with_script(arguments=["\0"]), "invalid-arguments"),
        (with_script(arguments=["\ud800"]), "invalid-arguments"),
        (with_script(arguments=["x" * 70_000]), "arguments-too-large"),
        (with_script(secrets={f"S{n}": "x" * 32_768 for n in range(32)}), "arguments-too-large"),
        (with_script(environment={"LD_PRELOAD": "x"}), "invalid-environment"),
        (with_script(environment={"SLURM_JOB_ID": "1"}), "invalid-environment"),
        (with_script(environment={"KYOYO_ATTEMPT_ID": "1"}), "invalid-environment"),
        (with_script(environment={"A=B": "1"}), "invalid-environment"),
        (with_script(secrets={"BASH_ENV": "x"}), "invalid-environment"),
        (with_script(launch=Torchrun(processes_per_node=0)), "invalid-launch"),
    ],
)
def test_what_the_site_does_not_allow_has_a_name(request_: JobRequest, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        check(request_, SITE)
    assert refused.value.code == code


@pytest.mark.parametrize("gres", ["qpu", "qpu:kyo"])
def test_a_qpu_is_asked_for_by_the_sites_name(gres: str) -> None:
    site = replace(SITE, qpu_gres=gres)
    alone = replace(PLAIN, resources=Resources(cpus=1, qpus=1))
    assert posted(alone, site=site)["tres_per_node"] == f"gres/{gres}:1"
    spread = replace(PLAIN, resources=Resources(gpus=4, cpus=2, qpus=2), placement=Placement(nodes=2))
    assert posted(spread, site=site)["tres_per_node"] == f"gres/gpu:h200:2,gres/{gres}:1"
    with pytest.raises(Rejected, match="uneven-layout"):
        check(replace(spread, resources=Resources(qpus=1)), site)


@pytest.mark.parametrize("gres", ["", "QPU", "qpu:", "qpu:a:b", "qpu,gpu", "qpu 1", "gres/qpu"])
def test_a_gres_that_is_none_is_no_setting(gres: str) -> None:
    with pytest.raises(ValueError, match="qpu_gres"):
        replace(SITE, qpu_gres=gres)


def test_limits_and_names_always_stand_in_the_request() -> None:
    job = posted(PLAIN)
    assert job["name"] == job["comment"] == f"ky-{A.hex}"
    assert job["time_limit"] == {"set": True, "infinite": False, "number": 61}
    assert (job["account"], job["qos"], job["partition"]) == ("lab-a", "ky-lab-a", "main")
    assert job["requeue"] is False
    assert job["open_mode"] == ["APPEND"]
    assert job["current_working_directory"] == f"/shared/ky/alice/{A}"
    assert job["standard_output"] == f"/shared/ky/alice/{A}/stdout"
    assert job["tres_per_node"] == "gres/gpu:h200:4"
    assert (job["nodes"], job["tasks"], job["cpus_per_task"]) == ("1", 1, 8)
    assert job["memory_per_node"]["number"] == 4000
    assert "user_id" not in job


def test_the_sites_python_is_told_to_the_job() -> None:
    site = replace(SITE, python="/sw/torch/bin/python3")
    asked = head(PLAIN, *check(PLAIN, site)[:1], settings=site, places=Places.of(PLAIN, site.folder, "alice"))
    assert asked.own["KYOYO_SITE_PYTHON"] == "/sw/torch/bin/python3"
    with pytest.raises(ValueError, match="python"):
        replace(SITE, python="python3; id")


def test_the_sum_is_spread_over_the_nodes() -> None:
    job = posted(placed(nodes=2, tasks_per_node=2, gpu_type="a100"))
    assert (job["nodes"], job["tasks"], job["tasks_per_node"], job["cpus_per_task"]) == ("2", 4, 2, 2)
    assert job["tres_per_node"] == "gres/gpu:a100:2"
    assert job["memory_per_node"]["number"] == 2000


def test_what_else_a_job_may_ask_for() -> None:
    job = posted(
        placed(
            constraint="nvlink&ib",
            reservation="course",
            licenses={"matlab": 2},
            exclusive=True,
            signal=Signal(name="USR1", before_s=90),
        )
    )
    assert (job["constraints"], job["reservation"], job["licenses"]) == ("nvlink&ib", "course", "matlab:2")
    assert job["shared"] == ["none"]
    assert (job["kill_warning_signal"], job["kill_warning_delay"]["number"]) == ("USR1", 90)
    assert job["kill_warning_flags"] == ["BATCH_JOB"]


def test_the_oldest_version_has_the_script_beside_the_job() -> None:
    script, identity = check(PLAIN, SITE)
    places = Places.of(PLAIN, SITE.folder, identity.user)
    old = body(PLAIN, script, identity, settings=SITE, places=places, version="v0.0.40")
    assert isinstance(old["script"], str)
    assert "script" not in (old["job"] if isinstance(old["job"], dict) else {})


def test_nothing_of_a_secret_is_in_what_slurm_is_given() -> None:
    job = posted(with_script(secrets={"TOKEN": "hunter2-very-long"}))
    assert "hunter2" not in str(job)
    assert "aHVudGVyMi" not in str(job)
    assert "ky_secrets=1\n" in job["script"]


def test_a_site_without_qos_of_its_own_takes_the_default() -> None:
    assert "qos" not in posted(PLAIN, site=replace(SITE, qos=""))
    assert posted(PLAIN, site=replace(SITE, qos="ky-{service_class}"))["qos"] == "ky-standard"


def test_an_oci_image_is_slurms_own_field() -> None:
    site = replace(SITE, image_hook=ImageHook(ImageKind.OCI))
    assert posted(placed(image="torch"), site=site)["container"] == "/images/torch.sif"
    assert "container" not in posted(placed(image="torch"))


def test_torchrun_in_a_step_container_is_refused() -> None:
    site = replace(SITE, image_hook=ImageHook(ImageKind.STEP, ("--container-image={image}",)))
    request = replace(with_script(launch=Torchrun(processes_per_node=2)), placement=Placement(image="torch"))
    with pytest.raises(Rejected) as refused:
        check(request, site)
    assert refused.value.code == "image-not-with-torchrun"


def test_a_task_of_an_array_knows_its_place() -> None:
    task = ArrayTask(number=12, index=3, first=1, last=9, step=2, count=5)
    request = replace(PLAIN, array=task, ordinal=2, number=12)
    variables = own_variables(request, Places.of(request, SITE.folder, "alice"))
    assert (variables["SLURM_ARRAY_JOB_ID"], variables["SLURM_ARRAY_TASK_ID"]) == ("12", "3")
    assert variables["SLURM_ARRAY_TASK_COUNT"] == "5"
    assert (variables["KYOYO_RESTART_COUNT"], variables["KYOYO_JOB_NUMBER"]) == ("1", "12")
    assert variables["KYOYO_CHECKPOINT_DIR"] == f"/shared/ky/alice/jobs/{JOB}/checkpoint"


@pytest.mark.parametrize("folder", ["relative", "/a b", "/a/../b", "/a;b", "/あ"])
def test_a_folder_is_plain(folder: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        replace(SITE, folder=Path(folder))


def test_so_many_may_wait_and_no_more() -> None:
    one, free = Resources(gpus=1), Resources(gpus=2)
    assert has_room(free, [one], one, look_ahead=0)
    assert not has_room(free, [one, one], one, look_ahead=0)
    assert has_room(free, [one, one], one, look_ahead=1)
    assert not has_room(free, [one, one, one], one, look_ahead=1)
    assert has_room(Resources(), [], Resources(gpus=8), look_ahead=1)
