"""A portal with a quantum device for the client's tests: documents of PUBs run on Aer at once, sessions open at once.

It reads documents and writes results by the published format, and knows nothing of the client's own code for either.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import httpx2
import numpy as np
from qiskit import QuantumCircuit, qasm2, qpy
from qiskit.primitives import BitArray
from qiskit_aer.primitives import EstimatorV2, SamplerV2

from tests.support.fake_portal import API, FakePortal, a_job, problem

GATES = ["id", "rz", "sx", "x", "cx", "h", "ry", "rx", "cz", "rzz", "u", "ccx", "if_else", "delay", "reset", "measure"]
LINE = [[0, 1], [1, 0], [1, 2], [2, 1]]


def a_device(name: str = "aer-demo", **more: object) -> dict[str, object]:
    """A simulator as `GET /devices` tells of it."""
    return {
        "name": name,
        "offering": "qpu-demo",
        "vendor": "aer",
        "technology": "simulator",
        "qubits": 12,
        "basis_gates": GATES,
        "coupling": None,
        "simulator": True,
        "domestic": True,
        "sessions": True,
        "max_shots": 100_000,
        "max_circuits": 100,
        "clops": None,
        "quantum_volume": None,
        "state": "online",
        "detail": "",
        "queue": 0,
        "windows": [],
        "calibration": None,
        "observed_at": "2026-11-30T15:59:00+00:00",
        "prices": [{"service_class": "standard", "component": "qpu_s", "per": "1", "price_yen": "160"}],
        **more,
    }


def a_machine(name: str = "torino", **more: object) -> dict[str, object]:
    """Three qubits in a line, calibrated."""
    gates = [{"name": "cz", "qubits": pair, "error": 0.004 + 0.001 * pair[0], "duration_ns": 84.0} for pair in LINE] + [
        {"name": "sx", "qubits": [qubit], "error": 0.0002, "duration_ns": 32.0} for qubit in range(3)
    ]
    qubit = {"t1_us": 170.0, "t2_us": 130.0, "readout_error": 0.02, "readout_ns": 1560.0}
    calibration = {
        "id": "cal-7",
        "at": "2026-11-30T06:00:00+00:00",
        "qubits": [qubit, qubit, qubit],
        "gates": gates,
        "two_qubit_error": 0.0045,
        "readout_error": 0.02,
    }
    told: dict[str, object] = {
        "offering": "qpu-torino",
        "vendor": "ibm",
        "technology": "superconducting",
        "qubits": 3,
        "basis_gates": ["cz", "id", "rz", "sx", "x", "if_else", "unheard-of"],
        "coupling": LINE,
        "simulator": False,
        "domestic": False,
        "max_shots": 10_000,
        "queue": 12,
        "calibration": calibration,
        "windows": [
            {"since": "2026-11-30T18:00:00+00:00", "until": "2026-11-30T19:00:00+00:00", "kind": "calibrating"}
        ],
    }
    return a_device(name, **{**told, **more})


@dataclass
class QuantumPortal(FakePortal):
    """`devices` may be changed at any time. What was sent is in `jobs`, by id, with its `body`."""

    devices: list[dict[str, object]] = field(default_factory=lambda: [a_device(), a_machine()])
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, object] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    lose_answers: int = 0
    factor: int = 1
    """So many times the executions of its PUBs is what a job is to ask for."""
    least_yen: int = 0
    """What each job costs at least, with tax."""
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        path = request.url.path.removeprefix(API)
        with self._lock:
            match [request.method, *path.strip("/").split("/")]:
                case ["GET", "devices"]:
                    return httpx2.Response(200, json={"items": self.devices})
                case ["GET", "devices", name]:
                    found = [each for each in self.devices if each["name"] == name]
                    return httpx2.Response(200, json=found[0]) if found else problem(404, "device-not-found")
                case ["POST", "jobs"]:
                    self.asked.append(request)
                    return self._submitted(request)
                case ["GET", "jobs"]:
                    return httpx2.Response(200, json={"items": list(self.jobs.values())[::-1], "next_cursor": None})
                case [_, "jobs", job_id, *rest] if job_id in self.jobs:
                    return self._job(job_id, rest)
        return super().__call__(request)

    def _submitted(self, request: httpx2.Request) -> httpx2.Response:
        key, body = request.headers["Idempotency-Key"], json.loads(request.content)
        if key not in self.keys:
            held = body.get("session_job")
            if held is not None and self.jobs[held]["state"] != "RUNNING":
                return problem(422, "session-over")
            if self.least_yen > int(body.get("max_cost_yen", self.least_yen)):
                return problem(422, "cost-cap-too-small")
            self.keys[key] = f"q-{len(self.jobs) + 1}"
            self.jobs[self.keys[key]] = self._run(self.keys[key], body)
        if self.lose_answers:
            self.lose_answers -= 1
            raise httpx2.ReadError("the answer is lost")
        return httpx2.Response(201, json=self.jobs[self.keys[key]])

    def _run(self, job_id: str, body: dict[str, Any]) -> dict[str, Any]:
        told = {"kind": "quantum", "offering": body["offering"], "name": body["name"], "shots": body["shots"]}
        usage, state = {"session_s": "1.5"}, "RUNNING"
        if "session" not in body:
            self.results[job_id] = run_document(json.loads(body["program"]), body["shots"] // self.factor)
            usage, state = {"qpu_s": "0.75", "shot": str(body["shots"])}, "SUCCEEDED"
        return a_job(job_id, state, **told, usage=usage, body=body, charge_yen=None if state == "RUNNING" else "120.5")

    def _job(self, job_id: str, rest: list[str]) -> httpx2.Response:
        job = self.jobs[job_id]
        if rest == ["cancel"] and job["state"] == "RUNNING":
            job["state"] = "CANCELLED"
        if rest == ["result"]:
            left = self.results.get(job_id)
            return problem(404, "no-result") if left is None else httpx2.Response(200, json=left)
        return httpx2.Response(200, json=job)


def run_document(document: Mapping[str, Any], shots: int) -> dict[str, Any]:
    """What the portal's worker would leave. AssertionError: the document is not as published, or wrongly counted."""
    assert document["format"] == "kyoyo.pubs/1"
    circuits = [_circuit(each) for each in document["circuits"]]
    samples, seed = document["primitive"] == "sampler", document["options"].get("seed")
    run = _sampled if samples else _estimated
    pubs = [run(circuits[pub["circuit"]], pub, seed) for pub in document["pubs"]]
    assert max(1, sum(pub["executions"] for pub in pubs)) == shots
    return {
        "format": "kyoyo.result/1",
        "primitive": document["primitive"],
        "device": "aer-demo",
        "calibration_id": None,
        "versions": {},
        "seed": seed,
        "program_sha256": "",
        "pubs": pubs,
    }


def _circuit(told: Mapping[str, str]) -> QuantumCircuit:
    if told["format"] == "openqasm2":
        return qasm2.loads(told["text"])
    assert told["format"] == "qpy"
    [circuit] = qpy.load(io.BytesIO(base64.b64decode(told["data"], validate=True)))
    assert not circuit.metadata
    return circuit


def _bindings(pub: Mapping[str, Any]) -> tuple[dict[tuple[str, ...], Any] | None, int]:
    told = pub.get("parameters")
    if told is None:
        return None, 1
    values = np.array(told["values"], dtype=float).reshape(*told["shape"], len(told["names"]))
    return ({tuple(told["names"]): values} if told["names"] else {}), math.prod(told["shape"])


def _sampled(circuit: QuantumCircuit, pub: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    values, bindings = _bindings(pub)
    sampler = SamplerV2(seed=seed)
    left = sampler.run([(circuit, values, pub["shots"])]).result()[0]
    data = {name: _bits(left.data[name]) for name in left.data}
    executions = pub["shots"] * bindings
    return {"shots": pub["shots"], "executions": executions, "data": data, "metadata": {"depth": circuit.depth()}}


def _bits(array: BitArray) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array.array).tobytes()).decode()
    shape = {"shape": list(array.shape), "shots": array.num_shots, "bytes": data}
    return {"kind": "bits", "num_bits": array.num_bits, **shape}


def _estimated(circuit: QuantumCircuit, pub: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    values, _ = _bindings(pub)
    told = pub["observables"]
    observables = np.array(told["values"], dtype=object).reshape(told["shape"])
    options = {} if seed is None else {"backend_options": {"seed_simulator": seed}}
    # Aer's own Estimator is exact and adds noise of the precision that it is asked for
    estimator = EstimatorV2(options=options)
    pubs = [(circuit, observables.tolist(), values, pub["shots"] ** -0.5)]
    left = estimator.run(pubs).result()[0].data
    elements = math.prod(np.shape(left.evs))
    strings = sum(bool(term.strip("I")) for each in told["values"] for term in each)
    data = {
        name: {"kind": "float", "shape": list(np.shape(left[name])), "values": np.ravel(left[name]).tolist()}
        for name in ("evs", "stds")
    }
    executions = pub["shots"] * strings * elements // math.prod(told["shape"])
    return {"shots": pub["shots"], "executions": executions, "data": data, "metadata": {}}


@contextmanager
def served(portal: FakePortal) -> Iterator[str]:
    """The portal on a port of this machine; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = f"http://127.0.0.1{self.path}"
            told = portal(httpx2.Request(self.command, url, headers=dict(self.headers.items()), content=content))
            self.send_response(told.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told.content)))
            self.end_headers()
            self.wfile.write(told.content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  its parent's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
