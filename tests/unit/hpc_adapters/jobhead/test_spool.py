"""The shared folder: made whole or not at all, and read as if its owner were an enemy."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.errors import Rejected
from hpc_adapters.jobhead.places import Places
from hpc_adapters.jobhead.spool import End, Spool, Start

A = UUID(int=10)
ME = os.geteuid()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, uids={"alice": ME})


@pytest.fixture
def work(spool: Spool, folder: Path) -> Path:
    places = Places(folder, "alice", A, UUID(int=99))
    assert spool.prepare(places, secrets=b"TOKEN=x\0", sampler=b"")
    return places.work


def read(spool: Spool, name: str, *, offset: int = 0, limit: int = 100) -> tuple[bytes, int]:
    found = spool.read("alice", A, name, offset=offset, limit=limit)
    assert found is not None
    return found.data, found.size


def test_a_working_folder_appears_whole_and_once(spool: Spool, folder: Path, work: Path) -> None:
    assert not spool.prepare(Places(folder, "alice", A, UUID(int=99)), secrets=b"OTHER=y\0", sampler=b"")
    assert (work / ".secrets").read_bytes() == b"TOKEN=x\0"
    assert stat.S_IMODE((work / ".secrets").stat().st_mode) == 0o600
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    assert (folder / "alice" / "jobs" / str(UUID(int=99)) / "checkpoint").is_dir()
    assert sorted(path.name for path in (folder / "alice").iterdir()) == sorted([str(A), "jobs"])


def test_attempts_of_a_job_share_its_checkpoint(spool: Spool, folder: Path, work: Path) -> None:
    kept = Places(folder, "alice", A, UUID(int=99)).checkpoint / "step-5"
    kept.write_text("weights")
    assert spool.prepare(Places(folder, "alice", UUID(int=11), UUID(int=99)), secrets=b"", sampler=b"s")
    assert kept.read_text() == "weights"


@pytest.mark.parametrize("user", ["nobody-of-that-name", "daemon"])
def test_only_ordinary_users_get_a_folder(spool: Spool, folder: Path, user: str) -> None:
    with pytest.raises(Rejected) as refused:
        spool.prepare(Places(folder, user, A, A), secrets=b"", sampler=b"")
    assert refused.value.code == "unknown-user"
    assert list(folder.iterdir()) == []


def test_a_stream_is_read_piece_by_piece(spool: Spool, work: Path) -> None:
    (work / "stdout").write_bytes(b"0123456789")
    assert read(spool, "stdout", offset=2, limit=3) == (b"234", 10)
    assert read(spool, "stdout", offset=50) == (b"", 10)
    assert read(spool, "stderr") == (b"", 0)


def test_a_link_a_pipe_a_folder_and_a_device_are_nothing(spool: Spool, work: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ours")
    (work / "link").symlink_to(secret)
    (work / "dangling").symlink_to(tmp_path / "none")
    os.mkfifo(work / "pipe")
    (work / "folder").mkdir()
    for name in ("link", "dangling", "pipe", "folder"):
        assert read(spool, name) == (b"", -1)


@pytest.mark.root
def test_a_hard_link_to_somebody_elses_file_is_nothing(spool: Spool, work: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    os.chown(theirs, ME + 12345, -1)
    os.link(theirs, work / "stdout")
    assert read(spool, "stdout") == (b"", -1)


def test_a_terabyte_of_nothing_is_read_by_the_piece(spool: Spool, work: Path) -> None:
    with (work / "stdout").open("wb") as file:
        file.truncate(2**40)
    assert read(spool, "stdout", limit=8) == (b"\0" * 8, 2**40)
    (work / "started.json").symlink_to("stdout")
    assert spool.started("alice", A) is None
    with (work / "end.json").open("wb") as file:
        file.truncate(2**40)
    assert spool.ended("alice", A) is None


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{}", '{"job_id": "5"}', '{"job_id": true}', '{"job_id": -1}', "[" * 60_000]
)
def test_nonsense_is_no_start(spool: Spool, work: Path, content: str) -> None:
    (work / "started.json").write_text(content)
    assert spool.started("alice", A) is None


def test_what_the_head_wrote_is_read_back(spool: Spool, work: Path) -> None:
    (work / "started.json").write_text('{"job_id": 5, "restart": 1, "start": null, "at": 9}')
    (work / "end.json").write_text('{"exit_code": 3, "by_itself": true, "head": false}')
    assert spool.started("alice", A) == Start(5, 1, None)
    assert spool.ended("alice", A) == End(3, by_itself=True, head=False)


def test_absence_is_told_only_when_the_shared_folder_answers(spool: Spool, folder: Path) -> None:
    assert spool.read("alice", A, "stdout", offset=0, limit=1) is None
    assert not spool.knows("alice", A)
    folder.rename(folder.with_name("away"))
    with pytest.raises(FileNotFoundError):
        spool.knows("alice", A)


def test_a_users_folder_that_is_a_link_is_not_followed(spool: Spool, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / str(A)).mkdir(parents=True)
    (folder / "alice").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"symbolic|directory"):
        spool.knows("alice", A)


def test_secrets_that_nobody_took_are_removed(spool: Spool, work: Path) -> None:
    spool.drop_secrets("alice", A)
    spool.drop_secrets("alice", A)
    assert not (work / ".secrets").exists()


def test_a_folder_that_everybody_may_write_in_is_refused(folder: Path, spool: Spool) -> None:
    spool.require_usable()
    folder.chmod(0o777)
    with pytest.raises(PermissionError):
        spool.require_usable()


def test_a_note_is_kept_beside_the_folder_of_its_owner(spool: Spool, work: Path) -> None:
    assert spool.noted("alice", A) == ""
    spool.note("alice", A, "launch-failed-held")
    assert spool.noted("alice", A) == "launch-failed-held"
    assert list(work.glob("*.note")) == []


def test_nothing_is_left_of_a_refused_submission(spool: Spool, folder: Path, work: Path) -> None:
    spool.discard(Places(folder, "alice", A, UUID(int=99)))
    assert not work.exists()


def test_a_started_attempt_is_never_discarded(spool: Spool, folder: Path, work: Path) -> None:
    (work / "gate").mkdir()
    spool.discard(Places(folder, "alice", A, UUID(int=99)))
    assert work.is_dir()


def test_while_a_folder_is_removed_no_start_gets_through(
    spool: Spool, folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an attempt whose first submission got through unseen, and whose second one was refused."""
    gates = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: gates.append((path / "gate").is_dir()))
    spool.discard(Places(folder, "alice", A, UUID(int=99)))
    assert gates == [True]
    spool.discard(Places(folder, "alice", UUID(int=11), UUID(int=99)))  # there is none
    assert gates == [True]
