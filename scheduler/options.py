"""What may be asked for beside a program and its size, and what of it can be judged alone. Pure.

Every word here may end up in a foreign system's request: each is held against the one form that it may have, so that
no line, quote, path or header can be smuggled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from hpc_adapters.contract import Placement, Resources, Signal, Torchrun
from scheduler.core.dependencies import DependencyKind
from scheduler.errors import (
    ArrayEmpty,
    ArrayTooLarge,
    BadArrayIndex,
    BadOption,
    BeginTooLate,
    MoreThanGpusBring,
    OptionOutOfRange,
    TooManyDependencies,
    UnevenNodes,
    UnknownSignal,
)

MAX_NODES = 1_024
MAX_TASKS_PER_NODE = 1_024
MAX_LICENSES = 16
MAX_LICENSE_COUNT = 10_000
MAX_PROCESSES_PER_NODE = 256
MAX_ARRAY_TASKS = 1_000
MAX_ARRAY_INDEX = 1_000_000
MAX_DEPENDENCIES = 100
"""Named in one request; an array among them counts as one."""
MAX_BEGIN_AHEAD = timedelta(days=365)
SIGNALS = ("ABRT", "ALRM", "CONT", "HUP", "INT", "QUIT", "TERM", "URG", "USR1", "USR2")
SHOWN_CHARACTERS = 80

_GPU_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_CONSTRAINT = re.compile(r"[A-Za-z0-9_(\[!][A-Za-z0-9_.\-&|*()\[\],!:=]{0,199}")
_RESERVATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,+-]{0,99}")
_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@/-]{0,63}")
_IMAGE = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./:@+#-]{0,254}")
_DEPENDENCY = re.compile(r"[0-9A-Fa-f_-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A job waits for another: its number, its id, or N_k for task k of array N. An array's number means all of it."""

    kind: DependencyKind
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayWish:
    """One program, a task for each index. max_running: so many at a time; None: as many as fit."""

    indices: Sequence[int]
    max_running: int | None = None

    @property
    def step(self) -> int:
        """The distance between indices where it is always the same, else 1."""
        ordered = sorted(self.indices)
        distances = {later - earlier for earlier, later in pairwise(ordered)}
        return distances.pop() if len(distances) == 1 else 1


def check_placement(placement: Placement, *, walltime_s: int) -> None:
    """BadOption, OptionOutOfRange, UnknownSignal."""
    in_range("nodes", placement.nodes, 1, MAX_NODES)
    in_range("tasks_per_node", placement.tasks_per_node, 1, MAX_TASKS_PER_NODE)
    _check_word("gpu_type", placement.gpu_type, _GPU_TYPE)
    _check_word("constraint", placement.constraint, _CONSTRAINT)
    _check_word("reservation", placement.reservation, _RESERVATION)
    _check_word("image", placement.image, _IMAGE)
    if placement.image is not None and ".." in placement.image:
        raise BadOption(option="image", value=shown(placement.image), problem="path")
    _check_licenses(placement.licenses)
    if placement.signal is not None:
        _check_signal(placement.signal, walltime_s)


def _check_licenses(licenses: Mapping[str, int]) -> None:
    in_range("licenses", len(licenses), 0, MAX_LICENSES)
    for name, count in licenses.items():
        _check_word("licenses", name, _LICENSE)
        if ".." in name:
            raise BadOption(option="licenses", value=shown(name), problem="path")
        in_range("licenses", count, 1, MAX_LICENSE_COUNT)


def _check_signal(signal: Signal, walltime_s: int) -> None:
    if signal.name not in SIGNALS:
        raise UnknownSignal(signal=shown(signal.name), known=list(SIGNALS))
    in_range("signal.before_s", signal.before_s, 1, walltime_s)


def check_launch(launch: Torchrun) -> None:
    """OptionOutOfRange."""
    in_range("processes_per_node", launch.processes_per_node, 1, MAX_PROCESSES_PER_NODE)


def check_dependencies(dependencies: Sequence[Dependency]) -> None:
    """TooManyDependencies, BadOption."""
    if len(dependencies) > MAX_DEPENDENCIES:
        raise TooManyDependencies(count=len(dependencies), limit=MAX_DEPENDENCIES)
    for each in dependencies:
        _check_word("dependencies", each.job, _DEPENDENCY)


def check_array(array: ArrayWish) -> None:
    """ArrayEmpty, ArrayTooLarge, BadArrayIndex, OptionOutOfRange."""
    if not array.indices:
        raise ArrayEmpty
    if len(array.indices) > MAX_ARRAY_TASKS:
        raise ArrayTooLarge(count=len(array.indices), limit=MAX_ARRAY_TASKS)
    seen: set[int] = set()
    for index in array.indices:
        problem = _problem_of_index(index, seen)
        if problem is not None:
            raise BadArrayIndex(index=index, problem=problem, maximum=MAX_ARRAY_INDEX)
        seen.add(index)
    if array.max_running is not None:
        in_range("array.max_running", array.max_running, 1, MAX_ARRAY_TASKS)


def _problem_of_index(index: int, seen: set[int]) -> str | None:
    if index < 0:
        return "negative"
    if index > MAX_ARRAY_INDEX:
        return "too_large"
    return "duplicate" if index in seen else None


def check_begin(begin_at: datetime | None, *, now: datetime) -> None:
    """In the past is as good as now. BeginTooLate."""
    if begin_at is not None and begin_at > now + MAX_BEGIN_AHEAD:
        raise BeginTooLate(begin_at=begin_at.isoformat(), limit_days=MAX_BEGIN_AHEAD.days)


def resources_within(brought: Resources, *, nodes: int, cpus: int | None, memory_mb: int | None) -> Resources:
    """What a job holds of what its GPUs bring, over all its nodes. UnevenNodes, MoreThanGpusBring, OptionOutOfRange."""
    asked = {"cpus": (cpus, brought.cpus), "memory_mb": (memory_mb, brought.memory_mb)}
    _even("gpus", brought.gpus, nodes)
    held: dict[str, int] = {}
    for option, (wanted, limit) in asked.items():
        held[option] = limit if wanted is None else wanted
        if wanted is None:
            continue
        if wanted > limit:
            raise MoreThanGpusBring(option=option, requested=wanted, limit=limit, gpus=brought.gpus)
        in_range(option, wanted, 1, limit)
        _even(option, wanted, nodes)
    return Resources(gpus=brought.gpus, cpus=held["cpus"], memory_mb=held["memory_mb"], qpus=brought.qpus)


def _even(option: str, requested: int, nodes: int) -> None:
    if requested % nodes:
        raise UnevenNodes(option=option, requested=requested, nodes=nodes)


def in_range(option: str, requested: int, minimum: int, maximum: int) -> None:
    """OptionOutOfRange."""
    if not minimum <= requested <= maximum:
        raise OptionOutOfRange(option=option, requested=requested, minimum=minimum, maximum=maximum)


def _check_word(option: str, value: str | None, form: re.Pattern[str]) -> None:
    if value is not None and form.fullmatch(value) is None:
        raise BadOption(option=option, value=shown(value), problem="form")


def shown(text: str) -> str:
    """A piece of the customer's own text as it may stand in an answer."""
    return "".join(char if char.isprintable() else "?" for char in text[:SHOWN_CHARACTERS])
