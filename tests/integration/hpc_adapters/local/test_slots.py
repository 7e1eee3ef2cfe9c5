"""The machine is never given away twice, whoever asks at once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hpc_adapters.confined import sandbox
from hpc_adapters.confined.admission import admission
from hpc_adapters.contract import Circuit, Isolation, Ref, Resources, Script, Seen
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.local.adapter import LocalBackend
from tests.support.local_cluster import TOTAL, a_cluster, a_request, output, until_ended, until_running, work

pytestmark = pytest.mark.sandbox

UNIT = Resources(gpus=1, cpus=1, memory_mb=64)


@pytest.fixture
def cluster(tmp_path: Path) -> LocalBackend:
    return a_cluster(tmp_path)


async def test_twenty_submissions_at_once_fill_four_units_and_no_more(tmp_path: Path, cluster: LocalBackend) -> None:
    other = a_cluster(tmp_path)  # a second process would be the same: the door is a lock on a file
    requests = [a_request("echo $KYOYO_GPUS; sleep 60", resources=UNIT) for _ in range(20)]
    answers = await asyncio.gather(
        *((cluster, other)[i % 2].submit(request) for i, request in enumerate(requests)), return_exceptions=True
    )
    refs = [answer for answer in answers if isinstance(answer, Ref)]
    refusals = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert (len(refs), len(refusals)) == (4, 16)
    assert {(refusal.detail, refusal.maybe_done) for refusal in refusals} == {("no-room", False)}
    assert (await cluster.capacity()).free == Resources(gpus=0, cpus=4, memory_mb=4096 - 4 * 64)
    for request, answer in zip(requests, answers, strict=True):
        known = await cluster.find(request.attempt_id)
        assert known == (answer if isinstance(answer, Ref) else None)

    for ref in refs:
        await until_running(cluster, ref)
        await cluster.cancel(ref)
    for ref in refs:
        await until_ended(cluster, ref)
    assert {await output(cluster, ref) for ref in refs} == {"0\n", "1\n", "2\n", "3\n"}
    assert (await cluster.capacity()).free == TOTAL


async def test_a_full_machine_still_knows_what_it_has(cluster: LocalBackend) -> None:
    request = a_request("sleep 60", resources=TOTAL)
    ref = await cluster.submit(request)
    assert await cluster.submit(request) == ref
    with pytest.raises(Unavailable):
        await cluster.submit(a_request("exit 0"))
    await cluster.cancel(ref)
    await until_ended(cluster, ref)


async def test_units_are_told_to_the_job_by_their_lowest_free_indices(cluster: LocalBackend) -> None:
    first = await cluster.submit(a_request("sleep 60", resources=UNIT))
    script = 'echo "$KYOYO_GPUS|$CUDA_VISIBLE_DEVICES|$OMP_NUM_THREADS"'
    second = await cluster.submit(a_request(script, resources=Resources(gpus=2, cpus=3, memory_mb=64)))
    none = await cluster.submit(a_request(script, resources=Resources(cpus=1, memory_mb=64)))
    await until_ended(cluster, second)
    await until_ended(cluster, none)
    assert await output(cluster, second) == "1,2|1,2|3\n"
    assert await output(cluster, none) == "||1\n"
    await cluster.cancel(first)
    await until_ended(cluster, first)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"resources": Resources(gpus=5, cpus=1, memory_mb=64)}, "too-large"),
        ({"resources": Resources(cpus=1, memory_mb=5000)}, "too-large"),
        ({"resources": Resources(cpus=1, memory_mb=64, qpus=1)}, "too-large"),
        ({"resources": Resources(gpus=-1)}, "invalid-resources"),
        ({"walltime_s": 0}, "invalid-walltime"),
        ({"payload": Circuit(program=b"OPENQASM 3.0;", shots=1)}, "unsupported-payload"),
        ({"payload": Script(body=b" \n")}, "empty-script"),
        ({"payload": Script(body=b"#" * (2**20 + 1))}, "script-too-large"),
        ({"payload": Script(body=b"x", arguments=["a\0b"])}, "invalid-arguments"),
        ({"payload": Script(body=b"x", arguments=["\ud800"])}, "invalid-arguments"),
        ({"payload": Script(body=b"x", arguments=["x" * 70_000])}, "arguments-too-large"),
        ({"payload": Script(body=b"x", environment={"LD_PRELOAD": "/job/evil.so"})}, "invalid-environment"),
        ({"payload": Script(body=b"x", environment={"A=B": "c"})}, "invalid-environment"),
        ({"payload": Script(body=b"x", environment={"A": "b\0c"})}, "invalid-environment"),
    ],
)
async def test_what_can_never_run_is_rejected_with_its_reason(
    cluster: LocalBackend, changes: dict[str, object], code: str
) -> None:
    request = a_request("exit 0", **changes)
    with pytest.raises(Rejected) as refusal:
        await cluster.submit(request)
    assert refusal.value.code == code
    assert await cluster.find(request.attempt_id) is None


async def test_a_script_without_shebang_is_for_the_shell(cluster: LocalBackend) -> None:
    ref = await cluster.submit(a_request(b"echo $0 $1\n", payload=Script(body=b"echo $1\n", arguments=["hello"])))
    await until_ended(cluster, ref)
    assert await output(cluster, ref) == "hello\n"


async def test_a_request_that_names_no_memory_gets_a_little(cluster: LocalBackend) -> None:
    ref = await cluster.submit(a_request("sleep 60", resources=Resources(gpus=1)))
    assert (await cluster.capacity()).free == Resources(gpus=3, cpus=7, memory_mb=4096 - 512)
    await cluster.cancel(ref)
    assert (await until_ended(cluster, ref)).seen is Seen.CANCELLED


async def test_a_machine_without_walls_serves_one_organisation(tmp_path: Path) -> None:
    cluster = a_cluster(tmp_path, sandbox=sandbox.NONE)
    assert cluster.capabilities().isolation is Isolation.SINGLE_TENANT
    assert "one organisation" in (await cluster.health()).detail
    first = await cluster.submit(a_request("exit 0", tenant="tenant-a"))
    await until_ended(cluster, first)
    again = a_cluster(tmp_path, sandbox=sandbox.NONE)
    stranger = a_request("exit 0", tenant="tenant-b")
    with pytest.raises(Rejected) as refusal:
        await again.submit(stranger)
    assert refusal.value.code == "single-tenant-backend"
    assert await again.find(stranger.attempt_id) is None
    second = await again.submit(a_request("exit 0", tenant="tenant-a"))
    assert (await until_ended(again, second)).seen is Seen.SUCCEEDED


def test_somebody_who_stands_in_the_door_does_not_stop_us(tmp_path: Path) -> None:
    with admission(tmp_path), pytest.raises(Unavailable) as refusal, admission(tmp_path, patience_s=0.05):
        raise AssertionError("two at once")
    assert (refusal.value.detail, refusal.value.maybe_done) == ("admission-locked", False)


async def test_software_that_is_not_there_is_noticed_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        a_cluster(tmp_path, software=[tmp_path / "nowhere"])


async def test_a_name_reused_by_another_backend_is_forgotten(cluster: LocalBackend, tmp_path: Path) -> None:
    request = a_request("echo once >> log")
    ref = await cluster.submit(request)
    await until_ended(cluster, ref)
    assert (work(tmp_path, request.attempt_id) / "log").read_text() == "once\n"
    [answer] = await cluster.observe([Ref("local", request.attempt_id, str(os.getpid()))])
    assert not hasattr(answer, "seen")
