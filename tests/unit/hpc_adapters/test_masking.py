"""Secrets are hidden wherever a stream is cut, and are not kept to be read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.masking import around, as_json, from_json, held_back, marks_of, masked

SALT = b"attempt-7"
SECRETS = st.lists(st.text("abあ\n", min_size=6, max_size=12), min_size=1, max_size=3)


@given(SECRETS, st.lists(st.text("abあ\nc", max_size=8), min_size=1, max_size=5))
def test_no_secret_survives_and_nothing_moves(secrets: list[str], between: list[str]) -> None:
    text = secrets[0].join(between).encode()
    hidden = masked(text, marks_of(secrets, salt=SALT), salt=SALT)
    assert len(hidden) == len(text)
    assert not any(secret.encode() in hidden for secret in secrets)
    for before, after in zip(text, hidden, strict=True):
        assert after in {before, ord("*")}


def test_what_is_no_secret_stays() -> None:
    marks = marks_of(["hunter2-very-secret", "x", ""], salt=SALT)
    assert len(marks) == 1
    assert masked(b"x hunter2-very-secre", marks, salt=SALT) == b"x hunter2-very-secre"
    assert masked(b"x hunter2-very-secret", marks, salt=SALT) == b"x *******************"


def test_what_is_kept_cannot_be_read() -> None:
    kept = as_json(marks_of(["hunter2-very-secret"], salt=SALT))
    assert b"hunter" not in kept
    assert from_json(kept) == marks_of(["hunter2-very-secret"], salt=SALT)
    assert from_json(b"") == []


def test_a_beginning_waits_for_its_rest() -> None:
    marks = marks_of(["hunter2"], salt=SALT)
    assert around(marks) == 6
    assert held_back(b"log line\nhunt", marks) == 4
    assert held_back(b"log line\n", marks) == 0
    assert held_back(b"a long line without an end", marks) == 6
    assert held_back(b"line\nhunt", marks_of(["hun\nter2"], salt=SALT)) == 7
    assert held_back(b"anything", []) == 0
