"""Daemons of real Slurm die and come back: nothing runs twice, nobody is told of another's job, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest

from hpc_adapters.contract import JobRequest, Observation, Ref, Seen, UsageRow, Window
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.jobhead.places import native
from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.attempts import ACCOUNTING_AWAY
from infra.clock import utc_now
from infra.slurm.cluster import Cluster
from tests.support import slurm_truth
from tests.support.slurm import StartCluster
from tests.support.slurm_site import job, printed, site, until, until_ended, until_printed

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.takes(20)]

SAVED_S = 8
"""By then slurmctld has saved what it knows."""
LATELY_SAVED_S = 4
"""By then it may have saved its jobs, and not yet what it has to tell slurmdbd."""


def is_over(seen: Observation | Forgotten) -> bool:
    return isinstance(seen, Forgotten) or seen.seen.is_end


async def settled(backend: SlurmBackend, request: JobRequest, ref: Ref) -> Observation:
    """As the portal does: what Slurm has lost is sent again, with the same attempt id."""
    for _ in range(20):
        seen: Observation | Forgotten = await until(backend, ref, is_over)
        if isinstance(seen, Observation):
            return seen
        ref = await backend.submit(request)
    raise AssertionError("lost for ever")


def crash(cluster: Cluster) -> None:
    cluster.kill("slurmctld")
    cluster.start_daemon("slurmctld")


async def until_purged(cluster: Cluster, job_id: int) -> None:
    """Until slurmctld forgets what ended more than MinJobAge ago."""
    for _ in range(900):
        if not cluster.exec("squeue", "-h", "-t", "all", "-j", str(job_id)).stdout.strip():
            return
        await asyncio.sleep(0.2)
    raise AssertionError("never purged")


async def test_an_accepted_job_that_slurm_forgot_is_sent_again_and_runs_once(
    release: str, own_cluster: StartCluster
) -> None:
    cluster = own_cluster(release, nodes=2)
    async with site(cluster) as backend:
        requests = [job("echo started") for _ in range(4)]
        refs = [await backend.submit(request) for request in requests]
        crash(cluster)
        theirs = await backend.submit(job("echo canary; sleep 3", tenant="tenant-b"))
        for request, ref in zip(requests, refs, strict=True):
            end = await settled(backend, request, ref)
            assert end.seen in {Seen.SUCCEEDED, Seen.NODE_FAILED}, end
            said = await printed(backend, end.ref)
            assert said.count(b"started\n") == (1 if end.seen is Seen.SUCCEEDED else said.count(b"started\n")) <= 1
            assert b"canary" not in said
        assert (await until_ended(backend, theirs)).seen in {Seen.SUCCEEDED, Seen.NODE_FAILED}
        rows = await backend.accounting(Window(utc_now() - timedelta(hours=1), utc_now()))
        assert len({row.natural_key for row in rows}) == len(rows)
        billed = [row for row in rows if row.facts.get("turned_away") is None]
        assert len({row.attempt_id for row in billed}) == len(billed)


async def test_a_job_that_was_running_when_slurm_forgot_it_never_runs_twice(
    release: str, own_cluster: StartCluster
) -> None:
    cluster = own_cluster(release, nodes=1)
    async with site(cluster) as backend:
        request = job("echo started; sleep 8; echo done")
        ref = await backend.submit(request)
        await until_printed(backend, ref, b"started")
        crash(cluster)
        end: Observation | Forgotten = await until(backend, ref, is_over)
        await asyncio.sleep(6)  # a second start, if there is one, has been turned away by now
        assert (await printed(backend, ref)).count(b"started\n") == 1
        if isinstance(end, Observation):
            assert end.seen in {Seen.SUCCEEDED, Seen.NODE_FAILED}, end


async def test_without_slurmdbd_what_lives_is_seen_and_nothing_is_called_gone(
    release: str, own_cluster: StartCluster
) -> None:
    cluster = own_cluster(release, nodes=1, min_job_age_s=5)
    async with site(cluster) as backend:
        lives = await backend.submit(job("echo on; exec sleep 600"))
        ends = await backend.submit(job("echo on; sleep 1"))
        await until_printed(backend, lives, b"on")
        await until_printed(backend, ends, b"on")
        cluster.kill("slurmdbd")
        await until_ended(backend, ends)
        told = native(ends.native_id)
        assert told is not None
        await until_purged(cluster, told.job_id)
        first, second = await backend.observe([lives, ends])
        assert isinstance(first, Observation)
        assert first.seen is Seen.RUNNING
        assert isinstance(second, Observation)
        assert (second.seen, second.detail, second.not_now) == (Seen.UNKNOWN, ACCOUNTING_AWAY, True)
        with pytest.raises(Unavailable):
            await backend.accounting(Window(utc_now() - timedelta(hours=1), utc_now()))
        health = await backend.health()
        assert health.accounting_backlog, health.detail
        cluster.start_daemon("slurmdbd")
        end = await until_ended(backend, ends)
        assert (end.seen, end.exit_code) == (Seen.SUCCEEDED, 0)
        await backend.cancel(lives)
        await until_ended(backend, lives)


async def test_what_slurmdbd_was_never_told_is_told_by_slurmctld_and_counts_once(
    release: str, own_cluster: StartCluster
) -> None:
    cluster = own_cluster(release, nodes=1)
    async with site(cluster, accounting_lag_s=1) as backend:
        cluster.kill("slurmdbd")
        ref = await backend.submit(job("sleep 3"))
        end = await until_ended(backend, ref)
        await asyncio.sleep(SAVED_S)
        cluster.kill("slurmctld")  # with it goes what it had still to tell
        cluster.start_daemon("slurmdbd")
        cluster.start_daemon("slurmctld")
        rows = [row for row in await told_of(backend) if row.attempt_id == ref.attempt_id]
        assert not any(row.name.endswith(ref.attempt_id.hex) for row in cluster.sacct())
        assert end.started_at is not None
        assert end.ended_at is not None
        assert [(row.started_at, row.ended_at, row.ending) for row in rows] == [
            (end.started_at, end.ended_at, Seen.SUCCEEDED)
        ]
        assert rows[0].final
        assert rows[0].components["gpu_s"] == int((end.ended_at - end.started_at).total_seconds())
        assert [row for row in await told_of(backend) if row.attempt_id == ref.attempt_id] == rows


async def test_ends_that_slurmctld_had_still_to_tell_are_not_lost_with_it(
    release: str, own_cluster: StartCluster
) -> None:
    """Of some of them slurmdbd hears all the same; the others' records stay open there for ever.

    Which jobs slurmctld knows as ended when it is back is chance: those are billed as it says.
    """
    cluster = own_cluster(release, nodes=1)
    async with site(cluster, accounting_lag_s=1) as backend:
        refs = [await backend.submit(job("sleep 8")) for _ in range(4)]
        await until_recorded(cluster, refs)
        cluster.kill("slurmdbd")
        ends = {ref.attempt_id: await until_ended(backend, ref) for ref in refs}
        await asyncio.sleep(LATELY_SAVED_S)
        cluster.kill("slurmctld")
        cluster.start_daemon("slurmdbd")
        cluster.start_daemon("slurmctld")
        remembered = {slurm_truth.attempt_of(each): each.elapsed_s for each in slurm_truth.remembered(cluster)}
        assert remembered.keys() <= ends.keys()
        rows = {row.attempt_id: row for row in await final_rows(backend, of=remembered.keys())}
        for attempt_id, elapsed_s in remembered.items():
            assert rows[attempt_id].components["gpu_s"] == elapsed_s
            assert rows[attempt_id].ending is Seen.SUCCEEDED


async def until_recorded(cluster: Cluster, refs: Sequence[Ref]) -> None:
    """Until slurmdbd knows that they have started."""
    for _ in range(100):
        if sum(row.started_at is not None for row in cluster.sacct()) == len(refs):
            return
        await asyncio.sleep(0.2)
    raise AssertionError("never recorded")


async def final_rows(backend: SlurmBackend, *, of: Collection[UUID | None]) -> Sequence[UsageRow]:
    """As told_of(), once those of these attempts are final."""
    final: Sequence[UsageRow] = ()
    for _ in range(100):
        final = [row for row in await told_of(backend) if row.final]
        if {row.attempt_id for row in final} >= set(of):
            return final
        await asyncio.sleep(0.2)
    raise AssertionError(f"only {len(final)} of {len(of)} final")


async def told_of(backend: SlurmBackend) -> Sequence[UsageRow]:
    """The accounting of the last hour, when Slurm can tell it again."""
    for _ in range(100):
        with suppress(Unavailable):
            rows = await backend.accounting(Window(utc_now() - timedelta(hours=1), utc_now()))
            if rows:
                return rows
        await asyncio.sleep(0.2)
    raise AssertionError("never told")


async def test_a_dead_rest_server_is_unavailable_and_a_submission_is_never_guessed(
    release: str, own_cluster: StartCluster
) -> None:
    cluster = own_cluster(release, nodes=1)
    async with site(cluster) as backend:
        ref = await backend.submit(job("echo started; exec sleep 600"))
        await until_printed(backend, ref, b"started")
        cluster.kill("slurmrestd")
        with pytest.raises(Unavailable) as refused:
            await backend.submit(job("echo on"))
        assert not refused.value.maybe_done
        with pytest.raises(Unavailable):
            await backend.observe([ref])
        assert not (await backend.health()).ok
        cluster.start_daemon("slurmrestd")
        await until(backend, ref, lambda seen: isinstance(seen, Observation) and seen.seen is Seen.RUNNING)
        await backend.cancel(ref)
        assert (await until_ended(backend, ref)).seen is Seen.CANCELLED


async def test_a_preempted_job_is_told_as_such_and_keeps_its_seconds(release: str, own_cluster: StartCluster) -> None:
    cluster = own_cluster(release, nodes=1, gpus=1)
    cluster.let_preempt("normal")
    async with site(cluster) as backend, site(cluster, qos="high") as urgent:
        low = await backend.submit(job("echo on; exec sleep 600"))
        await until_printed(backend, low, b"on")
        high = await urgent.submit(job("echo on; sleep 1"))
        assert (await until_ended(backend, low)).seen is Seen.PREEMPTED
        assert (await until_ended(urgent, high)).seen is Seen.SUCCEEDED
        rows = [row for row in await backend.accounting(Window(utc_now() - timedelta(hours=1), utc_now())) if row.final]
        [row] = [row for row in rows if row.attempt_id == low.attempt_id]
        [sacct] = [each for each in cluster.sacct() if each.job_id == row.facts["slurm_job_id"]]
        assert row.ending is Seen.PREEMPTED
        assert row.components["gpu_s"] == sacct.elapsed_s
