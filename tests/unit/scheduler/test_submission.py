"""What a request may look like; each refusal by name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.errors import InvalidName
from hpc_adapters.contract import Placement, Resources, Signal, Torchrun
from infra.refusal import Refusal
from scheduler import errors
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import JobKind
from scheduler.cursor import cursor_of, position_of
from scheduler.options import ArrayWish, Dependency, check_begin, check_placement, resources_within
from scheduler.submission import MAX_BODY_BYTES, Submission, checked, checked_key, options_told, request_sha256
from tests.support.scheduled import NOW, a_submission, an_id

TOO_MANY = errors.TooManyDependencies
CIRCUIT = {"kind": JobKind.QUANTUM, "body": b"OPENQASM 3.0;", "gpus": 0, "shots": 100}


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"name": ""}, InvalidName),
        ({"name": "a\u202eb"}, InvalidName),
        ({"name": "line\nbreak"}, InvalidName),
        ({"name": "x" * 201}, InvalidName),
        ({"walltime_s": 0}, errors.NegativeWalltime),
        ({"walltime_s": -5}, errors.NegativeWalltime),
        ({"gpus": -1}, errors.NegativeGpus),
        ({"shots": -1}, errors.NegativeShots),
        ({"max_attempts": 0}, errors.AttemptsOutOfRange),
        ({"max_attempts": 11}, errors.AttemptsOutOfRange),
        ({"body": b""}, errors.MissingScript),
        ({"body": b" \n\t"}, errors.MissingScript),
        ({"body": b"#!/bin/sh\n" + b"#" * MAX_BODY_BYTES}, errors.ScriptTooLarge),
        ({"body": b"#!/bin/sh\n\0"}, errors.ScriptNotText),
        ({"body": b"#!/bin/sh\n\xff"}, errors.ScriptNotText),
        ({"body": b"echo hello"}, errors.MissingShebang),
        ({"arguments": ["x"] * 257}, errors.TooManyArguments),
        ({"arguments": ["ok", "bad\0"]}, errors.BadArgument),
        ({"arguments": ["x" * 4097]}, errors.BadArgument),
        ({"arguments": ["\ud800"]}, errors.BadArgument),
        ({"environment": {f"V{n}": "" for n in range(257)}}, errors.TooManyVariables),
        ({"arguments": ["あ" * 4096] * 6}, errors.WordsTooLarge),
        ({"arguments": ["x" * 4000] * 8, "environment": {f"V{n}": "x" * 4000 for n in range(9)}}, errors.WordsTooLarge),
        ({"secrets": [f"S{n}" for n in range(25)]}, errors.OptionOutOfRange),
        ({"environment": {"A=B": ""}}, errors.BadVariable),
        ({"environment": {"A\n": ""}}, errors.BadVariable),
        ({"environment": {"LD_PRELOAD": "x"}}, errors.BadVariable),
        ({"environment": {"KYOYO_ATTEMPT_ID": "x"}}, errors.BadVariable),
        ({"environment": {"A": "\x1b"}}, errors.BadVariable),
        ({**CIRCUIT, "gpus": 1}, errors.GpusNotOffered),
        ({**CIRCUIT, "arguments": ["x"]}, errors.ArgumentsNotOffered),
        ({**CIRCUIT, "placement": Placement(nodes=2)}, errors.OptionNotForCircuits),
        ({**CIRCUIT, "secrets": ["TOKEN"]}, errors.OptionNotForCircuits),
        ({**CIRCUIT, "max_timeouts": 1, "max_attempts": 2}, errors.OptionNotForCircuits),
        ({"max_timeouts": 1}, errors.TimeoutsOutOfRange),
        ({"max_timeouts": -1}, errors.TimeoutsOutOfRange),
        ({"placement": Placement(nodes=0)}, errors.OptionOutOfRange),
        ({"placement": Placement(tasks_per_node=-1)}, errors.OptionOutOfRange),
        ({"placement": Placement(gpu_type="h200 --uid=0")}, errors.BadOption),
        ({"placement": Placement(gpu_type="")}, errors.BadOption),
        ({"placement": Placement(constraint="a\n#SBATCH --uid=0")}, errors.BadOption),
        ({"placement": Placement(constraint='a"')}, errors.BadOption),
        ({"placement": Placement(reservation="r\0")}, errors.BadOption),
        ({"placement": Placement(licenses={"matlab;rm": 1})}, errors.BadOption),
        ({"placement": Placement(licenses={"matlab": 0})}, errors.OptionOutOfRange),
        ({"placement": Placement(licenses={f"l{n}": 1 for n in range(17)})}, errors.OptionOutOfRange),
        ({"placement": Placement(image="../../etc/shadow")}, errors.BadOption),
        ({"placement": Placement(image="/images/../secret.sif")}, errors.BadOption),
        ({"placement": Placement(image="--privileged")}, errors.BadOption),
        ({"placement": Placement(image="x\r\nX-Header: 1")}, errors.BadOption),
        ({"placement": Placement(signal=Signal(name="KILL", before_s=9))}, errors.UnknownSignal),
        ({"placement": Placement(signal=Signal(name="USR1\n", before_s=9))}, errors.UnknownSignal),
        ({"placement": Placement(signal=Signal(name="USR1", before_s=601))}, errors.OptionOutOfRange),
        ({"launch": Torchrun(processes_per_node=0)}, errors.OptionOutOfRange),
        ({"secrets": ["LD_PRELOAD"]}, errors.BadVariable),
        ({"secrets": ["A", "A"]}, errors.BadVariable),
        ({"secrets": ["A"], "environment": {"A": "x"}}, errors.BadVariable),
        ({"secrets": [f"S{n}" for n in range(65)]}, errors.OptionOutOfRange),
        ({"dependencies": [Dependency(kind=DependencyKind.AFTEROK, job="1;2")]}, errors.BadOption),
        ({"dependencies": [Dependency(kind=DependencyKind.AFTER, job=str(n)) for n in range(101)]}, TOO_MANY),
        ({"array": ArrayWish(indices=[])}, errors.ArrayEmpty),
        ({"array": ArrayWish(indices=range(100_000))}, errors.ArrayTooLarge),
        ({"array": ArrayWish(indices=[1, -1])}, errors.BadArrayIndex),
        ({"array": ArrayWish(indices=[1, 1])}, errors.BadArrayIndex),
        ({"array": ArrayWish(indices=[2**31])}, errors.BadArrayIndex),
        ({"array": ArrayWish(indices=[1], max_running=0)}, errors.OptionOutOfRange),
    ],
)
def test_each_bad_request_has_its_refusal(changed: dict[str, object], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal) as refused:
        checked(a_submission(**changed))
    assert refused.value.code


def test_what_a_slurm_user_asks_for_passes() -> None:
    placement = Placement(
        nodes=2,
        tasks_per_node=4,
        gpu_type="h200",
        constraint="[rack1|rack2]&ib",
        reservation="course_2026",
        licenses={"matlab@server": 2},
        signal=Signal(name="USR1", before_s=60),
        image="registry.example/pytorch:24.05",
    )
    wanted = a_submission(
        placement=placement, array=ArrayWish(indices=[1, 3, 5], max_running=2), max_attempts=3, max_timeouts=2
    )
    assert checked(wanted) == wanted


@example(text="--", option="constraint")
@given(
    text=st.text(min_size=1, max_size=20), option=st.sampled_from(["gpu_type", "constraint", "reservation", "image"])
)
def test_whatever_passes_can_break_out_of_no_line_or_quote(text: str, option: str) -> None:
    try:
        check_placement(Placement(**{option: text}), walltime_s=1)  # type: ignore[arg-type]  one of its texts
    except errors.BadOption:
        return
    assert text.isascii()
    assert not set(text) & set(" \n\r\t\"'`$\\;<>\0")
    assert not text.startswith("--")


def test_cpus_and_memory_are_at_most_what_the_gpus_bring_and_divide_among_the_nodes() -> None:
    brought = Resources(gpus=4, cpus=32, memory_mb=4_000)
    assert resources_within(brought, nodes=2, cpus=None, memory_mb=None) == brought
    assert resources_within(brought, nodes=2, cpus=8, memory_mb=1_000) == Resources(gpus=4, cpus=8, memory_mb=1_000)
    for wrong, refusal in (
        ({"cpus": 33, "memory_mb": None}, errors.MoreThanGpusBring),
        ({"cpus": None, "memory_mb": 4_002}, errors.MoreThanGpusBring),
        ({"cpus": 7, "memory_mb": None}, errors.UnevenNodes),
        ({"cpus": 0, "memory_mb": None}, errors.OptionOutOfRange),
        ({"cpus": None, "memory_mb": -2}, errors.OptionOutOfRange),
    ):
        with pytest.raises(refusal):
            resources_within(brought, nodes=2, **wrong)
    with pytest.raises(errors.UnevenNodes):
        resources_within(brought, nodes=3, cpus=None, memory_mb=None)


def test_a_begin_time_may_be_past_and_at_most_a_year_ahead() -> None:
    for days in (-1_000, 0, 365):
        check_begin(NOW + timedelta(days=days), now=NOW)
    with pytest.raises(errors.BeginTooLate):
        check_begin(NOW + timedelta(days=366), now=NOW)


def test_a_request_without_options_is_told_as_before_there_were_any() -> None:
    assert options_told(a_submission()) == {}
    changed: list[dict[str, object]] = [
        {"placement": Placement(nodes=2)},
        {"cpus": 1},
        {"secrets": ["A"]},
        {"begin_at": NOW},
        {"array": ArrayWish(indices=[1])},
        {"array": ArrayWish(indices=[1], max_running=1)},
        {"dependencies": [Dependency(kind=DependencyKind.AFTEROK, job="1")]},
        {"max_timeouts": 1, "max_attempts": 2},
    ]
    digests = {request_sha256(a_submission(**each)) for each in [{}, *changed]}
    assert len(digests) == 1 + len(changed)


def test_good_requests_pass_with_a_clean_name() -> None:
    assert checked(a_submission(name=" が ")).name == "が"
    assert checked(a_submission(**CIRCUIT))
    assert checked(a_submission(arguments=["--lr=0.1", "日本語", "tab\tand\nnewline"], environment={"A_1": "x y"}))


@pytest.mark.parametrize("key", ["", None])
def test_a_submission_needs_a_key(key: str | None) -> None:
    with pytest.raises(errors.IdempotencyKeyMissing):
        checked_key(key)


@pytest.mark.parametrize("key", ["x" * 256, "鍵", "a\nb"])
def test_a_key_is_short_and_printable(key: str) -> None:
    with pytest.raises(errors.IdempotencyKeyInvalid):
        checked_key(key)


def test_the_same_request_has_the_same_digest_whatever_its_order() -> None:
    one = a_submission(environment={"A": "1", "B": "2"}, arguments=("x",))
    other = a_submission(environment={"B": "2", "A": "1"}, arguments=["x"])
    assert request_sha256(one) == request_sha256(other)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"gpus": 2},
        {"walltime_s": 601},
        {"body": b"#!/bin/sh\n"},
        {"arguments": ("x",)},
        {"environment": {"A": "1"}},
        {"max_attempts": 2},
        {"project": "other"},
    ],
)
def test_another_request_has_another_digest(changed: dict[str, object]) -> None:
    usual: Submission = a_submission()
    assert request_sha256(replace(usual, **changed)) != request_sha256(usual)


def test_a_cursor_comes_back_as_it_went() -> None:
    assert position_of(cursor_of(NOW, an_id(1))) == (NOW, an_id(1))


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 300, "MjAyNi0wNC0wMVQwMzowMDowMCBhYmM"])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(errors.BadCursor):
        position_of(cursor)


# -- documents of PUBs -------------------------------------------------------------------------------------------------


def a_document(*shots: int) -> bytes:
    """One Bell circuit, sampled so often in each PUB."""
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nh q[0];\ncx q[0], q[1];\nc = measure q;\n'
    told = {
        "format": "kyoyo.pubs/1",
        "primitive": "sampler",
        "circuits": [{"format": "openqasm3", "text": text}],
        "pubs": [{"circuit": 0, "shots": each} for each in shots],
    }
    return json.dumps(told).encode()


@pytest.mark.parametrize("shots", [0, 300])
def test_a_document_says_itself_how_many_shots_it_asks_for(shots: int) -> None:
    clean = checked(a_submission(**{**CIRCUIT, "body": a_document(100, 200), "shots": shots}))
    assert (clean.shots, clean.circuits) == (300, 2)


def test_other_shots_than_the_documents_are_refused_with_both_numbers() -> None:
    with pytest.raises(errors.ShotsDiffer) as refused:
        checked(a_submission(**{**CIRCUIT, "body": a_document(100), "shots": 99}))
    assert refused.value.facts == {"requested": 99, "executions": 100}


def test_openqasm_2_is_taken_too() -> None:
    assert checked(a_submission(**{**CIRCUIT, "body": b"OPENQASM 2.0;\nqreg q[1];"})).shots == 100


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"print('hello')", "unknown-format"),
        (b"{}", "malformed-document"),
        (b'{"format": "kyoyo.pubs/1"', "malformed-document"),
        (b"OPENQASM 9;", "unknown-format"),
        (a_document(10**12), "invalid-shots"),
    ],
)
def test_what_is_no_program_is_refused_by_name(body: bytes, problem: str) -> None:
    with pytest.raises(errors.ProgramNotRead) as refused:
        checked(a_submission(**{**CIRCUIT, "body": body}))
    assert refused.value.facts["problem"] == problem


@pytest.mark.parametrize("cap", [0, -1])
def test_a_cap_of_nothing_is_refused(cap: int) -> None:
    with pytest.raises(errors.CostCapNotPositive):
        checked(a_submission(max_cost_micro_yen=cap))


def test_another_cap_is_another_request() -> None:
    assert request_sha256(a_submission(max_cost_micro_yen=1)) != request_sha256(a_submission())
