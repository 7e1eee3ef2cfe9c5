"""What a server may say of a program, and of how much it asks for, without parsing a circuit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.programs import (
    MAX_DOCUMENT_BYTES,
    Format,
    Primitive,
    ProgramRefused,
    Work,
    document_of,
    format_of,
    work_of,
)
from hpc_adapters.pubs import broadcast, work_in
from hpc_adapters.workloads.circuit_refusals import CODES

TEXT = {"format": "openqasm3", "text": "OPENQASM 3;"}
BOUND = {"names": ["a", "b"], "shape": [3], "values": [[0.1, 1], [0.2, 2], [0.3, 3]]}


def sampler(**pub: Any) -> dict[str, Any]:
    told = {"circuit": 0, "shots": 100, **pub}
    return {"format": "kyoyo.pubs/1", "primitive": "sampler", "circuits": [TEXT], "pubs": [told]}


def estimator(observables: Any, **pub: Any) -> dict[str, Any]:
    return sampler(observables=observables, **pub) | {"primitive": "estimator"}


def written(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_mitigation_is_counted_as_the_executions_that_it_takes_at_most() -> None:
    program = estimator({"shape": [], "values": [{"ZZ": 1}]})
    told = {"resilience_level": 2, "dynamical_decoupling": "XpXm", "twirl_gates": True, "twirl_measure": False}
    read = document_of(written(program | {"options": told}))
    assert (read.options.factor, work_in(read).executions) == (4, 400)
    assert dict(read.options.mitigation) == {name: value for name, value in told.items() if value}
    assert work_of(written(program | {"options": {"resilience_level": 1}})).executions == 200
    assert work_of(written(sampler() | {"options": {"dynamical_decoupling": "XX"}})).executions == 100


@pytest.mark.parametrize(
    ("primitive", "options", "at"),
    [
        ("estimator", {"resilience_level": 3}, "options.resilience_level"),
        ("estimator", {"resilience_level": True}, "options.resilience_level"),
        ("estimator", {"pec_mitigation": True}, "options"),  # nobody knows before what it costs
        ("sampler", {"resilience_level": 1}, "options.resilience_level"),
        ("sampler", {"dynamical_decoupling": True}, "options.dynamical_decoupling"),
        ("sampler", {"twirl_gates": 1}, "options.twirl_gates"),
    ],
)
def test_other_mitigation_is_refused_by_name(primitive: str, options: dict[str, object], at: str) -> None:
    program = sampler() if primitive == "sampler" else estimator({"shape": [], "values": [{"ZZ": 1}]})
    with pytest.raises(ProgramRefused) as refused:
        document_of(written(program | {"options": options}))
    assert (refused.value.code, refused.value.facts["at"]) == ("malformed-document", at)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (b"OPENQASM 3;", Format.OPENQASM3),
        (b"// hello\n/* a */OPENQASM 3.1 ;", Format.OPENQASM3),
        (b"OPENQASM 2.0;\nqreg q[1];", Format.OPENQASM2),
        (b"OPENQASM\n2.0;", Format.OPENQASM2),
        (b' \n{"format": 1}', Format.PUBS),
    ],
)
def test_a_program_is_known_by_its_first_word(program: bytes, expected: Format) -> None:
    assert format_of(program) is expected


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (b"", "unknown-format"),
        (b"OPENQASM 4;", "unknown-format"),
        (b"OPENQASM 30;", "unknown-format"),
        (b"QISKIT\x0d", "unknown-format"),
        (b"QISKIT\x0d\x01", "control-characters"),
        (b"[1]", "unknown-format"),
        (b"OPENQASM 3; \xff", "not-utf-8"),
        (b" " * (MAX_DOCUMENT_BYTES + 1), "program-too-large"),
    ],
)
def test_what_is_no_program_is_refused(program: bytes, code: str) -> None:
    with pytest.raises(ProgramRefused) as refused:
        format_of(program)
    assert refused.value.code == code


def test_the_executions_of_a_sampler_are_shots_times_bindings() -> None:
    assert work_of(written(sampler())) == Work(
        primitive=Primitive.SAMPLER, circuits=1, pubs=1, executions=100, bindings=1, shots=100
    )
    assert work_of(written(sampler(parameters=BOUND))).executions == 300


def test_the_executions_of_an_estimator_are_shots_times_strings_of_each_element() -> None:
    terms = {"shape": [2], "values": [{"ZZ": 1, "XI": 0.5, "II": 3}, {"XX": 1}]}
    assert work_of(written(estimator(terms))).executions == 100 * 3
    numbers = {"shape": [], "values": [{"II": 2.5}]}
    assert work_of(written(estimator(numbers))).executions == 1  # none is needed, and a job is of something
    column = BOUND | {"shape": [3, 1]}
    work = work_of(written(estimator(terms, parameters=column)))
    assert (work.executions, work.bindings) == (100 * 3 * 3, 6)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((), (), ()), ((3,), (), (3,)), ((3, 1), (2,), (3, 2)), ((1,), (5, 4), (5, 4)), ((2, 3), (2, 3), (2, 3))],
)
def test_shapes_broadcast_as_arrays_do(
    first: tuple[int, ...], second: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert broadcast(first, second) == broadcast(second, first) == expected


HUGE = {"shape": [100, 100], "values": [{"Z": 1}] * 10_000}
REFUSED = {
    "not JSON": (b"{", "malformed-document"),
    "an open list": (b"{" + b'"a":[' * 30_000, "malformed-document"),
    "a number of 5000 digits": (b'{"a":' + b"9" * 5_000 + b"}", "malformed-document"),
    "NaN": (b'{"a":NaN}', "malformed-document"),
    "an infinite number": (b'{"a":1e999}', "malformed-document"),
    "a key twice": (b'{"a":1,"a":1}', "malformed-document"),
    "another format": (written(sampler() | {"format": "kyoyo.pubs/2"}), "malformed-document"),
    "an unknown key": (written(sampler() | {"x": 1}), "malformed-document"),
    "an unknown option": (written(sampler() | {"options": {"x": 1}}), "malformed-document"),
    "an unknown method": (written(sampler() | {"options": {"method": "magic"}}), "malformed-document"),
    "another circuit": (written(sampler(circuit=1)), "malformed-document"),
    "a circuit by true": (written(sampler(circuit=False)), "malformed-document"),
    "no shots": (written(sampler(shots=0)), "invalid-shots"),
    "half a shot": (written(sampler(shots=0.5)), "invalid-shots"),
    "shots that are a NUL": (written(sampler(shots="\0")), "invalid-shots"),
    "shots that are half a character": (written(sampler(shots="\ud800")), "invalid-shots"),
    "10^9 shots": (written(sampler(shots=10**9)), "invalid-shots"),
    "a row too short": (written(sampler(parameters=BOUND | {"names": ["a"]})), "malformed-document"),
    "a shape too large": (written(sampler(parameters=BOUND | {"shape": [4]})), "malformed-document"),
    "a shape of 10^9": (written(sampler(parameters=BOUND | {"shape": [10_000, 10_000]})), "too-many-bindings"),
    "a name twice": (written(sampler(parameters=BOUND | {"names": ["a", "a"]})), "malformed-document"),
    "2000 names": (written(sampler(parameters=BOUND | {"names": [*map(str, range(2_000))]})), "too-many-parameters"),
    "no observables": (written(sampler() | {"primitive": "estimator"}), "malformed-document"),
    "observables of a sampler": (written(sampler(observables={})), "malformed-document"),
    "another letter": (written(estimator({"shape": [], "values": [{"ZA": 1}]})), "malformed-document"),
    "an imaginary part": (written(estimator({"shape": [], "values": [{"Z": [0, 1]}]})), "malformed-document"),
    "shapes that differ": (
        written(estimator({"shape": [2], "values": [{"Z": 1}] * 2}, parameters=BOUND)),
        "shapes-differ",
    ),
    "10^9 elements by broadcasting": (
        written(
            estimator(HUGE | {"shape": [10_000, 1]}, parameters={"names": [], "shape": [300], "values": [[]] * 300})
        ),
        "too-many-bindings",
    ),
    "10^10 executions": (written(estimator(HUGE, shots=10**6)), "too-many-executions"),
    "101 circuits": (written(sampler() | {"circuits": [TEXT] * 101}), "too-many-circuits"),
    "301 PUBs": (written(sampler() | {"pubs": [{"circuit": 0, "shots": 1}] * 301}), "too-many-pubs"),
    "a control character in a circuit": (
        written(sampler() | {"circuits": [{"format": "openqasm3", "text": "\0"}]}),
        "control-characters",
    ),
    "half a character in a circuit": (
        written(sampler() | {"circuits": [{"format": "openqasm3", "text": "\ud800"}]}),
        "control-characters",
    ),
    "QPY that is no base64": (
        written(sampler() | {"circuits": [{"format": "qpy", "data": "!"}]}),
        "malformed-document",
    ),
    "QPY as text": (written(sampler() | {"circuits": [{"format": "qpy", "text": ""}]}), "malformed-document"),
    "a circuit too large": (
        written(sampler() | {"circuits": [{"format": "openqasm3", "text": " " * 300_000}]}),
        "program-too-large",
    ),
}


@pytest.mark.parametrize(("program", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_by_name(program: bytes, code: str) -> None:
    with pytest.raises(ProgramRefused) as refused:
        work_of(program)
    assert refused.value.code == code
    assert code in CODES
    told = json.dumps(refused.value.facts, ensure_ascii=False).encode()  # as it is answered
    assert b"\\u0000" not in told  # and as a database keeps it


SEED = written(estimator({"shape": [1], "values": [{"ZZ": 1.0}]}, parameters=BOUND) | {"options": {"seed": 7}})


@given(st.integers(0, len(SEED) - 1), st.binary(max_size=2), st.integers(0, 3))
def test_a_document_with_bytes_changed_is_read_or_refused_by_name(at: int, put: bytes, taken: int) -> None:
    program = SEED[:at] + put + SEED[at + taken :]
    try:
        assert work_of(program).executions >= 1
    except ProgramRefused as refused:
        assert refused.code in CODES  # noqa: PT017  either outcome is right


def test_a_document_is_read_whole() -> None:
    document = document_of(SEED)
    [pub] = document.pubs
    assert pub.parameters is not None
    assert (pub.shape, pub.bindings, pub.parameters.names) == ((3,), 3, ["a", "b"])
    assert (document.options.seed, document.options.method, document.options.noise) == (7, "automatic", True)
