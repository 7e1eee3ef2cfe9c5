"""What is told of attempts after their folders are gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from hpc_adapters.contract import Seen, UsageRow, Window
from hpc_adapters.keeping import Left, Past, remove, together

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROW = UsageRow(
    natural_key="a:1",
    attempt_id=UUID(int=1),
    started_at=NOON - timedelta(hours=30),
    ended_at=NOON,
    final=True,
    ending=Seen.SUCCEEDED,
    components={"qpu_s": Decimal("0.100000"), "shot": Decimal(7)},
    facts={"qpus": 1, "device": "five"},
)
RAN = Left(UUID(int=1), "native-1", NOON, ROW)
NEVER = Left(UUID(int=2), "native-2", NOON + timedelta(days=1), None)


def test_what_is_noted_is_told_by_whoever_reads(tmp_path: Path) -> None:
    ours, theirs = Past(tmp_path / "gone"), Past(tmp_path / "gone")
    assert theirs.find(RAN.attempt_id) is None
    ours.note([RAN, NEVER])
    for past in (ours, theirs):
        assert [past.find(each.attempt_id) for each in (RAN, NEVER)] == [RAN, NEVER]
        assert past.native_ids(NOON) == {"native-1", "native-2"}
        assert past.native_ids(NOON + timedelta(days=1)) == {"native-2"}
        assert past.rows(Window(NOON - timedelta(hours=1), NOON + timedelta(days=9))) == [ROW]
        assert past.rows(Window(NOON - timedelta(days=9), NOON - timedelta(hours=29))) == [ROW]
        assert past.rows(Window(NOON + timedelta(seconds=1), NOON + timedelta(hours=2))) == []
        assert past.rows(Window(NOON - timedelta(days=9), NOON - timedelta(days=2))) == []


def test_a_line_that_was_cut_hides_no_other(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.note([RAN])
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        again = Past(tmp_path)
        again.note([replace(RAN, attempt_id=UUID(int=3)), RAN])
        assert again.find(UUID(int=3)) is not None
        assert again.find(RAN.attempt_id) == RAN
        file.write_bytes(whole)


def test_each_record_is_told_once() -> None:
    here = replace(ROW, facts={})
    assert together([here], [ROW]) == [here]


def test_a_folder_goes_in_one_step_and_what_was_begun_goes_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_bytes(b"x" * 100)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b")
    (tmp_path / ".going").mkdir()
    (tmp_path / "a").rename(tmp_path / ".going" / "a")  # as a process that was killed has left it
    assert remove(tmp_path, "b") == 100
    assert remove(tmp_path, "c") == 0
    assert [each.name for each in tmp_path.rglob("*")] == [".going"]
