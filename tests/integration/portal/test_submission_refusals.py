"""Every bad submission gets its named refusal over HTTP, in the reader's language, and leaves nothing behind."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.support.market import an_id
from tests.support.portal_world import ALPHA, BETA, World, circuit, key, training

API = "/api/v1"
TEN_MEGABYTES = 10 * 1024 * 1024


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    await world.market.pay_in("5000")
    async with world.client() as client:
        yield client


def refused(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of a well-formed problem document."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["detail"]
    assert told["remedy"]
    assert told["type"] == f"urn:kyoyo:problem:{told['code']}"
    assert told["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, told["code"]


CASES: dict[str, tuple[dict[str, Any], int, str]] = {
    "negative time": (training(walltime_s=-1), 422, "negative-walltime"),
    "no time": (training(walltime_s=0), 422, "negative-walltime"),
    "too much time": (training(walltime_s=10**9), 422, "walltime-too-long"),
    "time beyond any integer": (training(walltime_s=10**30), 422, "invalid-request"),
    "negative GPUs": (training(gpus=-1), 422, "negative-gpus"),
    "no GPU": (training(gpus=0), 422, "gpus-required"),
    "too many GPUs": (training(gpus=9), 422, "too-many-gpus"),
    "half a GPU": (training(gpus=0.5), 422, "invalid-request"),
    "GPUs as a word": (training(gpus="many"), 422, "invalid-request"),
    "unknown offering": (training(offering="h200"), 422, "unknown-offering"),
    "offering with NUL": (training(offering="h\0"), 422, "invalid-request"),
    "offering as SQL": (training(offering="'; DROP TABLE scheduler.job; --"), 422, "unknown-offering"),
    "missing script": ({**training(), "script": None}, 422, "missing-script"),
    "empty script": (training(script=" \n"), 422, "missing-script"),
    "circuit as script": (training(kind="quantum", offering="qpu-demo", gpus=0, shots=10), 422, "missing-script"),
    "script without shebang": (training(script="echo hello"), 422, "missing-shebang"),
    "script with NUL": (training(script="#!/bin/sh\n\0"), 422, "script-not-text"),
    "script over a megabyte": (training(script="#!/bin/sh\n" + "#" * 1_100_000), 413, "script-too-large"),
    "empty name": (training(name=""), 422, "invalid-name"),
    "name with newline": (training(name="a\nb"), 422, "invalid-name"),
    "name with NUL": (training(name="a\0b"), 422, "invalid-name"),
    "name with escape": (training(name="\x1b[31mred"), 422, "invalid-name"),
    "name with reversed text": (training(name="txt.\u202eexe"), 422, "invalid-name"),
    "long name": (training(name="あ" * 201), 422, "invalid-name"),
    "unknown project": (training(project="vision"), 404, "project-not-found"),
    "project with NUL": (training(project="\0"), 422, "invalid-request"),
    "unknown kind": (training(kind="mining"), 422, "invalid-request"),
    "unknown field": (training(priority=9), 422, "invalid-request"),
    "unknown service class": (training(service_class="gold"), 422, "invalid-request"),
    "no price for this class": (training(service_class="spot"), 422, "no-price"),
    "too many attempts": (training(max_attempts=99), 422, "attempts-out-of-range"),
    "argument with a control character": (training(arguments=["a\x00b"]), 422, "bad-argument"),
    "variable of the loader": (training(environment={"LD_PRELOAD": "x.so"}), 422, "bad-variable"),
    "kind that the offering does not run": (training(offering="qpu-demo"), 422, "kind-mismatch"),
    "no shots": (circuit(shots=0), 422, "shots-required"),
    "too many shots": (circuit(shots=10**8), 422, "too-many-shots"),
    "GPUs for a circuit": (circuit(gpus=1), 422, "gpus-not-offered"),
    "more nodes than GPUs divide among": (training(gpus=4, nodes=3), 422, "uneven-nodes"),
    "no node": (training(nodes=0), 422, "option-out-of-range"),
    "more CPUs than the GPUs bring": (training(cpus=10_000), 422, "more-than-gpus-bring"),
    "more memory than the GPUs bring": (training(memory_mb=10**9), 422, "more-than-gpus-bring"),
    "a constraint with a line of its own": (training(constraint="a\n#SBATCH --uid=0"), 422, "bad-option"),
    "an image above its folder": (training(image="../../etc/shadow"), 422, "bad-option"),
    "a header in an image": (training(image="x\r\nX-SLURM-USER-NAME: root"), 422, "bad-option"),
    "a header in a variable": (training(environment={"A\r\nX": "1"}), 422, "bad-variable"),
    "a licence with a shell in it": (training(licenses={"a;id": 1}), 422, "bad-option"),
    "an unknown signal": (training(signal={"name": "KILL", "before_s": 9}), 422, "unknown-signal"),
    "a signal before the start": (training(signal={"name": "USR1", "before_s": 9999}), 422, "option-out-of-range"),
    "a loader as a secret": (training(secrets=["LD_PRELOAD"]), 422, "bad-variable"),
    "nodes of a machine that has one": (training(gpus=2, nodes=2), 422, "unsupported-feature"),
    "torchrun where there is none": (training(launch={"processes_per_node": 1}), 422, "unsupported-feature"),
    "another launch": (training(launch={"kind": "mpi", "processes_per_node": 1}), 422, "invalid-request"),
    "too many time-outs": (training(max_timeouts=1), 422, "timeouts-out-of-range"),
    "a begin in another century": (training(begin_at="2126-01-01T00:00:00Z"), 422, "begin-too-late"),
    "a begin without a zone": (training(begin_at="2026-01-01T00:00:00"), 422, "invalid-request"),
    "a dependency on nothing": (training(dependencies=[{"kind": "afterok", "job": 7}]), 422, "dependency-not-found"),
    "a dependency on a stranger's job": (
        training(dependencies=[{"kind": "afterok", "job": str(an_id("stranger"))}]),
        422,
        "dependency-not-found",
    ),
    "an unknown dependency": (training(dependencies=[{"kind": "aftercorr", "job": 7}]), 422, "invalid-request"),
    "an array of a hundred thousand": (training(array={"indices": list(range(100_000))}), 422, "array-too-large"),
    "an array of nothing": (training(array={"indices": []}), 422, "array-empty"),
    "an array with a task twice": (training(array={"indices": [1, 1]}), 422, "bad-array-index"),
    "an array with a negative task": (training(array={"indices": [-1]}), 422, "bad-array-index"),
    "an array that may run none": (training(array={"indices": [1], "max_running": 0}), 422, "option-out-of-range"),
    "an array dearer than the wallet": (training(array={"indices": list(range(900))}), 402, "insufficient-funds"),
    "nodes for a circuit": (circuit(nodes=2), 422, "option-not-for-circuits"),
    "dearer than the wallet": (training(gpus=8, walltime_s=86_400), 402, "insufficient-funds"),
}


async def test_a_bad_submission_is_refused_by_name_and_leaves_nothing(
    http: httpx2.AsyncClient, subtests: pytest.Subtests
) -> None:
    for case, (body, status, code) in CASES.items():
        with subtests.test(case):
            answer = await http.post(f"{API}/jobs", json=body, headers=key(case))
            assert refused(answer) == (status, code)
    assert (await http.get(f"{API}/jobs")).json()["items"] == []
    assert (await http.get(f"{API}/balance")).json()["held_yen"] == "0"


async def test_a_name_may_be_of_any_script(http: httpx2.AsyncClient) -> None:
    for name in ("実験 1", "Ünïcødé 🧪", "e\u0301", "עברית"):
        answer = await http.post(f"{API}/jobs", json=training(name=name), headers=key(f"key {len(name)}"))
        assert answer.status_code == 201
        assert answer.json()["name"] == unicodedata.normalize("NFC", name)


async def test_the_refusal_speaks_the_readers_language_and_names_the_figures(http: httpx2.AsyncClient) -> None:
    body = training(gpus=8, walltime_s=86_400)
    japanese = await http.post(f"{API}/jobs", json=body, headers=key() | {"Accept-Language": "ja,en;q=0.5"})
    english = await http.post(f"{API}/jobs", json=body, headers=key() | {"Accept-Language": "en"})
    assert japanese.json()["facts"] == english.json()["facts"] == {"needed_yen": "69696", "available_yen": "5000"}
    assert "69,696 円" in japanese.json()["detail"]
    assert "¥69,696" in english.json()["detail"]
    assert (japanese.headers["content-language"], english.headers["content-language"]) == ("ja", "en")


async def test_a_malformed_body_names_its_fields_and_not_its_values(http: httpx2.AsyncClient) -> None:
    answer = await http.post(f"{API}/jobs", json=training(gpus="secret-value", walltime_s=None), headers=key())
    assert refused(answer) == (422, "invalid-request")
    assert answer.json()["facts"]["fields"] == ["gpus", "walltime_s"]
    assert "secret-value" not in answer.text


async def test_a_word_that_a_field_cannot_be_is_answered_with_those_that_it_can(http: httpx2.AsyncClient) -> None:
    answer = await http.post(f"{API}/jobs", json=training(kind="secret-value"), headers=key())
    assert refused(answer) == (422, "invalid-request")
    assert "'batch', 'training', 'quantum' or 'hybrid'" in answer.json()["detail"]
    assert "secret-value" not in answer.text


async def test_what_is_no_submission_at_all_is_refused(http: httpx2.AsyncClient) -> None:
    for body in (b"", b"{", b"[]", b"null", b'"text"', b'{"name": "\\ud800"}', b"\xff\xfe"):
        headers = key() | {"Content-Type": "application/json"}
        answer = await http.post(f"{API}/jobs", content=body, headers=headers)
        assert refused(answer)[1] == "invalid-request"


async def test_a_lone_surrogate_in_the_script_is_refused(http: httpx2.AsyncClient) -> None:
    body = json.dumps(training(script="#!/bin/sh\n\ud800"))
    answer = await http.post(f"{API}/jobs", content=body, headers=key() | {"Content-Type": "application/json"})
    assert refused(answer)[1] in {"script-not-text", "invalid-request"}


async def test_a_script_of_ten_megabytes_is_refused_over_a_real_connection(world: World) -> None:
    huge = json.dumps(training(script="#!/bin/sh\n" + "#" * TEN_MEGABYTES)).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(huge), 65_536):
            yield huge[start : start + 65_536]

    async with world.serving() as address, world.over_http(address) as http:
        headers = key() | {"Content-Type": "application/json"}
        whole = await http.post(f"{API}/jobs", content=huge, headers=headers)
        chunked = await http.post(f"{API}/jobs", content=in_pieces(), headers=headers)
        well = await http.get(f"{API}/me")
    assert refused(whole) == refused(chunked) == (413, "body-too-large")
    assert whole.json()["facts"] == {"limit_bytes": 2 * 1024 * 1024}
    assert well.status_code == 200


async def test_a_submission_needs_a_key_that_is_one(http: httpx2.AsyncClient) -> None:
    without = await http.post(f"{API}/jobs", json=training())
    long = await http.post(f"{API}/jobs", json=training(), headers=key("k" * 256))
    assert refused(without) == (400, "idempotency-key-missing")
    assert refused(long) == (400, "idempotency-key-invalid")


async def test_a_key_used_again_with_another_body_is_refused(http: httpx2.AsyncClient) -> None:
    first = await http.post(f"{API}/jobs", json=training(), headers=key())
    other = await http.post(f"{API}/jobs", json=training(name="another"), headers=key())
    assert refused(other) == (409, "idempotency-key-reused")
    assert other.json()["facts"] == {"job_id": first.json()["id"]}


async def test_another_organisations_job_is_answered_like_one_that_does_not_exist(
    world: World, http: httpx2.AsyncClient
) -> None:
    job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
    async with world.client(BETA) as stranger:
        for ending in ("", "/logs", "/result", "/live", "/logs/live"):
            foreign = await stranger.get(f"{API}/jobs/{job_id}{ending}")
            missing = await stranger.get(f"{API}/jobs/{an_id('nowhere')}{ending}")
            assert refused(foreign) == refused(missing) == (404, "job-not-found")
            assert _same(foreign, missing)
        cancel = await stranger.post(f"{API}/jobs/{job_id}/cancel")
        listed = await stranger.get(f"{API}/jobs")
    assert refused(cancel) == (404, "job-not-found")
    assert listed.json()["items"] == []
    assert (await http.get(f"{API}/jobs/{job_id}")).json()["cancel_requested_at"] is None


def _same(one: httpx2.Response, other: httpx2.Response) -> bool:
    """Nothing but the request's own number differs."""
    facts = [{name: value for name, value in each.json().items() if name != "request_id"} for each in (one, other)]
    return facts[0] == facts[1]


QUESTIONS = [
    ("/jobs?limit=0", "bad-limit"),
    ("/jobs?limit=201", "bad-limit"),
    ("/jobs?limit=-5", "bad-limit"),
    ("/jobs?limit=9999999999999", "invalid-request"),
    ("/jobs?cursor=nonsense", "bad-cursor"),
    ("/jobs?cursor=%00", "bad-cursor"),
    ("/jobs?state=PENDING", "invalid-request"),
    ("/jobs/not-an-id", "job-not-found"),
    ("/statement?month=2026-13", "month-invalid"),
    ("/statement?month=%00", "month-invalid"),
    ("/usage?month=april", "month-invalid"),
    ("/invoices/2026-4", "month-invalid"),
    ("/nothing-here", "not-found"),
]


async def test_a_bad_question_is_refused_by_name(http: httpx2.AsyncClient, subtests: pytest.Subtests) -> None:
    for path, code in QUESTIONS:
        with subtests.test(path):
            assert refused(await http.get(f"{API}{path}"))[1] == code


async def test_a_wrong_method_says_which_are_right(http: httpx2.AsyncClient) -> None:
    answer = await http.put(f"{API}/jobs", json={})
    assert refused(answer) == (405, "method-not-allowed")
    assert answer.headers["allow"]


async def test_an_organisation_that_may_not_submit_is_told_so(world: World) -> None:
    world.clock.pass_s(301 * 86_400)
    token = await world.token(ALPHA, expires_in=timedelta(days=360), key="late")
    async with world.client(token) as http:
        answer = await http.post(f"{API}/jobs", json=training(), headers=key())
        estimate = await http.post(f"{API}/estimates", json=training())
    assert refused(answer) == refused(estimate) == (403, "declaration-expired")
