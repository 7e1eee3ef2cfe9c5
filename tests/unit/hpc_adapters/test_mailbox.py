"""The mailbox of a running job: a stranger's folder, in which no link is followed, reading or writing."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.confined import folder
from hpc_adapters.contract import Feature, JobRequest, Ref, Resources, Script
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.job_files import MAILBOX, Desk, Mailbox
from hpc_adapters.jobhead.places import Places
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.jobhead.variables import head_of, own_variables
from hpc_adapters.local.files import LocalFiles
from hpc_adapters.slurm.files import SlurmFiles
from hpc_adapters.staging import left_in

ATTEMPT = UUID(int=7)
REF = Ref("local", ATTEMPT, str(ATTEMPT))
DESK = Desk(ATTEMPT, "tenant")
LIMIT = 1_000
_NOBODY = 65_534


@pytest.fixture
def box(tmp_path: Path) -> Path:
    made = tmp_path / str(ATTEMPT) / folder.WORK / MAILBOX
    made.mkdir(parents=True)
    return made


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    made = LocalFiles(tmp_path)
    assert isinstance(made, Mailbox)
    return made


def names(folder_: Path) -> list[str]:
    return sorted(each.name for each in folder_.iterdir())


def linked(box: Path, elsewhere: Path) -> None:
    elsewhere.mkdir()
    (elsewhere / "call-1.json").write_text("of somebody else")
    box.symlink_to(elsewhere)


async def test_a_call_is_read_and_its_answer_left_whole(files: LocalFiles, box: Path) -> None:
    assert await files.read_call(REF, DESK, 1, LIMIT) == b""
    (box / "call-1.json").write_bytes(b"x" * (LIMIT + 5))
    assert await files.read_call(REF, DESK, 1, LIMIT) == b"x" * LIMIT
    for content in (b"first", b"again"):
        await files.answer_call(REF, DESK, 1, content)
        assert (box / "call-1.result.json").read_bytes() == content
    assert (box / "call-1.result.json").stat().st_mode & 0o777 == 0o644
    assert names(box) == ["call-1.json", "call-1.result.json"]


async def test_what_is_no_file_of_the_jobs_own_is_no_call(files: LocalFiles, box: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    (box / "call-1.json").symlink_to(secret)
    os.mkfifo(box / "call-2.json")
    (box / "call-3.json").mkdir()
    for number in (1, 2, 3):
        assert await files.read_call(REF, DESK, number, LIMIT) == b""


async def test_an_answer_replaces_what_stands_in_its_way_and_writes_through_nothing(
    files: LocalFiles, box: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (box / "call-1.result.json").symlink_to(victim)
    await files.answer_call(REF, DESK, 1, b"answer")
    assert (box / "call-1.result.json").read_bytes() == b"answer"
    assert not (box / "call-1.result.json").is_symlink()
    (box / "call-2.result.json").mkdir()
    await files.answer_call(REF, DESK, 2, b"answer")
    assert victim.read_text() == "as it was"
    assert names(box) == ["call-1.result.json", "call-2.result.json"]


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """A write beyond it fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_an_answer_that_cannot_be_written_leaves_nothing_each_time_it_is_tried(
    files: LocalFiles, box: Path
) -> None:
    with files_no_longer_than(100), pytest.raises(Unavailable):
        await files.answer_call(REF, DESK, 1, b"x" * 101)
    assert names(box) == []


@contextmanager
def as_a_job_without_rights() -> Iterator[None]:
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.root
@pytest.mark.parametrize("mode", [0, 0o300, 0o500])
def test_a_mailbox_that_its_job_has_closed_is_no_fault_of_the_machine(box: Path, mode: int) -> None:
    for each in (box, box.parent):
        os.chown(each, _NOBODY, _NOBODY)
    work = os.open(box.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        box.chmod(mode)
        with as_a_job_without_rights():
            assert not left_in(work, MAILBOX, "answer", b"answer")
        box.chmod(0o700)
        with as_a_job_without_rights():
            assert left_in(work, MAILBOX, "answer", b"answer")
        os.chown(box, 0, 0)  # and one that only we have closed is
        with as_a_job_without_rights(), pytest.raises(Unavailable, match="os-error-13"):
            left_in(work, MAILBOX, "answer", b"answer")
    finally:
        os.close(work)
    assert names(box) == ["answer"]


async def test_a_mailbox_that_is_a_link_or_gone_is_none(files: LocalFiles, box: Path, tmp_path: Path) -> None:
    os.rmdir(box)  # noqa: PTH106
    await files.answer_call(REF, DESK, 1, b"answer")
    elsewhere = tmp_path / "elsewhere"
    linked(box, elsewhere)
    assert await files.read_call(REF, DESK, 1, LIMIT) == b""
    await files.answer_call(REF, DESK, 1, b"answer")
    assert names(elsewhere) == ["call-1.json"]
    stranger = UUID(int=8)
    with pytest.raises(Forgotten):
        await files.read_call(Ref("local", stranger, ""), Desk(stranger, "tenant"), 1, LIMIT)


SCRIPT = Script(body=b"#!/bin/sh\n")
CALLING = JobRequest(
    attempt_id=ATTEMPT, tenant="tenant", resources=Resources(), walltime_s=60, payload=SCRIPT, has_calls=True
)


def test_a_job_that_calls_asks_for_that() -> None:
    assert CALLING.features() == {Feature.CALLS}
    assert replace(CALLING, has_calls=False).features() == set()


async def test_on_a_site_the_mailbox_is_the_users_own_and_so_must_the_calls_be(tmp_path: Path) -> None:
    places = Places.of(CALLING, tmp_path, "alice")
    head = head_of(CALLING, SCRIPT, places)
    assert head.own["KYOYO_QPU_DIR"] == str(places.work / MAILBOX) == head.folders[-1]
    assert "KYOYO_QPU_DIR" not in own_variables(replace(CALLING, has_calls=False), places)
    made_for(places)
    site = SlurmFiles(tmp_path, Spool(tmp_path, uids={"alice": os.geteuid()}))
    ref = Ref("site", ATTEMPT, "12:alice")
    assert await site.read_call(ref, DESK, 1, LIMIT) == b"call"
    assert await site.read_call(ref, DESK, 2, LIMIT) == b""
    await site.answer_call(ref, DESK, 1, b"answer")
    assert (places.work / MAILBOX / "call-1.result.json").read_bytes() == b"answer"
    with pytest.raises(Forgotten):
        await site.answer_call(Ref("site", UUID(int=8), "12:alice"), DESK, 1, b"answer")


def made_for(places: Places) -> None:
    box = places.work / MAILBOX
    box.mkdir(parents=True)
    (box / "call-1.json").write_text("call")
    (box / "call-2.json").symlink_to(box / "call-1.json")
