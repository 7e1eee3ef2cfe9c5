"""What the phases of a real job hand on: files of one are inputs of the next, a circuit is a file of the one before."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hpc_adapters.contract import Resources
from hpc_adapters.simulated.adapter import SimulatedBackend
from portal.app import create_app
from scheduler.loops.deps import Deps
from tests.integration.data.test_jobs import JOBS, Killed, Site, dies_after, site, step_until_killed
from tests.integration.portal.test_pages import browser
from tests.integration.portal.test_submission_refusals import refused
from tests.support.files import get, put
from tests.support.portal_world import ALPHA, GHZ, key

__all__ = ["site"]


class BothSites(Site):
    """The machine under us, and a simulated quantum device that moves no files."""

    def deps(self) -> Deps:
        plain = super().deps()
        return replace(plain, backends={**plain.backends, "aer": self.world.backends["aer"]})


@pytest.fixture
async def house(site: Site) -> BothSites:
    units = Resources(cpus=4, memory_mb=4096, qpus=1)
    site.world.backends = {"aer": SimulatedBackend(name="aer", total=units, seed=3, clock=site.world.clock)}
    site.world.deps = replace(site.world.deps, backends={"local": site.backend, **site.world.backends})
    site.world.app = create_app(site.world.deps)
    return BothSites(site.world, site.store, site.backend, site.root)


def gpu(name: str, script: str, **more: Any) -> dict[str, Any]:
    body = f"#!/bin/sh\nset -e\n{script}\n"
    return {"name": name, "kind": "batch", "offering": "gpu-demo", "gpus": 1, "walltime_s": 60, "script": body, **more}


def qpu(name: str, **more: Any) -> dict[str, Any]:
    usual = {"name": name, "kind": "quantum", "offering": "qpu-demo", "walltime_s": 60, "shots": 100}
    return {**usual, "program_from": "circuit.qasm", **more}


def hybrid(*phases: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "loop", "kind": "hybrid", "phases": list(phases), **more}


WRITES = f"cat > \"$KYOYO_OUTPUT_DIR/circuit.qasm\" <<'QASM'\n{GHZ}QASM\n"


@pytest.mark.sandbox
async def test_files_go_from_phase_to_phase_and_a_circuit_is_one_of_them(house: BothSites) -> None:
    reads = 'cat "$KYOYO_INPUT_DIR/measure/result.json" "$KYOYO_INPUT_DIR/prepare/state" "$KYOYO_INPUT_DIR/data"'
    phases = (
        gpu("prepare", f'{WRITES}echo 7 > "$KYOYO_OUTPUT_DIR/state"; cat "$KYOYO_INPUT_DIR/data"'),
        qpu("measure"),
        gpu("tell", reads, takes=["measure", "prepare"]),
    )
    async with house.world.client() as http:
        await put(http, "data", b"given\n")
        sent = await http.post(JOBS, json=hybrid(*phases, inputs=[{"key": "data"}]), headers=key())
        assert sent.status_code == 201, sent.text
        ended = await house.ended(http)
        assert (ended["state"], ended["rest"]) == ("SUCCEEDED", None), ended["story"][-1]
        log = (await http.get(f"{JOBS}/1/logs")).json()["text"]
        assert json.loads(log.split("}}")[0] + "}}")["counts"]
        assert log.endswith("7\ngiven\n")
        assert {each["key"] for each in ended["outputs"]} == {
            "jobs/1/prepare/circuit.qasm",
            "jobs/1/prepare/state",
            "jobs/1/measure/result.json",
        }
        assert (await get(http, "jobs/1/prepare/state")).content == b"7\n"
        assert [(each["ordinal"], each["phase"]) for each in ended["attempts"]] == [
            (1, "prepare"),
            (2, "measure"),
            (3, "tell"),
        ]
        assert (await http.get(f"{JOBS}/1/logs", params={"attempt": 1})).json()["text"] == "given\n"


@pytest.mark.sandbox
async def test_a_loop_hands_its_state_on_until_it_is_done(house: BothSites) -> None:
    counts = (
        'n=$(cat "$KYOYO_INPUT_DIR/propose/n" 2>/dev/null || echo 0); n=$((n + 1)); echo $n > "$KYOYO_OUTPUT_DIR/n"\n'
        'echo round $n; [ $n -lt 3 ] || touch "$KYOYO_OUTPUT_DIR/kyoyo-done"\n'
        '[ $n -lt 2 ] || test -s "$KYOYO_INPUT_DIR/measure/result.json"\n' + WRITES
    )
    body = hybrid(gpu("propose", counts), qpu("measure"), repeat={"first": "propose", "last": "measure", "times": 9})
    async with house.world.client() as http:
        await http.post(JOBS, json=body, headers=key())
        ended = await house.ended(http)
        assert (ended["state"], ended["reason"]) == ("SUCCEEDED", "done_early")
        ran = [each["name"] for each in ended["phases"] if each["started_at"]]
        assert ran == ["propose-1", "measure-1", "propose-2", "measure-2", "propose-3"]
        assert (ended["rest"]["phase"], ended["rest"]["phases"]) == ("propose-3", 13)
        assert "propose-3" in ended["story"][-1]["sentence"]
        assert (await get(http, "jobs/1/propose-3/n")).content == b"3\n"
        assert (await http.get(f"{JOBS}/1/logs")).json()["text"] == "round 3\n"


TOO_MANY = json.dumps(
    {
        "format": "kyoyo.pubs/1",
        "primitive": "sampler",
        "circuits": [{"format": "openqasm3", "text": "OPENQASM 3.0;"}],
        "pubs": [{"circuit": 0, "shots": 101}],
    }
)


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("true", "program-missing"),
        ('echo hello > "$KYOYO_OUTPUT_DIR/circuit.qasm"', "unknown-format"),
        ('printf "OPENQASM 3.0;\\377" > "$KYOYO_OUTPUT_DIR/circuit.qasm"', "not-utf-8"),
        ('head -c 1100000 /dev/zero > "$KYOYO_OUTPUT_DIR/circuit.qasm"', "program-too-large"),
        (f"echo '{TOO_MANY}' > \"$KYOYO_OUTPUT_DIR/circuit.qasm\"", "more-shots-than-quoted"),
    ],
)
async def test_a_circuit_that_cannot_be_run_as_quoted_ends_the_job_by_name(
    house: BothSites, script: str, reason: str
) -> None:
    async with house.world.client() as http:
        await http.post(JOBS, json=hybrid(gpu("prepare", script), qpu("measure"), gpu("tell", "true")), headers=key())
        ended = await house.ended(http)
        assert (ended["state"], ended["reason"]) == ("FAILED", f"not_staged:{reason}")
        assert [each["state"] for each in ended["phases"]] == ["SUCCEEDED", "FAILED", None]
        assert (ended["rest"]["phase"], ended["rest"]["phases"]) == ("measure", 2)
    async with browser(house.world, ALPHA, "en") as http:
        page = (await http.get(f"/en/jobs/{ended['id']}")).text
        assert all(word in page for word in ("Phases", "prepare", "measure", "not run", ended["rest"]["sentence"]))


@pytest.mark.sandbox
async def test_a_file_that_somebody_else_has_put_in_its_place_is_not_taken(house: BothSites) -> None:
    async with house.world.client() as http:
        phases = (gpu("a", 'echo x > "$KYOYO_OUTPUT_DIR/x"'), gpu("b", 'cat "$KYOYO_INPUT_DIR/a/x"'))
        await http.post(JOBS, json=hybrid(*phases), headers=key())
        for _ in range(200):
            await house.step(stages=False)
            if (await http.get(f"{JOBS}/1")).json()["phase"] == "b":
                break
        from scheduler.loops import phasing, staging  # noqa: PLC0415  between the two halves of a tick

        await staging._move(house.deps(), house.world.clock.now)
        await http.delete("/api/v1/data/objects", params={"key": "jobs/1/a/x"})
        await phasing.tick(house.deps(), house.world.clock.now)
        ended = await house.ended(http)
        assert (ended["state"], ended["reason"]) == ("FAILED", "not_staged:input-gone")


@pytest.mark.sandbox
async def test_handing_on_goes_on_after_a_crash_at_each_step(house: BothSites, monkeypatch: pytest.MonkeyPatch) -> None:
    phases = (
        gpu("a", 'echo x > "$KYOYO_OUTPUT_DIR/x"'),
        gpu("b", 'cat "$KYOYO_INPUT_DIR/a/x"; cp "$KYOYO_INPUT_DIR/a/x" "$KYOYO_OUTPUT_DIR/y"'),
    )
    async with house.world.client() as http:
        await http.post(JOBS, json=hybrid(*phases), headers=key())
        for method in ("outputs", "read_output", "drop_inputs", "put_input", "seal_inputs", "submit", "read_output"):
            with monkeypatch.context() as patch:
                dies_after(house, patch, method)
                await step_until_killed(house)
        ended = await house.ended(http)
        assert ended["state"] == "SUCCEEDED"
        assert [each["attempts"] for each in ended["phases"]] == [1, 1]
        assert {each["key"] for each in ended["outputs"]} == {"jobs/1/a/x", "jobs/1/b/y"}
        assert issubclass(Killed, BaseException)


async def test_what_is_wrong_with_a_specification_is_said_by_name(house: BothSites) -> None:
    wrong = {
        "no_phases": hybrid(),
        "not_hybrid": {**gpu("a", "true"), "phases": [gpu("b", "true")]},
        "of_a_phase": {**hybrid(gpu("a", "true")), "gpus": 2},
        "no_such_phase": hybrid(gpu("a", "true"), repeat={"first": "a", "last": "x", "times": 2}),
        "input_name": hybrid(gpu("a", "true"), inputs=[{"key": "k", "name": "a/k"}]),
    }
    async with house.world.client() as http:
        for problem, body in wrong.items():
            answer = await http.post(JOBS, json=body, headers=key(problem))
            assert refused(answer) == (422, "bad-phase")
            assert answer.json()["facts"]["problem"] == problem
        answer = await http.post(JOBS, json=hybrid(gpu("a", "true"), gpu("b", "true", gpus=99)), headers=key("g"))
        assert (refused(answer)[1], answer.json()["facts"]["phase"]) == ("too-many-gpus", "b")
        estimate = (await http.post("/api/v1/estimates", json=hybrid(gpu("a", "true"), qpu("b")))).json()
        assert [each["phase"] for each in estimate["phases"]] == ["a", "b"]
        assert estimate["jobs"] == 1


async def test_the_cost_of_all_phases_together_may_be_limited(house: BothSites) -> None:
    whole = hybrid(gpu("a", "true"), qpu("b"))
    async with house.world.client() as http:
        enough = await http.post("/api/v1/estimates", json={**whole, "max_cost_yen": "100000"})
        assert enough.status_code == 200, enough.text
        answer = await http.post(JOBS, json={**whole, "max_cost_yen": "1"}, headers=key("little"))
        assert refused(answer) == (422, "cost-cap-too-small")
