"""What OQTOPUS Cloud may do to us, and documents of PUBs on its way. Against the stub."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hpc_adapters.conformance.harness import Act
from hpc_adapters.conformance.suite import final_row, running
from hpc_adapters.contract import Circuit, JobRequest, Observation, Ref, Seen, Stream
from hpc_adapters.devices import Devices, DeviceState, EstimateSource
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.quantum.queued.model import job_name
from tests.contract.test_oqtopus import OqtopusHarness
from tests.support.oqtopus_stub import TOKEN, serve

pytestmark = [pytest.mark.quantum, pytest.mark.sandbox]

ANSATZ = """OPENQASM 3.0;
include "stdgates.inc";
input float[64] a;
qubit[2] q;
ry(a) q[0];
cx q[0], q[1];
"""
BITS = """OPENQASM 3.0;
include "stdgates.inc";
qubit[3] q;
bit[2] c;
bit[1] d;
x q[0];
x q[2];
c[0] = measure q[0];
c[1] = measure q[1];
d[0] = measure q[2];
"""


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[OqtopusHarness]:
    harness = OqtopusHarness(tmp_path / "oqtopus")
    yield harness
    await harness.backend.close()


def with_program(request: JobRequest, program: bytes, shots: int, **more: Any) -> JobRequest:
    return replace(request, payload=Circuit(program=program, shots=shots, **more))


def document(primitive: str, circuits: list[str], pubs: list[dict[str, Any]], **options: Any) -> bytes:
    told = [{"format": "openqasm3", "text": text} for text in circuits]
    body = {"format": "kyoyo.pubs/1", "primitive": primitive, "circuits": told, "pubs": pubs, "options": options}
    return json.dumps(body).encode()


async def look(cloud: OqtopusHarness, ref: Ref) -> Observation:
    [seen] = await cloud.backend.observe([ref])
    assert isinstance(seen, Observation)
    return seen


async def result(cloud: OqtopusHarness, ref: Ref) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await cloud.read(ref, Stream.RESULT))
    return told


# -- results -----------------------------------------------------------------------------------------------------------


async def test_a_text_has_counts_and_the_calibration_under_which_they_were_made(cloud: OqtopusHarness) -> None:
    ref = await cloud.backend.submit(with_program(cloud.request(Act.SUCCEED), BITS.encode(), 64))
    assert (await cloud.until_ended(ref)).seen is Seen.SUCCEEDED
    told = await result(cloud, ref)
    device = await cloud.oqtopus.device()
    assert device.calibration is not None
    assert told["counts"] == {"1 01": 64}
    assert (told["shots"], told["qubits"], told["calibration_id"]) == (64, 3, device.calibration.id)
    row = await final_row(cloud, ref.attempt_id)
    assert row.components == {"qpu_s": Decimal("0.064"), "shot": Decimal(64)}
    assert row.facts["qpu_from"] == "vendor"


async def test_without_the_vendors_time_the_model_counts_and_says_so(cloud: OqtopusHarness) -> None:
    cloud.world.tells_execution_time = False
    ref = await cloud.backend.submit(cloud.request(Act.SUCCEED))
    await cloud.until_ended(ref)
    row = await final_row(cloud, ref.attempt_id)
    assert row.components == {"qpu_s": Decimal("0.051"), "shot": Decimal(50)}
    assert row.facts["qpu_from"] == "model"


async def test_a_sampler_has_the_bits_of_each_binding_and_register(cloud: OqtopusHarness) -> None:
    program = document("sampler", [BITS], [{"circuit": 0, "shots": 16}, {"circuit": 0, "shots": 8}], seed=3)
    ref = await cloud.backend.submit(with_program(cloud.request(Act.SUCCEED), program, 24))
    assert (await cloud.until_ended(ref)).seen is Seen.SUCCEEDED
    told = await result(cloud, ref)
    assert told["format"] == "kyoyo.result/1"
    first, second = told["pubs"]
    assert (first["shots"], first["executions"], second["executions"]) == (16, 16, 8)
    assert b64decode(first["data"]["c"]["bytes"]) == b"\x01" * 16
    assert b64decode(second["data"]["d"]["bytes"]) == b"\x01" * 8
    assert first["metadata"]["depth"] >= 1
    assert await cloud.starts(ref.attempt_id) == 2
    row = await final_row(cloud, ref.attempt_id)
    assert (row.components["shot"], row.facts["vendor_jobs"]) == (Decimal(24), 2)


async def test_an_estimator_has_values_with_the_shape_of_its_pub(cloud: OqtopusHarness) -> None:
    pub = {
        "circuit": 0,
        "shots": 4000,
        "parameters": {"names": ["a"], "shape": [2, 1], "values": [[0.0], [3.141592653589793]]},
        "observables": {"shape": [2], "values": [{"IZ": 1.0, "II": 10.0}, {"II": 0.5}]},
    }
    request = with_program(cloud.request(Act.SUCCEED), document("estimator", [ANSATZ], [pub], seed=5), 8000)
    ref = await cloud.backend.submit(request)
    assert (await cloud.until_ended(ref)).seen is Seen.SUCCEEDED
    [told] = (await result(cloud, ref))["pubs"]
    assert told["data"]["evs"]["shape"] == [2, 2]
    assert told["data"]["evs"]["values"] == pytest.approx([11.0, 0.5, 9.0, 0.5], abs=0.1)
    assert told["data"]["stds"]["values"][1] == 0.0
    assert await cloud.starts(ref.attempt_id) == 2  # a number alone needs no device


async def test_numbers_alone_need_no_vendor_and_cost_nothing(cloud: OqtopusHarness) -> None:
    pub = {
        "circuit": 0,
        "shots": 4000,
        "parameters": {"names": ["a"], "shape": [2], "values": [[0.0], [1.0]]},
        "observables": {"shape": [], "values": [{"II": 2.5}]},
    }
    request = with_program(cloud.request(Act.SUCCEED), document("estimator", [ANSATZ], [pub]), 1)
    ref = await cloud.backend.submit(request)
    assert (await cloud.until_ended(ref)).seen is Seen.SUCCEEDED
    [told] = (await result(cloud, ref))["pubs"]
    assert (told["executions"], told["data"]["evs"]["values"]) == (0, [2.5, 2.5])
    assert set((await final_row(cloud, ref.attempt_id)).components.values()) == {Decimal(0)}
    assert not cloud.world.jobs
    assert await cloud.backend.submit(request) == ref


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_what_the_check_refuses_has_failed_at_no_cost_and_never_left_us(cloud: OqtopusHarness) -> None:
    program = BITS.replace("qubit[3]", "qubit[6]").encode()
    ref = await cloud.backend.submit(with_program(cloud.request(Act.SUCCEED), program, 10))
    end = await cloud.until_ended(ref)
    assert (end.seen, end.detail, end.exit_code) == (Seen.FAILED, "too-many-qubits", 1)
    assert (await result(cloud, ref))["error"]["facts"] == {"qubits": 6, "max_qubits": 5}
    assert set((await final_row(cloud, ref.attempt_id)).components.values()) == {Decimal(0)}
    assert not cloud.world.jobs
    assert await cloud.backend.find(ref.attempt_id) == ref


async def test_a_failure_at_the_vendor_costs_nothing_and_brings_its_words(cloud: OqtopusHarness) -> None:
    ref = await cloud.backend.submit(cloud.request(Act.FAIL))
    end = await cloud.until_ended(ref)
    assert (end.seen, end.detail) == (Seen.FAILED, "failed-at-vendor")
    assert await cloud.read(ref, Stream.STDERR) == b"the transpiler could not lay it out"
    assert set((await final_row(cloud, ref.attempt_id)).components.values()) == {Decimal(0)}


@pytest.mark.parametrize(
    ("program", "shots", "more", "code"),
    [
        (b"qubit q;", 10, {}, "unknown-format"),
        (BITS.encode(), 0, {}, "invalid-shots"),
        (BITS.encode(), 10, {"max_qpu_us": 10_999}, "qpu-cap-too-small"),
        (document("sampler", [BITS], [{"circuit": 0, "shots": 16}]), 17, {}, "executions-differ"),
        (
            document("sampler", [BITS], [{"circuit": 0, "shots": 8}] * 2),
            16,
            {"max_qpu_us": 17_500},
            "qpu-cap-too-small",
        ),
        (document("sampler", [BITS], [{"circuit": 0, "shots": 100_001}]), 100_001, {}, "invalid-shots"),
        (document("sampler", [BITS], [{"circuit": 0, "shots": 8}], twirl_gates=True), 8, {}, "unsupported-option"),
        (
            document("sampler", [BITS], [{"circuit": 0, "shots": 100_000}] * 3),
            300_000,
            {},
            "too-many-executions",
        ),
    ],
)
async def test_refused_before_the_vendor_hears_of_it(
    cloud: OqtopusHarness, program: bytes, shots: int, more: dict[str, int], code: str
) -> None:
    cloud.settings = replace(cloud.settings, max_executions=200_000)
    await cloud.restart()
    request = with_program(cloud.request(Act.SUCCEED), program, shots, **more)
    with pytest.raises(Rejected) as refusal:
        await cloud.backend.submit(request)
    assert refusal.value.code == code
    assert not cloud.world.jobs
    assert await cloud.backend.find(request.attempt_id) is None


async def test_a_cap_stops_what_runs_longer_and_charges_no_more(cloud: OqtopusHarness, tmp_path: Path) -> None:
    cloud.settings = replace(cloud.settings, per_kshot_us=0, overhead_s=0.2)
    await cloud.restart()
    request = with_program(cloud.request(Act.SUCCEED), BITS.encode(), 60_000, max_qpu_us=300_000)
    ref = await cloud.backend.submit(request)
    end = await cloud.until_ended(ref)
    assert (end.seen, end.detail) == (Seen.FAILED, "qpu-cap-reached")
    assert (await final_row(cloud, ref.attempt_id)).components["qpu_s"] <= Decimal("0.3")


# -- the vendor's faults -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "outcome"), [(429, "no"), (401, "no"), (500, "unknown"), (503, "unknown")])
async def test_a_submission_is_answered_by_an_error(cloud: OqtopusHarness, status: int, outcome: str) -> None:
    request = cloud.request(Act.SUCCEED)
    cloud.way.faults.append(("POST .*/submit", status, {"retry-after": "0"}))
    with pytest.raises(Unavailable) as problem:
        await cloud.backend.submit(request)
    assert problem.value.maybe_done is (outcome == "unknown")
    assert TOKEN not in problem.value.detail
    assert await cloud.backend.find(request.attempt_id) is None
    ref = await cloud.backend.submit(request)
    assert (await cloud.until_ended(ref)).seen is Seen.SUCCEEDED
    assert await cloud.starts(request.attempt_id) == 1


async def test_after_429_nobody_asks_until_the_vendor_may_be_asked(cloud: OqtopusHarness) -> None:
    cloud.way.faults.append(("GET", 429, {"retry-after": "30"}))
    with pytest.raises(Unavailable):
        await cloud.backend.capacity()
    before = sum(cloud.world.calls.values())
    for _ in range(3):
        with pytest.raises(Unavailable) as problem:
            await cloud.backend.capacity()
        assert problem.value.detail == "rate-limited"
    assert sum(cloud.world.calls.values()) == before


async def test_a_slow_vendor_is_an_unknown_outcome(cloud: OqtopusHarness) -> None:
    cloud.settings = replace(cloud.settings, call_s=0.3)
    await cloud.restart()
    ref = await running(cloud)
    cloud.way.delay_s = 1.0
    with pytest.raises(Unavailable):
        await cloud.backend.observe([ref])
    assert not (await cloud.backend.health()).ok
    cloud.way.delay_s = 0.0
    assert (await look(cloud, ref)).seen is Seen.RUNNING


async def test_a_word_that_we_do_not_know_is_no_end(cloud: OqtopusHarness) -> None:
    ref = await running(cloud)
    cloud.world.status_word = "hibernating"
    assert (await look(cloud, ref)).seen is Seen.UNKNOWN
    cloud.world.status_word = None
    assert (await look(cloud, ref)).seen is Seen.RUNNING


async def test_a_result_that_is_missing_for_a_while_is_waited_for(cloud: OqtopusHarness) -> None:
    cloud.world.hides_results = True
    ref = await cloud.backend.submit(cloud.request(Act.SUCCEED))
    seen = await cloud.until(ref, lambda seen: seen.seen is Seen.UNKNOWN)
    assert (seen.detail, seen.not_now) == ("result-missing", True)
    cloud.world.hides_results = False
    assert (await look(cloud, ref)).seen is Seen.SUCCEEDED


async def test_a_result_that_never_comes_is_the_vendors_fault_and_free(cloud: OqtopusHarness) -> None:
    cloud.settings = replace(cloud.settings, result_patience_s=0.3)
    await cloud.restart()
    cloud.world.hides_results = True
    ref = await cloud.backend.submit(cloud.request(Act.SUCCEED))
    end = await cloud.until_ended(ref)
    assert (end.seen, end.detail) == (Seen.NODE_FAILED, "result-missing")
    assert set((await final_row(cloud, ref.attempt_id)).components.values()) == {Decimal(0)}


async def test_a_job_that_the_vendor_cancels_is_its_fault_and_free(cloud: OqtopusHarness) -> None:
    ref = await running(cloud)
    [job] = [job for job in cloud.world.jobs.values() if job.told.get("name") == job_name(ref.attempt_id)]
    job.cancelled_at = cloud.now()
    end = await cloud.until_ended(ref)
    assert (end.seen, end.detail) == (Seen.NODE_FAILED, "cancelled-by-vendor")
    assert set((await final_row(cloud, ref.attempt_id)).components.values()) == {Decimal(0)}


async def test_a_token_that_expires_meanwhile_is_renewed_in_its_file(cloud: OqtopusHarness) -> None:
    ref = await running(cloud)
    cloud.world.tokens = {"another-token"}
    with pytest.raises(Unavailable) as problem:
        await cloud.backend.observe([ref])
    assert problem.value.detail == "token-refused: HTTP 401"
    assert not (await cloud.backend.health()).ok
    cloud.settings.token_file.write_text("another-token")
    assert (await look(cloud, ref)).seen is Seen.RUNNING
    await cloud.backend.cancel(ref)
    assert (await cloud.until_ended(ref)).seen is Seen.CANCELLED


async def test_an_interrupted_handing_over_goes_on_by_looking(cloud: OqtopusHarness) -> None:
    program = document("sampler", [BITS], [{"circuit": 0, "shots": 8}] * 3)
    request = with_program(cloud.request(Act.SUCCEED), program, 24)
    cloud.way.faults += [("POST .*/submit", 200, {}), ("POST .*/submit", 500, {})]  # the first does nothing
    with pytest.raises(Unavailable) as problem:
        await cloud.backend.submit(request)
    assert problem.value.maybe_done
    await cloud.restart()
    ref = await cloud.backend.submit(request)
    assert (await cloud.until_ended(ref)).seen is Seen.SUCCEEDED
    assert await cloud.starts(request.attempt_id) == 3


async def test_an_attempt_whose_folder_was_lost_is_found_by_its_name(cloud: OqtopusHarness, tmp_path: Path) -> None:
    ref = await running(cloud)
    cloud.root = tmp_path / "another"
    await cloud.restart()
    found = await cloud.backend.find(ref.attempt_id)
    assert found == ref
    assert (await look(cloud, ref)).seen is Seen.RUNNING


# -- the device --------------------------------------------------------------------------------------------------------


async def test_the_device_as_the_vendor_tells_of_it(cloud: OqtopusHarness) -> None:
    assert isinstance(cloud.backend, Devices)
    device = await cloud.oqtopus.device()
    assert (device.vendor, device.qubits, device.domestic, device.sessions) == ("oqtopus", 5, True, False)
    assert device.coupling == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert device.calibration is not None
    assert device.calibration.two_qubit_error == pytest.approx(0.035)
    assert device.calibration.readout_error == pytest.approx(0.03)
    assert device.state is DeviceState.ONLINE
    estimate = await cloud.oqtopus.estimate(Circuit(program=BITS.encode(), shots=1000))
    twice = await asyncio.gather(*(cloud.oqtopus.estimate(Circuit(program=BITS.encode(), shots=1000)) for _ in "ab"))
    assert twice == [estimate, estimate]
    assert (estimate.low_us, estimate.high_us, estimate.source) == (1_001_000, 1_001_000, EstimateSource.MODEL)
    for _ in range(2):
        with pytest.raises(Rejected) as refused:
            await cloud.oqtopus.estimate(Circuit(program=BITS.replace("[3]", "[9]").encode(), shots=10))
        assert refused.value.code == "too-many-qubits"


async def test_a_device_is_as_large_as_the_vendor_tells_where_nobody_named_it(cloud: OqtopusHarness) -> None:
    cloud.settings = replace(cloud.settings, qubits=None)
    await cloud.restart()
    assert (await cloud.oqtopus.device()).qubits == 5
    with pytest.raises(Rejected) as refused:
        await cloud.oqtopus.estimate(Circuit(program=BITS.replace("[3]", "[9]").encode(), shots=10))
    assert (refused.value.code, refused.value.facts["max_qubits"]) == ("too-many-qubits", 5)
    cloud.world.tells_size = False
    health = await cloud.backend.health()
    assert (health.ok, health.detail) == (False, "qubits-unknown: name `qubits` of the device")
    with pytest.raises(Unavailable) as problem:
        await cloud.backend.submit(cloud.request(Act.SUCCEED))
    assert not problem.value.maybe_done
    cloud.settings = replace(cloud.settings, qubits=3)
    await cloud.restart()
    assert (await cloud.oqtopus.device()).qubits == 3


async def test_a_device_in_maintenance_takes_nothing(cloud: OqtopusHarness) -> None:
    cloud.world.device_status = "unavailable"
    device = await cloud.oqtopus.device()
    assert device.state is DeviceState.MAINTENANCE
    assert device.windows[0].until - device.observed_at > timedelta(hours=1)
    assert not (await cloud.backend.capacity()).online
    with pytest.raises(Unavailable) as problem:
        await cloud.backend.submit(cloud.request(Act.SUCCEED))
    assert not problem.value.maybe_done


async def test_vendor_jobs_are_deleted_where_the_settings_say_so(cloud: OqtopusHarness) -> None:
    cloud.settings = replace(cloud.settings, keeps_jobs=False)
    await cloud.restart()
    ref = await cloud.backend.submit(cloud.request(Act.SUCCEED))
    assert (await cloud.until_ended(ref)).seen is Seen.SUCCEEDED
    assert not cloud.world.jobs
    assert await cloud.backend.find(ref.attempt_id) == ref
    assert (await result(cloud, ref))["shots"] == 50


async def test_over_a_real_port(cloud: OqtopusHarness) -> None:
    with serve() as world:
        cloud.world = world
        cloud.settings = replace(cloud.settings, url=world.base)
        cloud.transport = None
        await cloud.restart()
        ref = await cloud.backend.submit(cloud.request(Act.SUCCEED))
        assert (await cloud.until_ended(ref)).seen is Seen.SUCCEEDED
        assert sum((await result(cloud, ref))["counts"].values()) == 50
        await cloud.backend.close()
