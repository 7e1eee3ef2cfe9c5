"""Every call against the real servers, in every version of the API that they offer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hpc_adapters.contract import BY_OWNER, Seen, Window
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.slurm import accounting, translate
from hpc_adapters.slurm.calls import Cancel, Slurm
from hpc_adapters.slurm.directory import Directory
from hpc_adapters.slurm.faults import TokenRefused
from hpc_adapters.slurm.models import Account, Association, DbJob, LiveJob, Qos
from hpc_adapters.slurm.rest import Limits, Rest
from hpc_adapters.slurm.tokens import Minter
from hpc_adapters.slurm.versions import at_least
from infra.clock import new_id, utc_now
from infra.slurm.cluster import Cluster
from tests.support.slurm import StartCluster

T = TypeVar("T")
VERSIONS = {"24.11": ("v0.0.40", "v0.0.41", "v0.0.42"), "26.05": ("v0.0.42", "v0.0.43", "v0.0.44", "v0.0.45")}
NEWEST = {release: versions[-1] for release, versions in VERSIONS.items()}


def rest(cluster: Cluster, *, key: bytes | None = None, url: str | None = None, **limits: Any) -> Rest:
    minter = Minter(key or cluster.jwt_key, clock=utc_now)
    return Rest(
        url or cluster.url, minter=minter, clock=utc_now, service_user=cluster.service_user, limits=Limits(**limits)
    )


@asynccontextmanager
async def connected(cluster: Cluster, version: str | None = None, **how: Any) -> AsyncIterator[Slurm]:
    client = rest(cluster, **how)
    client._version = version
    slurm = Slurm(client, service_user=cluster.service_user)
    try:
        yield slurm
    finally:
        await slurm.close()


def body(name: str, script: str = "sleep 60", **more: Any) -> dict[str, Any]:
    job = {
        "name": name,
        "comment": name,
        "account": "lab-a",
        "partition": "main",
        "current_working_directory": "/tmp",
        "environment": ["PATH=/bin:/usr/bin"],
        "tasks": 1,
        "requeue": False,
        "time_limit": {"set": True, "number": 5},
        "tres_per_node": "gres/gpu:1",
        **more,
    }
    return {"script": f"#!/bin/bash\n{script}\n", "job": job}


async def until(ask: Callable[[], Awaitable[T | None]]) -> T:
    """What it says once it says something."""
    async with asyncio.timeout(60):
        while not (found := await ask()):  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.1)
        return found


async def when(slurm: Slurm, job_id: int, seen: Seen) -> LiveJob:
    async def look() -> LiveJob | None:
        job = await slurm.live_job(job_id)
        return job if job is not None and translate.live(job).seen is seen else None

    return await until(look)


async def when_recorded(slurm: Slurm, job_id: int) -> DbJob:
    async def look() -> DbJob | None:
        found = await slurm.db_jobs_by_id([job_id])
        return next((job for job in found.items if job.ended_at is not None), None)

    return await until(look)


def each_version(cluster: Cluster) -> tuple[str, ...]:
    return VERSIONS[cluster.release]


async def test_the_newest_common_version_is_chosen(slurm: Cluster) -> None:
    async with connected(slurm) as client:
        assert await client.version() == NEWEST[slurm.release]
        ping = await client.ping()
    assert (ping.cluster, ping.release) == (slurm.name, slurm.version)
    assert abs(ping.skew_s) <= 1.5


async def test_a_job_from_its_submission_to_its_record(slurm: Cluster) -> None:
    for version in each_version(slurm):
        name = f"ky-{new_id().hex}"
        async with connected(slurm, version) as client:
            since = utc_now() - timedelta(seconds=5)
            job_id = await client.submit("alice", body(name, "exit 3"), version=version)
            live = await when(client, job_id, Seen.FAILED)
            assert (live.name, live.user, live.exit_code) == (name, "alice", 3)
            record = await when_recorded(client, job_id)
            assert translate.recorded(record) == translate.Verdict(Seen.FAILED, "", 3)
            by_name = await client.db_jobs_by_name([name, "ky-nobody"], since=since)
            in_window = await client.db_jobs_in(Window(since, utc_now() + timedelta(seconds=5)))
            assert [job.job_id for job in by_name.items] == [job_id]
            assert job_id in {job.job_id for job in in_window.items}
            row = accounting.usage_row(record, cluster=slurm.name, attempt_id=None)
            assert row is not None
            assert row.final


async def test_a_record_is_the_same_in_every_window(slurm: Cluster) -> None:
    """Left to itself, slurmdbd cuts a record to the window that was asked for."""
    async with connected(slurm) as client:
        job_id = await client.submit("alice", body("ky-long", "sleep 3"), version=await client.version())
        await when(client, job_id, Seen.SUCCEEDED)
        whole = await when_recorded(client, job_id)
        assert whole.started_at is not None
        assert whole.ended_at is not None
        second = timedelta(seconds=1)
        for since, until_ in (
            (whole.started_at - second, whole.started_at + second),
            (whole.ended_at - second, utc_now()),
        ):
            found = await client.db_jobs_in(Window(since, until_ + second))
            assert [job for job in found.items if job.job_id == job_id] == [whole]


async def test_a_cancel_reaches_only_the_job_of_that_user_and_name(slurm: Cluster) -> None:
    for version in each_version(slurm):
        name = f"ky-{new_id().hex}"
        async with connected(slurm, version) as client:
            job_id = await client.submit("alice", body(name), version=version)
            await when(client, job_id, Seen.RUNNING)
            assert await client.cancel("bob", job_id) is Cancel.NOT_THERE
            assert await client.cancel("alice", job_id, name="ky-another") is Cancel.NOT_THERE
            assert await client.cancel("alice", 66_000_000, name=name) is Cancel.NOT_THERE
            assert (await when(client, job_id, Seen.RUNNING)).job_id == job_id
            assert await client.cancel("alice", job_id, name=name) is Cancel.TAKEN
            await when(client, job_id, Seen.CANCELLED)
            assert await client.cancel("alice", job_id, name=name) is Cancel.ENDED
            assert translate.recorded(await when_recorded(client, job_id)).detail == BY_OWNER


async def test_another_cancels_and_the_owner_is_not_blamed(slurm: Cluster) -> None:
    async with connected(slurm) as client:
        job_id = await client.submit("alice", body("ky-root"), version=await client.version())
        await when(client, job_id, Seen.RUNNING)
        slurm.exec("scancel", str(job_id), check=True)
        verdict = translate.recorded(await when_recorded(client, job_id))
    assert verdict == translate.Verdict(Seen.CANCELLED, "")


async def test_changes_only_when_there_are_some(slurm: Cluster) -> None:
    for version in each_version(slurm):
        async with connected(slurm, version) as client:
            everything = await client.live_jobs()
            assert everything.updated_at is not None
            assert (await client.live_jobs(utc_now() + timedelta(hours=1))).unchanged
            job_id = await client.submit("alice", body("ky-new", "true"), version=version)
            changed = await client.live_jobs(everything.updated_at - timedelta(seconds=5))
            assert job_id in {job.job_id for job in changed.jobs}


async def test_the_states_are_those_of_the_whole_list(slurm: Cluster) -> None:
    """In the same words, so that what differs is what has changed."""
    for version in each_version(slurm):
        async with connected(slurm) as client:
            await client.version()  # the description, which says what is offered
            client._rest._version = version
            held = await client.submit("alice", body("ky-held", hold=True), version=version)
            ran = await client.submit("alice", body("ky-ran", "true"), version=version)
            await when(client, ran, Seen.SUCCEEDED)
            states = await client.job_states()
            everything = await client.live_jobs()
            assert states is not None
            assert {held, ran} <= states.keys()
            known = [job for job in everything.jobs if job.job_id in states]  # not what has come in between
            settled = [job for job in known if job.ended_at is not None or job.job_id == held]
            assert {job.job_id: states[job.job_id] for job in settled} == {
                job.job_id: frozenset(job.state) for job in settled
            }
            await client.cancel("alice", held)


async def test_refusals_are_named_and_create_nothing(slurm: Cluster) -> None:
    refused = {
        "unknown-partition": {"partition": "nosuch"},
        "unknown-account": {"account": "lab-b"},
        "no-node-fits": {"tres_per_node": "gres/gpu:99"},
        "unknown-constraint": {"constraints": "nosuch"},
    }
    for version in each_version(slurm):
        async with connected(slurm, version) as client:
            for code, more in refused.items():
                with pytest.raises(Rejected, match=code):
                    await client.submit("alice", body("ky-refused", **more), version=version)
    async with connected(slurm) as client:
        left = [job for job in (await client.live_jobs()).jobs if job.name == "ky-refused"]
    assert all(job.started_at is None and translate.live(job).seen is Seen.FAILED for job in left)


async def test_a_wrong_key_is_an_outage_of_everything(slurm: Cluster) -> None:
    async with connected(slurm, key=bytes(32)) as client:
        for ask in (client.live_jobs, client.ping, client.nodes, lambda: client.live_job(1)):
            with pytest.raises(TokenRefused):
                await ask()
        with pytest.raises(TokenRefused):
            await client.submit("alice", body("ky-x"), version=await client.version())
        for asked in (client.ping_accounting, lambda: client.db_jobs_by_id([1])):
            with pytest.raises(Unavailable) as outage:
                await asked()
            assert not outage.value.maybe_done


async def test_machines_and_partitions(slurm: Cluster) -> None:
    for version in each_version(slurm):
        async with connected(slurm, version) as client:
            nodes, partitions = await client.nodes(), await client.partitions()
            await client.ping_accounting()
        assert nodes.unreadable == partitions.unreadable == ()
        assert {node.tres["gres/gpu"] for node in nodes.items} == {8}
        assert [partition.name for partition in partitions.items] == ["main"]


async def test_the_directory_makes_and_removes(slurm: Cluster) -> None:
    slurm.exec("sacctmgr", "-i", "modify", "user", slurm.service_user, "set", "adminlevel=Administrator", check=True)
    try:
        for version in each_version(slurm):
            await _make_and_remove(slurm, version)
    finally:
        slurm.exec("sacctmgr", "-i", "modify", "user", slurm.service_user, "set", "adminlevel=Operator", check=True)


async def _make_and_remove(cluster: Cluster, version: str) -> None:
    name = f"org-{new_id().hex[:8]}"
    client = rest(cluster)
    client._version = version
    directory = Directory(client, admin=cluster.service_user)
    try:
        await _make(directory, cluster, name)
        await _remove(directory, cluster, name)
    finally:
        await client.close()


async def _make(directory: Directory, cluster: Cluster, name: str) -> None:
    qos = Qos(name=f"ky-{name}", description="x", flags=("NO_DECAY",), group_tres_minutes={"gres/gpu": 600})
    if not at_least(await directory._rest.version(), "v0.0.42"):
        with pytest.raises(Rejected, match="qos-limits-unsupported"):
            await directory.put_qos(qos)
        qos = replace(qos, group_tres_minutes={})
    account = Account(name=name, description="an organisation", organization="site")
    place = Association(
        account=name, user="carol", cluster=cluster.name, qos=(qos.name,), default_qos=qos.name, shares=7
    )
    await directory.put_qos(qos)
    await directory.add_account(
        name, cluster=cluster.name, parent="root", description=account.description, organization="site"
    )
    await directory.put_associations(place)
    made = next(each for each in (await directory.qos()).items if each.name == qos.name)
    assert (made.flags, made.group_tres_minutes) == (qos.flags, qos.group_tres_minutes)
    assert account in (await directory.accounts()).items
    places = {(each.account, each.user): each for each in (await directory.associations()).items}
    made_place = places[name, "carol"]
    assert (made_place.qos, made_place.default_qos, made_place.shares) == ((qos.name,), qos.name, 7)
    assert places[name, ""].parent == "root"
    carol = next(each for each in (await directory.users()).items if each.name == "carol")
    assert carol.default_account == "lab-b"


async def _remove(directory: Directory, cluster: Cluster, name: str) -> None:
    assert await directory.delete_association(account=name, user="carol", cluster=cluster.name)
    assert not await directory.delete_association(account=name, user="carol", cluster=cluster.name)
    assert await directory.delete_account(name)
    assert name not in {each.name for each in (await directory.accounts()).items}
    assert not await directory.delete_user("nosuch")
    await directory.delete_qos(f"ky-{name}")
    assert f"ky-{name}" not in {each.name for each in (await directory.qos()).items}


@pytest.mark.takes(25)
async def test_outages_are_told_apart_from_answers(own_cluster: StartCluster, release: str) -> None:
    cluster = own_cluster(release, nodes=1)
    async with connected(cluster, call_s=60.0) as client:
        version = await client.version()
        cluster.kill("slurmdbd")
        assert (await client.live_jobs()).updated_at is not None
        with pytest.raises(Unavailable):
            await client.db_jobs_by_id([1])
        cluster.kill("slurmctld")
        with pytest.raises(Unavailable) as outage:
            await client.submit("alice", body("ky-down"), version=version)
        assert not outage.value.maybe_done
        with pytest.raises(Unavailable):
            await client.cancel("alice", 1)
        cluster.kill("slurmrestd")
    async with connected(cluster, version) as stranger:  # without a kept connection, of which nobody knows how it died
        with pytest.raises(Unavailable, match="unreachable") as gone:
            await stranger.submit("alice", body("ky-down"), version=version)
        assert not gone.value.maybe_done


@pytest.mark.takes(15)
async def test_a_frozen_slurmctld_leaves_the_outcome_open(own_cluster: StartCluster) -> None:
    cluster = own_cluster("24.11", nodes=1)
    async with connected(cluster, call_s=2.0) as client:
        version = await client.version()
        cluster.pause("slurmctld")
        with pytest.raises(Unavailable, match="no-answer") as outage:
            await client.submit("alice", body("ky-frozen"), version=version)
        assert outage.value.maybe_done
        cluster.resume("slurmctld")

        async def arrived() -> bool:
            try:
                return any(job.name == "ky-frozen" for job in (await client.live_jobs()).jobs)
            except Unavailable:
                return False

        assert await until(arrived)


async def _port_that_refuses() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _submit_to(url: str) -> Unavailable:
    minter = Minter(bytes(32), clock=utc_now)
    client = Rest(url, minter=minter, clock=utc_now, service_user="kyoyo", limits=Limits(connect_s=2, call_s=2))
    try:
        with pytest.raises(Unavailable) as outage:
            await client.post("slurm/{v}/job/submit", user="alice", body={}, version="v0.0.42")
    finally:
        await client.close()
    return outage.value


async def test_nobody_there_means_nothing_was_done(tmp_path: Path) -> None:
    for url in (f"http://127.0.0.1:{await _port_that_refuses()}", f"unix:{tmp_path}/none.sock"):
        assert not (await _submit_to(url)).maybe_done


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"HTTP/1.1 200 OK\r\nContent-", b"nonsense\r\n\r\n"],
)
async def test_a_connection_that_breaks_after_the_request_leaves_the_outcome_open(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await _submit_to(f"http://127.0.0.1:{port}")).maybe_done
