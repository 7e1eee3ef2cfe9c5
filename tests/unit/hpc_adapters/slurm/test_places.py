"""Whose a record is: the path says it, a name only claims it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.jobhead import places
from hpc_adapters.slurm import ownership
from hpc_adapters.slurm.models import LiveJob
from hpc_adapters.slurm.models.jobs import live_job

FOLDER = Path("/shared/ky")
A, B = UUID(int=10), UUID(int=11)


def job(user: str = "alice", name: str = "x", **more: str) -> LiveJob:
    return live_job({"job_id": 5, "user_name": user, "job_state": ["RUNNING"], "name": name, **more})


def work(user: str, attempt_id: UUID) -> str:
    return str(places.work_of(FOLDER, user, attempt_id))


def test_a_renamed_job_is_still_ours_by_its_paths() -> None:
    renamed = job(name="innocent", current_working_directory=work("alice", A))
    assert ownership.is_ours(renamed, user="alice", attempt_id=A, folder=FOLDER)
    moved = job(name="innocent", current_working_directory="/tmp", standard_output=f"{work('alice', A)}/stdout")
    assert ownership.is_ours(moved, user="alice", attempt_id=A, folder=FOLDER)


def test_another_users_job_is_never_ours_whatever_it_is_called() -> None:
    forged = job("bob", places.job_name(A), current_working_directory=work("alice", A), comment=places.job_name(A))
    assert not ownership.is_ours(forged, user="alice", attempt_id=A, folder=FOLDER)
    assert ownership.surely_of(forged, FOLDER) is None
    assert ownership.claimed_by(forged) == A


def test_an_id_that_was_given_to_another_attempt_is_not_ours() -> None:
    other = job(name=places.job_name(B), current_working_directory=work("alice", B))
    assert not ownership.is_ours(other, user="alice", attempt_id=A, folder=FOLDER)


@pytest.mark.parametrize(
    "path",
    ["", "/", f"/shared/ky/alice/{A}x", f"/shared/ky/alice/../bob/{A}", f"/elsewhere/alice/{A}", f"/shared/ky/{A}"],
)
def test_a_path_beside_our_folder_is_nobodys(path: str) -> None:
    assert places.attempt_in_path(FOLDER, "alice", path) is None


@given(st.uuids(), st.from_regex(r"[a-z_][a-z0-9_-]{0,31}", fullmatch=True), st.integers(1, 2**31))
def test_names_and_native_ids_are_read_as_they_were_written(attempt_id: UUID, user: str, job_id: int) -> None:
    assert places.attempt_in_name(places.job_name(attempt_id)) == attempt_id
    assert places.native(str(places.Native(job_id, user))) == places.Native(job_id, user)
    assert places.attempt_in_path(FOLDER, user, f"{places.work_of(FOLDER, user, attempt_id)}/stdout") == attempt_id


@pytest.mark.parametrize("text", ["12345678", "", "0:alice", "5:", "5:Alice", "5:alice:x", "-5:alice", "5:alice\n"])
def test_a_foreign_native_id_is_none_of_ours(text: str) -> None:
    assert places.native(text) is None
