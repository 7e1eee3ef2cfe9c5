from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpc_adapters.confined.untrusted import disk_used_mb, read_regular


def test_a_regular_file_within_its_cap_is_read(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(b"x" * 10)
    assert read_regular(str(tmp_path), "result.json", cap_bytes=10) == b"x" * 10
    assert read_regular(str(tmp_path), "result.json", cap_bytes=9) is None
    assert read_regular(str(tmp_path), "other.json", cap_bytes=9) is None


def test_no_link_is_followed_not_even_the_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "result.json").write_bytes(b"x")
    (tmp_path / "link").symlink_to(work)
    (work / "linked.json").symlink_to(work / "result.json")
    assert read_regular(str(tmp_path / "link"), "result.json", cap_bytes=10) is None
    assert read_regular(str(work), "linked.json", cap_bytes=10) is None


def test_space_is_counted_without_following_links_and_sparse_files_take_none(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "data").write_bytes(os.urandom(3 * 2**20))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert disk_used_mb(str(tmp_path), stop_mb=100) == 3
    assert disk_used_mb(str(tmp_path), stop_mb=2) > 2


def test_what_cannot_be_counted_counts_as_too_much(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).touch()
    assert disk_used_mb(str(tmp_path), stop_mb=100, entries=10) == 101


@pytest.mark.parametrize("depth", [3000])
def test_a_folder_too_deep_to_be_named_counts_as_too_much(tmp_path: Path, depth: int) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("dd", dir_fd=here)
        below = os.open("dd", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert disk_used_mb(str(tmp_path), stop_mb=10) == 11
    flatten(tmp_path)


def flatten(top: Path) -> None:
    """Remove the tower from the top, which no tool does that names folders by their whole path."""
    while (top / "dd" / "dd").exists():
        (top / "dd" / "dd").rename(top / "next")
        (top / "dd").rmdir()
        (top / "next").rename(top / "dd")
