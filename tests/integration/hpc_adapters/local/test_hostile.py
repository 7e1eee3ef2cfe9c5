"""A hostile job on a machine with secrets: each thing it must not reach is really there, and it tries."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc_adapters.confined import sandbox
from hpc_adapters.contract import Script, Seen
from hpc_adapters.local.adapter import LocalBackend
from hpc_adapters.local.software import this_python
from tests.support.local_cluster import a_cluster, a_request, output, until_ended, until_running, work

pytestmark = pytest.mark.sandbox

ATTACKER = b"#!/usr/bin/env python3\n" + Path(__file__).with_name("attacker.py").read_bytes()


@pytest.fixture(params=[pytest.param(sandbox.ROOT, marks=pytest.mark.root), sandbox.USER])
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> LocalBackend:
    return a_cluster(tmp_path / "var" / "runs", software=this_python(), sandbox=request.param)


@pytest.fixture
def database_socket(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "var" / "s.5432"
    place.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        place.chmod(0o777)
        yield place


@pytest.fixture
def network_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def abstract_socket() -> Iterator[str]:
    name = f"kyoyo-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        yield name


async def test_a_hostile_job_reaches_nothing_of_ours(
    cluster: LocalBackend, tmp_path: Path, database_socket: Path, network_port: int, abstract_socket: str
) -> None:
    victim = a_request("echo confidential > data.csv; sleep 60", tenant="tenant-b")
    victim_ref = await cluster.submit(victim)
    await until_running(cluster, victim_ref)
    secret = tmp_path / "var" / "stripe.key"
    secret.write_text("sk_live")
    secret.chmod(0o644)  # by mistake
    theirs = work(tmp_path / "var" / "runs", victim.attempt_id)
    goals = {
        "files": [
            *map(str, (secret, theirs / "data.csv", theirs.parent / "request.json", database_socket)),
            *("/etc/shadow", "/root/.bashrc", "/root/.ssh", "/var/log", "/home", "/sys/kernel"),
            str(Path(__file__)),
        ],
        "folders": ["/kyoyo", "/usr", "/etc", "/", "/dev", str(this_python()[0])],
        "socket": str(database_socket),
        "abstract": abstract_socket,
        "port": network_port,
        "root": work(tmp_path / "var" / "runs", victim.attempt_id).stat().st_uid != os.getuid(),
    }
    ref = await cluster.submit(a_request("", payload=Script(body=ATTACKER, arguments=[json.dumps(goals)])))
    end = await until_ended(cluster, ref)
    report = await output(cluster, ref)
    assert (end.seen, report.splitlines()) == (Seen.SUCCEEDED, ["tried 12 ways", "reached nothing"]), report

    assert (await until_running(cluster, victim_ref)).exit_code is None, "the neighbour goes on"
    await cluster.cancel(victim_ref)
    await until_ended(cluster, victim_ref)


async def test_the_same_attack_without_walls_reaches_much(
    tmp_path: Path, database_socket: Path, network_port: int, abstract_socket: str
) -> None:
    """So that the test above is not true of any program that fails."""
    cluster = a_cluster(tmp_path / "var" / "runs", software=this_python(), sandbox=sandbox.NONE)
    secret = tmp_path / "var" / "stripe.key"
    secret.write_text("sk_live")
    goals = {
        "files": [str(secret)],
        "folders": [str(tmp_path)],
        "socket": str(database_socket),
        "abstract": abstract_socket,
        "port": network_port,
    }
    ref = await cluster.submit(a_request("", payload=Script(body=ATTACKER, arguments=[json.dumps(goals), "quiet"])))
    await until_ended(cluster, ref)
    reached = (await output(cluster, ref)).splitlines()
    assert [line for line in reached if line.startswith("REACHED")] == [
        f"REACHED read {secret}",
        f"REACHED write {tmp_path}",
        "REACHED connect socket",
        "REACHED connect abstract",
        "REACHED connect network",
        "REACHED processes",
    ]


async def test_a_job_sees_no_variable_of_the_server(cluster: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYOYO_DATABASE_URL", "postgresql://kyoyo:secret@db/kyoyo")
    ref = await cluster.submit(a_request(r"env; tr '\0' '\n' < /proc/1/environ || :"))
    await until_ended(cluster, ref)
    names = {line.split("=")[0] for line in (await output(cluster, ref)).splitlines()}
    assert names == {
        *("PATH", "HOME", "PWD", "LANG", "TMPDIR", "KYOYO_ATTEMPT_ID", "KYOYO_GPUS", "CUDA_VISIBLE_DEVICES"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
        *("KYOYO_JOB_ID", "KYOYO_RESTART_COUNT", "KYOYO_CHECKPOINT_DIR", "KYOYO_END_AT"),
        *("KYOYO_INPUT_DIR", "KYOYO_OUTPUT_DIR", "KYOYO_RESULT"),
    }


async def test_a_job_may_set_its_own_variables_but_not_ours(cluster: LocalBackend) -> None:
    mine = {"LEARNING_RATE": "1e-3; $(id)", "KYOYO_GPUS": "0,1,2,3", "HOME": "/root", "UID": "0"}
    script = Script(
        body=b'#!/bin/sh\necho "$LEARNING_RATE|$KYOYO_GPUS|$HOME|$1|$2"\n',
        arguments=["two words", "日本"],
        environment=mine,
    )
    ref = await cluster.submit(a_request("", payload=script))
    await until_ended(cluster, ref)
    assert await output(cluster, ref) == "1e-3; $(id)|0|/job|two words|日本\n"
