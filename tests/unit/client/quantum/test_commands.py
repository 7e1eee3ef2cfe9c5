"""`kyoyo qpu` against a portal of canned answers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx2
import pytest

from kyoyo import Refused, hybrid_job
from portal.api.jobs import QpuOut
from tests.support.fake_portal import FakePortal, a_job, an_estimate, an_offering, kyoyo, problem

SVG = "{http://www.w3.org/2000/svg}"
DEVICE = {
    "name": "torino",
    "offering": "qpu-torino",
    "vendor": "ibm",
    "technology": "superconducting",
    "qubits": 133,
    "basis_gates": ["cz", "rz", "sx", "x"],
    "coupling": [[0, 1], [1, 0]],
    "simulator": False,
    "domestic": False,
    "sessions": True,
    "max_shots": 10_000,
    "max_circuits": 100,
    "state": "calibrating",
    "detail": "daily",
    "queue": 12,
    "windows": [
        {"since": "2026-11-29T18:00:00+00:00", "until": "2026-11-29T19:00:00+00:00", "kind": "maintenance"},
        {"since": "2026-12-01T18:00:00+00:00", "until": "2026-12-01T19:00:00+00:00", "kind": "calibrating"},
    ],
    "calibration": {"id": "cal-7", "at": "2026-11-30T06:00:00+00:00", "two_qubit_error": 0.0045, "readout_error": 0.02},
    "prices": [{"service_class": "standard", "component": "qpu_s", "per": "1", "price_yen": "160"}],
}
COUNTS = {"counts": {"00": 510, "11": 490}}


@pytest.fixture
def portal() -> FakePortal:
    return (
        FakePortal()
        .on("GET /devices", {"items": [DEVICE]})
        .on("GET /devices/torino", DEVICE)
        .on("GET /offerings", {"items": [an_offering(), an_offering("qpu-torino", "quantum")]})
        .on("POST /estimates", an_estimate())
        .on("POST /jobs", httpx2.Response(201, json=a_job(kind="quantum")))
        .on("GET /jobs/j-1", a_job(kind="quantum", state="SUCCEEDED"))
        .on("GET /jobs/j-1/result", COUNTS)
    )


@pytest.fixture
def circuit(tmp_path: Path) -> str:
    path = tmp_path / "bell.qasm"
    path.write_text("OPENQASM 2.0;\n")
    return str(path)


def test_devices_are_listed_with_their_state_and_price(portal: FakePortal) -> None:
    ran = kyoyo(portal, "qpu", "ls", TZ="UTC")
    for word in ("torino", "qpu-torino", "133", "12", "calibration (daily)", "2026-12-0", "¥160 / 1 QPU-seconds"):
        assert word in ran.out
    assert "2026-11-29" not in ran.out  # over
    assert kyoyo(portal, "qpu", "ls", "--json").told == {"items": [DEVICE]}
    assert "校正中 (daily)" in kyoyo(portal, "qpu", "ls", LANG="ja_JP.UTF-8").out


def test_a_portal_without_a_register_lists_its_offerings(portal: FakePortal) -> None:
    del portal.answers["GET /devices"]
    assert "qpu-torino" in kyoyo(portal, "qpu", "ls").out


def test_one_device_is_shown(portal: FakePortal) -> None:
    ran = kyoyo(portal, "qpu", "show", "qpu-torino")
    for word in ("superconducting", "cz, rz, sx, x", "0.45%", "2.00%", "cal-7", "10000"):
        assert word in ran.out
    assert kyoyo(portal, "qpu", "show", "torino", "--json").told == DEVICE


@pytest.mark.parametrize(
    ("language", "said"), [("C", "there is no quantum device tokyo"), ("ja_JP", "tokyo はありません")]
)
def test_an_unknown_device_is_5(portal: FakePortal, circuit: str, language: str, said: str) -> None:
    for arguments in (("show", "tokyo"), ("submit", circuit, "--backend", "tokyo")):
        ran = kyoyo(portal, "qpu", *arguments, LANG=language)
        assert (ran.code, said in ran.err) == (5, True)
    assert not portal.bodies("POST /jobs")


def test_a_circuit_goes_to_the_device_that_was_named(portal: FakePortal, circuit: str) -> None:
    assert kyoyo(portal, "qpu", "submit", circuit, "--backend", "torino", "--shots", "100").code == 0
    [body] = portal.bodies("POST /jobs")
    assert (body["offering"], body["program"], body["shots"]) == ("qpu-torino", "OPENQASM 2.0;\n", 100)


def test_qpy_is_sent_in_a_document(portal: FakePortal, tmp_path: Path) -> None:
    path = tmp_path / "bell.qpy"
    path.write_bytes(b"QISKIT\x12\xff")
    assert kyoyo(portal, "qpu", "submit", str(path), "--shots", "7").code == 0
    [body] = portal.bodies("POST /jobs")
    told = json.loads(str(body["program"]))
    assert (told["pubs"], told["circuits"][0]["format"], body["shots"]) == ([{"circuit": 0, "shots": 7}], "qpy", 7)


@pytest.mark.parametrize(("shots", "said"), [("10001", "from 1 to 10,000 on torino: 10001"), ("0", "--shots")])
def test_bad_shots_reach_nobody(portal: FakePortal, circuit: str, shots: str, said: str) -> None:
    ran = kyoyo(portal, "qpu", "submit", circuit, "--backend", "torino", "--shots", shots)
    assert (ran.code, said in ran.err) == (2, True)
    assert not portal.bodies("POST /jobs")


def test_a_limit_of_yen_is_kept(portal: FakePortal, circuit: str) -> None:
    assert kyoyo(portal, "qpu", "submit", circuit, "--max-cost", "110").code == 0
    portal.on("POST /jobs", problem(422, "cost-cap-too-small"))
    assert kyoyo(portal, "qpu", "submit", circuit, "--max-cost", "109").code == 4
    assert [body["max_cost_yen"] for body in portal.bodies("POST /jobs")] == ["110", "109"]
    assert kyoyo(portal, "qpu", "estimate", circuit, "--max-cost", "108").code == 0
    assert [body["max_cost_yen"] for body in portal.bodies("POST /estimates")] == ["110", "109", "108"]


@pytest.mark.parametrize(("language", "said"), [("en", "Raise --max-cost"), ("ja", "--max-cost を引き上げる")])
def test_a_refusal_speaks_of_the_options_that_one_has(
    portal: FakePortal, circuit: str, language: str, said: str
) -> None:
    portal.on("POST /estimates", problem(422, "cost-cap-too-small", remedy="Raise max_cost_yen, or ask for less."))
    ran = kyoyo(portal, "qpu", "submit", circuit, "--max-cost", "1", KYOYO_LANG=language)
    assert (ran.code, said in ran.err, "max_cost_yen" in ran.err) == (4, True, False)


def test_what_the_device_would_not_run_is_no_job(portal: FakePortal, circuit: str) -> None:
    facts = {"device": "torino", "problem": "no-measurement", "about": []}
    portal.on("POST /estimates", problem(422, "refused-by-device", facts=facts, remedy="Measure something."))
    ran = kyoyo(portal, "qpu", "submit", circuit, "--backend", "torino")
    assert (ran.code, ran.out) == (4, "")
    assert "refused-by-device" in ran.err
    assert "What helps: Measure something." in ran.err
    with portal.client() as client, pytest.raises(Refused, match="refused-by-device"):
        client.submit_circuit(circuit, shots=10, device="torino")
    assert not portal.bodies("POST /jobs")


def test_an_empty_circuit_is_told_by_its_file(portal: FakePortal, tmp_path: Path) -> None:
    path = tmp_path / "empty.qasm"
    path.write_text(" \n")
    ran = kyoyo(portal, "qpu", "submit", str(path))
    assert (ran.code, "empty.qasm is empty" in ran.err) == (2, True)
    assert portal.asked == []


class Named(FakePortal):
    """Knows offerings by their ids alone, as a portal does."""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        told = json.loads(request.read() or b"{}")
        asked = [told, *told.get("phases", []), *([told["qpu"]] if "qpu" in told else [])]
        wrong = {each.get("offering") for each in asked} - {"gpu", "qpu-torino", None}
        if not wrong:
            return super().__call__(request)
        self.asked.append(request)
        return problem(422, "unknown-offering", facts={"offering": wrong.pop()})


def test_a_qpu_may_be_named_by_its_device_or_its_offering_everywhere(portal: FakePortal, tmp_path: Path) -> None:
    named = Named(portal.answers)
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\n#SBATCH --time=1:00 --gpus=1 --partition=gpu\n")
    circuit = tmp_path / "bell.qasm"
    circuit.write_text("OPENQASM 3.0;")
    for name in ("torino", "qpu-torino"):
        assert kyoyo(named, "submit", str(script), "--qpu", f"{name}:5:100").code == 0
        assert kyoyo(named, "qpu", "submit", str(circuit), "--backend", name).code == 0
        with named.client() as client:
            client.submit_circuit(circuit, shots=10, device=name)
            loop = hybrid_job(shots=50, qpu=name, gpu_offering="gpu")(print)
            loop(client=client)
    bodies = named.bodies("POST /jobs")
    assert {bodies[-1]["phases"][1]["offering"], bodies[1]["qpu"]["offering"]} == {"qpu-torino"}  # type: ignore[index]
    ran = kyoyo(named, "submit", str(script), "--qpu", "heron:5:100")
    assert (ran.code, "there is no quantum device heron; there are: torino (qpu-torino)" in ran.err) == (5, True)
    script.write_text("#!/bin/sh\n#SBATCH --time=1:00 --gpus=1 --partition=h200\n")
    assert "unknown-offering" in kyoyo(named, "submit", str(script), "--qpu", "qpu-torino:5:100").err


def test_an_estimators_document_says_its_shots_and_what_error_they_give(portal: FakePortal, tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    pub = {"circuit": 0, "shots": 4096, "observables": {"shape": [], "values": [{"ZZ": 1.0}]}}
    path.write_text(json.dumps({"format": "kyoyo.pubs/1", "primitive": "estimator", "circuits": [], "pubs": [pub]}))
    ran = kyoyo(portal, "qpu", "estimate", str(path))
    assert "[0] Estimator: 4,096 shots for each Pauli string of each element (standard error 0.016 or less)" in ran.out
    assert portal.bodies("POST /estimates")[0]["shots"] == 0
    kyoyo(portal, "qpu", "estimate", str(path), "--shots", "4096")
    assert portal.bodies("POST /estimates")[1]["shots"] == 4096
    path.write_text('{"primitive": "estimator", "pubs": 7}')
    assert kyoyo(portal, "qpu", "estimate", str(path)).code == 0


def test_the_estimate_tells_a_range_and_where_it_stops(portal: FakePortal, circuit: str) -> None:
    told = QpuOut(
        source="durations",
        low_us=1_500_000,
        expected_us=2_000_000,
        high_us=2_250_000,
        cap_us=40_000_000,
        low_yen="24",
        expected_yen="90",
        high_yen="100",
        calibration_id=None,
    )
    portal.on("POST /estimates", {**an_estimate(), "qpu": told.model_dump(mode="json")})
    ran = kyoyo(portal, "qpu", "estimate", circuit, "--backend", "torino")
    for word in (
        "QPU time 1.5 to 2.25 s, probably 2 s, by its gates' durations",
        "¥24 to ¥100 without tax",
        "stopped at 40 s",
        "at most ¥100",
    ):
        assert word in ran.out
    portal.on("POST /estimates", {**an_estimate(), "qpu": None})
    assert "QPU" not in kyoyo(portal, "qpu", "estimate", circuit).out


def test_a_failed_circuit_points_to_where_its_reason_is(portal: FakePortal, circuit: str) -> None:
    story = [{"at": "2026-11-21T00:00:02Z", "kind": "ended", "state": "FAILED", "sentence": "It is no program."}]
    portal.on("GET /jobs/j-1", a_job(state="FAILED", kind="quantum", exit_code=65, charge_yen="0", story=story))
    ran = kyoyo(portal, "qpu", "submit", circuit, "--wait")
    assert "It is no program. See: kyoyo qpu result j-1" in ran.err


def test_a_result_in_each_form(portal: FakePortal) -> None:
    assert "00 ███" in kyoyo(portal, "qpu", "result", "j-1").out
    assert "1,000 shots" in kyoyo(portal, "qpu", "result", "j-1", "--format", "plot").out
    assert kyoyo(portal, "qpu", "result", "j-1", "--format", "counts").out == "00 510\n11 490\n"
    assert kyoyo(portal, "qpu", "result", "j-1", "--format", "json").told == COUNTS
    assert kyoyo(portal, "qpu", "result", "j-1", "--json").told == COUNTS
    assert kyoyo(portal, "qpu", "result", "j-1", "--format", "pie").code == 2


@pytest.mark.parametrize(
    ("said", "name", "left"),
    [
        (("--format", "counts"), "x.txt", "00 510\n11 490\n"),
        (("--format", "json"), "x.json", json.dumps(COUNTS, indent=2) + "\n"),
        (("--json",), "x.json", json.dumps(COUNTS, indent=2) + "\n"),
    ],
)
def test_a_file_is_of_the_form_that_is_asked_for(
    portal: FakePortal, tmp_path: Path, said: tuple[str, ...], name: str, left: str
) -> None:
    path = tmp_path / name
    assert kyoyo(portal, "qpu", "result", "j-1", *said, "-o", str(path)).code == 0
    assert path.read_text() == left
    portal.asked.clear()
    ran = kyoyo(portal, "qpu", "result", "j-1", *said, "-o", str(tmp_path / "x.svg"))
    assert (ran.code, portal.asked) == (2, [])
    assert kyoyo(portal, "qpu", "result", "j-1", "-f", "plot", "-o", str(path)).code == 2


def result(data: dict[str, Any], primitive: str = "sampler") -> dict[str, Any]:
    pubs = [{"shots": 2, "data": data, "metadata": {}}]
    return {"format": "kyoyo.result/1", "primitive": primitive, "pubs": pubs * 2}


def test_a_documents_counts_are_shown_pub_by_pub(portal: FakePortal) -> None:
    bits = {"kind": "bits", "num_bits": 2, "shape": [], "shots": 2, "bytes": "AAM="}
    portal.on("GET /jobs/j-1/result", result({"meas": bits}))
    assert kyoyo(portal, "qpu", "result", "j-1", "-f", "counts").out == "[0]\n00 1\n11 1\n[1]\n00 1\n11 1\n"


def test_expectation_values_are_shown_with_their_errors(portal: FakePortal) -> None:
    numbers = {"kind": "float", "shape": [2]}
    data = {"evs": {**numbers, "values": [0.5, -0.25]}, "stds": {**numbers, "values": [0.01, 0.02]}}
    portal.on("GET /jobs/j-1/result", result(data, "estimator"))
    ran = kyoyo(portal, "qpu", "result", "j-1")
    assert ran.out.splitlines()[:2] == ["0 0 +0.500000 ± 0.010000", "0 1 -0.250000 ± 0.020000"]
    assert kyoyo(portal, "qpu", "result", "j-1", "-o", "x.svg").code == 2


def test_a_picture_is_written_and_says_its_figures(portal: FakePortal, tmp_path: Path) -> None:
    portal.on("GET /jobs/j-1/result", {"counts": {"<&>": 3, "11\x1b[2J": 490}})
    path = tmp_path / "x.svg"
    assert kyoyo(portal, "qpu", "result", "j-1", "--output", str(path)).code == 0
    told = [title.text or "" for title in ET.fromstring(path.read_text()).iter(f"{SVG}title")]
    assert told[0] == "train"
    assert sorted(told[1:]) == ["11\N{REPLACEMENT CHARACTER}[2J: 490", "<&>: 3"]


def test_many_outcomes_make_a_last_bar_of_the_rest(portal: FakePortal, tmp_path: Path) -> None:
    portal.on("GET /jobs/j-1/result", {"counts": {f"{each:08b}": each + 1 for each in range(256)}})
    path = tmp_path / "x.svg"
    kyoyo(portal, "qpu", "result", "j-1", "--output", str(path))
    bars = [title.text or "" for title in ET.fromstring(path.read_text()).iter(f"{SVG}title")][1:]
    assert len(bars) == 65
    assert sum(int(bar.split(": ")[1].replace(",", "")) for bar in bars) == 256 * 257 // 2


def test_a_png_needs_matplotlib_and_says_so(
    portal: FakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    if importlib.util.find_spec("matplotlib"):
        assert kyoyo(portal, "qpu", "result", "j-1", "--output", str(path)).code == 0
        assert path.read_bytes().startswith(b"\x89PNG")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    ran = kyoyo(portal, "qpu", "result", "j-1", "--output", str(path))
    assert (ran.code, "needs matplotlib" in ran.err) == (2, True)


@pytest.mark.parametrize(("output", "said"), [("x.gif", ".svg or .png"), ("nowhere/x.svg", "cannot be written")])
def test_a_picture_that_cannot_be_written(portal: FakePortal, tmp_path: Path, output: str, said: str) -> None:
    ran = kyoyo(portal, "qpu", "result", "j-1", "--output", str(tmp_path / output))
    assert (ran.code, said in ran.err) == (2, True)
