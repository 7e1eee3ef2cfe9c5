"""Qiskit programs through Kyoyo give what they give on Aer alone: ten scripts with one line changed, and the examples.

Each script hands its figures over (qiskit_scripts/kept.py); counts are compared by a chi-square test of homogeneity,
expectation values by their standard errors, both at five sigma.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from kyoyo.qiskit import KyoyoService
from kyoyo.qiskit.jobs import usage_of
from portal.demo.house import House
from tests.support.live_house import live_house
from tests.support.quantum_portal import QuantumPortal, a_device, served

pytestmark = [
    pytest.mark.xdist_group("house-of-qiskit"),
    pytest.mark.quantum,
    pytest.mark.timeout(300),
    pytest.mark.takes(20),
]

SCRIPTS = Path(__file__).parent / "qiskit_scripts"
EXAMPLES = Path(__file__).parents[2] / "client" / "examples"
NATIVE = ("session_adaptive", "batch_depths")
UNMODIFIED = sorted(path.stem for path in SCRIPTS.glob("*_*.py") if path.stem not in NATIVE)
SIGMA = 5.0
LIMIT_S = 200
AER_LINE = "backend = AerSimulator()\n"
KYOYO_LINE = 'from kyoyo.qiskit import KyoyoService; backend = KyoyoService().backend("qpu-demo")\n'
Figures = Mapping[str, Any]


def run(text: str, **environment: str) -> Figures:
    """Run a script in a process of its own; the figures that it kept."""
    with TemporaryDirectory() as folder:
        script, kept = Path(folder, "script.py"), Path(folder, "kept.json")
        script.write_text(text)
        found = {**os.environ, "PYTHONPATH": str(SCRIPTS), "KEPT": str(kept), "OMP_NUM_THREADS": "1", **environment}
        command = [sys.executable, str(script)]
        done = subprocess.run(command, env=found, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(kept.read_text())
    assert isinstance(told, dict)
    return told


@cache
def on_aer(name: str) -> Figures:
    return run((SCRIPTS / f"{name}.py").read_text())


def changed(name: str) -> str:
    """The script with its one line changed; a native one also takes its classes from elsewhere."""
    text = (SCRIPTS / f"{name}.py").read_text()
    assert text.count(AER_LINE) == 1
    text = text.replace(AER_LINE, KYOYO_LINE)
    return text.replace("from qiskit_ibm_runtime import", "from kyoyo.qiskit import") if name in NATIVE else text


def assert_alike(ours: Figures, aers: Figures) -> None:
    assert ours.keys() == aers.keys()
    for mine, theirs in zip(ours.get("counts", []), aers.get("counts", []), strict=True):
        assert sum(mine.values()) == sum(theirs.values())
        assert chi_square_sigma(mine, theirs) < SIGMA, (mine, theirs)
    named = (flat(each.get(name, [])) for name in ("evs", "stds") for each in (ours, aers))
    for mine, theirs, one, other in zip(*named, strict=True):
        assert abs(mine - theirs) <= SIGMA * (one**2 + other**2) ** 0.5 + 1e-9, (mine, theirs, one, other)


def flat(values: Any) -> list[float]:
    return [deep for value in values for deep in flat(value)] if isinstance(values, list) else [float(values)]


def chi_square_sigma(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """How many standard deviations two counts lie apart (Wilson and Hilferty); outcomes below ten are one."""
    rare = {outcome for outcome in one.keys() | other.keys() if one.get(outcome, 0) + other.get(outcome, 0) < 10}
    pairs = [(one.get(outcome, 0), other.get(outcome, 0)) for outcome in (one.keys() | other.keys()) - rare]
    if rare:
        pairs.append((sum(one.get(each, 0) for each in rare), sum(other.get(each, 0) for each in rare)))
    free = len(pairs) - 1
    if not free:
        return 0.0
    share = sum(one.values()) / (sum(one.values()) + sum(other.values()))
    squares = 0.0
    for mine, theirs in pairs:
        expected = (mine + theirs) * share, (mine + theirs) * (1 - share)
        squares += (mine - expected[0]) ** 2 / expected[0] + (theirs - expected[1]) ** 2 / expected[1]
    spread = 2 / (9 * free)
    return float(((squares / free) ** (1 / 3) - (1 - spread)) / spread**0.5)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with live_house(tmp_path_factory.mktemp("house")) as opened:
        _pay_in(opened)
        yield opened


def _pay_in(house: House) -> None:
    """More than the cast has: every estimate here is for as long as it could take."""
    with house.client(house.keys.operator, "en") as operator, house.client(house.keys.startup, "en") as startup:
        organisation = startup.me()["organisation"]["id"]
        paid = {"amount_yen": "1000000", "reason": "tests"}
        operator._transport.post(f"/organisations/{organisation}/payments", paid)


@pytest.fixture(scope="module")
def signed_in(house: House) -> Mapping[str, str]:
    return {"KYOYO_URL": house.address, "KYOYO_TOKEN": house.keys.startup}


def test_the_comparison_sees_what_differs() -> None:
    assert chi_square_sigma({"0": 500, "1": 500}, {"0": 510, "1": 490}) < 1
    assert chi_square_sigma({"0": 500, "1": 500}, {"0": 650, "1": 350}) > SIGMA
    assert chi_square_sigma({"00": 1000}, {"11": 1000}) > SIGMA
    assert len(UNMODIFIED) + len(NATIVE) == 10


@pytest.mark.ibm
@pytest.mark.postgres
@pytest.mark.sandbox
@pytest.mark.parametrize("name", UNMODIFIED)
def test_a_script_gives_what_aer_gives(signed_in: Mapping[str, str], name: str) -> None:
    assert_alike(run(changed(name), **signed_in), on_aer(name))


@pytest.mark.ibm
@pytest.mark.postgres
@pytest.mark.sandbox
@pytest.mark.parametrize("name", NATIVE)
def test_a_script_with_a_session_gives_what_aer_gives(signed_in: Mapping[str, str], house: House, name: str) -> None:
    assert_alike(run(changed(name), **signed_in), on_aer(name))
    with house.client(house.keys.startup, "en") as client:
        word = "session" if name == "session_adaptive" else "batch"
        session = next(job for job in client.all_jobs() if job.name == word)
        settled = client.job(session.id).wait_settled(timeout_s=150)
        assert (settled.state, bool(settled.charge_yen)) == ("SUCCEEDED", True)  # closed, not idle or out of time
        assert usage_of(client.job(session.id))["session_s"] > 0


@pytest.mark.ibm
@pytest.mark.parametrize("name", NATIVE)
def test_a_session_is_sent_as_it_is_published(name: str) -> None:
    """The same scripts against a portal of the test's, which sees what it is sent."""
    portal = QuantumPortal(devices=[a_device("qpu-demo")])
    with served(portal) as address:
        ours = run(changed(name), KYOYO_URL=address, KYOYO_TOKEN="kyo_t", KYOYO_INSECURE="1")
    assert_alike(ours, on_aer(name))
    first, *inside = [job["body"] for job in portal.jobs.values()]
    assert first["session"]["dedicated"] is (name == "session_adaptive")
    assert inside
    assert {body["session_job"] for body in inside} == {"q-1"}
    assert portal.jobs["q-1"]["state"] == "CANCELLED"


def example(name: str) -> Any:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_example(name: str, signed_in: Mapping[str, str]) -> str:
    """As a user runs it; what it prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        env={**os.environ, "OMP_NUM_THREADS": "1", **signed_in},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.postgres
@pytest.mark.sandbox
class TestExamples:
    def test_bell_is_a_fair_coin_and_its_job_is_there_in_another_process(
        self, signed_in: Mapping[str, str], house: House
    ) -> None:
        told = run_example("bell", signed_in)
        found = re.search(r"job (\S+) on", told)
        assert found is not None
        with house.client(house.keys.startup, "en") as client:
            job = KyoyoService(client=client).job(found[1])
            counts = job.result()[0].data.meas.get_counts()
            assert client.job(found[1]).wait_settled(timeout_s=150).charge_yen
            assert job.usage()["shot"] == 1000
        assert set(counts) == {"00", "11"}
        assert chi_square_sigma(counts, {"00": 50_000, "11": 50_000}) < SIGMA

    def test_vqe_finds_the_ground_state(self, signed_in: Mapping[str, str]) -> None:
        module = example("vqe")
        told = run_example("vqe", signed_in)
        energy = float(re.search(r"energy (\S+)", told)[1])  # type: ignore[index]  # else it is None, and fails
        assert abs(energy - module.EXACT) < SIGMA * module.PRECISION * 0.6  # its terms weigh 0.59 together

    def test_qaoa_finds_a_largest_cut_as_aer_does(self, signed_in: Mapping[str, str]) -> None:
        from qiskit_aer.primitives import SamplerV2  # noqa: PLC0415  heavy

        module = example("qaoa")
        told = run_example("qaoa", signed_in)
        cut, mean = re.search(r"cuts (\d) of .* mean (\S+)", told).groups()  # type: ignore[union-attr]  # as above
        _, aers = module.solve(SamplerV2())
        assert int(cut) == module.LARGEST
        assert abs(float(mean) - aers) < 0.25  # which of two nearly equal pairs of angles is best is chance

    def test_noise_is_told_from_its_absence(self, signed_in: Mapping[str, str]) -> None:
        told = run_example("noisy_vs_ideal", signed_in)
        rows: Sequence[tuple[str, str]] = re.findall(r"qubits: +(\S+)% as it is, +(\S+)% without noise", told)
        assert len(rows) == 5
        assert all(float(noisy) <= float(ideal) == 100.0 for noisy, ideal in rows)
