"""Accounts, users and limits on real Slurm of both releases: made, healed, left alone, and enforced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest

from hpc_adapters.slurm.directory import Directory
from hpc_adapters.slurm.provisioning.applying import Outcome, apply, look
from hpc_adapters.slurm.provisioning.model import GPU, Step, Strange, Wanted
from hpc_adapters.slurm.provisioning.planning import plan
from hpc_adapters.slurm.provisioning.reconciling import reconcile
from hpc_adapters.slurm.rest import Rest
from hpc_adapters.slurm.tokens import Minter
from infra.clock import utc_now
from infra.slurm.cluster import Cluster
from infra.slurm.namespace import wait_until
from tests.support import slurm as clusters

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("provisioning"), pytest.mark.takes(3)]
ADMIN = "kyoyo-admin"
_runs = count(1)


@pytest.fixture(scope="module", name="slurm", params=clusters.RELEASES)
def slurm_with_an_administrator(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Each release in turn, with an administrator of Slurm who is an ordinary user of the machine."""
    with clusters.start(f"provisioning-{request.param}", request.param, nodes=1, users=("alice", "bob", ADMIN)) as one:
        command = ("sacctmgr", "-i", "add", "user", ADMIN, "account=site-services", "adminlevel=Administrator")
        one.exec(*command, check=True)
        yield one


@asynccontextmanager
async def directory_of(slurm: Cluster, *, admin: str = ADMIN) -> AsyncIterator[Directory]:
    minter = Minter(slurm.jwt_key, clock=utc_now)
    rest = Rest(slurm.url, minter=minter, clock=utc_now, service_user=slurm.service_user)
    try:
        yield Directory(rest, admin=admin)
    finally:
        await rest.close()


@pytest.fixture
def wanted() -> Wanted:
    """Names of its own for every test: the cluster is shared."""
    number = next(_runs)
    a, b = f"prov{number}-a", f"prov{number}-b"
    members = {f"p{number}one": a, f"p{number}two": b}
    return Wanted(cluster="kyoyo", root=f"kyoyo-{number}", gpu_minutes={a: 600, b: 0}, members=members)


def shown(slurm: Cluster, *words: str) -> list[str]:
    return slurm.exec("sacctmgr", "-n", "-P", "show", *words, check=True).stdout.splitlines()


def places(slurm: Cluster, wanted: Wanted) -> set[str]:
    """user|account|parent|qos|default qos of everything under the accounts that are wanted."""
    fields = "format=user,account,parentname,qos,defaultqos"
    ours = {wanted.root, *wanted.gpu_minutes}
    return {line for line in shown(slurm, "assoc", fields) if line.split("|")[1] in ours}


def of_slurm(wanted: Wanted, members: Mapping[str, str] | None = None) -> set[str]:
    nodes = {f"|{wanted.root}|root|normal|"} | {f"|{each}|{wanted.root}|normal|" for each in wanted.gpu_minutes}
    held = wanted.members if members is None else members
    return nodes | {f"{user}|{account}||ky-{account}|ky-{account}" for user, account in held.items()}


async def test_an_empty_site_is_made_and_then_left_alone(slurm: Cluster, wanted: Wanted) -> None:
    async with directory_of(slurm) as directory:
        before = set(shown(slurm, "assoc")) | set(shown(slurm, "qos"))
        first = await reconcile(directory, wanted)
        assert first.is_settled
        assert {each.outcome for each in first.done} == {Outcome.SENT}
        assert places(slurm, wanted) == of_slurm(wanted)
        for account, minutes in wanted.gpu_minutes.items():
            told = shown(slurm, "qos", f"ky-{account}", "format=name,flags,grptresmins,description")
            assert told == [f"ky-{account}|NoDecay|{GPU}={minutes}|{wanted.mark}"]
        second = await reconcile(directory, wanted)
        assert (second.plan.changes, second.done, second.is_settled) == ((), (), True)
        assert before <= set(shown(slurm, "assoc")) | set(shown(slurm, "qos")), "nothing of the site was touched"


async def test_a_dry_run_changes_nothing(slurm: Cluster, wanted: Wanted) -> None:
    async with directory_of(slurm) as directory:
        report = await reconcile(directory, wanted, dry_run=True)
    assert len(report.plan.changes) == 7
    assert (report.done, report.is_settled) == ((), False)
    assert places(slurm, wanted) == set()


async def test_cut_off_after_any_call_the_next_run_heals_it(slurm: Cluster, wanted: Wanted) -> None:
    async with directory_of(slurm) as directory:
        for made in range(1, 7):
            number = next(_runs)
            a = f"cut{number}"
            own = replace(wanted, root=f"kyoyo-{number}", gpu_minutes={a: 5}, members={f"c{number}": a})
            changes = plan(own, await look(directory)).changes
            await apply(directory, own, changes[:made])
            assert (await reconcile(directory, own)).is_settled
            assert places(slurm, own) == of_slurm(own)


async def test_differences_are_repaired_and_strangers_told(slurm: Cluster, wanted: Wanted) -> None:
    (user, account), *_ = wanted.members.items()
    async with directory_of(slurm) as directory:
        await reconcile(directory, wanted)
        for words in (
            ("modify", "qos", f"ky-{account}", "set", f"grptresmins={GPU}=1", "flags=DenyOnLimit"),
            ("modify", "user", user, "where", f"account={account}", "set", "qos=normal", "defaultqos=normal"),
            ("add", "user", f"{user}x", f"account={account}"),
        ):
            slurm.exec("sacctmgr", "-i", *words, check=True)
        report = await reconcile(directory, wanted)
        assert {each.step for each in report.plan.changes} == {Step.PUT_QOS, Step.SET_USER_QOS}
        assert report.is_settled
        assert [(each.kind, each.name) for each in report.plan.findings] == [(Strange.USER_UNKNOWN, f"{user}x")]
    assert of_slurm(wanted) <= places(slurm, wanted)
    told = shown(slurm, "qos", f"ky-{account}", "format=flags,grptresmins")
    assert told == [f"DenyOnLimit,NoDecay|{GPU}=600"]


async def test_foreign_objects_in_the_way_are_told_and_left(slurm: Cluster, wanted: Wanted) -> None:
    first, second = wanted.gpu_minutes
    slurm.exec("sacctmgr", "-i", "add", "account", first, "description=theirs", "organization=site", check=True)
    slurm.exec("sacctmgr", "-i", "add", "qos", f"ky-{second}", "description=theirs", check=True)
    async with directory_of(slurm) as directory:
        report = await reconcile(directory, wanted)
    assert {(each.kind, each.name) for each in report.plan.findings} == {
        (Strange.ACCOUNT_IN_THE_WAY, first),
        (Strange.QOS_IN_THE_WAY, f"ky-{second}"),
    }
    assert shown(slurm, "account", first, "format=description,organization") == ["theirs|site"]
    assert shown(slurm, "qos", f"ky-{second}", "format=description,flags") == ["theirs|"]
    assert not [line for line in places(slurm, wanted) if not line.startswith("|")]


async def test_an_operator_of_slurm_is_told_that_it_may_not_make_a_qos(slurm: Cluster, wanted: Wanted) -> None:
    async with directory_of(slurm, admin=slurm.service_user) as directory:
        report = await reconcile(directory, wanted)
    refused = {each.change.step for each in report.done if each.outcome is Outcome.NOT_ALLOWED}
    assert refused == {Step.PUT_QOS}
    assert not report.is_settled
    assert not [line for line in places(slurm, wanted) if not line.startswith("|")], "nobody runs without the backstop"


async def test_who_leaves_goes_when_their_jobs_have_ended(slurm: Cluster, wanted: Wanted) -> None:
    (acme, *_) = wanted.gpu_minutes
    own = replace(wanted, gpu_minutes={acme: 600}, members={"alice": acme, "bob": acme})
    left = replace(own, members={"bob": acme}, departed={"alice": acme})
    async with directory_of(slurm) as directory:
        assert (await reconcile(directory, own)).is_settled
        job = submitted(slurm, acme, "--gres=gpu:1", "--wrap=sleep 600")
        wait_until(lambda: state(slurm, job) == "RUNNING", what="the job")
        report = await reconcile(directory, left)
        assert [each.outcome for each in report.done] == [Outcome.JOBS_RUNNING]
        assert report.is_settled
        assert state(slurm, job) == "RUNNING"
        slurm.exec("scancel", job, check=True)
        wait_until(lambda: state(slurm, job) in {"CANCELLED", ""}, what="its end")
        assert [each.outcome for each in (await reconcile(directory, left)).done] == [Outcome.SENT]
    assert places(slurm, own) == of_slurm(own, {"bob": acme})
    refused = slurm.exec("sbatch", f"--account={acme}", "--wrap=true", user="alice")
    assert "Invalid account" in refused.stderr


async def test_the_limit_holds_back_what_our_ledger_would_not(slurm: Cluster, wanted: Wanted) -> None:
    (acme, *_) = wanted.gpu_minutes
    own = replace(wanted, gpu_minutes={acme: 0}, members={"alice": acme})
    async with directory_of(slurm) as directory:
        await reconcile(directory, own)
        job = submitted(slurm, acme, "--gres=gpu:1", "--time=1", "--wrap=true")
        wait_until(lambda: "QOSGrpGRESMinutes" in reason(slurm, job), what="the reason")
        assert (await reconcile(directory, replace(own, gpu_minutes={acme: 60}))).is_settled
        wait_until(lambda: state(slurm, job) in {"RUNNING", "COMPLETING", "COMPLETED", ""}, what="its start")


def submitted(slurm: Cluster, account: str, *words: str) -> str:
    argv = ("sbatch", "--parsable", f"--account={account}", "--chdir=/tmp", "--output=/dev/null", *words)
    return slurm.exec(*argv, user="alice", check=True).stdout.strip()


def state(slurm: Cluster, job: str) -> str:
    return _squeue(slurm, job, "%T")


def reason(slurm: Cluster, job: str) -> str:
    return _squeue(slurm, job, "%r")


def _squeue(slurm: Cluster, job: str, field: str) -> str:
    argv: Sequence[str] = ("squeue", "--noheader", "--states=all", f"--jobs={job}", f"--format={field}")
    return slurm.exec(*argv).stdout.strip()
