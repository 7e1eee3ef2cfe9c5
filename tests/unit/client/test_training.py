"""Damaged checkpoints are passed over; signals only set a flag, and steal nobody's handler."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyoyo import training
from kyoyo.training import JsonSaver, Watch

SAVER = JsonSaver()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KYOYO_CHECKPOINT_DIR", str(tmp_path / "checkpoint"))
    monkeypatch.setenv("KYOYO_ATTEMPT_ID", "attempt-1")
    return tmp_path / "checkpoint"


@pytest.fixture
def handlers() -> Iterator[None]:
    """The test may install what it likes."""
    before = {number: signal.getsignal(number) for number in training.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def save(step: int, **choices: object) -> Path:
    path = training.save_checkpoint({"step": step}, step, saver=SAVER, **choices)  # type: ignore[arg-type]
    assert path is not None
    return path


def resumed() -> object:
    checkpoint = training.resume(saver=SAVER)
    return None if checkpoint is None else (checkpoint.step, checkpoint.state)


# ---- checkpoints


def test_without_a_checkpoint_a_program_begins_at_the_beginning(place: Path, handlers: None) -> None:
    assert training.latest_checkpoint() is None
    assert resumed() is None


def test_the_last_checkpoint_is_resumed_and_the_oldest_go(place: Path, handlers: None) -> None:
    for step in (1, 2, 10, 9):
        save(step, keep=2)
    assert resumed() == (10, {"step": 10})
    save(11, keep=2)
    assert sorted(int(path.name[5:17]) for path in place.iterdir()) == [10, 11]


def test_a_damaged_file_is_passed_over_and_does_not_crowd_out_whole_ones(place: Path, handlers: None) -> None:
    for step in (1, 2, 3):
        save(step)
    for path in place.glob("*.json"):
        path.write_bytes(b"{}")
    (place / "step-000000000900.rank-00000.json").write_bytes(b"{}")  # somebody else's file
    assert resumed() is None
    save(1, keep=1)
    assert resumed() == (1, {"step": 1})


def test_only_the_first_rank_writes_unless_each_keeps_its_own(
    place: Path, handlers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(4)
    monkeypatch.setenv("RANK", "1")
    assert training.save_checkpoint({}, 5, saver=SAVER) is None
    assert training.resume(saver=SAVER) == training.Checkpoint(4, {"step": 4}, place / next(iter(place.iterdir())).name)
    path = save(6, every_rank=True)
    assert ".rank-00001." in path.name
    own = training.resume(saver=SAVER, every_rank=True)
    assert own is not None
    assert own.step == 6


@given(damage=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.binary(max_size=8)), max_size=12))
def test_no_damage_is_ever_loaded(damage: list[tuple[int, int, bytes]]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("KYOYO_CHECKPOINT_DIR", folder)
        files = [save(step, keep=9) for step in (1, 2, 3, 4)]
        whole = {path: path.read_bytes() for path in files}
        for which, at, bytes_ in damage:
            content = files[which].read_bytes()
            files[which].write_bytes(content[:at] + bytes_)  # torn, or written over
        still = [step for step, path in enumerate(files, start=1) if path.read_bytes() == whole[path]]
        found = training.latest_checkpoint()
        assert found == (files[still[-1] - 1] if still else None)


# ---- signals and time


@pytest.mark.parametrize("number", training.SIGNALS)
def test_a_signal_sets_a_flag_and_goes_on_to_who_was_there_before(number: signal.Signals, handlers: None) -> None:
    told: list[int] = []
    signal.signal(number, lambda got, _: told.append(got))
    watch = Watch()
    watch.install()
    watch.install()
    signal.raise_signal(number)
    assert told == [number]
    assert watch.seen == {number}
    assert watch.terminated == (number == signal.SIGTERM)


def test_a_signal_that_was_ignored_is_noticed_and_nothing_else_happens(handlers: None) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    watch = Watch()
    watch.install()
    signal.raise_signal(signal.SIGUSR1)
    assert watch.seen == {signal.SIGUSR1}


def test_what_is_left_of_the_walltime(monkeypatch: pytest.MonkeyPatch) -> None:
    assert training.remaining_s({}) is None
    assert training.remaining_s({"KYOYO_END_AT": "soon"}) is None
    assert training.remaining_s({"KYOYO_END_AT": "0"}) == 0
    left = training.remaining_s({"KYOYO_END_AT": "99999999999", "SLURM_JOB_END_TIME": "1"})
    assert left is not None
    assert left > 10**9
    assert training.remaining_s({"SLURM_JOB_END_TIME": "1"}) == 0


def test_a_program_is_told_which_attempt_it_is() -> None:
    assert [training.restart_count(facts) for facts in ({}, {"KYOYO_RESTART_COUNT": "2"})] == [0, 2]
    assert training.restart_count({"KYOYO_RESTART_COUNT": "x"}) == 0


# ---- torch


@pytest.mark.torch
def test_tensors_come_back_and_a_pickle_s_own_code_never_runs(place: Path, handlers: None, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {"weights": torch.arange(6.0), "optimiser": {"step": 3, "lr": 0.1}}
    training.save_checkpoint(state, 3)
    found = training.resume()
    assert found is not None
    assert found.path.suffix == ".pt"
    assert found.state["optimiser"] == {"step": 3, "lr": 0.1}
    assert torch.equal(found.state["weights"], state["weights"])

    class Bomb:
        def __reduce__(self) -> object:
            return Path.touch, (tmp_path / "exploded",)

    training.save_checkpoint(Bomb(), 4)
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        training.resume()
    assert not (tmp_path / "exploded").exists()
