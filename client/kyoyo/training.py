"""For the program inside a job: stop in time, save whole checkpoints, go on from the last one that is whole.

    checkpoint = training.resume()                      # None in a first attempt
    start = 0 if checkpoint is None else load(checkpoint.state, checkpoint.step)
    for step in range(start, steps):
        ...
        if training.should_stop():                      # all processes of a run agree
            training.save_checkpoint(state(), step + 1)
            training.leave()

Needs nothing but the standard library; with torch it saves by torch.save and agrees over torch.distributed. A signal
only sets a flag: what is being written is never interrupted. Outside Kyoyo it works, too, in the folder `checkpoint`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Final, NoReturn, Protocol

SIGNALS: Final = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Told to end; warned, as Lightning expects it; warned, as submitit expects it."""
STOPPED: Final = 128 + signal.SIGTERM
"""Exit code of a program that stopped to be continued: not a success, and as if SIGTERM had ended it."""
KEEP: Final = 3
_NAME = re.compile(r"step-(\d{12})\.rank-(\d{5})\.([0-9a-f]{64})\.[a-z0-9]+")
_PIECE = 2**20
_PATIENCE_S = 600.0
_LOOK_S = 0.1


# ---- signals --------------------------------------------------------------------------------------------------------


class Watch:
    """Remembers which signals came. A handler that was installed before goes on being called."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._installed = False

    def install(self) -> None:
        """In the main thread only. Again: harmless."""
        if self._installed:
            return
        self._installed = True
        for number in SIGNALS:
            before = signal.getsignal(number)
            if callable(before):
                self._before[number] = before
            if before is not None:  # None: somebody's C code has it, and we could not call that
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen.add(number)
        if before := self._before.get(number):
            before(number, frame)

    @property
    def terminated(self) -> bool:
        """Whether the end has come, not only its warning."""
        return signal.SIGTERM in self.seen


WATCH: Final = Watch()


def should_stop(*, margin_s: float = 0.0) -> bool:
    """Whether to save and leave: a signal came, or less than `margin_s` of the walltime is left.

    With torch.distributed initialised, each process must ask equally often: they all get the same answer, which is
    yes when one of them says yes.
    """
    WATCH.install()
    left_s = remaining_s()
    wanted = bool(WATCH.seen) or (left_s is not None and left_s < margin_s)
    return _agreed(int(wanted), "MAX") == 1


def remaining_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """Seconds of the walltime that are left, never below 0. None: nobody said."""
    for name in ("KYOYO_END_AT", "SLURM_JOB_END_TIME"):
        with suppress(KeyError, ValueError):
            return max(0.0, float(environment[name]) - time.time())  # noqa: TID251  the edge
    return None


def restart_count(environment: Mapping[str, str] = os.environ) -> int:
    """How many attempts of this job came before."""
    told = environment.get("KYOYO_RESTART_COUNT", "")
    return int(told) if told.isdecimal() else 0


def leave() -> NoReturn:
    """End, so that the portal goes on with the next attempt. Call it after the last checkpoint is saved.

    After a mere warning it waits for the site's own end: a program that ends by itself before its time has, as far as
    anybody can know, failed or finished.
    """
    left_s = remaining_s()
    until = time.monotonic() + (_PATIENCE_S if left_s is None else left_s + _PATIENCE_S)
    _agreed(0, "MAX")  # nobody leaves while another one still writes
    while not WATCH.terminated and time.monotonic() < until:
        time.sleep(_LOOK_S)
    sys.exit(STOPPED)


# ---- checkpoints ----------------------------------------------------------------------------------------------------


class Saver(Protocol):
    """How a state becomes a file. `suffix`: lower-case letters and digits, without a dot."""

    suffix: str

    def save(self, state: Any, file: BinaryIO) -> None:
        """Write all of it."""

    def load(self, file: BinaryIO) -> Any:
        """Read it again; must not run code that the file brings along."""


class TorchSaver:
    """torch.save, and torch.load with weights_only: tensors and plain values, never a pickle's own code."""

    suffix = "pt"

    def save(self, state: Any, file: BinaryIO) -> None:
        importlib.import_module("torch").save(state, file)

    def load(self, file: BinaryIO) -> Any:
        return importlib.import_module("torch").load(file, map_location="cpu", weights_only=True)


class JsonSaver:
    """Plain values, for programs without torch."""

    suffix = "json"

    def save(self, state: Any, file: BinaryIO) -> None:
        file.write(json.dumps(state).encode())

    def load(self, file: BinaryIO) -> Any:
        return json.load(file)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state as it was saved, and how many steps were done then."""

    step: int
    state: Any
    path: Path


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the attempts of this job keep their checkpoints."""
    return Path(environment.get("KYOYO_CHECKPOINT_DIR") or "checkpoint")


def save_checkpoint(
    state: Any, step: int, *, keep: int = KEEP, every_rank: bool = False, saver: Saver | None = None
) -> Path | None:
    """Whole and durable when it returns, or not there at all. Keeps the last `keep`. None: not this process's task.

    Only rank 0 writes, unless `every_rank` (each then has a file of its own, and loads its own). The name carries the
    content's SHA-256, so that a damaged file is known as one.
    """
    rank = _rank()
    if rank and not every_rank:
        return None
    kind, place = saver or default_saver(), folder()
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f".{os.environ.get('KYOYO_ATTEMPT_ID', 'attempt')}.rank-{rank:05}.draft"
    with draft.open("wb") as file:
        kind.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    path = place / f"step-{step:012}.rank-{rank:05}.{_sha256(draft)}.{kind.suffix}"
    draft.rename(path)
    _sync(place)
    _sweep(path, rank=rank, keep=keep)
    return path


def latest_checkpoint(*, rank: int = 0, step: int | None = None) -> Path | None:
    """The newest whole file (of one step, when that is given). What is torn, damaged or foreign is passed over."""
    for found_step, path in _found(folder(), rank=rank):
        if (step is None or step == found_step) and _is_whole(path):
            return path
    return None


def resume(*, every_rank: bool = False, saver: Saver | None = None) -> Checkpoint | None:
    """The checkpoint to go on from, the same step in all processes of the run. None: begin at the beginning.

    With torch.distributed initialised, each process must call it. Installs the signal handlers.
    """
    WATCH.install()
    rank = _rank() if every_rank else 0
    path = latest_checkpoint(rank=rank)
    own = -1 if path is None else _step(path)
    step = _agreed(own, "MIN")
    if step < 0:
        return None
    if step != own:
        path = latest_checkpoint(rank=rank, step=step)
    if path is None:
        raise FileNotFoundError(f"no whole checkpoint of step {step} in {folder()}, where another process has one")
    with path.open("rb") as file:
        return Checkpoint(step, (saver or default_saver()).load(file), path)


def default_saver() -> Saver:
    """By torch where it is installed."""
    return JsonSaver() if importlib.util.find_spec("torch") is None else TorchSaver()


# ---- inside ---------------------------------------------------------------------------------------------------------


def _found(place: Path, *, rank: int) -> list[tuple[int, Path]]:
    """Checkpoints of a rank by their names, the newest first."""
    try:
        names = sorted((entry.name for entry in place.iterdir()), reverse=True)
    except FileNotFoundError:
        return []
    matches = (_NAME.fullmatch(name) for name in names)
    return [(int(match[1]), place / match[0]) for match in matches if match and int(match[2]) == rank]


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _is_whole(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    try:
        return match is not None and path.is_file() and _sha256(path) == match[3]
    except OSError:
        return False


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _sync(place: Path) -> None:
    """Make the folder's own entries durable."""
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sweep(saved: Path, *, rank: int, keep: int) -> None:
    """Remove the oldest, and what attempts that were killed while writing have left.

    Files of later steps stay out of the count: they are there only when they were damaged, and passed over.
    """
    older = [path for step, path in _found(saved.parent, rank=rank) if step <= _step(saved) and path != saved]
    for path in older[max(1, keep) - 1 :]:
        path.unlink(missing_ok=True)
    for left in saved.parent.glob(f".*.rank-{rank:05}.draft"):
        left.unlink(missing_ok=True)


def _rank() -> int:
    distributed = _distributed()
    if distributed is not None:
        return int(distributed.get_rank())
    told = os.environ.get("RANK", "0")
    return int(told) if told.isdecimal() else 0


def _distributed() -> Any:
    """torch.distributed where this program uses it; torch is never loaded for the question."""
    distributed = sys.modules.get("torch.distributed")
    in_use = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return distributed if in_use else None


def _agreed(value: int, how: str) -> int:
    """The largest or smallest value of all processes of the run."""
    distributed = _distributed()
    if distributed is None:
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    tensor = sys.modules["torch"].tensor([value], dtype=sys.modules["torch"].int64, device=device)
    distributed.all_reduce(tensor, op=getattr(distributed.ReduceOp, how))
    return int(tensor.item())
