"""The typed calls, over what real servers answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from hpc_adapters.contract import Window
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.slurm.calls import Cancel, Slurm
from hpc_adapters.slurm.directory import Directory
from hpc_adapters.slurm.faults import SlurmError
from hpc_adapters.slurm.models import Association, Qos, associations
from hpc_adapters.slurm.rest import Rest
from hpc_adapters.slurm.tokens import Minter
from tests.support import slurm_golden
from tests.support.slurm_golden import Offer, offers

every_offer = pytest.mark.parametrize("offer", offers(), ids=str)
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


class Replay(httpx2.AsyncBaseTransport):
    """Gives the recorded answer that is named for a path's kind, and remembers what it was asked."""

    def __init__(self, offer: Offer, answers: Mapping[str, str]) -> None:
        self.offer, self.answers = offer, answers
        self.asked: list[tuple[str, str, str, Any]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/openapi/v3":
            paths = {f"/{daemon}/{self.offer.version}/jobs/": {} for daemon in ("slurm", "slurmdb")}
            return httpx2.Response(200, json={"paths": paths})
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, path, request.url.query.decode(), body))
        kind = path.replace(f"/{self.offer.version}", "").strip("/")
        told = self.offer.exchange(self.answers[f"{request.method} {kind}"])
        content = told["body"] if isinstance(told["body"], str) else json.dumps(told["body"])
        return httpx2.Response(told["status"], content=content.encode())


def wire(offer: Offer, **answers: str) -> tuple[Rest, Replay]:
    """Answers by 'GET_slurm_jobs' and the like."""
    replay = Replay(offer, {name.replace("__", " ").replace("_", "/"): told for name, told in answers.items()})
    minter = Minter(bytes(32), clock=lambda: NOW)
    return Rest("http://s:1", minter=minter, clock=lambda: NOW, service_user="kyoyo", transport=replay), replay


def slurm(offer: Offer, **answers: str) -> tuple[Slurm, Replay]:
    client, replay = wire(offer, **answers)
    return Slurm(client, service_user="kyoyo"), replay


@every_offer
async def test_all_jobs_and_the_time_of_the_last_change(offer: Offer) -> None:
    client, replay = slurm(offer, GET__slurm_jobs="live_jobs")
    found = await client.live_jobs()
    assert {"running", "done", "held"} <= {job.name for job in found.jobs}
    assert found.updated_at is not None
    assert not found.unchanged
    assert replay.asked[0][2] == ""


@every_offer
async def test_nothing_new_is_no_empty_cluster(offer: Offer) -> None:
    client, replay = slurm(offer, GET__slurm_jobs="live_jobs_unchanged")
    found = await client.live_jobs(NOW)
    assert (found.jobs, found.unchanged) == ((), True)
    assert replay.asked[0][2] == f"update_time=uts{int(NOW.timestamp())}"


@every_offer
async def test_an_answer_to_another_question_is_not_believed(offer: Offer) -> None:
    """The same empty list, when we did not ask for changes, would make every job forgotten."""
    client, _ = slurm(offer, GET__slurm_jobs="live_jobs_unchanged")
    with pytest.raises(Unavailable, match="not-a-full-answer"):
        await client.live_jobs()


@every_offer
async def test_one_job_by_its_id(offer: Offer) -> None:
    job_id = offer.body("live_job")["jobs"][0]["job_id"]
    client, _ = slurm(offer, **{f"GET__slurm_job_{job_id}": "live_job", "GET__slurm_job_9": "live_job_unknown"})
    found = await client.live_job(job_id)
    assert found is not None
    assert found.name == "running"
    assert await client.live_job(9) is None


@every_offer
@pytest.mark.parametrize("told", ["bad_token", "down_live_jobs", "no_token"])
async def test_no_outage_is_ever_an_unknown_job(offer: Offer, told: str) -> None:
    client, _ = slurm(offer, GET__slurm_job_9=told, GET__slurm_jobs=told)
    with pytest.raises(Unavailable):
        await client.live_job(9)
    with pytest.raises(Unavailable):
        await client.live_jobs()


@every_offer
async def test_records_of_a_window(offer: Offer) -> None:
    client, replay = slurm(offer, GET__slurmdb_jobs="db_jobs")
    found = await client.db_jobs_in(Window(NOW - timedelta(hours=1), NOW), with_steps=False)
    assert len(found.items) > 15
    query = replay.asked[0][2].split("&")
    since, until = int(NOW.timestamp()) - 3600, int(NOW.timestamp())
    assert query == [
        f"start_time=uts{since}",
        f"end_time=uts{until}",
        "disable_truncate_usage_time=true",
        "show_duplicates=true",
        "skip_steps=true",
    ]


@every_offer
async def test_records_by_id_and_name_are_asked_in_parts_and_nothing_is_not_everything(offer: Offer) -> None:
    client, replay = slurm(offer, GET__slurmdb_jobs="db_job_requeued")
    assert (await client.db_jobs_by_id([])).items == ()
    assert (await client.db_jobs_by_name([], since=NOW)).items == ()
    assert replay.asked == []
    assert len((await client.db_jobs_by_id(range(1, 502))).items) == 4
    assert [asked[2].count("step=") for asked in replay.asked] == [500, 1]
    await client.db_jobs_by_name(["ky-1", "ky-2"], since=NOW)
    assert replay.asked[-1][2].startswith("job_name=ky-1&job_name=ky-2&start_time=uts")


@every_offer
async def test_an_unknown_id_has_no_records(offer: Offer) -> None:
    client, _ = slurm(offer, GET__slurmdb_jobs="db_job_unknown")
    assert (await client.db_jobs_by_id([66_000_000])).items == ()


@every_offer
async def test_a_submission_gives_the_id(offer: Offer) -> None:
    client, replay = slurm(offer, POST__slurm_job_submit="submit_accepted")
    version = await client.version()
    assert await client.submit("alice", {"job": {}}, version=version) == offer.body("submit_accepted")["job_id"]
    assert replay.asked[0][1] == f"/slurm/{offer.version}/job/submit"


@every_offer
async def test_a_refused_submission_is_rejected_and_an_outage_is_not(offer: Offer) -> None:
    client, _ = slurm(offer, POST__slurm_job_submit="submit_unknown_partition")
    with pytest.raises(Rejected, match="unknown-partition"):
        await client.submit("alice", {}, version=offer.version)
    client, _ = slurm(offer, POST__slurm_job_submit="down_submit")
    with pytest.raises(Unavailable) as outage:
        await client.submit("alice", {}, version=offer.version)
    assert not outage.value.maybe_done


@every_offer
async def test_an_answer_without_an_id_leaves_the_outcome_open(offer: Offer) -> None:
    """What a body of a wrong type gets: 200, no error and no job."""
    client, _ = slurm(offer, POST__slurm_job_submit="submit_bad_type")
    with pytest.raises(Unavailable, match="no-job-id") as outage:
        await client.submit("alice", {}, version=offer.version)
    assert outage.value.maybe_done


@every_offer
@pytest.mark.parametrize(
    ("told", "became"),
    [
        ("cancel_ended", Cancel.ENDED),
        ("cancel_unknown", Cancel.NOT_THERE),
        ("cancel_other_user", Cancel.NOT_THERE),
        ("cancel_other_name", Cancel.NOT_THERE),
    ],
)
async def test_a_cancel_names_the_user_and_the_job(offer: Offer, told: str, became: Cancel) -> None:
    client, replay = slurm(offer, DELETE__slurm_jobs=told)
    assert await client.cancel("alice", 7, name="ky-7") is became
    assert replay.asked[0][3] == {"jobs": ["7"], "user_name": "alice", "job_name": "ky-7"}


async def test_a_cancel_without_an_id_is_never_sent() -> None:
    client, replay = slurm(offers()[0])
    with pytest.raises(ValueError, match="every job"):
        await client.cancel("alice", 0)
    assert replay.asked == []


@every_offer
async def test_a_cancel_without_slurmctld_is_an_outage(offer: Offer) -> None:
    client, _ = slurm(offer, DELETE__slurm_jobs="down_cancel")
    with pytest.raises(Unavailable):
        await client.cancel("alice", 7)


@every_offer
async def test_the_pings(offer: Offer) -> None:
    client, _ = slurm(offer, GET__slurm_diag="diag", GET__slurmdb_clusters="clusters")
    ping = await client.ping()
    told = offer.body("diag")["statistics"]["req_time"]["number"]
    assert ping.skew_s == told + 0.5 - NOW.timestamp()
    assert (ping.release[:5], ping.cluster, ping.version) == (offer.release, "kyoyo", offer.version)
    assert ping.accounting_queue == 0
    await client.ping_accounting()
    client, _ = slurm(offer, GET__slurm_diag="down_diag", GET__slurmdb_clusters="down_db_jobs")
    for call in (client.ping, client.ping_accounting):
        with pytest.raises(Unavailable):
            await call()


@every_offer
async def test_machines(offer: Offer) -> None:
    client, _ = slurm(offer, GET__slurm_nodes="nodes", GET__slurm_partitions="partitions")
    assert len((await client.nodes()).items) == 6
    assert len((await client.partitions()).items) == 1


@every_offer
async def test_the_directory_reads(offer: Offer) -> None:
    client, _ = wire(
        offer,
        GET__slurmdb_accounts="accounts",
        GET__slurmdb_users="users",
        GET__slurmdb_associations="associations",
        GET__slurmdb_qos="qos",
    )
    directory = Directory(client, admin="kyoyo")
    assert len((await directory.accounts()).items) >= 3
    assert len((await directory.users()).items) >= 4
    assert len((await directory.associations()).items) >= 6
    assert {"normal", "high"} <= {qos.name for qos in (await directory.qos()).items}


@every_offer
async def test_the_directory_tells_a_refusal_from_an_absence(offer: Offer) -> None:
    client, replay = wire(
        offer, POST__slurmdb_accounts="put_account_refused", DELETE__slurmdb_associations="delete_association_unknown"
    )
    directory = Directory(client, admin="kyoyo")
    assert not await directory.delete_association(account="a", user="b", cluster="c")
    assert replay.asked[0][2] == "account=a&user=b&cluster=c"
    accounts = (await Directory(wire(offer, GET__slurmdb_accounts="accounts")[0], admin="kyoyo").accounts()).items
    with pytest.raises(SlurmError, match="2002"):
        await directory.put_accounts(accounts[0])


async def test_the_directory_never_sends_an_empty_filter() -> None:
    client, replay = wire(offers()[0])
    directory = Directory(client, admin="kyoyo")
    for refused in (
        directory.delete_association(account="a", user="", cluster="c"),
        directory.delete_account(""),
        directory.delete_user(""),
        directory.delete_qos(""),
    ):
        with pytest.raises(ValueError, match="empty"):
            await refused
    await directory.put_users()
    assert replay.asked == []


async def test_an_account_is_never_put_into_the_tree_as_a_user_without_a_name() -> None:
    """It would be answered with 200, and hang outside the tree."""
    client, replay = wire(offers()[0])
    with pytest.raises(ValueError, match="add_account"):
        await Directory(client, admin="kyoyo").put_associations(Association(account="org", cluster="kyoyo"))
    assert replay.asked == []


@pytest.mark.parametrize("offer", [each for each in offers() if each.version < "v0.0.42"], ids=str)
async def test_limits_that_a_version_cannot_set_are_refused(offer: Offer) -> None:
    client, replay = wire(offer)
    with pytest.raises(Rejected, match="qos-limits-unsupported"):
        await Directory(client, admin="kyoyo").put_qos(Qos(name="ky-org", group_tres_minutes={"gres/gpu": 1}))
    assert replay.asked == []


def bodies() -> Iterator[tuple[Any, Any]]:
    place = Association(account="org", user="alice", cluster="kyoyo", qos=("ky-org",), default_qos="ky-org", shares=3)
    yield associations.associations([associations.association_body(place)]).items, (place,)
    qos = Qos(name="ky-org", flags=("NO_DECAY",), group_tres_minutes={"gres/gpu": 60, "cpu": 9}, group_tres={"node": 2})
    yield associations.qos([associations.qos_body(qos)]).items, (qos,)


@pytest.mark.parametrize(("read", "written"), list(bodies()))
def test_what_is_written_is_read_again(read: Any, written: Any) -> None:
    assert read == written


def test_the_recordings_are_of_both_releases() -> None:
    assert slurm_golden.releases() == ["24.11", "26.05"]


async def test_states_are_asked_for_only_where_the_server_describes_them() -> None:
    """The recorded descriptions say so of every version; an older server has no such path."""
    for release in slurm_golden.releases():
        paths = slurm_golden.description(release)["paths"]
        assert any(path.endswith("/jobs/state/") for path in paths)
    client, replay = slurm(offers()[0])
    assert await client.job_states() is None
    assert replay.asked == []
