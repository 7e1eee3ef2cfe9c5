"""What a request may look like; each refusal by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accounts.errors import InvalidName
from infra.refusal import Refusal
from scheduler import errors
from scheduler.core.model import JobKind
from scheduler.cursor import cursor_of, position_of
from scheduler.submission import MAX_BODY_BYTES, Submission, checked, checked_key, request_sha256
from tests.support.scheduled import NOW, a_submission, an_id

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
        ({"environment": {"A=B": ""}}, errors.BadVariable),
        ({"environment": {"A\n": ""}}, errors.BadVariable),
        ({"environment": {"LD_PRELOAD": "x"}}, errors.BadVariable),
        ({"environment": {"KYOYO_ATTEMPT_ID": "x"}}, errors.BadVariable),
        ({"environment": {"A": "\x1b"}}, errors.BadVariable),
        ({**CIRCUIT, "gpus": 1}, errors.GpusNotOffered),
        ({**CIRCUIT, "arguments": ["x"]}, errors.ArgumentsNotOffered),
    ],
)
def test_each_bad_request_has_its_refusal(changed: dict[str, object], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal) as refused:
        checked(a_submission(**changed))
    assert refused.value.code


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
