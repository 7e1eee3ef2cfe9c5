"""Machines that QRMI reaches keep the contract.

Against the real package, where KYOYO_TEST_QRMI_PYTHON names the Python of an environment that has qrmi 0.26.4, and
always against a double with its Python interface (`tests/support/qrmi_double.py`); in both cases the other side is a
local stub of IBM's Quantum Compute Service over HTTP, with Aer behind it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hpc_adapters.conformance.harness import Act, Harness
from hpc_adapters.conformance.suite import BackendConformance, final_row, running
from hpc_adapters.contract import Circuit, JobRequest, Observation, Resources, Seen, Stream
from hpc_adapters.devices import DeviceState, EstimateSource
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.programs import work_of
from hpc_adapters.quantum.qrmi.adapter import QrmiBackend
from hpc_adapters.quantum.qrmi.settings import QrmiSettings
from hpc_adapters.quantum.queued.model import job_name
from infra.clock import new_id, utc_now
from tests.support.ibm_stub import API_KEY, CRN, IbmWorld
from tests.support.qrmi_stub import qrmi_stub

pytestmark = [pytest.mark.xdist_group("qrmi"), pytest.mark.quantum, pytest.mark.sandbox, pytest.mark.takes(2)]

REAL = os.environ.get("KYOYO_TEST_QRMI_PYTHON")
DOUBLE = "tests.support.qrmi_double"
FAILING_SHOTS = 49
BELL = b"""OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""
ANSATZ = """OPENQASM 3.0;
include "stdgates.inc";
input float[64] a;
qubit[2] q;
ry(a) q[0];
cx q[0], q[1];
"""


@pytest.fixture(scope="module")
def ibm() -> Iterator[str]:
    with qrmi_stub() as url:
        yield url


class QrmiHarness(Harness):
    patience = 150

    def __init__(self, stub: str, root: Path, module: str) -> None:
        self.world = IbmWorld(stub, failing_shots={str(FAILING_SHOTS): [5203, "as ordered"]})
        self.root = root
        root.mkdir()
        told = {
            "QRMI_IBM_QCS_ENDPOINT": self.world.url,
            "QRMI_IBM_QCS_IAM_ENDPOINT": self.world.url,
            "QRMI_IBM_QCS_IAM_APIKEY": API_KEY,
            "QRMI_IBM_QCS_SERVICE_CRN": CRN,
        }
        (root / "qrmi.json").write_text(json.dumps(told))
        self.settings = QrmiSettings(
            name="qrmi",
            device="ibm_kyoyo",
            resource_type="ibm-quantum-compute-service",
            config_file=root / "qrmi.json",
            python=REAL if module == "qrmi" else None,
            module=module,
            slots=1,
            base_us=20_000,
            per_kshot_us=1_000_000,
            check_s=60.0,
        )
        self.backend = self.qrmi = self.connect()

    def connect(self) -> QrmiBackend:
        return QrmiBackend(self.settings, root=self.root / "backend", clock=utc_now)

    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        shots = {Act.RUN_LONG: 90_000, Act.OVERRUN: 90_000, Act.REJECTED: 10**9, Act.FAIL: FAILING_SHOTS}
        return JobRequest(
            attempt_id=new_id(),
            tenant=tenant,
            resources=Resources(qpus=1),
            walltime_s=2 if act is Act.OVERRUN else 300,
            payload=Circuit(program=BELL, shots=shots.get(act, 50)),
        )

    def now(self) -> datetime:
        return utc_now()

    async def pause(self) -> None:
        await asyncio.sleep(0.1)

    async def restart(self) -> None:
        await self.backend.close()
        self.backend = self.qrmi = self.connect()

    async def starts(self, attempt_id: UUID) -> int:
        """QRMI carries no name of ours: the vendor's own jobs that ran, against the task that was written down."""
        told = self.root / "backend" / "gates" / job_name(attempt_id) / "task.json"
        if not told.exists():
            return 0
        task = json.loads(told.read_text())["task"]
        return sum(job["id"] == task and job["timestamps"]["running"] is not None for job in self.world.jobs())

    async def close(self) -> None:
        await self.backend.close()
        self.world.close()


@pytest.fixture(params=[DOUBLE, pytest.param("qrmi", marks=pytest.mark.skipif(REAL is None, reason="no real qrmi"))])
async def qrmi(request: pytest.FixtureRequest, ibm: str, tmp_path: Path) -> AsyncIterator[QrmiHarness]:
    harness = QrmiHarness(ibm, tmp_path / "qrmi", request.param)
    yield harness
    await harness.close()


class TestQrmi(BackendConformance):
    @pytest.fixture
    def harness(self, qrmi: QrmiHarness) -> QrmiHarness:
        return qrmi


async def result(harness: QrmiHarness, request: JobRequest) -> dict[str, Any]:
    ref = await harness.backend.submit(request)
    end = await harness.until_ended(ref)
    assert end.seen is Seen.SUCCEEDED, end
    told: dict[str, Any] = json.loads(await harness.read(ref, Stream.RESULT))
    return told


def document(primitive: str, text: str, pub: dict[str, Any]) -> bytes:
    circuits = [{"format": "openqasm3", "text": text}]
    return json.dumps(
        {"format": "kyoyo.pubs/1", "primitive": primitive, "circuits": circuits, "pubs": [{"circuit": 0, **pub}]}
    ).encode()


async def test_a_text_has_counts_and_the_models_qpu_time(qrmi: QrmiHarness) -> None:
    request = qrmi.request(Act.SUCCEED)
    told = await result(qrmi, request)
    assert set(told["counts"]) <= {"00", "11", "01", "10"}
    assert sum(told["counts"].values()) == 50
    assert told["calibration_id"]
    row = await final_row(qrmi, request.attempt_id)
    assert (str(row.components["qpu_s"]), row.facts["qpu_from"]) == ("0.07", "model")


async def test_an_estimator_with_parameters(qrmi: QrmiHarness) -> None:
    pub = {
        "shots": 1600,
        "parameters": {"names": ["a"], "shape": [2], "values": [[0.0], [3.141592653589793]]},
        "observables": {"shape": [], "values": [{"IZ": 1.0}]},
    }
    payload = Circuit(program=document("estimator", ANSATZ, pub), shots=3200)
    told = await result(qrmi, replace(qrmi.request(Act.SUCCEED), payload=payload))
    assert told["pubs"][0]["data"]["evs"]["shape"] == [2]
    assert told["pubs"][0]["data"]["evs"]["values"] == pytest.approx([1.0, -1.0], abs=0.1)


async def test_identities_alone_are_their_coefficients_and_never_reach_the_machine(qrmi: QrmiHarness) -> None:
    pub = {
        "shots": 160,
        "parameters": {"names": ["a"], "shape": [2], "values": [[0.0], [3.141592653589793]]},
        "observables": {"shape": [2, 1], "values": [{"II": 0.5}, {"II": -2.0}]},
    }
    program = document("estimator", ANSATZ, pub)
    payload = Circuit(program=program, shots=work_of(program).executions)
    told = await result(qrmi, replace(qrmi.request(Act.SUCCEED), payload=payload))
    assert told["pubs"][0]["data"]["evs"] == {"kind": "float", "shape": [2, 2], "values": [0.5, 0.5, -2.0, -2.0]}
    assert qrmi.world.jobs() == []


async def test_a_sampler_has_the_bits_of_each_binding(qrmi: QrmiHarness) -> None:
    text = ANSATZ + "bit[2] c;\nc = measure q;\n"
    pub = {"shots": 8, "parameters": {"names": ["a"], "shape": [2], "values": [[0.0], [3.141592653589793]]}}
    payload = Circuit(program=document("sampler", text, pub), shots=16)
    told = await result(qrmi, replace(qrmi.request(Act.SUCCEED), payload=payload))
    assert told["pubs"][0]["data"]["c"]["shape"] == [2]
    assert told["pubs"][0]["data"]["c"]["bytes"] == "AAAAAAAAAAADAwMDAwMDAw=="


async def test_the_device_and_what_a_program_will_need(qrmi: QrmiHarness) -> None:
    device = await qrmi.qrmi.device()
    assert (device.vendor, device.qubits, device.state, device.queue) == ("ibm", 5, DeviceState.ONLINE, 3)
    assert device.calibration is not None
    estimate = await qrmi.qrmi.estimate(Circuit(program=BELL, shots=100))
    assert estimate.source is EstimateSource.DURATIONS
    assert 0 < estimate.low_us <= estimate.high_us
    with pytest.raises(Rejected):
        await qrmi.qrmi.estimate(Circuit(program=BELL.replace(b"qubit[2]", b"qubit[6]"), shots=100))


async def test_an_answer_that_was_lost_at_the_vendor_is_never_asked_for_again(qrmi: QrmiHarness) -> None:
    request = qrmi.request(Act.SUCCEED)
    qrmi.world.fault("POST", "/jobs$", "drop-after")
    with pytest.raises(Unavailable) as problem:
        await qrmi.backend.submit(request)
    assert problem.value.maybe_done
    ref = await qrmi.backend.find(request.attempt_id)
    assert ref is not None
    assert await qrmi.backend.submit(request) == ref
    end = await qrmi.until_ended(ref)
    assert (end.seen, end.detail) == (Seen.NODE_FAILED, "lost-by-vendor")
    assert set(map(str, (await final_row(qrmi, request.attempt_id)).components.values())) == {"0"}
    assert len(qrmi.world.jobs()) == 1


@pytest.mark.parametrize("status", [401, 429])
async def test_a_start_that_was_answered_with_no_may_be_tried_again(qrmi: QrmiHarness, status: int) -> None:
    request = qrmi.request(Act.SUCCEED)
    await qrmi.qrmi.device()
    qrmi.world.fault("POST", "/jobs$", "status", status=status)
    with pytest.raises(Unavailable) as problem:
        await qrmi.backend.submit(request)
    assert not problem.value.maybe_done
    assert await qrmi.backend.find(request.attempt_id) is None
    ref = await qrmi.backend.submit(request)
    assert (await qrmi.until_ended(ref)).seen is Seen.SUCCEEDED
    assert len(qrmi.world.jobs()) == 1


async def test_a_vendor_that_is_down_is_told_nothing(qrmi: QrmiHarness) -> None:
    request = qrmi.request(Act.SUCCEED)
    qrmi.world.fault("*", ".*", "status", status=500, times=100)
    with pytest.raises(Unavailable) as problem:
        await qrmi.backend.submit(request)
    assert not problem.value.maybe_done
    assert not (await qrmi.backend.health()).ok
    qrmi.world.repair()
    ref = await qrmi.backend.submit(request)
    assert (await qrmi.until_ended(ref)).seen is Seen.SUCCEEDED


async def test_the_process_dies_and_the_job_goes_on(qrmi: QrmiHarness) -> None:
    ref = await running(qrmi)
    await qrmi.backend.close()  # ends the process; the next call starts another
    [seen] = await qrmi.backend.observe([ref])
    assert isinstance(seen, Observation)
    assert seen.seen is Seen.RUNNING
    await qrmi.backend.cancel(ref)
    assert (await qrmi.until_ended(ref)).seen is Seen.CANCELLED


async def test_credentials_are_in_no_file_or_environment_but_their_own(qrmi: QrmiHarness) -> None:
    await qrmi.backend.health()
    process = qrmi.qrmi._vendor._bridge._life._process  # type: ignore[attr-defined]
    assert not _has_the_key(Path(f"/proc/{process.pid}"), qrmi.root / "backend")


def _has_the_key(process: Path, kept: Path) -> bool:
    files = [process / "environ", process / "cmdline", *(path for path in kept.rglob("*") if path.is_file())]
    return any(API_KEY.encode() in path.read_bytes() for path in files)
