"""Functions as jobs: what the caller gets back, and when. The scripts really run, in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

import kyoyo
from kyoyo import Client, FunctionJob, JobFailed, Unavailable, UsageError, hybrid_job
from kyoyo.executor import FailedJobError, ForgedResult, UncompletedJobError
from tests.support.fake_portal import URL, FakePortal, a_job
from tests.support.running_portal import RunningPortal

BARE = "/usr/bin/env -S python3 -S"
"""A Python with nothing installed."""


@pytest.fixture
def portal(tmp_path: Path) -> RunningPortal:
    return RunningPortal(tmp_path)


@pytest.fixture
def client(portal: RunningPortal) -> Client:
    return Client(URL, "kyo_t", environment={}, http=portal.http)


def calling(function: Any, **more: Any) -> Any:
    return hybrid_job(qpu="aer", calls=1, shots=1, gpu_offering="gpu", **more)(function)


def of_a_session(session: Any) -> object:
    return {"called": hasattr(session, "run"), "energy": -2.2}


def as_a_tuple(_: Any) -> object:
    return (1, {2: b"3"})


def in_vain(_: Any) -> object:
    raise ValueError("not today")


def without_kyoyo(_: Any) -> object:
    from kyoyo import Done  # noqa: PLC0415  where it runs

    return Done(1).value


def test_the_result_is_what_the_function_returned(portal: RunningPortal, client: Client) -> None:
    job = calling(of_a_session)(client=client)
    assert job.result() == {"called": True, "energy": -2.2}
    assert job.left()["outcome"] == "success"
    assert calling(of_a_session).job(job.id, client=client).result() == job.result()


def test_a_value_that_is_no_json_is_read_where_it_was_submitted(portal: RunningPortal, client: Client) -> None:
    function = calling(as_a_tuple)
    job = function(client=client)
    assert job.result() == (1, {2: b"3"})
    with pytest.raises(UsageError, match="only the process that submitted it"):
        function.job(job.id, client=client).result()
    portal.wound = lambda told: {**told, "seal": "00"}
    with pytest.raises(ForgedResult):
        job.result()


def test_what_the_function_raised_comes_back_without_the_payload(portal: RunningPortal, client: Client) -> None:
    job = calling(in_vain)(client=client)
    with pytest.raises(FailedJobError, match="ValueError: not today") as failed:
        job.result()
    for told in (str(failed.value), "".join(job.logs(stream="stderr"))):
        assert "in_vain" in told
        assert max(map(len, told.splitlines())) < 200


def test_a_site_without_the_client_says_what_to_do(portal: RunningPortal, client: Client) -> None:
    with pytest.raises(FailedJobError, match="No module named 'kyoyo'") as failed:
        calling(without_kyoyo, python=BARE)(client=client).result()
    assert "install kyoyo" in str(failed.value)
    assert calling(without_kyoyo, python=sys.executable)(client=client).result() == 1


def a_function_job(portal: FakePortal) -> FunctionJob:
    return FunctionJob.of(portal.client().job("j-1"))


def test_it_waits_for_the_end_and_never_says_none_before(portal: RunningPortal) -> None:
    fake = FakePortal().on("GET /jobs/j-1", *[a_job(state=each) for each in ("QUEUED", "RUNNING", "SUCCEEDED")])
    fake.on("GET /jobs/j-1/result", {"kyoyo_executor": 1, "outcome": "success", "value": None})
    assert a_function_job(fake).result() is None
    assert len(fake.slept_s) == 1
    running = FakePortal().on("GET /jobs/j-1", a_job(state="RUNNING"))
    with pytest.raises(TimeoutError, match="RUNNING"):
        a_function_job(running).result(timeout_s=1)
    gone = FakePortal().on("GET /jobs/j-1", a_job(state="SUCCEEDED"))
    gone.on("GET /jobs/j-1/result", httpx2.Response(404, json={"code": "no-result", "detail": ""}))
    with pytest.raises(Unavailable, match="is not there"):
        a_function_job(gone).result()


def test_a_job_that_did_not_succeed_raises_its_reason() -> None:
    story = [{"at": "2026-11-21T00:00:02Z", "kind": "ended", "state": "FAILED", "sentence": "Measuring failed."}]
    portal = FakePortal().on("GET /jobs/j-1", a_job(state="FAILED", reason="exit_code", story=story))
    portal.on("GET /jobs/j-1/result", {"error": {"code": "no-measurement", "facts": {}}})
    with pytest.raises(JobFailed, match="Measuring failed") as failed:
        a_function_job(portal).result()
    assert failed.value.code == "no-measurement"
    portal.on("GET /jobs/j-1", a_job(state="CANCELLED", reason="cancelled_by_user"))
    portal.on("GET /jobs/j-1/result", httpx2.Response(404, json={"code": "no-result", "detail": ""}))
    with pytest.raises(JobFailed) as cancelled:
        a_function_job(portal).result()
    assert cancelled.value.code == "cancelled_by_user"


def test_a_loop_that_never_said_done_has_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    portal = FakePortal().on("GET /jobs/j-1", a_job(state="SUCCEEDED", number=7))
    portal.on("GET /jobs/j-1/result", {"counts": {"00": 5}})
    with pytest.raises(UncompletedJobError, match="job 7 has used all its rounds"):
        a_function_job(portal).result()
    monkeypatch.setenv("KYOYO_LANG", "ja")
    with pytest.raises(UncompletedJobError, match="全ラウンドを終えました"):
        a_function_job(portal).result()


def test_names_on_demand_are_all_there() -> None:
    assert all(hasattr(kyoyo, name) for name in kyoyo.__all__)
