from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.slurm.models import DbJob, LiveJob, NotReadable, jobs, machines
from hpc_adapters.slurm.models import associations as people
from hpc_adapters.slurm.models.lenient import instant, is_infinite, number, tres, words
from tests.support.slurm_golden import Offer, offers

every_offer = pytest.mark.parametrize("offer", offers(), ids=str)


def live(offer: Offer) -> dict[str, LiveJob]:
    found = jobs.live_jobs(offer.body("live_jobs")["jobs"])
    assert found.unreadable == ()
    return {job.name: job for job in found.items}


def recorded(offer: Offer) -> list[DbJob]:
    found = jobs.db_jobs(offer.body("db_jobs")["jobs"])
    assert found.unreadable == ()
    return list(found.items)


@every_offer
def test_a_running_job_is_read_alike_from_every_version(offer: Offer) -> None:
    job = live(offer)["running"]
    assert (job.user, job.account, job.partition, job.qos) == ("alice", "lab-a", "main", "normal")
    assert (job.state, job.comment, job.working_directory) == (("RUNNING",), "running", "/tmp")
    assert job.stdout.endswith("/running.out")
    assert (job.tres_alloc["gres/gpu"], job.tres_alloc["gres/gpu:h200"], job.tres_alloc["cpu"]) == (2, 2, 1)
    assert job.tres_alloc["mem"] == 100
    assert job.time_limit_s == 300
    assert job.submit_at is not None
    assert job.started_at is not None
    assert job.ended_at is None


@every_offer
@pytest.mark.parametrize("name", ["held", "later", "too-big-now", "dependency-never", "held-cancelled", "impossible"])
def test_a_job_that_never_started_has_no_start(offer: Offer, name: str) -> None:
    """Slurm estimates one, or gives the time of its end."""
    assert live(offer)[name].started_at is None


@every_offer
@pytest.mark.parametrize(("name", "code", "signal"), [("done", 0, None), ("failed", 3, None), ("signalled", None, 9)])
def test_exit_codes_and_signals_are_told_apart(offer: Offer, name: str, code: int | None, signal: int | None) -> None:
    job = live(offer)[name]
    assert (job.exit_code, job.signal) == (code, signal)
    assert job.ended_at is not None


@every_offer
def test_array_tasks_and_het_jobs_are_told_apart(offer: Offer) -> None:
    found = [job for job in recorded(offer) if job.name == "array"]
    assert {job.array_task for job in found} == {0, 1, 2}
    assert len({job.array_job_id for job in found}) == 1
    assert len({job.job_id for job in found}) == 3
    parts = [job for job in recorded(offer) if job.name == "wrap"]
    assert {job.het_offset for job in parts} == {0, 1}


@every_offer
def test_a_requeued_job_is_two_records(offer: Offer) -> None:
    second, first = sorted((job for job in recorded(offer) if job.name == "requeued"), key=lambda job: job.state)
    assert first.job_id == second.job_id
    assert "REQUEUED" in first.state
    assert second.state == ("COMPLETED",)
    assert first.submit_at != second.submit_at
    assert {job.submit_at for job in jobs.db_jobs(offer.body("db_job_requeued")["jobs"]).items} == {
        first.submit_at,
        second.submit_at,
    }


@every_offer
def test_who_asked_for_the_end_is_known(offer: Offer) -> None:
    killers = {job.name: job.kill_by for job in recorded(offer)}
    assert (killers["by-owner"], killers["by-root"], killers["done"]) == ("alice", "root", "")


@every_offer
def test_steps_tell_what_was_used(offer: Offer) -> None:
    job = next(job for job in recorded(offer) if job.name == "resumed")
    (batch,) = job.steps
    assert batch.name == "batch"
    assert batch.cpu_used_s > 0
    assert batch.peak_memory_bytes is not None
    assert batch.peak_memory_bytes > 2**20


def test_only_the_newest_version_tells_the_sluid() -> None:
    told = {str(offer): all(job.sluid for job in recorded(offer)) for offer in offers()}
    assert [name for name, is_told in told.items() if is_told] == ["26.05-v0.0.45"]


@every_offer
def test_nodes_are_read(offer: Offer) -> None:
    found = machines.nodes(offer.body("nodes")["nodes"])
    assert found.unreadable == ()
    node = found.items[0]
    assert (node.name, node.partitions, node.features) == ("gpu0", ("main",), ("nvlink",))
    assert (node.tres["gres/gpu"], node.tres["cpu"], node.tres["mem"]) == (8, 64, 1_000_000)
    by_name = {each.name: each for each in found.items}
    assert "RESERVED" in by_name["gpu2"].state
    assert by_name["gpu2"].reservation == "spare"
    assert "DRAIN" in by_name["gpu3"].state
    assert by_name["gpu4"].tres_used["gres/gpu"] == 8
    assert {"DOWN", "NOT_RESPONDING"} & set(by_name["gpu5"].state)


@every_offer
def test_partitions_are_read(offer: Offer) -> None:
    (partition,) = machines.partitions(offer.body("partitions")["partitions"]).items
    assert (partition.name, partition.state, partition.total_nodes) == ("main", ("UP",), 6)
    assert partition.max_time_s == 7 * 86_400
    assert partition.default_time_s == 3600
    assert partition.tres["gres/gpu"] == 48


@every_offer
def test_accounts_users_associations_and_qos_are_read(offer: Offer) -> None:
    assert {"root", "lab-a", "lab-b"} <= {
        each.name for each in people.accounts(offer.body("accounts")["accounts"]).items
    }
    users = {each.name: each for each in people.users(offer.body("users")["users"]).items}
    assert users["kyoyo"].admin_level == "Operator"
    assert users["alice"].default_account == "lab-a"
    places = people.associations(offer.body("associations")["associations"])
    assert places.unreadable == ()
    assert ("lab-a", "alice") in {(each.account, each.user) for each in places.items}
    assert next(each.shares for each in places.items if (each.account, each.user) == ("lab-a", "")) == 10
    by_name = {each.name: each for each in people.qos(offer.body("qos")["qos"]).items}
    assert by_name["high"].priority == 100
    assert by_name["high"].preempts == ("normal",)


def test_a_record_without_an_identity_spoils_no_other() -> None:
    (good,) = offers()[0].body("live_job")["jobs"]
    bad = [{**good, "job_id": None}, {**good, "user_name": ""}, {**good, "job_state": []}, 7, None, "x"]
    found = jobs.live_jobs([bad[0], good, *bad[1:]])
    assert [job.name for job in found.items] == ["running"]
    assert [each.why for each in found.unreadable] == ["no-job-id", "no-user", "no-state", *["no-record"] * 3]
    assert found.unreadable[1].native_id == str(good["job_id"])


def test_no_list_of_records_is_no_empty_list() -> None:
    assert [each.why for each in jobs.live_jobs(None).unreadable] == ["not-a-list"]


def test_old_shapes_are_read_too() -> None:
    """v0.0.38 and 39: plain numbers, one word as the state."""
    job = jobs.live_job(
        {
            "job_id": 7,
            "user_name": "alice",
            "job_state": "RUNNING",
            "start_time": 1_795_254_482,
            "exit_code": 256,
            "time_limit": 5,
            "tres_alloc_str": "cpu=4,mem=2G,node=1,gres/gpu=2",
        }
    )
    assert (job.state, job.exit_code, job.time_limit_s) == (("RUNNING",), 1, 300)
    assert job.tres_alloc == {"cpu": 4, "mem": 2048, "node": 1, "gres/gpu": 2}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (5, 5),
        ("5", 5),
        (5.0, 5),
        ({"set": True, "infinite": False, "number": 5}, 5),
        ({"set": False, "infinite": False, "number": 5}, None),
        ({"set": True, "infinite": True, "number": 5}, None),
        ({"set": True, "number": {"set": True, "number": 5}}, 5),
        (-2, None),
        (0xFFFFFFFE, None),
        (0xFFFFFFFFFFFFFFFE, None),
        (65_534, 65_534),
        (True, None),
        ("", None),
        ("٣", None),
        (None, None),
        ([], None),
        (float("nan"), None),
    ],
)
def test_numbers_come_in_many_shapes(raw: Any, expected: int | None) -> None:
    assert number(raw) == expected


@given(st.integers(min_value=0, max_value=2**31))
def test_a_number_is_the_same_in_every_shape(value: int) -> None:
    assert number(value) == number(str(value)) == number({"set": True, "infinite": False, "number": value}) == value


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_nothing_that_is_read_leniently_raises(raw: Any) -> None:
    for value in (raw, {"number": raw}, {"set": raw, "number": raw}, [raw]):
        assert number(value) is None or number(value) >= 0  # type: ignore[operator]
        words(value)
        tres(value)
        instant(value)
        is_infinite(value)


@given(
    st.dictionaries(
        st.sampled_from(["job_id", "user", "state", "time", "tres", "exit_code", "steps"]),
        st.text() | st.integers() | st.lists(st.integers()),
    )
)
def test_any_object_is_a_record_or_not_readable(raw: dict[str, Any]) -> None:
    for parse in (jobs.live_job, jobs.db_job, machines.node, machines.partition):
        with suppress(NotReadable):
            parse(raw)


@given(st.lists(st.sampled_from(["RUNNING", "COMPLETING", "CONFIGURING"]), unique=True, min_size=1))
def test_states_are_the_same_as_a_list_and_as_one_text(state: list[str]) -> None:
    assert words(state) == words("+".join(state)) == words(",".join(state).lower()) == tuple(state)


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        (
            "cpu=4,mem=100M,node=1,billing=17,gres/gpu=2,gres/gpu:h200=2",
            {"cpu": 4, "mem": 100, "node": 1, "billing": 17, "gres/gpu": 2, "gres/gpu:h200": 2},
        ),
        ("mem=1.50G", {"mem": 1536}),
        ("mem=1T,license/solver=3", {"mem": 2**20, "license/solver": 3}),
        ("", {}),
        ("cpu=x,=3,mem", {}),
    ],
)
def test_resources_are_read_from_text(text: str, amounts: dict[str, int]) -> None:
    assert tres(text) == amounts


def test_an_unset_amount_is_no_amount() -> None:
    assert tres([{"type": "energy", "name": "", "count": -2}, {"type": "gres", "name": "gpu", "count": 2}]) == {
        "gres/gpu": 2
    }


def test_times_are_aware_and_zero_is_not_yet() -> None:
    assert instant(0) is None
    assert instant({"set": True, "number": 1}) == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert instant(10**18) is None


def test_states_are_of_the_job_that_bears_the_id() -> None:
    """An array's tasks that wait are one job; tasks that run, and the parts of a heterogeneous job, have own ids."""
    told = [("1", "RUNNING"), ("4_3", "PENDING"), ("4_4", "PENDING"), ("7_1", "COMPLETING"), ("6+1", "PENDING")]
    found = jobs.states([{"job_id": job_id, "state": [state]} for job_id, state in told])
    assert found == {1: {"RUNNING"}, 4: {"PENDING"}, 7: {"COMPLETING"}, 6: {"PENDING"}}


@pytest.mark.parametrize(
    "told", [None, {}, [{"state": ["RUNNING"]}], [{"job_id": "x", "state": ["RUNNING"]}], [{"job_id": "1"}], [7]]
)
def test_states_of_which_one_cannot_be_read_are_none(told: object) -> None:
    assert jobs.states(told) is None


def test_a_job_that_had_ended_is_not_made_anew() -> None:
    raw = {"job_id": 1, "user_name": "alice", "job_state": ["COMPLETED"], "name": "x", "end_time": 1000}
    known = {1: jobs.live_job(raw)}
    assert jobs.live_jobs([raw], known).items[0] is known[1]
    for other in ({"name": "y"}, {"end_time": 1001}, {"submit_time": 3}, {"restart_cnt": 1}, {"user_name": "bob"}):
        assert jobs.live_jobs([{**raw, **other}], known).items[0] == jobs.live_job({**raw, **other})
    running = {**raw, "job_state": ["RUNNING"]}
    assert jobs.live_jobs([running], {1: jobs.live_job(running)}).items[0].state == ("RUNNING",)
