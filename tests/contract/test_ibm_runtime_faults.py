"""A vendor that misbehaves, and who pays for it: IBM Quantum through the real library, against the stub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hpc_adapters.conformance.harness import Act
from hpc_adapters.conformance.suite import final_row, rows_of
from hpc_adapters.contract import Observation, Seen, Window
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.quantum.ibm_runtime.checks import tag_of
from tests.support.ibm_house import IbmHarness, hold, result_of
from tests.support.ibm_stub import API_KEY, CRN, ibm_stub

pytestmark = [
    pytest.mark.xdist_group("ibm-runtime-faults"),
    pytest.mark.ibm,
    pytest.mark.quantum,
    pytest.mark.sandbox,
    pytest.mark.takes(5),
]


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    with ibm_stub() as url:
        yield url


@pytest.fixture
async def ibm(stub: str, tmp_path: Path) -> AsyncIterator[IbmHarness]:
    made = IbmHarness(stub, tmp_path)
    yield made
    await made.close()


# -- who pays ----------------------------------------------------------------------------------------------------------


async def test_what_the_vendor_cancels_or_breaks_costs_nothing(ibm: IbmHarness) -> None:
    for how in ("cancel", "system"):
        ref = await ibm.backend.submit(ibm.request(Act.RUN_LONG))
        await ibm.until(ref, lambda observation: observation.seen is Seen.RUNNING)
        if how == "cancel":
            ibm.world.tell("cancel", job=ref.native_id)
        else:
            ibm.world.tell("fail", job=ref.native_id, code=9999, reason="Internal error.")
        end = await ibm.until_ended(ref)
        assert end.seen is Seen.NODE_FAILED
        assert end.detail == ("cancelled-by-vendor" if how == "cancel" else "ibm-9999")
        row = await final_row(ibm, ref.attempt_id)
        assert row.components == {"qpu_s": 0, "shot": 0}
        assert float(row.facts["vendor_qpu_s"]) > 0


async def test_a_cancel_of_ours_costs_what_the_vendor_says(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.RUN_LONG))
    await ibm.until(ref, lambda observation: observation.seen is Seen.RUNNING)
    await ibm.backend.cancel(ref)
    assert (await ibm.until_ended(ref)).seen is Seen.CANCELLED
    row = await final_row(ibm, ref.attempt_id)
    assert row.components["qpu_s"] == Decimal(str(row.facts["vendor_qpu_s"])) > 0


async def test_usage_is_final_when_the_vendor_says_so(ibm: IbmHarness) -> None:
    ibm.world.tell("settings", usage_waits=True)
    ref = await ibm.backend.submit(ibm.request(Act.SUCCEED))
    await ibm.until_ended(ref)
    [row] = await rows_of(ibm, ref.attempt_id)
    assert not row.final
    ibm.world.change_job(ref.native_id, usage_final=True, usage_s=7.25)
    assert (await final_row(ibm, ref.attempt_id)).components["qpu_s"] == Decimal("7.25")


async def test_a_second_job_of_one_submission_costs_nothing_and_is_ended(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.SUCCEED))
    await ibm.until_ended(ref)
    ibm.start_again(ref.attempt_id)
    await ibm.pause()
    rows = await rows_of(ibm, ref.attempt_id)
    assert [row.components for row in rows if row.facts.get("turned_away")] in ([], [{"qpu_s": 0, "shot": 0}])
    assert [row.natural_key for row in rows if not row.facts.get("turned_away")] == [ref.native_id]


# -- a vendor that misbehaves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refused_submission_is_read_rightly_and_never_repeated_by_the_library(
    ibm: IbmHarness,
    status: int,
) -> None:
    request = ibm.request(Act.SUCCEED)
    ibm.world.fault("POST", "/jobs$", "status", status=status)
    with pytest.raises(Unavailable) as problem:
        await ibm.backend.submit(request)
    assert problem.value.maybe_done is (status != 429)
    assert ibm.world.requests().count("POST /jobs") == 1
    if status == 429:
        assert (await ibm.until_ended(await ibm.backend.submit(request))).seen is Seen.SUCCEEDED
        assert ibm.world.starts(tag_of(request.attempt_id)) == 1


async def test_an_error_after_the_job_was_made_is_no_second_job_and_no_second_charge(ibm: IbmHarness) -> None:
    request = ibm.request(Act.SUCCEED)
    ibm.world.tell("settings", listing_delay_s=1.0)
    ibm.world.fault("POST", "/jobs$", "status", status=500, after=True)
    with pytest.raises(Unavailable) as problem:
        await ibm.backend.submit(request)
    assert problem.value.maybe_done
    await ibm.restart()
    ref = await ibm.backend.submit(request)  # waits until the list shows it
    assert (await ibm.until_ended(ref)).seen is Seen.SUCCEEDED
    assert len(ibm.world.jobs()) == 1
    await final_row(ibm, request.attempt_id)
    assert len(await rows_of(ibm, request.attempt_id)) == 1


async def test_a_slow_vendor_is_an_unknown_outcome(stub: str, tmp_path: Path) -> None:
    ibm = IbmHarness(stub, tmp_path, answer_s=1.0)
    request = ibm.request(Act.SUCCEED)
    ibm.world.fault("POST", "/jobs$", "slow", seconds=2.5)
    with pytest.raises(Unavailable) as problem:
        await ibm.backend.submit(request)
    assert (problem.value.detail, problem.value.maybe_done) == ("no-answer", True)
    ref = await ibm.backend.submit(request)
    assert (await ibm.until_ended(ref)).seen is Seen.SUCCEEDED
    assert len(ibm.world.jobs()) == 1
    await ibm.close()


async def test_a_word_that_nobody_knows_is_unknown_and_no_end(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.RUN_LONG))
    await ibm.until(ref, lambda observation: observation.seen is Seen.RUNNING)
    ibm.world.change_job(ref.native_id, status="Entangled")
    [seen] = await ibm.backend.observe([ref])
    assert isinstance(seen, Observation)
    assert (seen.seen, seen.detail) == (Seen.UNKNOWN, "ibm-entangled")


async def test_a_missing_result_is_waited_for_then_lost_at_no_charge(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.SUCCEED))
    ibm.world.fault("GET", f"/jobs/{ref.native_id}/results", "status", status=404, times=10_000)
    waiting = await ibm.until(ref, lambda observation: observation.seen is Seen.UNKNOWN)
    assert (waiting.not_now, waiting.detail) == (True, "result-missing")
    end = await ibm.until_ended(ref)
    assert (end.seen, end.detail) == (Seen.NODE_FAILED, "result-missing")
    assert (await final_row(ibm, ref.attempt_id)).components["qpu_s"] == 0


async def test_a_token_that_expires_under_a_job_is_renewed(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.RUN_LONG))
    ibm.world.tell("expire-tokens")
    await ibm.until(ref, lambda observation: observation.seen is Seen.RUNNING)
    ibm.world.tell("expire-tokens")
    other = await ibm.backend.submit(ibm.request(Act.SUCCEED))
    await ibm.backend.cancel(ref)
    assert (await ibm.until_ended(other)).seen is Seen.SUCCEEDED


async def test_a_wrong_key_is_the_operators_matter_and_shown_nowhere(stub: str, tmp_path: Path) -> None:
    ibm = IbmHarness(stub, tmp_path)
    for token in ("another-key-that-is-wrong-000", API_KEY):
        ibm.settings.credentials_file.write_text(
            json.dumps({"token": token, "instance": CRN + ("" if token == API_KEY else "x")})
        )
        await ibm.restart()
        health = await ibm.backend.health()
        assert health.ok is (token == API_KEY)
        assert token not in health.detail
    ibm.settings.credentials_file.unlink()
    await ibm.restart()
    assert (await ibm.backend.health()).detail == "credentials-unreadable-FileNotFoundError"
    files = await asyncio.to_thread(lambda: [path for path in tmp_path.rglob("*") if path.is_file()])
    assert not [path for path in files if API_KEY.encode() in path.read_bytes()]
    await ibm.close()


async def test_a_list_that_shows_jobs_twice_counts_each_once(ibm: IbmHarness) -> None:
    ibm.world.tell("settings", listing_twice=True)
    refs = [await ibm.backend.submit(ibm.request(Act.SUCCEED)) for _ in range(2)]
    for ref in refs:
        await ibm.until_ended(ref)
        await final_row(ibm, ref.attempt_id)
    assert (await ibm.backend.capacity()).free.qpus == 2
    rows = await ibm.backend.accounting(Window(ibm.now() - timedelta(hours=1), ibm.now()))
    assert sorted(row.natural_key for row in rows) == sorted(ref.native_id for ref in refs)


async def test_what_was_lost_here_is_found_there(ibm: IbmHarness, tmp_path: Path) -> None:
    """Our own memory is gone: the tags are not."""
    request = ibm.request(Act.SUCCEED)
    ref = await ibm.backend.submit(request)
    await ibm.until_ended(ref)
    await ibm.backend.close()
    ibm.move(tmp_path / "elsewhere")
    assert await ibm.backend.find(request.attempt_id) == ref
    assert await ibm.backend.submit(request) == ref
    assert (await ibm.until_ended(ref)).seen is Seen.SUCCEEDED
    assert (await result_of(ibm, ref))["pubs"]
    assert len(ibm.world.jobs()) == 1


async def test_a_lost_answer_of_a_session_costs_nothing(ibm: IbmHarness) -> None:
    """IBM keeps nothing of ours with a session: one that nobody knows never begins."""
    held = hold()
    ibm.world.fault("POST", "/sessions$", "drop-after")
    with pytest.raises(Unavailable) as silence:
        await ibm.backend.submit(held)
    assert silence.value.maybe_done
    assert await ibm.backend.find(held.attempt_id) is None
    session = await ibm.backend.submit(held)
    lost, known = ibm.world.sessions()
    assert (known["id"], lost["elapsed_time"], lost["activated_at"]) == (session.native_id, 0, None)


async def test_an_instance_without_time_takes_nothing(ibm: IbmHarness) -> None:
    ibm.world.tell("settings", out_of_time=True)
    assert not (await ibm.backend.capacity()).online
    with pytest.raises(Unavailable) as refused:
        await ibm.backend.submit(ibm.request(Act.SUCCEED))
    assert (refused.value.detail, refused.value.maybe_done) == ("usage-limit-reached", False)


async def test_a_job_that_the_vendor_refuses_leaves_nothing(ibm: IbmHarness) -> None:
    for status, code in ((400, "vendor-refused"), (403, None)):
        request = ibm.request(Act.SUCCEED)
        ibm.world.fault("POST", "/jobs$", "status", status=status)
        with pytest.raises(Rejected if code else Unavailable) as refused:
            await ibm.backend.submit(request)
        if isinstance(refused.value, Unavailable):
            assert not refused.value.maybe_done
        assert await ibm.backend.find(request.attempt_id) is None


async def test_a_bridge_that_dies_under_a_submission_is_an_unknown_outcome(ibm: IbmHarness) -> None:
    request = ibm.request(Act.SUCCEED)
    await ibm.backend.health()
    ibm.world.fault("POST", "/jobs$", "slow", seconds=2.0)
    sending = asyncio.create_task(ibm.backend.submit(request))
    while "POST /jobs" not in ibm.world.requests():
        await ibm.pause()
    ibm.kill_bridge()
    with pytest.raises(Unavailable) as died:
        await sending
    assert (died.value.detail, died.value.maybe_done) == ("bridge-died", True)
    ref = await ibm.backend.submit(request)
    assert (await ibm.until_ended(ref)).seen is Seen.SUCCEEDED
    assert len(ibm.world.jobs()) == 1


async def test_faults_while_looking_are_no_ends(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.RUN_LONG))
    for status in (429, 500, 503):
        ibm.world.fault("GET", f"/jobs/{ref.native_id}$", "status", status=status)
        with pytest.raises(Unavailable):
            await ibm.backend.observe([ref])
    ibm.world.fault("GET", "/metrics$", "status", status=404)
    [seen] = await ibm.backend.observe([ref])
    assert isinstance(seen, Observation)
    assert not seen.seen.is_end


async def test_an_unreadable_result_is_lost_at_no_charge(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.RUN_LONG))
    await ibm.until(ref, lambda observation: observation.seen is Seen.RUNNING)
    ibm.world.change_job(ref.native_id, status="Completed", result='{"pubs": nonsense')
    end = await ibm.until_ended(ref)
    assert (end.seen, end.detail) == (Seen.NODE_FAILED, "result-missing")


async def test_an_odd_answer_to_a_question_is_no_refusal(ibm: IbmHarness) -> None:
    ibm.world.fault("GET", "/instances/usage", "status", status=400)
    assert not (await ibm.backend.health()).ok
    ibm.world.fault("GET", "/backends/ibm_kyoyo/properties", "status", status=400, times=2)
    with pytest.raises(Unavailable):
        await ibm.backend.device()
    with pytest.raises(Unavailable) as problem:
        await ibm.backend.submit(ibm.request(Act.SUCCEED))
    assert not problem.value.maybe_done
