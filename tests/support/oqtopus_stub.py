"""OQTOPUS Cloud's user API with Aer behind it, and with faults. For tests.

`OqtopusWorld` is the vendor: what it answers is checked against `tests/fixtures/oqtopus/user_api.json`. `Way` is the
way there as a transport of httpx2, and can be broken. `serve` puts the same world behind a real port.

A job runs for `shots` milliseconds, at least 50. A program that holds the comment `// the vendor fails` does.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.parser import BytesParser
from email.policy import HTTP
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import httpx2

from infra.clock import new_id, utc_now
from tests.support.openapi_cut import Cut

Json = dict[str, Any]
CUT = Cut(Path(__file__).resolve().parents[1] / "fixtures" / "oqtopus" / "user_api.json")
DEVICE, TOKEN = "anemone", "a-token-of-the-vendor"
_Z = {"pauli": "Z 0", "coeff": 1.0}
FAILS = "// the vendor fails"
_ENDED = ("succeeded", "failed", "cancelled")
TOPOLOGY = {
    "name": DEVICE,
    "device_id": DEVICE,
    "qubits": [
        {
            "id": at,
            "physical_id": at,
            "fidelity": 0.9995,
            "meas_error": {"prob_meas1_prep0": 0.02, "prob_meas0_prep1": 0.04, "readout_assignment_error": 0.03},
            "qubit_lifetime": {"t1": 30.0 + at, "t2": 25.0},
            "gate_duration": {"rz": 0, "sx": 16, "x": 24},
        }
        for at in range(5)
    ],
    "couplings": [
        {"control": at, "target": at + 1, "fidelity": 0.98 - 0.01 * at, "gate_duration": {"cx": 272}} for at in range(4)
    ],
    "calibrated_at": "2026-11-20T10:03:16+00:00",
}


@dataclass
class StubJob:
    """One job as the vendor holds it."""

    job_id: str
    input: Json | None = None
    told: Json = field(default_factory=dict)
    submitted_at: datetime | None = None
    cancelled_at: datetime | None = None
    result: Json = field(default_factory=dict)
    failure: str = ""
    transpiled: Json | None = None


class OqtopusWorld:
    """One cloud with one device and one account. Thread-safe."""

    def __init__(self, *, base: str = "http://stub") -> None:
        self.base = base
        self.jobs: dict[str, StubJob] = {}
        self.starts: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.tokens = {TOKEN}
        self.device_status = "available"
        self.tells_size = True
        self.status_word: str | None = None
        """What the vendor says instead of a job's status."""
        self.hides_results = False
        self.tells_execution_time = True
        self.token_expires = utc_now() + timedelta(days=90)
        self._lock = threading.RLock()
        _warm_up()

    # -- the API ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body of one request."""
        address = urlsplit(url)
        path = unquote(address.path)
        with self._lock:
            if path.startswith("/files/"):
                return self._file(method, path, headers, body)
            call, key = _call(method, path)
            self.calls[call] += 1
            if headers.get("q-api-token") not in self.tokens:
                status, told = 401, {"message": "Unauthorized"}
                return status, json.dumps(told).encode()
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            status, told = self._told(call, key, query, body)
        if self.status_word is None and call != "?":
            CUT.check_answer(call, status, told)
        return status, json.dumps(told).encode()

    def _told(self, call: str, key: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        match call:
            case "GET /devices":
                return 200, [self.device()]
            case "GET /devices/{id}":
                return (200, self.device()) if key == DEVICE else (404, {"message": "device not found"})
            case "GET /api-token/status":
                return 200, {"api_token_expiration": self.token_expires.isoformat()}
            case "GET /jobs":
                return 200, self._listed(query)
            case "POST /jobs":
                return 200, self._registered()
            case _:
                return self._of_job(call, key, body)

    def _of_job(self, call: str, key: str, body: bytes) -> tuple[int, Any]:  # noqa: PLR0911
        job = self.jobs.get(key)
        if job is None:
            return 404, {"message": "job not found with the given id"}
        match call:
            case "POST /jobs/{id}/submit":
                return self._submit(job, json.loads(body))
            case "GET /jobs/{id}":
                return 200, self._shown(job)
            case "GET /jobs/{id}/status":
                return 200, {"job_id": job.job_id, "status": self._shown(job)["status"]}
            case "POST /jobs/{id}/cancel":
                return self._cancel(job)
            case "DELETE /jobs/{id}":
                if self._state(job)[0] not in _ENDED:
                    return 404, {"message": "job is not in valid status for deletion"}
                del self.jobs[job.job_id]
                return 200, {"message": "job deleted"}
            case _:
                return 404, {"message": "Not Found"}

    def device(self) -> Json:
        """The one device."""
        waiting = sum(self._state(job)[0] in {"submitted", "ready"} for job in self.jobs.values())
        told: Json = {
            "device_id": DEVICE,
            "device_type": "QPU",
            "status": self.device_status,
            "n_pending_jobs": waiting,
            "n_qubits": 5,
            "basis_gates": ["sx", "x", "rz", "cx"],
            "supported_instructions": ["measure", "barrier"],
            "device_info": json.dumps(TOPOLOGY),
            "calibrated_at": TOPOLOGY["calibrated_at"],
            "description": "a stub with Aer behind it",
        }
        if not self.tells_size:
            del told["n_qubits"]
            told["device_info"] = "{}"
        if self.device_status == "unavailable":
            told["available_at"] = (utc_now() + timedelta(hours=2)).isoformat()
        return told

    def _registered(self) -> Json:
        job = StubJob(str(new_id()))
        self.jobs[job.job_id] = job
        fields = {"key": f"jobs/{job.job_id}/input.zip", "policy": "p", "signature": "s"}
        return {"job_id": job.job_id, "presigned_url": {"url": f"{self.base}/files/", "fields": fields}}

    def _submit(self, job: StubJob, told: Json) -> tuple[int, Json]:
        CUT.check_request("POST /jobs/{id}/submit", told)
        if job.submitted_at is not None:
            return 400, {"message": "job is not in status registered"}
        if told["device_id"] != DEVICE:
            return 400, {"message": "device not found"}
        if self.device_status != "available":
            return 400, {"message": f"device {DEVICE} is not available"}
        if job.input is None:
            return 400, {"message": "no input"}
        job.told, job.submitted_at = told, utc_now()
        _run(job)
        return 200, {"message": "Quantum job submitted"}

    def _cancel(self, job: StubJob) -> tuple[int, Json]:
        if self._state(job)[0] not in {"submitted", "ready", "running"}:
            return 404, {"message": "job is not in valid status for cancellation"}
        job.cancelled_at = utc_now()
        return 200, {"message": "cancel request accepted"}

    def _listed(self, query: dict[str, str]) -> list[Json]:
        wanted = query.get("q", "")
        found = [
            job
            for job in self.jobs.values()
            if any(wanted in word for word in (job.told.get("name", ""), job.told.get("description", ""), job.job_id))
            and not (
                "start_time" in query
                and (job.submitted_at is None or job.submitted_at < datetime.fromisoformat(query["start_time"]))
            )
        ]
        size, page = int(query.get("size", "10")), int(query.get("page", "1"))
        fields = query["fields"].split(",") if "fields" in query else None
        return [
            {name: value for name, value in self._shown(job).items() if fields is None or name in fields}
            for job in found[(page - 1) * size : page * size]
        ]

    def _shown(self, job: StubJob) -> Json:
        status, times = self._state(job)
        told: Json = {"job_id": job.job_id, "status": self.status_word or status}
        if job.submitted_at is None:
            return told
        info = {"input": f"{self.base}/files/jobs/{job.job_id}/input.zip?signature=s"}
        if status == "succeeded":
            if not self.hides_results:
                info["result"] = f"{self.base}/files/jobs/{job.job_id}/result.zip?signature=s"
            info["transpile_result"] = f"{self.base}/files/jobs/{job.job_id}/transpile_result.zip?signature=s"
        if status == "failed":
            info["message"] = job.failure
        told |= job.told | {"job_info": info} | {name: at.isoformat() for name, at in times.items()}
        if "running_at" in times and "ended_at" in times and self.tells_execution_time:
            told["execution_time"] = (times["ended_at"] - times["running_at"]).total_seconds()
        return told

    def _state(self, job: StubJob) -> tuple[str, dict[str, datetime]]:
        """Where the job is now, by the clock alone."""
        if job.submitted_at is None:
            return "registered", {}
        now = utc_now()
        runs = job.submitted_at + timedelta(seconds=0.15)
        ends = runs + timedelta(seconds=max(0.05, job.told["shots"] / 1000))
        times = {"submitted_at": job.submitted_at}
        stopped = job.cancelled_at
        if stopped is not None and stopped < ends:
            ran = {"running_at": runs} if runs < stopped else {}
            self._started(job, ran)
            return "cancelled", times | ran | {"ended_at": stopped}
        if now < runs:
            return ("submitted" if now < job.submitted_at + timedelta(seconds=0.05) else "ready"), times
        times |= {"ready_at": job.submitted_at + timedelta(seconds=0.05), "running_at": runs}
        self._started(job, times)
        if now < ends:
            return "running", times
        return ("failed" if job.failure else "succeeded"), times | {"ended_at": ends}

    def _started(self, job: StubJob, times: dict[str, datetime]) -> None:
        if "running_at" in times and "started" not in job.result:
            job.result["started"] = True
            self.starts[job.told.get("name", "")] += 1

    def started(self, name: str) -> int:
        """How many jobs of names that begin so really ran."""
        with self._lock:
            for job in self.jobs.values():
                self._state(job)
            return sum(count for told, count in self.starts.items() if told.startswith(name))

    # -- files --------------------------------------------------------------------------------------------------------

    def _file(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        assert "q-api-token" not in headers, "our token went to the file store"
        if method == "POST":
            fields = _form(headers["content-type"], body)
            given = self.jobs[fields["key"].decode().split("/")[1]]
            given.input = _unzipped(fields["file"])
            CUT.check_file("input", given.input)
            return 204, b""
        _, _, _, key, name = path.split("/")
        job = self.jobs.get(key)
        if job is None or (name == "result.zip" and self.hides_results):
            return 404, b"<Error><Code>NoSuchKey</Code></Error>"
        content = {"result.zip": job.result.get("told"), "transpile_result.zip": job.transpiled}.get(name, job.input)
        if content is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>"
        CUT.check_file(name.removesuffix(".zip"), content)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name.replace(".zip", ".json"), json.dumps(content))
        return 200, packed.getvalue()


def _call(method: str, path: str) -> tuple[str, str]:
    for pattern, shape in (
        (r"/(devices|jobs)", "/{0}"),
        (r"/api-token/status", "/api-token/status"),
        (r"/(devices|jobs)/([^/]+)", "/{0}/{{id}}"),
        (r"/(jobs)/([^/]+)/(submit|status|cancel)", "/{0}/{{id}}/{2}"),
    ):
        if (found := re.fullmatch(pattern, path)) is not None:
            groups = found.groups()
            return f"{method} {shape.format(*groups)}", groups[1] if len(groups) > 1 else ""
    return "?", ""


def _form(kind: str, body: bytes) -> dict[str, bytes]:
    message: Any = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in message.iter_parts()
    }


def _unzipped(packed: bytes) -> Json:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        [name] = archive.namelist()
        told: Json = json.loads(archive.read(name))
        return told


@cache
def _warm_up() -> None:
    """Load what runs jobs, so that the first submission takes no longer than others."""
    from qiskit import qasm3  # noqa: PLC0415

    for kind, program in (("sampling", "bit b; b = measure q;"), ("estimation", "h q;")):
        job = StubJob("warm", told={"shots": 2, "job_type": kind})
        job.input = {"program": [f'OPENQASM 3.0; include "stdgates.inc"; qubit q; {program}'], "operator": [_Z]}
        _run(job)
    qasm3.loads("OPENQASM 3.0;")


def _run(job: StubJob) -> None:
    """What the machine will say of it, computed at once. Its own Qiskit, as the vendor has one."""
    from qiskit import qasm3, transpile  # noqa: PLC0415
    from qiskit_aer import AerSimulator  # noqa: PLC0415
    from qiskit_aer.primitives import EstimatorV2  # noqa: PLC0415

    assert job.input is not None
    [program] = job.input["program"]
    if FAILS in program:
        job.failure = "the transpiler could not lay it out"
        return
    circuit = qasm3.loads(program)
    shots, seed = job.told["shots"], job.told.get("simulator_info", {}).get("seed_simulation", 7)
    if job.told["job_type"] == "sampling":
        done = AerSimulator(seed_simulator=seed).run(circuit, shots=min(shots, 2000)).result().get_counts()
        counts = {bits.replace(" ", ""): count for bits, count in done.items()}
        if shots > 2000:  # nobody looks at the counts of the long ones
            counts[max(counts)] += shots - 2000
        job.result["told"] = {"sampling": {"counts": counts, "divided_counts": {}}}
    else:
        terms = [(item["pauli"], item.get("coeff", 1.0)) for item in job.input["operator"]]
        operator = _operator(terms, circuit.num_qubits)
        estimator = EstimatorV2(options={"default_precision": shots**-0.5, "backend_options": {"seed_simulator": seed}})
        [told] = estimator.run([(circuit, operator)]).result()
        job.result["told"] = {"estimation": {"exp_value": float(told.data.evs), "stds": float(told.data.stds)}}
    isa = transpile(circuit, basis_gates=["sx", "x", "rz", "cx"], optimization_level=1)
    after = {
        "n_qubits": isa.num_qubits,
        "n_gates": isa.size(),
        "n_gates_2q": isa.num_nonlocal_gates(),
        "depth": isa.depth(),
    }
    job.transpiled = {
        "transpiled_program": "OPENQASM 3.0;",
        "stats": {"before": {}, "after": after},
        "virtual_physical_mapping": {"qubit_mapping": {"0": 0}},
    }


def _operator(terms: list[tuple[str, float]], qubits: int) -> Any:
    from qiskit.quantum_info import SparsePauliOp  # noqa: PLC0415

    sparse = []
    for pauli, factor in terms:
        words = pauli.split()
        sparse.append(("".join(words[::2]), [int(at) for at in words[1::2]], factor))
    return SparsePauliOp.from_sparse_list(sparse, num_qubits=qubits)


# -- the way there -----------------------------------------------------------------------------------------------------


@dataclass
class Way(httpx2.AsyncBaseTransport):
    """The way to the vendor, which can lose things. `faults`: for the next calls whose "METHOD path" matches."""

    world: OqtopusWorld
    is_cut: bool = False
    next_submission: str = "given"
    faults: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    """(pattern, status, headers), each used once."""
    delay_s: float = 0.0
    late: list[asyncio.Task[None]] = field(default_factory=list)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        if self.is_cut:
            raise httpx2.ConnectError("cut")
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        path = f"{request.method} {request.url.path}"
        for fault in self.faults:
            if re.search(fault[0], path):
                self.faults.remove(fault)
                return httpx2.Response(fault[1], headers=fault[2], content=b'{"message": "a fault"}')
        if request.method == "POST" and request.url.path.endswith("/submit"):
            fate, self.next_submission = self.next_submission, "given"
            if fate != "given":
                await self._lose(request, body, fate)
        return await self._given(request, body)

    async def _given(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        status, content = await asyncio.to_thread(self.world.answer, request.method, str(request.url), headers, body)
        return httpx2.Response(status, content=content)

    async def _lose(self, request: httpx2.Request, body: bytes, fate: str) -> None:
        if fate == "lose-answer":
            await self._given(request, body)
        if fate == "delay":
            self.late.append(asyncio.create_task(self._later(request, body)))
        raise httpx2.ReadTimeout("lost")

    async def _later(self, request: httpx2.Request, body: bytes) -> None:
        await asyncio.sleep(1.0)
        await self._given(request, body)

    async def aclose(self) -> None:
        await asyncio.gather(*self.late)


# -- behind a port -----------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    world: ClassVar[OqtopusWorld]

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, content = self.world.answer(self.command, f"{self.world.base}{self.path}", headers, body)
        self.send_response(status)
        self.send_header("content-type", "application/zip" if "/files/" in self.path else "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _do  # noqa: N815  names of the library

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve() -> Iterator[OqtopusWorld]:
    """A world behind a port of this machine; its address is `base`."""
    world = OqtopusWorld()
    handler = type("Handler", (_Handler,), {"world": world})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    world.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
