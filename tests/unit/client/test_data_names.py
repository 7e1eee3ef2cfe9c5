"""What the portal calls an object is a stranger's text: no name leads out of the folder that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from kyoyo.cli.data import _parts
from kyoyo.data import _target
from kyoyo.errors import UsageError
from kyoyo.parts import checksum_of, shape_of
from kyoyo.terminal import size
from portal.data import parts as theirs


@pytest.mark.parametrize("key", ["", "..", "a/..", "a/.", "a/", "x\0"])
def test_a_name_that_leads_elsewhere_is_no_file(key: str) -> None:
    with pytest.raises(UsageError):
        _target(key, None)


def test_only_the_last_part_names_the_file(tmp_path: Path) -> None:
    assert _target("../../etc/passwd", None) == Path("passwd")
    assert _target("a/b.txt", tmp_path) == tmp_path / "b.txt"
    assert _target("a/b.txt", tmp_path / "c") == tmp_path / "c"


@pytest.mark.parametrize("key", ["", "../x", "a/../b", "/etc/passwd", "a\\b", "a\0"])
def test_a_tree_of_names_stays_below_its_folder(key: str) -> None:
    with pytest.raises(UsageError):
        _parts(key)


@pytest.mark.parametrize("count", [0, 1, 16 * 2**20, 16 * 2**20 + 1, 10_000 * 16 * 2**20 + 1, 2**40, 2**50 + 7])
def test_both_sides_cut_alike(count: int) -> None:
    mine, portals = shape_of(count), theirs.shape_of(count)
    assert (mine.part_bytes, mine.count) == (portals.part_bytes, portals.count)
    assert mine.count <= theirs.MAX_PARTS
    assert sum(mine.size_of(number) for number in (1, mine.count)) == sum(
        portals.size_of(number) for number in (1, portals.count)
    )


def test_both_sides_compute_the_same_checksum() -> None:
    digests = [bytes([number]) * 32 for number in range(3)]
    assert checksum_of(digests) == theirs.checksum_of(digests)
    assert checksum_of(digests[:1]) == theirs.checksum_of(digests[:1]) == digests[0].hex()


@pytest.mark.parametrize(("count", "told"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**40, "1.0 TiB")])
def test_sizes_for_people(count: int, told: str) -> None:
    assert size(count) == told
